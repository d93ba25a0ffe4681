package peer

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// broken is a source whose segment is not what it says.
type broken struct{ columnar.Segment }

func (broken) Name() string                   { return "broken" }
func (b broken) Segments() []columnar.Segment { return []columnar.Segment{b} }
func (broken) Columns([]columnar.Column, columnar.Scope, string) []columnar.Column {
	var none []int
	_ = none[len(none)]
	return nil
}

func (broken) Find(context.Context, trace.ID, []uint32) ([]uint32, error) {
	var none []int
	_ = none[len(none)]
	return nil, nil
}

func TestMistakesOfTheEvaluationAreErrors(t *testing.T) {
	var b querytest.MemoryBuilder
	var otlp trace.Builder
	otlp.SetResource(&trace.Group{})
	otlp.SetScope(&trace.Group{})
	otlp.AddSpan(&trace.Span{TraceID: trace.ID{1}, SpanID: trace.SpanID{1}, Name: []byte("a"), Start: 5e9, End: 6e9})
	if err := trace.Walk(otlp.Append(nil), &b); err != nil {
		t.Fatal(err)
	}
	whole, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	src := []columnar.Source{broken{whole}, whole}
	a, err := Evaluate(t.Context(), &Question{Search: &query.SearchRequest{Query: "{ name = `a` }"}}, src[:1], 2)
	if err != nil || len(a.Search.Partial) != 1 || !strings.Contains(a.Search.Partial[0], "index out of range [0] with length 0 at survive_test.go:") {
		t.Errorf("search: %v %+v", err, a)
	}
	if _, err := Evaluate(t.Context(), &Question{Trace: &trace.ID{1}}, src, 2); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "at survive_test.go:") {
		t.Errorf("trace: %v", err)
	}
	m := query.MetricsRequest{Query: "{ name = `a` } | rate()", Start: 1, End: 10e9, Step: 10e9}
	if a, err := Evaluate(t.Context(), &Question{Metrics: &m}, src[:1], 2); err != nil || len(a.Metrics.Partial) != 1 {
		t.Errorf("metrics: %v %+v", err, a)
	}
}
