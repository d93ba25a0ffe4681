package recent

import (
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// one is a source of one segment.
type one struct{ columnar.Segment }

// Name implements columnar.Source.
func (one) Name() string { return "one" }

// Segments implements columnar.Source.
func (o one) Segments() []columnar.Segment { return []columnar.Segment{o.Segment} }

// places puts the same spans into memory (the plain twin), a head, a block, several
// blocks, and the block these are merged into.
func places(t *testing.T, seed int64) map[string][]columnar.Source {
	t.Helper()
	var otlp [][]byte
	if otlp = querytest.Random(seed, 60); seed%2 == 1 {
		g := newGen(uint64(seed))
		otlp = otlp[:0]
		for range 20 {
			otlp = append(otlp, g.otlp(20))
		}
	}
	var b querytest.MemoryBuilder
	h, parts := newHead(), []*head{newHead(), newHead(), newHead()}
	for i, m := range otlp {
		if err := trace.Walk(m, &b); err != nil {
			t.Fatal(err)
		}
		for _, to := range []*head{h, parts[i%3]} {
			if _, _, err := to.add(m, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	mem, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	cols := h.columns()
	dir := t.TempDir()
	var inputs []*block.Block
	var several []columnar.Source
	for _, p := range parts {
		if p.rows > 0 {
			in := sealed(t, dir, p.columns(), block.WriterOptions{GroupRows: 70})
			inputs, several = append(inputs, in), append(several, in)
		}
	}
	whole := sealed(t, dir, cols, block.WriterOptions{GroupRows: 150})
	return map[string][]columnar.Source{
		"memory":   {mem},
		"head":     {one{newSegment(cols, 1, h.knownOf(cols))}},
		"block":    {whole},
		"uncached": {uncached(t, dir, whole)},
		"several":  several,
		"merged":   {mergeAll(t, dir, inputs, 300)},
	}
}

// Every question has one answer, wherever the spans lie.
func TestSameAnswers(t *testing.T) {
	for seed := range int64(6) {
		at := places(t, seed)
		rng := rand.New(rand.NewSource(seed))
		for range 40 {
			req := query.SearchRequest{Query: querytest.RandomQuery(rng), Limit: 1000}
			want, err := query.Search(t.Context(), at["memory"], req)
			if err != nil {
				continue
			}
			for place, sources := range at {
				got, err := query.Search(t.Context(), sources, req)
				if err != nil || len(got.Partial) > 0 {
					t.Fatalf("seed %d, %s in %s: %v %v", seed, req.Query, place, err, got)
				}
				if !reflect.DeepEqual(got.Traces, want.Traces) {
					t.Fatalf("seed %d, %s in %s:\n%s\nwant\n%s", seed, req.Query, place, querytest.Show(got.Traces), querytest.Show(want.Traces))
				}
			}
		}
	}
}

// Lists of tags and of their values do not depend on where the spans lie.
func TestSameTags(t *testing.T) {
	for seed := range int64(4) {
		at := places(t, seed)
		for _, q := range []string{"", "{ kind = server }", "{ status = error && kind != client }", "{ duration > 1us }"} {
			want, err := query.Tags(t.Context(), at["memory"], query.TagsRequest{Query: q})
			if err != nil {
				t.Fatal(err)
			}
			for place, sources := range at {
				got, err := query.Tags(t.Context(), sources, query.TagsRequest{Query: q})
				if err != nil || len(got.Partial) > 0 {
					t.Fatal(place, err)
				}
				if !reflect.DeepEqual(got.Scopes, want.Scopes) {
					t.Fatalf("seed %d, tags of %q in %s:\n%v\nwant\n%v", seed, q, place, got.Scopes, want.Scopes)
				}
				sameValues(t, at["memory"], sources, q, want)
			}
		}
	}
}

func sameValues(t *testing.T, memory, sources []columnar.Source, q string, tags *query.TagsResult) {
	t.Helper()
	for _, s := range tags.Scopes {
		for i, k := range s.Tags {
			if s.Scope == columnar.ScopeIntrinsic || i >= 12 {
				break
			}
			req := query.TagValuesRequest{Tag: s.Scope.String() + "." + k, Query: q}
			want, err := query.TagValues(t.Context(), memory, req)
			if err != nil {
				continue
			}
			got, err := query.TagValues(t.Context(), sources, req)
			if err != nil || len(got.Partial) > 0 {
				t.Fatal(req.Tag, err)
			}
			if len(got.Values)+len(want.Values) > 0 && !reflect.DeepEqual(got.Values, want.Values) {
				t.Fatalf("values of %s:\n%v\nwant\n%v", req.Tag, got.Values, want.Values)
			}
		}
	}
}

// Series do not depend on where the spans lie. Sums depend on their order.
func TestSameSeries(t *testing.T) {
	points := 0
	for seed := range int64(4) {
		at := places(t, seed)
		rng := rand.New(rand.NewSource(seed))
		for range 40 {
			req := query.MetricsRequest{Query: querytest.RandomMetrics(rng), Start: querytest.Epoch + 7e9, End: querytest.Epoch + 3400e9, Step: 60e9}
			if seed%2 == 1 {
				req.Start, req.End, req.Step = 1, 1<<40, 1<<36
			}
			plan, err := query.PrepareMetrics(req)
			if err != nil || strings.Contains(req.Query, "sum_") || strings.Contains(req.Query, "avg_") {
				continue
			}
			series := func(place string) []query.Series {
				r, err := query.Metrics(t.Context(), at[place], req)
				if err != nil || len(r.Partial) > 0 {
					t.Fatalf("seed %d, %s in %s: %v %v", seed, req.Query, place, err, r)
				}
				return plan.Answer(r).Series
			}
			want := series("memory")
			points += len(want)
			for place := range at {
				if got := series(place); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("seed %d, %s in %s:\n%v\nwant\n%v", seed, req.Query, place, got, want)
				}
			}
		}
	}
	if points < 200 {
		t.Errorf("only %d series", points)
	}
}
