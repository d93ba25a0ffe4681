package recent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
)

// BenchmarkQuery runs questions over the merged block that BenchmarkMerge left in
// RINGCTL_BENCH_DIR and prints best time, bytes read and traces found.
func BenchmarkQuery(b *testing.B) {
	dir := os.Getenv("RINGCTL_BENCH_DIR")
	if dir == "" {
		b.Skip("RINGCTL_BENCH_DIR names no folder")
	}
	names, err := os.ReadDir(filepath.Join(dir, "merged"))
	if err != nil {
		b.Fatal(err)
	}
	var sources []columnar.Source
	cache := block.NewCache(128 << 20)
	for _, n := range names {
		in, err := block.Open(b.Context(), folder{dir: dir}, "merged", n.Name(), block.OpenOptions{Cache: cache})
		if err != nil {
			b.Fatal(err)
		}
		sources = append(sources, in)
	}
	questions := []struct{ name, q string }{
		{"service_eq", `{ resource.service.name = "cart" }`},
		{"status_500", `{ span.http.status_code = 500 }`},
		{"duration_2s", `{ duration > 2s }`},
		{"needle", `{ span.user.id = "user-0017367" }`},
		{"needle_miss", `{ span.user.id = "nobody" }`},
		{"regex_url", `{ span.http.url =~ ".*/orders/12[0-9]+.*" }`},
		{"and3", `{ resource.service.name = "payment" && span.http.status_code = 500 && duration > 100ms }`},
		{"structural", `{ resource.service.name = "frontend" } >> { span.http.status_code = 500 }`},
		{"count_gt5", `{ resource.service.name = "cart" } | count() > 5`},
	}
	for b.Loop() {
		for _, q := range questions {
			best := time.Duration(1 << 62)
			var traces int
			var meter columnar.Meter
			for range 5 {
				ctx := columnar.WithMeter(b.Context(), &meter)
				start := time.Now()
				res, err := query.Search(ctx, sources, query.SearchRequest{Query: q.q, Limit: 1 << 17, SkipServices: true})
				if err != nil {
					b.Fatal(q.name, err)
				}
				best = min(best, time.Since(start))
				traces = len(res.Traces)
				if len(res.Partial) > 0 {
					b.Fatal(res.Partial)
				}
			}
			bytes, reads := meter.Total()
			fmt.Printf("%-12s %8.2f ms %8d traces %8.2f MB %6d reads\n", q.name, float64(best.Microseconds())/1000, traces, float64(bytes)/5e6, reads/5)
		}
		metrics := []string{`{} | rate() by (resource.service.name)`, `{} | quantile_over_time(duration, .99)`}
		meta := sources[0].(*block.Block).Meta()
		for _, q := range metrics {
			best := time.Duration(1 << 62)
			for range 5 {
				start := time.Now()
				if _, err := query.Metrics(b.Context(), sources, query.MetricsRequest{Query: q, Start: meta.Start.UnixNano(), End: meta.End.UnixNano(), Step: int64(15 * time.Second)}); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(start))
			}
			fmt.Printf("%s %.2f ms\n", q, float64(best.Microseconds())/1000)
		}
	}
}
