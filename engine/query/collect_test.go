package query

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// randomPart is a part of an answer with traces whose ids are below ids.
func randomPart(r *rand.Rand, n, ids int) *SearchResult {
	out := &SearchResult{Stats: Stats{Traces: int64(n), Segments: 1}}
	for range n {
		t := TraceResult{Start: r.Int63n(50), Sets: []SpanSet{{Matched: 1}}}
		binary.BigEndian.PutUint64(t.ID[:], uint64(r.Intn(ids)))
		t.End = t.Start + 1
		out.Traces = append(out.Traces, t)
	}
	slices.SortFunc(out.Traces, func(a, b TraceResult) int { return slices.Compare(a.ID[:], b.ID[:]) })
	out.Traces = slices.CompactFunc(out.Traces, func(a, b TraceResult) bool { return a.ID == b.ID })
	slices.SortFunc(out.Traces, func(a, b TraceResult) int { return a.compare(&b) })
	return out
}

func (r *SearchResult) clone() *SearchResult {
	out := *r
	out.Traces = slices.Clone(r.Traces)
	for i := range out.Traces {
		out.Traces[i].Sets = slices.Clone(out.Traces[i].Sets)
	}
	return &out
}

// TestCollectedIsMerged collects parts, with and without traces in common, and merges them one by one.
func TestCollectedIsMerged(t *testing.T) {
	for seed := range int64(400) {
		r := rand.New(rand.NewSource(seed))
		limit := 1 + r.Intn(60)
		p, err := Prepare(SearchRequest{Query: "{ } with (most_recent=true)", Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		ids := []int{20, 1 << 40}[seed%2]
		c, want, shown := p.Collect(), &SearchResult{}, 0
		for i := range r.Intn(9) {
			x := randomPart(r, r.Intn(20), ids)
			p.Merge(want, x.clone())
			if r.Intn(4) == 0 {
				c.Failed(fmt.Sprint("unit ", i))
				want.Partial = append(want.Partial, fmt.Sprint("unit ", i))
			}
			c.Add(x)
			end := r.Int63n(50)
			if got, want := c.Done(end), p.Done(want, end); got != want {
				t.Fatalf("seed %d: done %v, want %v", seed, got, want)
			}
			shown += len(x.Traces)
		}
		got := c.Result()
		if got.Stats != want.Stats || !reflect.DeepEqual(got.Partial, want.Partial) || !slices.EqualFunc(got.Traces, want.Traces, func(a, b TraceResult) bool { return reflect.DeepEqual(a, b) }) {
			t.Fatalf("seed %d, limit %d, %d traces:\n got %v\nwant %v", seed, limit, shown, got, want)
		}
		if got.Size() > c.Size() || ids > 20 && got.Size() != c.Size() {
			t.Fatalf("seed %d: size %d, collected %d", seed, got.Size(), c.Size())
		}
	}
}

func TestArenasDoNotGrowIntoEachOther(t *testing.T) {
	var a arena[int]
	a.expect(3)
	lists := [][]int{a.take(2), a.take(1), a.take(0), a.take(5), a.take(2000), a.take(1)}
	for i := range lists {
		lists[i] = append(lists[i], i) // elsewhere
		for k := range lists[i] {
			lists[i][k] = i
		}
	}
	for i, list := range lists {
		for _, v := range list {
			if v != i {
				t.Errorf("list %d has %d", i, v)
			}
		}
	}
}

func TestServicesOfATable(t *testing.T) {
	name := func(v trace.Value) columnar.Entry {
		r := trace.Resource{Attrs: []trace.Attr{{Key: []byte("service.name"), Value: v}}}
		return columnar.Entry{Raw: trace.AppendResource(nil, &r)}
	}
	table, err := columnar.NewTable(columnar.ScopeResource, []columnar.Entry{name(trace.StringValue([]byte("cart"))), {}, name(trace.IntValue(7)), name(trace.StringValue([]byte("ads"))), name(trace.StringValue([]byte("cart")))})
	if err != nil {
		t.Fatal(err)
	}
	n := table.Services()
	var got []string
	for _, i := range n.Of {
		got = append(got, n.Names[i])
	}
	if want := []string{"cart", "", "", "ads", "cart"}; !slices.Equal(got, want) || !slices.IsSorted(n.Names) || len(n.Names) != 3 {
		t.Errorf("%q of %q", got, n.Names)
	}
}
