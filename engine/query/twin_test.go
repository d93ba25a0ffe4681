package query_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// memory makes one segment of OTLP messages.
func memory(t testing.TB, otlp ...[]byte) *querytest.Memory {
	t.Helper()
	var b querytest.MemoryBuilder
	for _, m := range otlp {
		if err := trace.Walk(m, &b); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// canonical is the answer of a search in the form of Twin.Search.
func canonical(r *query.SearchResult) string {
	var lines []string
	for _, t := range r.Traces {
		for _, set := range t.Sets {
			var attrs []string
			for _, a := range set.Attrs {
				attrs = append(attrs, a.Key+"="+showValue(a.Value))
			}
			var ids []uint64
			for _, s := range set.Spans {
				ids = append(ids, binary.BigEndian.Uint64(s.ID[:]))
			}
			lines = append(lines, querytest.Line(t.ID.String(), attrs, ids))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func showValue(v trace.Value) string {
	switch v.Kind {
	case trace.KindString:
		return string(v.Bytes)
	case trace.KindInt:
		return fmt.Sprint(v.Int)
	case trace.KindDouble:
		return fmt.Sprint(v.Float())
	case trace.KindBool:
		return fmt.Sprint(v.Bool())
	case trace.KindArray:
		var parts []string
		for e, err := range v.Elements() {
			if err != nil {
				return err.Error()
			}
			parts = append(parts, showValue(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case trace.KindEmpty:
		return "nil"
	}
	return "?"
}

// spread deals the messages, some of their spans more than once, to several sources in different codings.
func spread(t testing.TB, r *rand.Rand, otlp [][]byte) []columnar.Source {
	t.Helper()
	n := 1 + r.Intn(3)
	builders := make([]querytest.MemoryBuilder, n)
	for _, m := range otlp {
		d := &dealer{r: r, builders: builders, all: r.Intn(3) == 0}
		if err := trace.Walk(m, d); err != nil {
			t.Fatal(err)
		}
	}
	var sources []columnar.Source
	for i := range builders {
		m, err := builders[i].Build()
		if err != nil {
			t.Fatal(err)
		}
		v, err := querytest.Vary(m, r.Int63())
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, v.(columnar.Source))
	}
	return sources
}

// dealer gives every span to one or several builders.
type dealer struct {
	r        *rand.Rand
	builders []querytest.MemoryBuilder
	home     int
	all      bool // copies of everything, as replication makes them
}

func (d *dealer) Resource(g *trace.Group) error {
	d.home = d.r.Intn(len(d.builders))
	for i := range d.builders {
		if err := d.builders[i].Resource(g); err != nil {
			return err
		}
	}
	return nil
}

func (d *dealer) Scope(g *trace.Group) error {
	for i := range d.builders {
		if err := d.builders[i].Scope(g); err != nil {
			return err
		}
	}
	return nil
}

func (d *dealer) Span(raw []byte) error {
	for i := range d.builders {
		if i == d.home || d.all || d.r.Intn(5) == 0 {
			if err := d.builders[i].Span(raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// searchUnits runs the units of a search one by one, each part sent over the wire.
func searchUnits(sources []columnar.Source, req query.SearchRequest, rare bool) (*query.SearchResult, error) {
	p, err := query.Prepare(req)
	if err != nil {
		return nil, err
	}
	if rare {
		p.LookForRare()
	}
	ctx := context.Background()
	units, err := p.Units(ctx, sources, nil)
	if err != nil {
		return nil, err
	}
	res := &query.SearchResult{}
	for _, u := range units {
		part, err := p.Run(ctx, u)
		if err != nil {
			return nil, err
		}
		b, err := part.MarshalBinary()
		if err != nil {
			return nil, err
		}
		var got query.SearchResult
		if err := got.UnmarshalBinary(b); err != nil {
			return nil, err
		}
		p.Merge(res, &got)
	}
	return res, nil
}

// TestSearchAgainstTwin compares random queries over random traces with the slow evaluator.
func TestSearchAgainstTwin(t *testing.T) {
	hits, unsupported := 0, 0
	for seed := range int64(25) {
		r := rand.New(rand.NewSource(seed))
		otlp := querytest.Random(seed, 30)
		twin, err := querytest.NewTwin(otlp)
		if err != nil {
			t.Fatal(err)
		}
		sources := spread(t, r, otlp)
		for range 40 {
			text := querytest.RandomQuery(r)
			q, err := traceql.Parse(text)
			if err != nil {
				continue
			}
			want, err := twin.Search(q)
			if err != nil {
				t.Fatal(err)
			}
			res, err := searchUnits(sources, query.SearchRequest{Query: text, Limit: 10000}, r.Intn(2) == 0)
			if _, ok := err.(*query.UnsupportedError); ok {
				unsupported++
				continue
			}
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, text, err)
			}
			if len(res.Partial) > 0 {
				t.Fatalf("seed %d: %s: %v", seed, text, res.Partial)
			}
			if got := canonical(res); got != want {
				t.Fatalf("seed %d, %d sources: %s\nwant\n%s\ngot\n%s", seed, len(sources), text, want, got)
			}
			if want != "" {
				hits++
			}
		}
	}
	if hits < 300 || unsupported > 1000 {
		t.Errorf("%d queries with an answer, %d unsupported", hits, unsupported)
	}
}
