package ring_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// TestDecodingWithAKnownRing: a known ring changes what is allocated, not what comes out; and the news are what a merge takes.
func TestDecodingWithAKnownRing(t *testing.T) {
	var reader ring.News
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		known, in := lawDesc(rng), lawDesc(rng)
		value := ring.EncodeValue(in)
		plain, err := ring.DecodeValue(value)
		if err != nil {
			t.Fatal(err)
		}
		like, err := ring.DecodeValueLike(value, known)
		if err != nil {
			t.Fatal(err)
		}
		same(t, seed, "decoding like", like, plain)
		news, err := reader.Decode(value, known)
		if err != nil {
			t.Fatal(err)
		}
		all, some := known.Clone(), known.Clone()
		change := ring.Merge(all, plain, false, time.Time{})
		if ring.Merge(some, news, false, time.Time{}); all.Hash() != some.Hash() {
			t.Fatalf("seed %d: merging the news gives another ring", seed)
		}
		if change == nil && len(news.Instances) > 0 {
			t.Fatalf("seed %d: %d entries are no news", seed, len(news.Instances))
		}
		if beats := known.Clone(); ring.Beat(beats, news) {
			same(t, seed, "heartbeats", beats, some)
		} else {
			same(t, seed, "no heartbeats", beats, known)
		}
		if !ring.SameButHeartbeats(like, plain) {
			t.Fatalf("seed %d: differs from itself", seed)
		}
	}
}

// TestSharedTokens: tokens that have not changed are those of the known ring, and appending to them does not write there.
func TestSharedTokens(t *testing.T) {
	known := ring.NewDesc()
	known.Instances["a"] = ring.Instance{ID: "a", Tokens: []uint32{0, 1, 127, 128, 1 << 28, 1<<32 - 1}[:5], Timestamp: 1}
	later := known.Clone()
	a := later.Instances["a"]
	a.Timestamp = 2
	later.Instances["a"] = a
	got, err := ring.DecodeValueLike(ring.EncodeValue(later), known)
	if err != nil {
		t.Fatal(err)
	}
	tokens := got.Instances["a"].Tokens
	if &tokens[0] != &known.Instances["a"].Tokens[0] || cap(tokens) != len(tokens) {
		t.Errorf("tokens %v, capacity %d", tokens, cap(tokens))
	}
	if !ring.SameButHeartbeats(known, got) {
		t.Error("differs in more than heartbeats")
	}
	a.Addr = "elsewhere:1"
	later.Instances["a"] = a
	if ring.SameButHeartbeats(known, later) {
		t.Error("an address is no heartbeat")
	}
}

// TestBeat: heartbeats of known instances are taken over as a merge takes them; with anything else in the message nothing is.
func TestBeat(t *testing.T) {
	instance := func(change func(*ring.Instance)) ring.Instance {
		i := ring.Instance{ID: "a", Addr: "a:1", Tokens: []uint32{1, 2}, Timestamp: 5, Versions: map[uint64]uint64{1: 1}}
		if change != nil {
			change(&i)
		}
		return i
	}
	for name, c := range map[string]struct {
		change func(*ring.Instance)
		beat   bool
	}{
		"newer":       {func(i *ring.Instance) { i.Timestamp++ }, true},
		"as old":      {func(*ring.Instance) {}, false},
		"older":       {func(i *ring.Instance) { i.Timestamp-- }, false},
		"state":       {func(i *ring.Instance) { i.Timestamp++; i.State = ring.Leaving }, false},
		"burial":      {func(i *ring.Instance) { i.State = ring.Left }, false},
		"tokens":      {func(i *ring.Instance) { i.Timestamp++; i.Tokens = []uint32{1, 3} }, false},
		"token order": {func(i *ring.Instance) { i.Timestamp++; i.Tokens = []uint32{2, 1} }, false},
		"address":     {func(i *ring.Instance) { i.Timestamp++; i.Addr = "b:1" }, false},
		"versions":    {func(i *ring.Instance) { i.Timestamp++; i.Versions = nil }, false},
		"another one": {func(i *ring.Instance) { i.Timestamp++; i.ID = "b" }, false},
	} {
		cur, in := ring.NewDesc(), ring.NewDesc()
		cur.Instances["a"], cur.Instances["z"] = instance(nil), ring.Instance{ID: "z", Timestamp: 1}
		i := instance(c.change)
		in.Instances[i.ID], in.Instances["z"] = i, ring.Instance{ID: "z", Timestamp: 2}
		want := cur.Clone()
		if c.beat {
			ring.Merge(want, in, false, time.Time{})
		}
		if got := ring.Beat(cur, in); got != c.beat || cur.Hash() != want.Hash() {
			t.Errorf("%s: %v, %+v", name, got, cur)
		}
	}
}
