package query_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
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

// byToken deals the spans of a trace to the head of its token and to blocks.
type byToken struct {
	r             *rand.Rand
	heads, blocks [2]*querytest.MemoryBuilder
}

func (d *byToken) each(f func(*querytest.MemoryBuilder) error) error {
	for _, b := range []*querytest.MemoryBuilder{d.heads[0], d.heads[1], d.blocks[0], d.blocks[1]} {
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

func (d *byToken) Resource(g *trace.Group) error {
	return d.each(func(b *querytest.MemoryBuilder) error { return b.Resource(g) })
}

func (d *byToken) Scope(g *trace.Group) error {
	return d.each(func(b *querytest.MemoryBuilder) error { return b.Scope(g) })
}

func (d *byToken) Span(raw []byte) error {
	var s trace.Span
	if err := trace.DecodeSpan(raw, &s); err != nil {
		return err
	}
	if d.r.Intn(3) > 0 {
		return d.blocks[d.r.Intn(2)].Span(raw)
	}
	return d.heads[trace.Token("t", s.TraceID)>>31].Span(raw)
}

// TestYoungBlocksOfTwoKeepers: each of two keepers answers about what it holds and about the rest of its tokens.
func TestYoungBlocksOfTwoKeepers(t *testing.T) {
	hits := 0
	for seed := range int64(12) {
		r := rand.New(rand.NewSource(seed))
		otlp := querytest.Random(seed, 40)
		d := &byToken{r, [2]*querytest.MemoryBuilder{{}, {}}, [2]*querytest.MemoryBuilder{{}, {}}}
		for _, m := range otlp {
			if err := trace.Walk(m, d); err != nil {
				t.Fatal(err)
			}
		}
		var heads, blocks [2]columnar.Source
		for i := range 2 {
			heads[i], blocks[i] = buildAll(t, d.heads[i]), buildAll(t, d.blocks[i])
		}
		for range 30 {
			text := querytest.RandomQuery(r)
			if !query.LooksAtWholeTraces(text) {
				continue
			}
			req := query.SearchRequest{Query: text, Limit: 1000, Tenant: "t"}
			rare := r.Intn(2) == 0
			all, err := searchUnits([]columnar.Source{heads[0], heads[1], blocks[0], blocks[1]}, req, rare)
			if err != nil {
				continue // not supported
			}
			sum := &query.SearchResult{}
			for i := range 2 {
				req.Young = []query.TokenRange{{First: uint32(i) << 31, Last: uint32(i)<<31 + 1<<31 - 1}}
				part, err := searchUnits([]columnar.Source{heads[i], query.WithSide(blocks[0], query.SideYoung), query.WithSide(blocks[1], query.SideYoung)}, req, rare)
				if err != nil {
					t.Fatal(err)
				}
				sum.Merge(part, 1000, 0)
			}
			if got, want := canonical(sum), canonical(all); got != want {
				t.Fatalf("seed %d, rare %v: %s\nwant\n%s\ngot\n%s", seed, rare, text, want, got)
			}
			hits += len(all.Traces)
		}
	}
	if hits < 1000 {
		t.Errorf("only %d traces found", hits)
	}
}

func buildAll(t *testing.T, b *querytest.MemoryBuilder) columnar.Source {
	t.Helper()
	m, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// anywhere deals spans to heads whatever their tokens, as partitions do that came or went not long ago, and to blocks:
// some spans are in both, or in both blocks.
type anywhere struct{ byToken }

func (d *anywhere) Span(raw []byte) error {
	kept := d.r.Intn(3)
	if kept < 2 {
		if err := d.heads[d.r.Intn(2)].Span(raw); err != nil {
			return err
		}
	}
	for _, b := range d.blocks {
		if kept > 0 && d.r.Intn(3) > 0 {
			if err := b.Span(raw); err != nil {
				return err
			}
			kept = 3
		}
	}
	if kept == 2 {
		return d.blocks[0].Span(raw)
	}
	return nil
}

// TestKeepersCountWhatTheyHold: keepers that share no spans count those that no young block has, whatever their tokens,
// and share the young blocks out by tokens.
func TestKeepersCountWhatTheyHold(t *testing.T) {
	points := 0
	for seed := range int64(12) {
		r := rand.New(rand.NewSource(seed))
		d := &anywhere{byToken{r, [2]*querytest.MemoryBuilder{{}, {}}, [2]*querytest.MemoryBuilder{{}, {}}}}
		for _, m := range querytest.Random(seed, 40) {
			if err := trace.Walk(m, d); err != nil {
				t.Fatal(err)
			}
		}
		var heads, blocks [2]columnar.Source
		for i := range 2 {
			heads[i], blocks[i] = buildAll(t, d.heads[i]), buildAll(t, d.blocks[i])
		}
		for range 40 {
			text := querytest.RandomMetrics(r)
			if _, err := traceql.Parse(text); err != nil || query.LooksAtWholeTraces(text) {
				continue
			}
			req := query.MetricsRequest{Query: text, Start: querytest.Epoch + 7e9, End: querytest.Epoch + 3400e9, Step: int64(10 * time.Minute), Tenant: "t"}
			all := metricsOf(t, req, []columnar.Source{heads[0], heads[1], blocks[0], blocks[1]})
			plan, err := query.PrepareMetrics(req)
			if err != nil {
				t.Fatal(err)
			}
			sum := plan.Empty()
			req.Held = true
			cut := r.Uint32()
			for i, tokens := range [][]query.TokenRange{{{First: 0, Last: cut}}, {{First: cut + 1, Last: math.MaxUint32}}} {
				if req.Tokens = tokens; cut == math.MaxUint32 && i == 1 {
					req.Tokens = []query.TokenRange{}
				}
				plan.Merge(sum, metricsOf(t, req, []columnar.Source{heads[i], query.WithSide(blocks[0], query.SideYoung), query.WithSide(blocks[1], query.SideYoung)}))
			}
			got, want := valuesText(plan.Answer(sum)), valuesText(plan.Answer(all))
			if got != want {
				t.Fatalf("seed %d: %s\nwant\n%s\ngot\n%s", seed, text, want, got)
			}
			points += strings.Count(want, "\n")
		}
	}
	if points < 100 {
		t.Errorf("only %d series were compared", points)
	}
}

func metricsOf(t *testing.T, req query.MetricsRequest, sources []columnar.Source) *query.MetricsResult {
	t.Helper()
	p, err := query.PrepareMetrics(req)
	if err != nil {
		t.Fatal(err)
	}
	units, err := p.Units(t.Context(), sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	res := p.Empty()
	for _, u := range units {
		part, err := p.Run(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		p.Merge(res, part)
	}
	return res
}

// valuesText is the series of an answer, a line each; sums of floats depend on their order a little.
func valuesText(a *query.MetricsAnswer) string {
	var lines []string
	for i := range a.Series {
		lines = append(lines, fmt.Sprintf("%s %.9g\n", seriesText(&a.Series[i]), a.Series[i].Values))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
