package ring_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// TestDecodingWithAKnownRing: a known ring changes what is allocated, not what comes out; and the news are what a merge takes.
func TestDecodingWithAKnownRing(t *testing.T) {
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
		news, err := ring.DecodeNews(value, known)
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
