package frontend

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

// byTenant gives each tenant its read limits.
func byTenant(read map[string]tenant.Read) func(string) tenant.Limits {
	return func(id string) tenant.Limits { return tenant.Limits{Read: read[id]} }
}

func TestTimeRangesOfTenants(t *testing.T) {
	hour := tenant.Duration(time.Hour)
	cfg := Config{MultiTenant: true, MaxSearch: 10 * time.Hour, Limits: byTenant(map[string]tenant.Read{
		"short": {MaxSearchDuration: hour, MaxMetricsDuration: 2 * hour}, "long": {MaxSearchDuration: 100 * hour, MaxMetricsDuration: 100 * hour}})}
	s := says(&peer.Answer{Search: &query.SearchResult{}}, nil)
	for _, tt := range []struct {
		tenants string
		hours   int
		says    string // empty: allowed
	}{
		{"usual", 10, ""},
		{"usual", 11, "longest allowed is 10h0m0s (query_frontend.max_duration)"},
		{"short", 1, ""},
		{"short", 2, "longest allowed is 1h0m0s (read.max_search_duration)"},
		{"long", 99, ""},
		{"long", 101, "(read.max_search_duration)"},
		{"long|short", 2, "longest allowed is 1h0m0s (read.max_search_duration)"},
		{"long|usual", 11, "longest allowed is 10h0m0s (query_frontend.max_duration)"},
		{"short|usual", 2, "longest allowed is 1h0m0s (read.max_search_duration)"},
	} {
		w := call(mux(s, cfg), http.MethodGet, fmt.Sprintf("/api/search?start=1700000000&end=%d", 1_700_000_000+3600*tt.hours), "X-Scope-OrgID", tt.tenants)
		if want := map[bool]int{true: 200, false: 400}[tt.says == ""]; w.Code != want || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s, %d hours: %d %s", tt.tenants, tt.hours, w.Code, w.Body)
		}
	}
	w := call(mux(s, cfg), http.MethodGet, "/api/metrics/query_range?q={}|rate()&start=1700000000&end=1700010800", "X-Scope-OrgID", "short")
	if w.Code != 400 || !strings.Contains(w.Body.String(), "longest allowed is 2h0m0s (read.max_metrics_duration)") {
		t.Errorf("metrics: %d %s", w.Code, w.Body)
	}
}

func TestTraceIDsOfATenant(t *testing.T) {
	cfg := Config{Limits: byTenant(map[string]tenant.Read{tenant.Default: {LeftPadTraceIDs: true}})}
	w := call(mux(says(&peer.Answer{Search: searchResult()}, nil), cfg), http.MethodGet, "/api/search")
	if want := strings.Replace(searchAnswer, `"traceID":"102"`, `"traceID":"00000000000000000000000000000102"`, 1); strings.Replace(w.Body.String(), `"traceID":"01000000`, `"traceID":"1000000`, 1) != want {
		t.Errorf("got\n%s\nwant\n%s", w.Body, want)
	}
}

func TestTagsOfATenant(t *testing.T) {
	read := map[string]tenant.Read{"few": {MaxBlocksPerTagValuesQuery: 2, MaxBytesPerTagValuesQuery: 500}, "some": {MaxBytesPerTagValuesQuery: 300}}
	for _, tt := range []struct {
		path, tenants string
		blocks        []string
		bytes         int
		partial       bool
	}{
		{"/api/v2/search/tags", "few", []string{"b1", "b2"}, 500, true},
		{"/api/v2/search/tag/span.a/values", "few", []string{"b1", "b2"}, 500, true},
		{"/api/v2/search/tag/span.a/values", "any", []string{"b1", "b2", "b3"}, 0, false},
		{"/api/v2/search/tag/span.a/values", "few|some", []string{"b1", "b2", "b1", "b2", "b3"}, 300, true},
		{"/api/search", "few", []string{"b1", "b2", "b3"}, 0, false},
	} {
		var blocks []string
		var bytes int
		s := &stub{addrs: []string{"q1"}, blocks: []Block{{ID: "b1"}, {ID: "b2"}, {ID: "b3"}}, answer: func(_ context.Context, _ string, p *peer.Piece) (*peer.Answer, error) {
			blocks = append(blocks, p.Blocks...)
			switch {
			case p.Tags != nil:
				bytes = p.Tags.MaxBytes
			case p.Values != nil:
				bytes = p.Values.MaxBytes
			}
			return &peer.Answer{Tags: &query.TagsResult{}, Values: &query.TagValuesResult{}, Search: &query.SearchResult{}}, nil
		}}
		w := call(mux(s, Config{MultiTenant: true, Limits: byTenant(read)}), http.MethodGet, tt.path, "X-Scope-OrgID", tt.tenants)
		said := strings.Contains(w.Body.String(), `"status":"PARTIAL"`) && strings.Contains(w.Body.String(), "1 older blocks (read.max_blocks_per_tag_values_query)")
		if w.Code != 200 || !slices.Equal(blocks, tt.blocks) || bytes != tt.bytes || said != tt.partial {
			t.Errorf("%s of %s: %d, blocks %v, %d bytes\n%s", tt.path, tt.tenants, w.Code, blocks, bytes, w.Body)
		}
	}
}

// A trace over its bytes is refused where nothing can be said, and cut where it can.
func TestTooLargeTraceIsCut(t *testing.T) {
	var b trace.Builder
	b.SetResource(&trace.Group{})
	b.SetScope(&trace.Group{})
	for i := range byte(100) {
		b.AddSpan(&trace.Span{TraceID: trace.ID{7}, SpanID: trace.SpanID{1, i}, Name: []byte(strings.Repeat("x", 60)), Start: 1, End: 2})
	}
	otlp := b.Append(nil)
	for _, most := range []int{0, 3000, len(otlp), 10} {
		cfg := Config{Limits: func(string) tenant.Limits { return tenant.Limits{Global: tenant.Global{MaxBytesPerTrace: most}} }}
		w := call(mux(says(&peer.Answer{Trace: otlp}, nil), cfg), http.MethodGet, "/api/v2/traces/7")
		cut := most != 0 && most < len(otlp)
		partial := strings.Contains(w.Body.String(), fmt.Sprintf("exceed %d bytes (global.max_bytes_per_trace)", most))
		if w.Code != 200 || partial != cut {
			t.Errorf("%d bytes: %d %.300s", most, w.Code, w.Body)
		}
		kept, was, err := cutTrace(otlp, most)
		var got trace.Batch
		if resetErr := got.Reset(kept); err != nil || resetErr != nil || was != cut {
			t.Fatal(err, resetErr, was)
		}
		if cut && (len(kept) > most || most == 3000 && got.Spans() < 20) || !cut && got.Spans() != 100 {
			t.Errorf("%d bytes: %d spans, %d bytes", most, got.Spans(), len(kept))
		}
	}
}
