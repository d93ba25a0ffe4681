package ring_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ring/ringtest"
)

func TestUnknownFieldsSurvive(t *testing.T) {
	// An instance with fields 30 (varint), 31 (bytes), 32 (group) and a top
	// level with field 9.
	extra := []byte{0xf0, 0x01, 7, 0xfa, 0x01, 2, 'h', 'i', 0x83, 0x02, 0x08, 1, 0x84, 0x02}
	d := &ring.Desc{
		Instances: map[string]ring.Instance{"a": {ID: "a", Timestamp: 5, Unknown: extra}},
		Unknown:   []byte{0x48, 3},
	}
	b, err := d.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ring.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Instances["a"].Unknown, extra) || !bytes.Equal(got.Unknown, d.Unknown) {
		t.Errorf("unknown fields became %x and %x", got.Instances["a"].Unknown, got.Unknown)
	}
	// They also survive a merge, in the entry and in the change.
	cur := ring.NewDesc()
	change := ring.Merge(cur, got, false, storyNow)
	if !bytes.Equal(cur.Instances["a"].Unknown, extra) || !bytes.Equal(change.Instances["a"].Unknown, extra) {
		t.Error("unknown fields were lost in the merge")
	}
}

func TestRoundtrip(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := ringtest.Desc(rng, ringtest.Shape{Instances: rng.IntN(8), Zones: 2, Tokens: 1 + rng.IntN(700), Now: 1755800000, States: true, Tombstones: true})
		for id, i := range d.Instances {
			i.Addr = strings.Repeat("x", rng.IntN(300))
			i.Timestamp = int64(rng.Uint64())
			i.State = ring.State(int32(rng.Uint32()))
			i.Versions = map[uint64]uint64{rng.Uint64(): rng.Uint64(), 0: 0}
			d.Instances[id] = i
		}
		got, err := ring.DecodeValue(ring.EncodeValue(d))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !reflect.DeepEqual(got, d) {
			t.Fatalf("seed %d:\n%+v\nbecame\n%+v", seed, d, got)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	big := make([]byte, ring.MaxEncodedSize+1)
	if _, err := ring.Unmarshal(big); err == nil {
		t.Error("a value over the limit was accepted")
	}
	// A snappy block that claims to hold 1 GiB.
	if _, err := ring.DecodeValue([]byte{0x80, 0x80, 0x80, 0x80, 0x04, 0}); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a huge snappy block: %v", err)
	}
	// Nested groups without end.
	deep := bytes.Repeat([]byte{0x1b}, 1<<16)
	if _, err := ring.Unmarshal(deep); err == nil {
		t.Error("nested groups without end were accepted")
	}
	_, err := ring.Unmarshal([]byte{0x0a, 0x07, 0x0a, 0x01, 'q', 0x12, 0x02, 0x08, 5})
	if err == nil || !strings.Contains(err.Error(), `instance "q"`) || !strings.Contains(err.Error(), "field 1") {
		t.Errorf("the error does not name instance and field: %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 4 {
		b, _ := ringtest.Desc(rng, ringtest.Shape{Instances: n, Zones: 2, Tokens: 9, States: true}).MarshalBinary()
		f.Add(b)
	}
	f.Add([]byte{0x0a, 0x0f, 0x0a, 0x02, 'i', '1', 0x12, 0x09, 0x32, 2, 1, 2, 0x30, 9, 0x32, 1, 3})
	f.Add([]byte{0x1b, 0x08, 1, 0x1c})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ring.Unmarshal(b)
		if err != nil {
			return
		}
		first, _ := d.MarshalBinary()
		again, err := ring.Unmarshal(first)
		if err != nil {
			t.Fatalf("own bytes are unreadable: %v", err)
		}
		second, _ := again.MarshalBinary()
		if !bytes.Equal(first, second) {
			t.Fatalf("%x became %x", first, second)
		}
		useAnything(t, d)
	})
}

// useAnything makes sure that no decoded ring breaks what comes after.
func useAnything(t *testing.T, d *ring.Desc) {
	cur := d.Clone()
	ring.Merge(cur, d, false, storyNow)
	merged := ring.NewDesc()
	ring.Merge(merged, d, true, storyNow)
	if merged.DuplicateTokens() != nil {
		t.Fatal("duplicate tokens after a merge")
	}
	d.TopologyHash()
	r := ring.New(d, ring.Config{ReplicationFactor: 2, ZoneAwareness: true})
	if r.TokenCount() > 0 {
		if r.Owner(12345) == nil {
			t.Fatal("a ring with tokens has no owner for a key")
		}
	}
	r.Quorum(ring.Read, storyNow)
	r.Ownership()
	r.ShuffleShard("t", 2)
}

func FuzzDecodeValue(f *testing.F) {
	f.Add(ring.EncodeValue(&ring.Desc{Instances: map[string]ring.Instance{"a": {ID: "a", Tokens: []uint32{1, 2, 3}}}}))
	f.Add([]byte{0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ring.DecodeValue(b)
		if err != nil {
			return
		}
		again, err := ring.DecodeValue(ring.EncodeValue(d))
		if err != nil || again.Hash() != d.Hash() {
			t.Fatalf("own value differs: %v", err)
		}
	})
}

// Tokens of every length, padded ones too, against the standard library.
func TestPackedTokensLikeUvarint(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var packed []byte
		var want []uint32
		for range rng.IntN(40) {
			v := rng.Uint64() >> rng.IntN(64)
			if rng.IntN(8) > 0 {
				v = uint64(uint32(v))
			}
			packed = binary.AppendUvarint(packed, v)
			if rng.IntN(6) == 0 && len(packed) > 0 && v < 1<<49 { // a longer encoding of the same number
				packed[len(packed)-1] |= 0x80
				packed = append(packed, 0)
			}
			want = append(want, uint32(v))
		}
		field := binary.AppendUvarint(ring.AppendTag(nil, 6, ring.WireBytes), uint64(len(packed)))
		r := ring.NewReader(append(field, packed...))
		if !r.Next() {
			t.Fatal(r.Err())
		}
		got := r.Tokens(nil)
		if r.Err() != nil || !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v (%v), want %v", seed, got, r.Err(), want)
		}
		r = ring.NewReader(ring.AppendTokensField(nil, 6, want))
		if r.Next() {
			got = r.Tokens(nil)
		}
		if len(want) > 0 && !slices.Equal(got, want) {
			t.Fatalf("seed %d: written %v, want %v", seed, got, want)
		}
	}
}
