package frontend

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// inMemory is a querier that has a few spans, and no blocks.
type inMemory struct {
	sources []columnar.Source
	missing []string
}

func (inMemory) Overlapping(string, int64, int64) []Block { return nil }
func (inMemory) Healthy() []string                        { return []string{"querier-1"} }

func (m inMemory) Answer(ctx context.Context, _ string, p *peer.Piece) (*peer.Answer, error) {
	a, err := peer.Evaluate(ctx, &p.Question, m.sources, 1)
	if err == nil {
		a.Missing = append(a.Missing, m.missing...)
	}
	return a, err
}

const tagSpans = `
trace 1
1 front "GET /" 0ms+100ms server ok res.region="eu" "http/method"="GET" code=200 code2=0.5
  2 cart call 10ms+50ms client error code="200" name="odd \"one\"" event(exception 25ms type="IO")
`

// tagMux serves the spans of a story, with missing as what could not be asked.
func tagMux(t *testing.T, story string, missing ...string) *http.ServeMux {
	t.Helper()
	otlp, err := querytest.ParseStory(story)
	if err != nil {
		t.Fatal(err)
	}
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
	spans := inMemory{[]columnar.Source{m}, missing}
	f := New(Config{Timeout: time.Minute, DefaultLimit: 20, MaxLimit: 100}, spans, spans, spans,
		time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	mux := http.NewServeMux()
	f.Routes(mux)
	return mux
}

func get(mux *http.ServeMux, url string) (code int, body string) {
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

const tagMetrics = `,"metrics":{"inspectedBytes":"0","totalJobs":1,"completedJobs":1,"backendReads":"0"}}`

func withMetrics(url, body string) string {
	if strings.Contains(url, "scope=intrinsic") { // known without looking
		return body + strings.ReplaceAll(tagMetrics, ":1", ":0")
	}
	return body + tagMetrics
}

func TestTagAnswers(t *testing.T) {
	mux := tagMux(t, tagSpans)
	for _, tt := range []struct{ url, want string }{
		{"/api/search/tags", `{"tagNames":["code","code2","http/method","name","region","service.name","type"]`},
		{"/api/search/tags?scope=resource", `{"tagNames":["region","service.name"]`},
		{"/api/search/tags?scope=intrinsic&limit=2", `{"tagNames":["duration","event:name"]`},
		{"/api/search/tags?scope=link", `{"tagNames":[]`},
		{"/api/v2/search/tags?limit=1", `{"scopes":[{"name":"span","tags":["code"]},{"name":"resource","tags":["region"]},{"name":"event","tags":["type"]},{"name":"intrinsic","tags":["duration"]}]`},
		{"/api/v2/search/tags?scope=span&q={+kind+=+client+%26%26+.x+%3D+}", `{"scopes":[{"name":"span","tags":["code","name"]}]`},
		{"/api/search/tag/service.name/values", `{"tagValues":["cart","front"]`},
		{"/api/search/tag/code/values", `{"tagValues":["200"]`},
		{"/api/search/tag/name/values", `{"tagValues":["GET /","call"]`},
		{"/api/search/tag/status.code/values", `{"tagValues":["error","ok"]`},
		{"/api/search/tag/root.service.name/values", `{"tagValues":["front"]`},
		{"/api/search/tag/http/method/values", `{"tagValues":["GET"]`},
		{"/api/v2/search/tag/span.http%2Fmethod/values", `{"tagValues":[{"type":"string","value":"GET"}]`},
		{"/api/v2/search/tag/.code/values", `{"tagValues":[{"type":"string","value":"200"},{"type":"int","value":"200"}]`},
		{"/api/v2/search/tag/span.code2/values", `{"tagValues":[{"type":"float","value":"0.5"}]`},
		{"/api/v2/search/tag/span.name/values", `{"tagValues":[{"type":"string","value":"odd \"one\""}]`},
		{"/api/v2/search/tag/kind/values", `{"tagValues":[{"type":"keyword","value":"client"},{"type":"keyword","value":"server"}]`},
		{"/api/v2/search/tag/span:duration/values", `{"tagValues":[{"type":"duration","value":"50ms"},{"type":"duration","value":"100ms"}]`},
		{"/api/v2/search/tag/resource.service.name/values?q={+status+=+error+}", `{"tagValues":[{"type":"string","value":"cart"}]`},
		{"/api/v2/search/tag/name/values?limit=1", `{"tagValues":[{"type":"string","value":"GET /"}]`},
		{"/api/v2/search/tag/span.nothing/values", `{"tagValues":[]`},
	} {
		if code, body := get(mux, tt.url); code != http.StatusOK || body != withMetrics(tt.url, tt.want) {
			t.Errorf("%s: %d %s\nwant %s", tt.url, code, body, withMetrics(tt.url, tt.want))
		}
	}
}

func TestTagMistakes(t *testing.T) {
	mux := tagMux(t, tagSpans)
	for url, want := range map[string]string{
		"/api/search/tags?scope=spam":               "scope",
		"/api/v2/search/tags?limit=-1":              "limit",
		"/api/v2/search/tags?maxStaleValues=x":      "maxStaleValues",
		"/api/v2/search/tags?start=1":               "both start and end",
		"/api/v2/search/tag/name/values?start=2":    "both start and end",
		"/api/v2/search/tag/service.name/values":    "service.name",
		"/api/v2/search/tag/parent.x/values":        "parent",
		"/api/v2/search/tag/%7B.a%7D/values":        "{.a}",
		"/api/v2/search/tag/name/values?limit=many": "limit",
	} {
		if code, body := get(mux, url); code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", url, code, body)
		}
	}
	for _, url := range []string{"/api/search/tag/name", "/api/v2/search/tag/values", "/api/v2/search/tag/"} {
		if code, body := get(mux, url); code != http.StatusNotFound {
			t.Errorf("%s: %d %s", url, code, body)
		}
	}
}

func TestTagsSayWhatIsMissing(t *testing.T) {
	mux := tagMux(t, tagSpans, "ingester-2 did not answer")
	const want = `,"status":"PARTIAL","message":"ingester-2 did not answer"}`
	for _, url := range []string{"/api/search/tags", "/api/v2/search/tags", "/api/search/tag/name/values", "/api/v2/search/tag/name/values"} {
		if code, body := get(mux, url); code != http.StatusOK || !strings.HasSuffix(body, want) {
			t.Errorf("%s: %d %s", url, code, body)
		}
	}
}

func TestTagValuesAreBounded(t *testing.T) {
	var list []string
	for i := range 30_000 {
		list = append(list, fmt.Sprintf("%q", fmt.Sprintf("%040d", i)))
	}
	mux := tagMux(t, "trace 1\n1 front call 0ms+1ms big=["+strings.Join(list, ",")+"]\n")
	_, body := get(mux, "/api/v2/search/tag/span.big/values")
	if n := strings.Count(body, `"type"`); n != 1_000_000/40 || !strings.Contains(body, `"status":"PARTIAL"`) {
		t.Errorf("%d values, …%s", n, body[len(body)-200:])
	}
}
