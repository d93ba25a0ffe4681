package query_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// watched is a segment that counts the columns and spans read of it after the context has ended.
type watched struct {
	*querytest.Memory
	ctx  *ends
	late int
}

func (w *watched) Segments() []columnar.Segment { return []columnar.Segment{w} }

func (w *watched) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	from := len(dst)
	dst = w.Memory.Columns(dst, scope, key)
	for i := from; i < len(dst); i++ {
		dst[i] = watchedColumn{dst[i], w}
	}
	return dst
}

func (w *watched) Spans(ctx context.Context, rows []uint32, visit func(columnar.RawSpan) error) error {
	w.look()
	return w.Memory.Spans(ctx, rows, visit)
}

func (w *watched) look() {
	if w.ctx.after > 0 {
		w.late++
	}
}

type watchedColumn struct {
	columnar.Column
	w *watched
}

func (c watchedColumn) Read(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) error {
	c.w.look()
	return c.Column.Read(ctx, within, dst)
}

// long are questions that take long on many spans. least is how often one of them looks at the context on 65,536 spans.
var long = []struct {
	kind, q string
	least   int
}{
	{"search", `{ span.http.url =~ ".*(1|2).*(3|4).*" }`, 64},
	{"search", `{ span.http.status_code + duration > 1 }`, 64},
	{"search", "{ } | by(span:id)", 64},
	{"search", "{ } | by(name) | by(resource.service.name) | count() > 1", 128},
	{"search", "{ } >> { } ~ { }", 64},
	{"search", strings.Repeat("(", 30) + "{ }" + strings.Repeat(" | count() > 0)", 30), 100},
	{"search", "{ } | by(name) | ({ } | count()) > 0", 10},
	{"series", "{ } | rate() by (name, resource.service.name)", 16},
	{"series", "{ } | avg_over_time(duration) by (span.http.url)", 64},
	{"series", "{ } | quantile_over_time(duration, .5, .9) by (name)", 100},
	{"series", "{ } | histogram_over_time(duration) by (name)", 100},
	{"series", "{ } | compare({ status = error }, 100)", 300},
	{"series", "{ } | rate() by (span.http.url) | topk(10)", 1000},
	{"series", "(({ } | rate() by (span.http.url)) + ({ } | rate() by (span.http.url))) * 2 > 1", 1000},
	{"values", "span.http.url", 32},
	{"values", "span:childCount", 64},
	{"values of", "{ duration > 1ms } >> { }", 64},
	{"tags of", `{ .http.url =~ ".*1.*" || duration > 1ms }`, 64},
}

func askLong(ctx context.Context, src []columnar.Source, kind, q string) error {
	switch kind {
	case "search":
		_, err := query.Search(ctx, src, query.SearchRequest{Query: q, Limit: 100_000, SpansPerSet: 100})
		return err
	case "values":
		_, err := query.TagValues(ctx, src, query.TagValuesRequest{Tag: q, MaxBytes: 100_000})
		return err
	case "values of":
		_, err := query.TagValues(ctx, src, query.TagValuesRequest{Tag: "span.user.id", Query: q, MaxBytes: 100_000})
		return err
	case "tags of":
		_, err := query.Tags(ctx, src, query.TagsRequest{Query: q})
		return err
	}
	p, err := query.PrepareMetrics(query.MetricsRequest{Query: q, Start: querytest.Epoch, End: querytest.Epoch + 600e9, Step: 60e9})
	if err != nil {
		return err
	}
	res, err := query.Metrics(ctx, src, query.MetricsRequest{Query: q, Start: querytest.Epoch, End: querytest.Epoch + 600e9, Step: 60e9})
	if err != nil {
		return err
	}
	if err := p.Empty().MergeUntil(ctx, res); err != nil {
		return err
	}
	_, err = p.AnswerUntil(ctx, res)
	return err
}

// TestLongQuestionsStop ends the context of each at many places of its way: it reads nothing more and looks only as
// often as its callers' callers do. That it looks often enough is counted, not timed.
func TestLongQuestionsStop(t *testing.T) {
	memory := shop(t)
	for _, tt := range long {
		t.Run(tt.q[:min(40, len(tt.q))], func(t *testing.T) {
			all := &ends{Context: t.Context(), left: 1 << 40}
			if err := askLong(all, []columnar.Source{&watched{Memory: memory, ctx: all}}, tt.kind, tt.q); err != nil {
				t.Fatal(err)
			}
			looks := 1<<40 - all.left
			if looks < tt.least {
				t.Errorf("it looked only %d times", looks)
			}
			for i := range 5 {
				ctx := &ends{Context: t.Context(), left: i * (looks - 1) / 4}
				src := &watched{Memory: memory, ctx: ctx}
				err := askLong(ctx, []columnar.Source{src}, tt.kind, tt.q)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("after %d looks of %d: %v", i*(looks-1)/4, looks, err)
				}
				if src.late > 0 || ctx.after > 4 {
					t.Errorf("after %d looks of %d: %d reads and %d looks more", i*(looks-1)/4, looks, src.late, ctx.after)
				}
			}
		})
	}
}

// TestFinishingLooksAfterEachSeries holds for everything that is computed from series.
func TestFinishingLooksAfterEachSeries(t *testing.T) {
	const series = 3000
	for _, q := range []string{
		"{ } | rate() by (name)", "{ } | avg_over_time(duration) by (name)", "{ } | quantile_over_time(duration, .5) by (name)",
		"{ } | histogram_over_time(duration) by (name)", "({ } | rate() by (name)) + 1", "{ } | rate() by (name) > 1",
	} {
		p, err := query.PrepareMetrics(query.MetricsRequest{Query: q, Start: 1e9, End: 2e9, Instant: true})
		if err != nil {
			t.Fatal(err)
		}
		make1 := func() *query.MetricsResult {
			r := p.Empty()
			for i := range series {
				r.Legs[0].Series = append(r.Legs[0].Series, query.PartialSeries{Labels: []query.Attribute{{Key: "name", Value: text(fmt.Sprint(i))}},
					Counts: []float64{1}, Values: []float64{2}, Buckets: []query.Bucket{{Bucket: 2000, Count: 1}}})
			}
			return r
		}
		all := &ends{Context: t.Context(), left: 1 << 40}
		a, err := p.AnswerUntil(all, make1())
		if looks := 1<<40 - all.left; err != nil || looks < series || len(a.Series) != series && !strings.Contains(q, "> 1") {
			t.Errorf("%s: %d looks for %d series: %v", q, looks, series, err)
		}
		sum := make1()
		all.left = 1 << 40
		if err := sum.MergeUntil(all, make1()); err != nil || 1<<40-all.left < series {
			t.Errorf("%s: merging: %d looks: %v", q, 1<<40-all.left, err)
		}
		for _, left := range []int{0, 1, series / 2, series} {
			ctx := &ends{Context: t.Context(), left: left}
			if err := make1().MergeUntil(ctx, make1()); !errors.Is(err, context.Canceled) || ctx.after > 2 {
				t.Errorf("%s: merging, after %d looks: %v, %d more", q, left, err, ctx.after)
			}
		}
	}
}

func text(s string) trace.Value { return trace.StringValue([]byte(s)) }
