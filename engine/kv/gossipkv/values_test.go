package gossipkv_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/gossipkv"
	"github.com/ringctl/ringctl/engine/kv/kvtest"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

const now = 10_000

func randomRing(rng *rand.Rand) gossipkv.Ring {
	d := ring.NewDesc()
	for range rng.IntN(6) {
		id := fmt.Sprintf("i%d", rng.IntN(6))
		d.Instances[id] = ring.Instance{ID: id, Timestamp: now - rng.Int64N(20), State: ring.State(rng.IntN(5)),
			Tokens: ring.RandomTokens(3, nil, rng), Zone: fmt.Sprintf("z%d", rng.IntN(3))}
	}
	return gossipkv.Ring{Desc: d}
}

func randomPartitions(rng *rand.Rand) gossipkv.PartitionRing {
	d := partition.NewDesc()
	for range rng.IntN(6) {
		id := rng.Int32N(4)
		d.Partitions[id] = partition.Partition{ID: id, Tokens: []uint32{uint32(id)}, State: partition.State(1 + rng.IntN(4)), StateTimestamp: now - rng.Int64N(20)}
		owner := fmt.Sprint(rng.IntN(4)) // also ids that look like partitions
		d.Owners[owner] = partition.Owner{OwnedPartition: id, State: partition.OwnerState(1 + rng.IntN(2)), UpdatedTimestamp: now - rng.Int64N(20)}
	}
	return gossipkv.PartitionRing{Desc: d}
}

// A change cut into entries means the same as the whole change, whatever the receiver knows: that is why changes may
// travel entry by entry.
func TestCutChangesMeanTheSame(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cutMeansTheSame(t, seed, gossipkv.RingCodec{}, randomRing(rng), randomRing(rng))
		cutMeansTheSame(t, seed, gossipkv.PartitionCodec{}, randomPartitions(rng), randomPartitions(rng))
	}
}

func cutMeansTheSame(t *testing.T, seed uint64, codec gossip.Codec, known, change gossip.Value) {
	t.Helper()
	whole, parts := recode(t, codec, known), recode(t, codec, known)
	whole.Merge(recode(t, codec, change), false, time.Unix(now, 0))
	names := change.EntryNames()
	slices.Reverse(names)
	for _, n := range names {
		part := change.(gossip.Picker).Pick([]string{n})
		parts.Merge(recode(t, codec, part), false, time.Unix(now, 0))
	}
	if !bytes.Equal(whole.Encode(), parts.Encode()) {
		t.Fatalf("seed %d, %s: the whole gives %v, the parts give %v", seed, codec.ID(), whole, parts)
	}
}

// recode copies a value by sending it through its codec.
func recode(t *testing.T, codec gossip.Codec, v gossip.Value) gossip.Value {
	t.Helper()
	out, err := codec.Decode(v.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEntriesAheadAreFound(t *testing.T) {
	r := ring.NewDesc()
	r.Instances["fine"] = ring.Instance{Timestamp: now + 10}
	r.Instances["poison"] = ring.Instance{Timestamp: now + 11}
	if got := (gossipkv.Ring{Desc: r}).RemoveAhead(time.Unix(now+10, 0)); !slices.Equal(got, []string{"poison"}) || len(r.Instances) != 1 {
		t.Errorf("ring: %q", got)
	}
	p := partition.NewDesc()
	p.Partitions[1] = partition.Partition{StateTimestamp: now}
	p.Partitions[2] = partition.Partition{StateTimestamp: now + 11}
	p.Partitions[3] = partition.Partition{StateChangeLockedTimestamp: now + 11}
	p.Owners["o"] = partition.Owner{UpdatedTimestamp: now + 11}
	got := (gossipkv.PartitionRing{Desc: p}).RemoveAhead(time.Unix(now+10, 0))
	slices.Sort(got)
	if !slices.Equal(got, []string{"2", "3", "o"}) || len(p.Partitions) != 1 || len(p.Owners) != 0 {
		t.Errorf("partitions: %q", got)
	}
}

func TestEmptyBytesAreAnEmptyValue(t *testing.T) {
	for _, c := range gossipkv.Codecs() {
		v, err := c.Decode(nil)
		if err != nil || len(v.EntryNames()) != 0 {
			t.Errorf("%s: %v, %v", c.ID(), v, err)
		}
		if _, err := c.Decode([]byte("\xff\xff garbage")); err == nil {
			t.Errorf("%s: garbage was decoded", c.ID())
		}
	}
}

// One node's forget reaches the others, and their watches show it.
func TestForgetBetweenNodes(t *testing.T) {
	a := member(t)
	b := member(t, a.Addr())
	ra := kv.For(gossipkv.New(a, gossipkv.RingCodec{}), kvtest.Codec())
	rb := kv.For(gossipkv.New(b, gossipkv.RingCodec{}), kvtest.Codec())
	err := ra.CAS(t.Context(), "collectors/ring", func(*ring.Desc) (*ring.Desc, bool, error) {
		d := ring.NewDesc()
		d.Instances["x"] = ring.Instance{ID: "x", Timestamp: time.Now().Unix() - 5}
		d.Instances["y"] = ring.Instance{ID: "y", Timestamp: time.Now().Unix() - 5}
		return d, true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	rb.Watch(t.Context(), "collectors/ring", func(d *ring.Desc) bool {
		seen = len(d.Instances)
		return seen < 2
	}, func(err error) { t.Error(err) })
	err = rb.CAS(t.Context(), "collectors/ring", func(d *ring.Desc) (*ring.Desc, bool, error) {
		delete(d.Instances, "x")
		return d, true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ra.Watch(t.Context(), "collectors/ring", func(d *ring.Desc) bool {
		_, there := d.Instances["x"]
		return there
	}, func(err error) { t.Error(err) })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); len(a.Members()) != 2; { // a hears who joined after it has answered
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%d members", len(a.Members()))
		}
	}
}

func TestWrongTypeIsAnError(t *testing.T) {
	c := member(t)
	rings := kv.For(gossipkv.New(c, gossipkv.RingCodec{}), kvtest.Codec())
	parts := kv.For(gossipkv.New(c, gossipkv.PartitionCodec{}),
		kv.Codec[*partition.Desc]{ID: partition.Codec, Encode: partition.EncodeValue, Decode: partition.DecodeValue})
	err := parts.CAS(t.Context(), "collectors/metrics-generator", func(*partition.Desc) (*partition.Desc, bool, error) {
		d := partition.NewDesc()
		_, err := partition.AddPartition(d, 1, partition.Active, time.Now())
		return d, true, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rings.Get(t.Context(), "collectors/metrics-generator"); err == nil || !strings.Contains(err.Error(), "want ringDesc") {
		t.Errorf("a partition ring read as a ring: %v", err)
	}
}
