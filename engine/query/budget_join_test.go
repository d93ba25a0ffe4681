package query_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// A trace with many spans in two places is not put together before there is memory for it.
func TestJoiningTakesItsMemoryFirst(t *testing.T) {
	const spans = 1000
	var src []columnar.Source
	for part := range 2 {
		var b querytest.MemoryBuilder
		var otlp trace.Builder
		otlp.SetResource(&trace.Group{})
		otlp.SetScope(&trace.Group{})
		for i := range spans {
			s := trace.Span{TraceID: trace.ID{1}, Name: []byte("a"), Start: 5e9, End: 6e9}
			binary.BigEndian.PutUint64(s.SpanID[:], uint64(1+part*spans+i))
			otlp.AddSpan(&s)
		}
		if err := trace.Walk(otlp.Append(nil), &b); err != nil {
			t.Fatal(err)
		}
		m, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		src = append(src, m)
	}
	for _, q := range []string{"{ } | count() > 1", "{ name = `a` } >> { name = `a` } || { }"} {
		p, err := query.Prepare(query.SearchRequest{Query: q})
		if err != nil {
			t.Fatal(err)
		}
		units, err := p.Units(t.Context(), src, nil)
		if err != nil || len(units) != 1 {
			t.Fatal(units, err)
		}
		for most, enough := range map[int64]bool{query.SizeJoined * 2 * spans: true, query.SizeJoined*2*spans - 1: false} {
			own := (*query.Budget)(nil).Query(most, "key")
			_, err := query.Open(query.WithBudget(t.Context(), own), units[0])
			var limit *query.LimitError
			if errors.As(err, &limit) == enough || enough && err != nil {
				t.Errorf("%s, %d bytes: %v", q, most, err)
			}
		}
	}
}
