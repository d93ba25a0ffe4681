package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/gossip/wire"
	"github.com/ringctl/ringctl/engine/kv/gossipkv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// pairJSON is how the vectors write a KeyValuePair.
type pairJSON struct {
	Key      string          `json:"key"`
	Codec    string          `json:"codec"`
	Deleted  bool            `json:"deleted"`
	Update   int64           `json:"update_time_millis"`
	ValueB64 *[]byte         `json:"value_b64"`
	Value    json.RawMessage `json:"value"`
}

// same compares a pair with what a vector says: the decoded value when there is one, the bytes when they are given.
func (want pairJSON) same(got gossip.Pair) error {
	if got.Key != want.Key || got.Codec != want.Codec || got.Deleted != want.Deleted || got.UpdateTimeMillis != want.Update {
		return fmt.Errorf("pair %s %s %v %d, want %s %s %v %d", got.Key, got.Codec, got.Deleted, got.UpdateTimeMillis,
			want.Key, want.Codec, want.Deleted, want.Update)
	}
	if want.ValueB64 != nil && !bytes.Equal(*want.ValueB64, got.Value) {
		return fmt.Errorf("value of %s: %x, want %x", got.Key, got.Value, *want.ValueB64)
	}
	if len(want.Value) == 0 || string(want.Value) == "null" {
		return nil
	}
	return sameValue(want.Codec, want.Value, got.Value)
}

func sameValue(codec string, want json.RawMessage, got []byte) error {
	if codec == ring.Codec {
		var w ringJSON
		if err := json.Unmarshal(want, &w); err != nil {
			return err
		}
		d, err := ring.DecodeValue(got)
		if err != nil {
			return err
		}
		return sameRing(w, d)
	}
	var w partitionRingJSON
	if err := json.Unmarshal(want, &w); err != nil {
		return err
	}
	d, err := partition.DecodeValue(got)
	if err != nil {
		return err
	}
	return samePartitionRing(w, d)
}

// samePairs compares lists; the order counts only when sorted is false.
func samePairs(want []pairJSON, got []gossip.Pair) error {
	if len(want) != len(got) {
		var keys []string
		for _, p := range got {
			keys = append(keys, p.Key)
		}
		return fmt.Errorf("%d pairs %q, want %d", len(got), keys, len(want))
	}
	for n, w := range want {
		if err := w.same(got[n]); err != nil {
			return fmt.Errorf("pair %d: %w", n, err)
		}
	}
	return nil
}

