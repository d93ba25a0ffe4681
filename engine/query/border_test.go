package query_test

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// TestEveryIDIsInOneShare looks at ids around every edge, of 128 and of 64 bits.
func TestEveryIDIsInOneShare(t *testing.T) {
	for n := 1; n < 20; n++ {
		shares := query.DivideIDs(n)
		var edges []trace.ID
		for _, share := range shares {
			for _, r := range share {
				edges = append(edges, r.First, r.Last)
			}
		}
		for _, at := range edges {
			for _, d := range [...]int64{-1, 0, 1} {
				id := at
				lo := binary.BigEndian.Uint64(id[8:])
				binary.BigEndian.PutUint64(id[8:], lo+uint64(d))
				if d < 0 && lo == 0 || d > 0 && lo == ^uint64(0) {
					binary.BigEndian.PutUint64(id[:8], binary.BigEndian.Uint64(id[:8])+uint64(d))
				}
				in := 0
				for _, share := range shares {
					for _, r := range share {
						if string(r.First[:]) <= string(id[:]) && string(id[:]) <= string(r.Last[:]) {
							in++
						}
					}
				}
				if in != 1 {
					t.Fatalf("%d shares: %s is in %d", n, id, in)
				}
			}
		}
	}
}

// TestSharesAddUp: the shares of an answer are the answer.
func TestSharesAddUp(t *testing.T) {
	for seed := range int64(10) {
		r := rand.New(rand.NewSource(seed))
		sources := spread(t, r, querytest.Random(seed, 40))
		text := "{ .a != nil } | by(name) | count() > 0"
		want := canonical(find(t, sources, query.SearchRequest{Query: text, Limit: 1000}))
		sum := &query.SearchResult{}
		for _, ids := range query.DivideIDs(1 + r.Intn(6)) {
			sum.Merge(find(t, sources, query.SearchRequest{Query: text, Limit: 1000, IDs: ids}), 1000, 0)
		}
		if got := canonical(sum); got != want || want == "" {
			t.Errorf("seed %d: got\n%s\nwant\n%s", seed, got, want)
		}
	}
}

func TestLooksAtWholeTraces(t *testing.T) {
	for text, want := range map[string]bool{
		"{ }": false, "{ .a = 1 }": false, "{ .a } || { .b }": false, "{ .a } | by(.b)": false, "{ .a } | select(.b)": false,
		"{ .a } && { .b }": true, "{ .a } >> { .b }": true, "{ .a } | count() > 1": true, "{ parent.a = 1 }": true, "{ rootName = `x` }": true,
		"{ trace:duration > 1s }": true, "{ span:childCount > 1 }": true, "({ .a } | { .b } | count()) > 1": true, "({ .a } >> { .b }) | { .c }": true,
		"{ } | rate()": false, "{ .a } | rate() by (.b)": false, "{ .a } > { .b } | rate()": true, "{ } | rate() by (rootName)": true,
		"({ } | rate()) / ({ .a } && { .b } | rate())": true, "{ } | compare({ status = error })": true, "nonsense": false,
	} {
		if got := query.LooksAtWholeTraces(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
