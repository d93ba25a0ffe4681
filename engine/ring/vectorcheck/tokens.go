package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ringctl/ringctl/engine/ring"
)

func checkSpreadTokens(raw json.RawMessage) error {
	var c struct {
		Instance  int      `json:"instance_id"`
		Zone      int      `json:"zone_id"`
		Requested int      `json:"requested"`
		Count     int      `json:"count"`
		Taken     []uint32 `json:"taken"`
		SHA256    string   `json:"sha256_of_big_endian_tokens"`
		Tokens    []uint32 `json:"tokens"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	got, err := ring.SpreadMinimizing(c.Instance, c.Zone, c.Requested, c.Taken)
	if err != nil {
		return err
	}
	if len(got) != c.Count || c.Tokens != nil && !slices.Equal(got, c.Tokens) {
		return fmt.Errorf("%d tokens %v, want %d: %v", len(got), got, c.Count, c.Tokens)
	}
	return sameDigest(got, c.SHA256)
}

func sameDigest(tokens []uint32, want string) error {
	var b []byte
	for _, t := range tokens {
		b = binary.BigEndian.AppendUint32(b, t)
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != want {
		return fmt.Errorf("digest of tokens %s, want %s", got, want)
	}
	return nil
}

func checkSpreadNames(raw json.RawMessage) error {
	var c struct {
		Instance string   `json:"instance"`
		Zone     string   `json:"zone"`
		Zones    []string `json:"zones"`
		Error    bool     `json:"error"`
		SHA256   string   `json:"sha256_of_big_endian_tokens"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	tokens, err := ring.SpreadMinimizingByName(c.Instance, c.Zone, c.Zones, ring.SpreadTokens, nil)
	if (err != nil) != c.Error {
		return fmt.Errorf("error %v, want %v", err, c.Error)
	}
	if c.Error {
		return nil
	}
	return sameDigest(tokens, c.SHA256)
}

func checkShuffleSeeds(raw json.RawMessage) error {
	var c struct {
		Identifier string   `json:"identifier"`
		Zone       string   `json:"zone"`
		Seed       int64    `json:"seed"`
		First      []uint32 `json:"first_random_numbers"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	if got := ring.ShuffleSeed(c.Identifier, c.Zone); got != c.Seed {
		return fmt.Errorf("seed %d, want %d", got, c.Seed)
	}
	random := ring.ShuffleRandom(c.Identifier, c.Zone)
	for n, want := range c.First {
		if got := random.Uint32(); got != want {
			return fmt.Errorf("random number %d is %d, want %d", n, got, want)
		}
	}
	return nil
}
