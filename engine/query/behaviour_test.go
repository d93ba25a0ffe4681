package query_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

func find(t *testing.T, sources []columnar.Source, req query.SearchRequest) *query.SearchResult {
	t.Helper()
	res, err := query.Search(t.Context(), sources, req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func traceIDs(r *query.SearchResult) string {
	var out []string
	for i := range r.Traces {
		out = append(out, strings.TrimLeft(r.Traces[i].ID.String(), "0"))
	}
	return strings.Join(out, " ")
}

func TestNewestTracesFirst(t *testing.T) {
	src := []columnar.Source{memory(t, storySpans(t)...)}
	if got := traceIDs(find(t, src, query.SearchRequest{Query: "{ }"})); got != "5 4 3 2 1" {
		t.Errorf("all: %s", got)
	}
	if got := traceIDs(find(t, src, query.SearchRequest{Query: "{ }", Limit: 2})); got != "5 4" {
		t.Errorf("two: %s", got)
	}
	if got := traceIDs(find(t, src, query.SearchRequest{Query: "{ kind = server } with (most_recent = true)", Limit: 2})); got != "4 2" {
		t.Errorf("two with a server: %s", got)
	}
}

func TestWindow(t *testing.T) {
	src := []columnar.Source{memory(t, storySpans(t)...)}
	at := func(ms int64) int64 { return querytest.Epoch + ms*1e6 }
	for _, c := range []struct {
		from, to int64
		want     string
	}{{0, 50, "1"}, {100, 1000, "2 1"}, {101, 999, ""}, {7500, 7600, "3"}, {9000, 10000, "4"}, {10001, 30000, "5 4"}} {
		got := traceIDs(find(t, src, query.SearchRequest{Query: "{ }", Start: at(c.from), End: at(c.to)}))
		if got != c.want {
			t.Errorf("%d to %d ms: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestTraceOfAnAnswer(t *testing.T) {
	for seed := range int64(4) {
		src := spread(t, rand.New(rand.NewSource(seed)), storySpans(t))
		res := find(t, src, query.SearchRequest{Query: `{ status = error && duration > 500ms } | select(resource.region)`, SpansPerSet: 1})
		if len(res.Traces) != 1 {
			t.Fatalf("%d traces", len(res.Traces))
		}
		got := res.Traces[0]
		want := query.TraceResult{
			ID: trace.ID{15: 2}, HasRoot: true, RootService: "frontend", RootName: "POST /buy", Start: querytest.Epoch + 1e9, End: querytest.Epoch + 19e8,
			Sets: []query.SpanSet{{Matched: 2, Spans: []query.SpanResult{{ID: trace.SpanID{7: 11}, Name: "POST /buy", Start: querytest.Epoch + 1e9, Duration: 9e8,
				Attrs: []query.Attribute{{Key: "status", Value: trace.StringValue([]byte("error"))}, {Key: "region", Value: trace.StringValue([]byte("eu"))}}}}}},
			Services: []query.ServiceStats{{Name: "cart", Spans: 1}, {Name: "frontend", Spans: 1, Errors: 1}, {Name: "payment", Spans: 2, Errors: 1}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("layout %d: got\n%+v\nwant\n%+v", seed, got, want)
		}
	}
}

// TestTokenRanges: replicas that answer for ranges which together are the ring give every span once.
func TestTokenRanges(t *testing.T) {
	otlp := querytest.Random(3, 40)
	all := canonical(find(t, []columnar.Source{memory(t, otlp...)}, query.SearchRequest{Query: "{ } | count() > 2", Limit: 1000}))
	r := rand.New(rand.NewSource(1))
	cuts := []uint32{0, r.Uint32() / 2, 1<<31 + r.Uint32()/2}
	sum := &query.SearchResult{}
	spans := 0.0
	for i, from := range cuts {
		last := uint32(math.MaxUint32)
		if i+1 < len(cuts) {
			last = cuts[i+1] - 1
		}
		tokens := []query.TokenRange{{First: from, Last: last}}
		src := spread(t, r, otlp)
		sum.Merge(find(t, src, query.SearchRequest{Query: "{ } | count() > 2", Limit: 1000, Tenant: "t", Tokens: tokens}), 1000, 0)
		a, err := answer(t, src, query.MetricsRequest{Query: "{ } | count_over_time()", Start: querytest.Epoch - 1e9, End: querytest.Epoch + 4e12, Instant: true, Tenant: "t", Tokens: tokens})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range a.Series {
			spans += s.Values[0]
		}
	}
	if got := canonical(sum); got != all {
		t.Errorf("got\n%s\nwant\n%s", got, all)
	}
	if want := float64(memory(t, otlp...).Info().Rows); spans != want {
		t.Errorf("%v spans counted, want %v", spans, want)
	}
}

// faulty fails to read anything.
type faulty struct{ columnar.Segment }

var errDisk = errors.New("disk on fire")

func (b faulty) Segments() []columnar.Segment { return []columnar.Segment{b} }
func (b faulty) Name() string                 { return "block 7" }
func (b faulty) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	for _, c := range b.Segment.Columns(nil, scope, key) {
		dst = append(dst, faultyColumn{c})
	}
	return dst
}

type faultyColumn struct{ columnar.Column }

func (faultyColumn) Dict(context.Context) (*columnar.Dict, error)                  { return nil, errDisk }
func (faultyColumn) Read(context.Context, columnar.Bitmap, *columnar.Vector) error { return errDisk }

func TestPartialAnswers(t *testing.T) {
	otlp := storySpans(t)
	src := []columnar.Source{memory(t, otlp[0]), faulty{memory(t, otlp[1])}}
	res := find(t, src, query.SearchRequest{Query: "{ kind = server }"})
	if traceIDs(res) != "1" || len(res.Partial) != 1 || !strings.Contains(res.Partial[0], "block 7: ") || !strings.Contains(res.Partial[0], "disk on fire") {
		t.Errorf("search: %s, %q", traceIDs(res), res.Partial)
	}
	m, err := query.Metrics(t.Context(), src, query.MetricsRequest{Query: "{ } | rate()", Start: querytest.Epoch, End: querytest.Epoch + 30e9})
	if err != nil || len(m.Partial) != 1 || len(m.Legs[0].Series) != 1 {
		t.Errorf("metrics: %v, %+v", err, m)
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := []columnar.Source{memory(t, storySpans(t)...)}
	if _, err := query.Search(ctx, src, query.SearchRequest{Query: "{ .a =~ `.*x` }"}); !errors.Is(err, context.Canceled) {
		t.Errorf("search: %v", err)
	}
	if _, err := query.Metrics(ctx, src, query.MetricsRequest{Query: "{ } | rate()", Start: querytest.Epoch, End: querytest.Epoch + 2e9}); !errors.Is(err, context.Canceled) {
		t.Errorf("metrics: %v", err)
	}
}

func TestRefusedRequests(t *testing.T) {
	var syntax *traceql.Error
	var unsupported *query.UnsupportedError
	var limit *query.LimitError
	if _, err := query.Prepare(query.SearchRequest{Query: "{"}); !errors.As(err, &syntax) {
		t.Error(err)
	}
	if _, err := query.Prepare(query.SearchRequest{Query: "{ } | rate()"}); !errors.As(err, &unsupported) {
		t.Error(err)
	}
	if _, err := query.Prepare(query.SearchRequest{Query: "{ }", Limit: 1 << 30}); !errors.As(err, &limit) {
		t.Error(err)
	}
	for _, r := range []query.MetricsRequest{{Start: 2, End: 1}, {Start: 0, End: 1e15, Step: 1}, {Start: 1, End: 2, Step: -1}} {
		r.Query = "{ } | rate()"
		if _, err := query.PrepareMetrics(r); !errors.As(err, &limit) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := query.PrepareMetrics(query.MetricsRequest{Query: "{ }", Start: 1, End: 2}); !errors.As(err, &unsupported) {
		t.Error(err)
	}
}

// TestTooManySeries: a group for every span and step is refused, not answered wrongly.
func TestTooManySeries(t *testing.T) {
	src := []columnar.Source{memory(t, chain(20_000))}
	req := query.MetricsRequest{Query: "{ } | count_over_time() by (span.n)", Start: querytest.Epoch, End: querytest.Epoch + 9000e9, Step: 1e9}
	var limit *query.LimitError
	if _, err := query.Metrics(t.Context(), src, req); !errors.As(err, &limit) {
		t.Errorf("got %v", err)
	}
	req.Query, req.Step = "{ } | quantile_over_time(duration, .9) by (span.n)", 1000e9
	if _, err := query.Metrics(t.Context(), src, req); err != nil {
		t.Errorf("sparse histograms: %v", err)
	}
}

// chain is one trace of n spans below one root, each with a number of its own.
func chain(n int) []byte {
	var b trace.Builder
	for i := range n {
		s := trace.Span{TraceID: trace.ID{1}, Name: []byte("x"), Start: uint64(querytest.Epoch) + uint64(i), End: uint64(querytest.Epoch) + uint64(2*i),
			Attrs: []trace.Attr{{Key: []byte("n"), Value: trace.IntValue(int64(i))}}}
		binary.BigEndian.PutUint64(s.SpanID[:], uint64(i+1))
		if i > 0 {
			binary.BigEndian.PutUint64(s.ParentID[:], uint64(i)) // a chain: the deepest tree there can be
		}
		b.AddSpan(&s)
	}
	return b.Append(nil)
}

// TestDeepTrace: structural operators on a chain of 20,000 spans take no quadratic time or deep recursion.
func TestDeepTrace(t *testing.T) {
	src := []columnar.Source{memory(t, chain(20_000))}
	for text, want := range map[string]int{
		"{ .n >= 0 } >> { .n >= 0 }": 19_999, "{ .n = 0 } >> { }": 19_999, "{ } << { }": 19_999, "{ } > { .n < 100 }": 99,
		"{ } !>> { }": 1, "{ } &>> { }": 20_000, "{ parent.n = 7 }": 1, "{ span:childCount = 0 }": 1,
	} {
		res := find(t, src, query.SearchRequest{Query: text, SpansPerSet: 1})
		got := 0
		for _, tr := range res.Traces {
			got += tr.Sets[0].Matched
		}
		if got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// TestManyGroups: every group of a trace is evaluated on its own.
func TestManyGroups(t *testing.T) {
	src := []columnar.Source{memory(t, chain(1000))}
	for text, want := range map[string]int{
		"{ } | by(.n) | { } >> { }": 0, "{ } | by(.n) | { } !>> { }": 1000, "{ } | by(.n / 10) | { } >> { } | count() = 9": 100,
		"{ } | by(.n / 10) | ({ } | count() = 10) && { }": 100,
	} {
		res := find(t, src, query.SearchRequest{Query: text, SpansPerSet: 1})
		got := 0
		for _, tr := range res.Traces {
			got += len(tr.Sets)
		}
		if got != want {
			t.Errorf("%s: %d groups, want %d", text, got, want)
		}
	}
}

func TestSteps(t *testing.T) {
	const s = int64(1e9)
	for _, c := range []struct{ seconds, want int64 }{{3600, 15 * s}, {7200, 30 * s}, {86400, 300 * s}, {60, s}, {600, 2 * s}, {30 * 86400, 10800 * s}, {120, s}} {
		if got := query.DefaultStep(0, c.seconds*s); got != c.want {
			t.Errorf("%d s: %d, want %d", c.seconds, got, c.want)
		}
	}
	if got := query.DefaultStep(0, 30*s); got != 100e6 {
		t.Errorf("30 s: %d", got)
	}
}

func TestInstant(t *testing.T) {
	src := []columnar.Source{memory(t, storySpans(t)...)}
	a, err := answer(t, src, query.MetricsRequest{Query: "{ } | count_over_time() by (status)", Start: querytest.Epoch + 5, End: querytest.Epoch + 2e9, Instant: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := answerText(a); got != "{status=error} 3\n{status=unset} 6" || a.Stamp(0) != querytest.Epoch+2e9 {
		t.Errorf("%s at %d", got, a.Stamp(0))
	}
}

func TestExemplars(t *testing.T) {
	for seed := range int64(3) {
		src := spread(t, rand.New(rand.NewSource(seed)), storySpans(t))
		a, err := answer(t, src, query.MetricsRequest{Query: "{ status = error } | max_over_time(duration) by (resource.service.name) with (exemplars = 10)", Start: querytest.Epoch, End: querytest.Epoch + 30e9, Step: 10e9})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range a.Series {
			for _, e := range s.Exemplars {
				got = append(got, fmt.Sprintf("%s %s %v", seriesText(&s), strings.TrimLeft(e.Trace.String(), "0"), e.Value))
			}
		}
		want := []string{"resource.service.name=cart 1 0.02", "resource.service.name=frontend 2 0.9", "resource.service.name=payment 2 0.7"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("layout %d: %q", seed, got)
		}
	}
	for hint, want := range map[string]int{"": 7, " with (exemplars = 9)": 9, " with (exemplars = false)": 0, " with (exemplars = true)": query.MaxExemplars, " with (exemplars = 1000)": query.MaxExemplars} {
		a, err := answer(t, []columnar.Source{memory(t, querytest.Random(1, 60)...)}, query.MetricsRequest{Query: "{ } | rate()" + hint, Exemplars: 7, Start: querytest.Epoch, End: querytest.Epoch + 4000e9})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(a.Series[0].Exemplars); n != want {
			t.Errorf("%s: %d exemplars, want %d", hint, n, want)
		}
	}
}

func TestCompare(t *testing.T) {
	for seed := range int64(3) {
		src := spread(t, rand.New(rand.NewSource(seed)), storySpans(t))
		a, err := answer(t, src, query.MetricsRequest{Query: "{ resource.service.name != `typed` } | compare({ status = error }, 2)", Start: querytest.Epoch - 5, End: querytest.Epoch + 30e9, Instant: true})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for i := range a.Series {
			got[seriesText(&a.Series[i])] = a.Series[i].Values[0]
		}
		for want, n := range map[string]float64{
			"__meta_type=selection name=charge": 1, "__meta_type=selection_total name=nil": 3, "__meta_type=baseline_total name=nil": 15,
			"__meta_type=baseline resource.service.name=cart": 5, "__meta_type=selection resource.region=us": 1, "__meta_type=baseline_total span.items=nil": 4,
			"__meta_type=baseline rootName=GET /": 5, "__meta_type=selection kind=server": 2,
		} {
			if have, ok := got[want]; have != n && !(n == 0 && !ok) {
				t.Errorf("layout %d: %s = %v, want %v", seed, want, have, n)
			}
		}
		names := 0
		for k := range got {
			if strings.HasPrefix(k, "__meta_type=baseline name=") && !strings.Contains(k, "__meta_error") {
				names++
			}
		}
		if names != 2 {
			t.Errorf("layout %d: %d names, want the 2 most frequent", seed, names)
		}
	}
}

func TestMaxSeries(t *testing.T) {
	src := []columnar.Source{memory(t, storySpans(t)...)}
	a, err := answer(t, src, query.MetricsRequest{Query: "{ } | rate() by (name)", MaxSeries: 3, Start: querytest.Epoch, End: querytest.Epoch + 30e9})
	if err != nil || len(a.Series) != 3 || len(a.Partial) != 1 {
		t.Errorf("%v: %d series, %q", err, len(a.Series), a.Partial)
	}
}

func TestFindTrace(t *testing.T) {
	otlp := storySpans(t)
	for seed := range int64(4) {
		src := spread(t, rand.New(rand.NewSource(seed)), otlp)
		got, partial, err := query.FindTrace(t.Context(), src, trace.ID{15: 2})
		if err != nil || len(partial) > 0 {
			t.Fatal(err, partial)
		}
		all := find(t, []columnar.Source{memory(t, got)}, query.SearchRequest{Query: "{ }"})
		if text := canonical(all); text != "2: 11 12 13 14" {
			t.Errorf("layout %d: %s", seed, text)
		}
		if got, _, err := query.FindTrace(t.Context(), src, trace.ID{15: 99}); err != nil || len(got) > 0 {
			t.Errorf("a trace that is not there: %d bytes, %v", len(got), err)
		}
	}
}

// TestUnitsInParallel: units of one plan run on several threads and give the same answer.
func TestUnitsInParallel(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	var src []columnar.Source
	for seed := range int64(6) {
		src = append(src, spread(t, r, querytest.Random(seed, 20))...)
	}
	req := query.SearchRequest{Query: `{ .a != nil } >> { resource.service.name =~ "c.*" } | count() > 0`, Limit: 1000}
	want := canonical(find(t, src, req))
	p, err := query.Prepare(req)
	if err != nil {
		t.Fatal(err)
	}
	units, err := p.Units(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	parts := make(chan *query.SearchResult)
	for _, u := range units {
		go func() {
			part, err := p.Run(t.Context(), u)
			if err != nil {
				t.Error(err)
				part = &query.SearchResult{}
			}
			parts <- part
		}()
	}
	sum := &query.SearchResult{}
	for range units {
		p.Merge(sum, <-parts)
	}
	if got := canonical(sum); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
