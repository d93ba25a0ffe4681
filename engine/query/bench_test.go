package query_test

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// shop is a segment of about 64 k spans in 4,096 traces, like those of a web shop.
func shop(b testing.TB) *querytest.Memory {
	b.Helper()
	r := rand.New(rand.NewSource(1))
	var mb querytest.MemoryBuilder
	services := []string{"frontend", "cart", "payment", "search", "users", "orders", "stock", "mail"}
	for i := range 4096 {
		var id trace.ID
		binary.BigEndian.PutUint64(id[:], r.Uint64())
		var tb trace.Builder
		for k := range 16 {
			s := trace.Span{TraceID: id, Name: []byte(fmt.Sprintf("op-%d", r.Intn(40))), Kind: trace.SpanKind(1 + r.Intn(5))}
			binary.BigEndian.PutUint64(s.SpanID[:], r.Uint64()|1)
			if k > 0 {
				binary.BigEndian.PutUint64(s.SpanID[:], uint64(i*16+k+1))
				binary.BigEndian.PutUint64(s.ParentID[:], uint64(i*16+r.Intn(k)+1))
			} else {
				binary.BigEndian.PutUint64(s.SpanID[:], uint64(i*16+1))
			}
			s.Start = uint64(querytest.Epoch) + uint64(r.Intn(600))*1e9
			s.End = s.Start + uint64(r.Intn(1e8))
			code := int64(200)
			if r.Intn(200) == 0 {
				code = 500
			}
			s.Attrs = []trace.Attr{
				{Key: []byte("http.status_code"), Value: trace.IntValue(code)},
				{Key: []byte("http.url"), Value: trace.StringValue(fmt.Appendf(nil, "https://shop/%s/%d", services[r.Intn(8)], r.Intn(50_000)))},
				{Key: []byte("user.id"), Value: trace.StringValue(fmt.Appendf(nil, "user-%07d", r.Intn(1_000_000)))},
			}
			res := trace.Resource{Attrs: []trace.Attr{{Key: []byte("service.name"), Value: trace.StringValue([]byte(services[r.Intn(8)]))}}}
			tb.SetResource(&trace.Group{Raw: trace.AppendResource(nil, &res)})
			tb.SetScope(&trace.Group{})
			tb.AddSpan(&s)
		}
		if err := trace.Walk(tb.Append(nil), &mb); err != nil {
			b.Fatal(err)
		}
	}
	m, err := mb.Build()
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func BenchmarkSearch(b *testing.B) {
	src := []columnar.Source{shop(b)}
	for _, q := range []struct {
		name, text string
		limit      int
	}{
		{"status", `{ span.http.status_code = 500 }`, 100_000}, {"needle", `{ span.user.id = "user-0000001" }`, 20},
		{"regex", `{ span.http.url =~ ".*/orders/12[0-9]+.*" }`, 100_000}, {"duration", `{ duration > 99ms }`, 100_000},
		{"and3", `{ resource.service.name = "payment" && span.http.status_code = 500 && duration > 50ms }`, 20},
		{"structural", `{ resource.service.name = "frontend" } >> { span.http.status_code = 500 }`, 100_000},
		{"count", `{ resource.service.name = "cart" } | count() > 3`, 100_000}, {"avg", `{ } | avg(duration) > 70ms`, 100_000},
		{"group", `{ } | by(resource.service.name) | count() > 5`, 100_000}, {"rows", `{ span.http.status_code + 1 = 501 }`, 100_000},
	} {
		b.Run(q.name, func(b *testing.B) {
			found := 0
			for b.Loop() {
				res, err := query.Search(b.Context(), src, query.SearchRequest{Query: q.text, Limit: q.limit, SpansPerSet: 3})
				if err != nil {
					b.Fatal(err)
				}
				found = len(res.Traces)
			}
			b.ReportMetric(float64(found), "traces")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/65536, "ns/span")
		})
	}
}

func BenchmarkMetrics(b *testing.B) {
	src := []columnar.Source{shop(b)}
	for _, q := range []struct{ name, text string }{
		{"rate", `{ } | rate() by (resource.service.name)`}, {"quantile", `{ } | quantile_over_time(duration, .99)`},
		{"names", `{ } | rate() by (name, resource.service.name)`}, {"errors", `{ span.http.status_code = 500 } | rate()`},
		{"max", `{ } | max_over_time(duration) by (name)`},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := query.Metrics(b.Context(), src, query.MetricsRequest{Query: q.text, Start: querytest.Epoch, End: querytest.Epoch + 600e9, Step: 15e9}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/65536, "ns/span")
		})
	}
}
