package query_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

func TestBudget(t *testing.T) {
	all := query.NewBudget(100, "all")
	a, b := all.Query(80, "one"), all.Query(80, "one")
	part := a.Part()
	var limit *query.LimitError
	var busy *query.BusyError
	if err := part.Take(70); err != nil {
		t.Fatal(err)
	}
	if err := part.Take(20); !errors.As(err, &limit) {
		t.Errorf("over the bound of the query: %v", err)
	}
	if err := b.Take(40); !errors.As(err, &busy) {
		t.Errorf("over the bound of all: %v", err)
	}
	if part.Used() != 70 || a.Used() != 70 || b.Used() != 0 || all.Used() != 70 {
		t.Errorf("used: %d of %d, %d, all %d", part.Used(), a.Used(), b.Used(), all.Used())
	}
	part.Release()
	if err := b.Take(80); err != nil || a.Used() != 0 || all.Used() != 80 {
		t.Errorf("after the release: %v, %d, %d", err, a.Used(), all.Used())
	}
	if err := b.Set(10); err != nil || all.Used() != 10 {
		t.Errorf("set: %v, %d", err, all.Used())
	}
	var none *query.Budget
	if err := none.Take(1 << 60); err != nil {
		t.Error(err)
	}
}

// hostile are questions whose answers grow with the data.
var hostile = []string{
	"{ } | by(span:id)", "{ }", "{ } | select(span.http.method, resource.service.name, status)",
	"{ } | rate() by (span:id)", "{ } | avg_over_time(duration) by (span:id)", "{ } | count_over_time() by (name)",
	"{ } | quantile_over_time(duration, .5, .9) by (span:id)", "{ } | compare({ status = error })",
}

func ask(ctx context.Context, src []columnar.Source, q string) error {
	plan, err := query.Prepare(query.SearchRequest{Query: q, Limit: 1000, SpansPerSet: 100})
	if err == nil {
		units, err := plan.Units(ctx, src, nil)
		for _, u := range units {
			if err == nil {
				_, err = plan.Run(ctx, u)
			}
		}
		return err
	}
	_, err = query.Metrics(ctx, src, query.MetricsRequest{Query: q, Start: querytest.Epoch, End: querytest.Epoch + 60e9, Step: 1e9})
	return err
}

func TestHostileQueriesStopAtTheirBudget(t *testing.T) {
	src := []columnar.Source{memory(t, storySpans(t)...)}
	for _, q := range hostile {
		need := int64(0)
		var limit *query.LimitError
		for bytes := int64(1); ; bytes *= 2 {
			own := (*query.Budget)(nil).Query(bytes, "key")
			err := ask(query.WithBudget(t.Context(), own), src, q)
			if err == nil {
				need = bytes
				break
			}
			if !errors.As(err, &limit) {
				t.Fatalf("%s: %v", q, err)
			}
			if own.Used() > bytes {
				t.Errorf("%s: used %d of %d", q, own.Used(), bytes)
			}
		}
		if need < 256 {
			t.Errorf("%s: %d bytes are enough", q, need)
		}
	}
}

// ends is a context that ends after it was looked at some times.
type ends struct {
	context.Context
	left, after int
}

func (e *ends) Err() error {
	if e.left--; e.left >= 0 {
		return nil
	}
	e.after++
	return context.Canceled
}

// A long chain of operators is left at the next operator, not at its end.
func TestChainsStopWithTheirContext(t *testing.T) {
	src := []columnar.Source{memory(t, storySpans(t)...)}
	q := "{ }"
	for range traceql.MaxOperands - 1 {
		q += " &>> { }"
	}
	for _, looks := range []int{5, 50, 100} {
		ctx := &ends{Context: t.Context(), left: looks}
		if err := ask(ctx, src, q); !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d looks: %v", looks, err)
		}
		if ctx.after > 5 {
			t.Errorf("after %d looks it went on: %s", looks, fmt.Sprint(ctx.after, " more"))
		}
	}
}

func TestTracesTakeTheirMemory(t *testing.T) {
	src := []columnar.Source{memory(t, storySpans(t)...)}
	whole, _, err := query.FindTrace(t.Context(), src, trace.ID{15: 2})
	if err != nil || len(whole) == 0 {
		t.Fatal(err)
	}
	for _, most := range []int64{int64(len(whole)), 4 * int64(len(whole))} {
		own := (*query.Budget)(nil).Query(most, "key")
		got, _, err := query.FindTrace(query.WithBudget(t.Context(), own), src, trace.ID{15: 2})
		var limit *query.LimitError
		if refused := errors.As(err, &limit); refused != (most == int64(len(whole))) || own.Used() > most || !refused && len(got) != len(whole) {
			t.Errorf("%d bytes of %d: %v, %d used", most, len(whole), err, own.Used())
		}
	}
	ctx := &ends{Context: t.Context(), left: 1}
	if _, _, err := query.FindTrace(ctx, src, trace.ID{15: 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// What a segment needed is given back before the next one: tags of many segments need no more than those of a few.
func TestTagsGiveBackTheMemoryOfEachSegment(t *testing.T) {
	src := make([]columnar.Source, 20)
	for i := range src {
		src[i] = memory(t, querytest.Random(int64(i), 20)...)
	}
	for _, q := range []string{"{ }", "{ duration > 1ns } | by(span:id)", "{ } | by(name) | count() > 0", "{ } >> { } | by(name)"} {
		used := func(src []columnar.Source) int64 {
			own := (*query.Budget)(nil).Query(0, "key")
			ctx := query.WithBudget(t.Context(), own)
			if r, err := query.TagValues(ctx, src, query.TagValuesRequest{Tag: "status", Query: q}); err != nil || len(r.Values) == 0 {
				t.Fatal(r, err)
			}
			return own.Used()
		}
		most := int64(0)
		for i := range src {
			most = max(most, used(src[i:i+1]))
		}
		if all := used(src); all > 2*most {
			t.Errorf("%s: at most %d bytes for one segment, %d for %d", q, most, all, len(src))
		}
	}
}