func checkKVPair(c json.RawMessage) error {
	var v struct {
		Kind     string
		Proto    []byte   `json:"proto_b64"`
		Content  pairJSON `json:"content"`
		Accepted bool     `json:"accepted_by_receiver"`
	}
	if err := json.Unmarshal(c, &v); err != nil {
		return err
	}
	var p gossip.Pair
	err := p.UnmarshalBinary(v.Proto)
	if v.Kind == "invalid" {
		if err == nil {
			return fmt.Errorf("decoded to %+v, want an error", p)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := v.Content.same(p); err != nil {
		return err
	}
	_, err = gossip.NewStore(gossipkv.Codecs(), gossip.StoreOptions{}).Decode(p)
	if (err == nil) != v.Accepted {
		return fmt.Errorf("accepted is %v (%w), want %v", err == nil, err, v.Accepted)
	}
	return checkPairRoundTrip(p)
}

func checkPairRoundTrip(p gossip.Pair) error {
	b, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	var again gossip.Pair
	if err := again.UnmarshalBinary(b); err != nil {
		return fmt.Errorf("own encoding: %w", err)
	}
	if fmt.Sprint(again) != fmt.Sprint(p) {
		return fmt.Errorf("own encoding decodes to %v, want %v", again, p)
	}
	return nil
}

func checkPushPullState(c json.RawMessage) error {
	var v struct {
		Now        int64      `json:"now_unix"`
		Blob       []byte     `json:"blob_b64"`
		Pairs      []pairJSON `json:"pairs"`
		ParseError bool       `json:"parse_error"`
		After      []pairJSON `json:"state_of_a_fresh_node_after_merge"`
	}
	if err := json.Unmarshal(c, &v); err != nil {
		return err
	}
	pairs, err := wire.DecodeState(v.Blob)
	if (err != nil) != v.ParseError {
		return fmt.Errorf("parse error is %v, want %v", err, v.ParseError)
	}
	if err := samePairs(v.Pairs, pairs); err != nil {
		return err
	}
	store := gossip.NewStore(gossipkv.Codecs(), gossip.StoreOptions{LeftTimeout: 5 * time.Minute})
	receiveAll(store, pairs, time.Unix(v.Now, 0))
	if err := samePairs(v.After, store.Pairs()); err != nil {
		return fmt.Errorf("state after merging: %w", err)
	}
	again, err := wire.DecodeState(wire.AppendState(nil, pairs...))
	if err != nil || fmt.Sprint(again) != fmt.Sprint(pairs) {
		return fmt.Errorf("own encoding of the state decodes to %v (%w)", again, err)
	}
	return nil
}

// receiveAll merges pairs as a receiver does: what it cannot use is skipped.
func receiveAll(s *gossip.Store, pairs []gossip.Pair, now time.Time) (changes []*gossip.Change, failed bool) {
	for _, p := range pairs {
		u, err := s.Decode(p)
		if err != nil {
			failed = true
			continue
		}
		change, _, err := s.Apply(u, now)
		if err != nil {
			failed = true
		}
		if change != nil {
			changes = append(changes, change)
		}
	}
	return changes, failed
}

type stepJSON struct {
	Op       string
	Input    json.RawMessage
	InputB64 []byte     `json:"input_b64"`
	Now      int64      `json:"now_unix"`
	Error    bool       `json:"error"`
	After    []pairJSON `json:"state_after"`
	Sent     []pairJSON `json:"broadcasts_after"`
}

func checkKVScenario(c json.RawMessage) error {
	var v struct {
		Left     int64 `json:"left_ingesters_timeout_seconds"`
		Obsolete int64 `json:"obsolete_entries_timeout_seconds"`
		Steps    []stepJSON
	}
	if err := json.Unmarshal(c, &v); err != nil {
		return err
	}
	store := gossip.NewStore(gossipkv.Codecs(), gossip.StoreOptions{
		LeftTimeout: time.Duration(v.Left) * time.Second, ObsoleteTimeout: time.Duration(v.Obsolete) * time.Second,
	})
	for n, s := range v.Steps {
		if err := s.check(store); err != nil {
			return fmt.Errorf("step %d (%s): %w", n+1, s.Op, err)
		}
	}
	return nil
}

func (s stepJSON) check(store *gossip.Store) error {
	changes, failed := s.run(store)
	local := s.Op != "notify" && s.Op != "merge_remote_state"
	if local && failed != s.Error {
		return fmt.Errorf("error is %v, want %v", failed, s.Error)
	}
	if err := samePairs(s.After, store.Pairs()); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := samePairs(s.Sent, broadcasts(changes, s.Sent)); err != nil {
		return fmt.Errorf("broadcasts: %w", err)
	}
	return nil
}

func (s stepJSON) run(store *gossip.Store) (changes []*gossip.Change, failed bool) {
	now := time.Unix(s.Now, 0)
	switch s.Op {
	case "notify":
		var p gossip.Pair
		if p.UnmarshalBinary(s.InputB64) != nil {
			return nil, true
		}
		return receiveAll(store, []gossip.Pair{p}, now)
	case "merge_remote_state":
		pairs, err := wire.DecodeState(s.InputB64)
		changes, failed = receiveAll(store, pairs, now)
		return changes, failed || err != nil
	}
	change, err := s.edit(store, now)
	if change != nil {
		changes = append(changes, change)
	}
	return changes, err != nil
}

// edit does what a page of the family does: a compare-and-swap on the value without tombstones.
func (s stepJSON) edit(store *gossip.Store, now time.Time) (*gossip.Change, error) {
	var in struct {
		Key, Instance, To string
		Partition         int32
		Locked            bool
	}
	if err := json.Unmarshal(s.Input, &in); err != nil {
		return nil, err
	}
	cur, version := store.Get(in.Key)
	switch v := cur.(type) {
	case gossipkv.Ring:
		delete(v.Instances, in.Instance)
		return store.CAS(in.Key, ring.Codec, version, v, now)
	case gossipkv.PartitionRing:
		changed, err := s.editPartition(v.Desc, in.Partition, in.To, in.Locked, now)
		if err != nil || !changed {
			return nil, err
		}
		return store.CAS(in.Key, partition.Codec, version, v, now)
	}
	return nil, fmt.Errorf("key %s holds a %T", in.Key, cur)
}

func (s stepJSON) editPartition(d *partition.Desc, id int32, to string, locked bool, now time.Time) (bool, error) {
	if s.Op == "lock_partition" {
		return partition.SetLock(d, id, locked, now)
	}
	state, ok := partition.ParseState(to)
	if !ok {
		return false, fmt.Errorf("unreadable state %q", to)
	}
	return partition.ChangeState(d, id, state, now)
}

// broadcasts are the changes that a queue would still hold: a later change of a key replaces an earlier one when it
// covers its entries. They come in the order of want, as far as keys can tell.
func broadcasts(changes []*gossip.Change, want []pairJSON) []gossip.Pair {
	var pairs []gossip.Pair
	for n, c := range changes {
		replaced := slices.ContainsFunc(changes[n+1:], func(later *gossip.Change) bool {
			return later.Key == c.Key && !slices.ContainsFunc(c.Entries, func(e string) bool { return !slices.Contains(later.Entries, e) })
		})
		if !replaced {
			pairs = append(pairs, c.Pair())
		}
	}
	place := map[string]int{}
	for n, w := range want {
		place[w.Key] = n
	}
	slices.SortStableFunc(pairs, func(a, b gossip.Pair) int { return place[a.Key] - place[b.Key] })
	return pairs
}

func checkNodeMeta(c json.RawMessage) error {
	var v struct {
		Kind string
		Meta []byte `json:"meta_b64"`
		Role string
		Num  uint8 `json:"role_number"`
		Zone string
	}
	if err := json.Unmarshal(c, &v); err != nil {
		return err
	}
	got := wire.ParseMeta(v.Meta)
	if got.Role.String() != v.Role || uint8(got.Role) != v.Num || got.Zone != v.Zone {
		return fmt.Errorf("role %s (%d), zone %q; want %s (%d), %q", got.Role, got.Role, got.Zone, v.Role, v.Num, v.Zone)
	}
	if v.Kind != "encoded" {
		return nil
	}
	b, err := wire.AppendMeta(nil, got)
	if err != nil || !bytes.Equal(b, v.Meta) {
		return fmt.Errorf("encodes to %x (%w), want %x", b, err, v.Meta)
	}
	return nil
}

func checkTransportFrame(c json.RawMessage) error {
	var v struct {
		From    string `json:"advertised_address"`
		Payload []byte `json:"payload_b64"`
		Bytes   []byte `json:"bytes_on_the_connection_b64"`
	}
	if err := json.Unmarshal(c, &v); err != nil {
		return err
	}
	if got := wire.AppendFrame(nil, wire.Packet{From: v.From, Payload: v.Payload}); !bytes.Equal(got, v.Bytes) {
		return fmt.Errorf("frame %x, want %x", got, v.Bytes)
	}
	p, err := wire.ParseFrame(v.Bytes[1:])
	if err != nil {
		return err
	}
	if p.From != v.From || !bytes.Equal(p.Payload, v.Payload) {
		return fmt.Errorf("read back %q %x", p.From, p.Payload)
	}
	return nil
}

// beaconsJSON is how the vectors write beacons.
type beaconsJSON map[string]struct {
	By      string `json:"published_by"`
	At      int64  `json:"published_at"`
	Deleted int64  `json:"deleted_at"`
}

func (want beaconsJSON) same(got gossip.Beacons) error {
	w := gossip.Beacons{}
	for id, b := range want {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return err
		}
		w[n] = gossip.Beacon{PublishedAt: b.At, DeletedAt: b.Deleted, PublishedBy: b.By}
	}
	if !maps.Equal(w, got) {
		return fmt.Errorf("beacons %v, want %v", got, w)
	}
	return nil
}

func checkBeacons(c json.RawMessage) error {
	var v struct {
		Codec   string      `json:"codec_id"`
		Proto   []byte      `json:"proto_b64"`
		Value   []byte      `json:"value_b64"`
		Content beaconsJSON `json:"content"`
	}
	if err := json.Unmarshal(c, &v); err != nil {
		return err
	}
	codec := gossip.BeaconCodec{}
	if codec.ID() != v.Codec {
		return fmt.Errorf("codec %s, want %s", codec.ID(), v.Codec)
	}
	got, err := codec.Decode(v.Value)
	if err != nil {
		return err
	}
	plain := gossip.Beacons{}
	if err := plain.UnmarshalBinary(v.Proto); err != nil {
		return err
	}
	again, err := codec.Decode(got.Encode())
	if err != nil {
		return fmt.Errorf("own encoding: %w", err)
	}
	for _, b := range []gossip.Value{got, plain, again} {
		if err := v.Content.same(b.(gossip.Beacons)); err != nil {
			return err
		}
	}
	return nil
}

func checkMergeBeacons(c json.RawMessage) error {
	var v struct {
		A        []byte       `json:"a_proto_b64"`
		B        []byte       `json:"b_proto_b64"`
		LocalCAS bool         `json:"local_cas"`
		Now      int64        `json:"now_unix"` // milliseconds
		Result   beaconsJSON  `json:"result"`
		Change   *beaconsJSON `json:"change"`
		Reverse  *beaconsJSON `json:"reverse_result"`
	}
	if err := json.Unmarshal(c, &v); err != nil {
		return err
	}
	a, _, change, err := mergeBeacons(v.A, v.B, v.LocalCAS, time.UnixMilli(v.Now))
	if err != nil {
		return err
	}
	if err := v.Result.same(a); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	if (change == nil) != (v.Change == nil) {
		return fmt.Errorf("change %v, want %v", change, v.Change)
	}
	if change != nil {
		if err := v.Change.same(change.(gossip.Beacons)); err != nil {
			return fmt.Errorf("change: %w", err)
		}
	}
	if v.Reverse == nil {
		return nil
	}
	b, _, _, err := mergeBeacons(v.B, v.A, false, time.UnixMilli(v.Now))
	if err != nil {
		return err
	}
	if err := v.Reverse.same(b); err != nil {
		return fmt.Errorf("reverse result: %w", err)
	}
	return nil
}

func mergeBeacons(a, b []byte, localCAS bool, now time.Time) (into, from gossip.Beacons, change gossip.Value, err error) {
	into, from = gossip.Beacons{}, gossip.Beacons{}
	if err := into.UnmarshalBinary(a); err != nil {
		return nil, nil, nil, err
	}
	if err := from.UnmarshalBinary(b); err != nil {
		return nil, nil, nil, err
	}
	change = into.Merge(from, localCAS, now)
	return into, from, change, nil
}
