package frontend

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

// stub is the queriers and blocks of a frontend: it answers as told, by address.
type stub struct {
	blocks []Block
	addrs  []string
	answer func(ctx context.Context, addr string, p *peer.Piece) (*peer.Answer, error)

	mu    sync.Mutex
	asked []string // address and tenant
}

func (s *stub) Overlapping(string, int64, int64) []Block { return s.blocks }
func (s *stub) Healthy() []string                        { return s.addrs }

func (s *stub) Answer(ctx context.Context, addr string, p *peer.Piece) (*peer.Answer, error) {
	s.mu.Lock()
	s.asked = append(s.asked, addr+" "+p.Tenant)
	s.mu.Unlock()
	return s.answer(ctx, addr, p)
}

func says(a *peer.Answer, err error) *stub {
	return &stub{addrs: []string{"q1"}, answer: func(context.Context, string, *peer.Piece) (*peer.Answer, error) { return a, err }}
}

func mux(s *stub, cfg Config) *http.ServeMux {
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	cfg.DefaultLimit, cfg.MaxLimit, cfg.MaxMetrics = 20, 100, 24*time.Hour
	m := http.NewServeMux()
	New(cfg, s, s, s, func() time.Time { return time.Unix(1_700_000_000, 0) }, slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Routes(m)
	return m
}

func call(m http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

// oneSpan is the OTLP bytes of a trace.
func oneSpan() []byte {
	var b trace.Builder
	b.SetResource(&trace.Group{Raw: trace.AppendResource(nil, &trace.Resource{Attrs: []trace.Attr{{Key: []byte("service.name"), Value: trace.StringValue([]byte("cart"))}}})})
	b.SetScope(&trace.Group{Raw: trace.AppendScope(nil, &trace.Scope{Name: []byte("lib")})})
	b.AddSpan(&trace.Span{TraceID: trace.ID{15: 7}, SpanID: trace.SpanID{7: 8}, Name: []byte(`GET "/"`), Kind: trace.SpanKindServer, Start: 1_700_000_000_000_000_001, End: 1_700_000_000_000_000_501})
	return b.Append(nil)
}

func searchResult() *query.SearchResult {
	return &query.SearchResult{Stats: query.Stats{Traces: 3, Spans: 9, Bytes: 100, Reads: 2, Segments: 1}, Traces: []query.TraceResult{
		{ID: trace.ID{14: 1, 15: 2}, HasRoot: true, RootService: "cart", RootName: "GET \"/\"\n", Start: 1_700_000_000_000_000_001, End: 1_700_000_000_250_000_001,
			Sets: []query.SpanSet{{Matched: 4, Spans: []query.SpanResult{{ID: trace.SpanID{7: 1}, Name: "a", Start: 5, Duration: 7, Attrs: []query.Attribute{
				{Key: "n", Value: trace.IntValue(-3)}, {Key: "s", Value: trace.StringValue([]byte("ü\xff"))}}}}}},
			Services: []query.ServiceStats{{Name: "cart", Spans: 4, Errors: 1}, {Name: "db", Spans: 2}}},
		{ID: trace.ID{1}, Start: 5, End: 6},
	}}
}

const searchAnswer = `{"traces":[{"traceID":"102","rootServiceName":"cart","rootTraceName":"GET \"/\"\n","startTimeUnixNano":"1700000000000000001","durationMs":250,` +
	`"spanSet":{"spans":[{"spanID":"0000000000000001","name":"a","startTimeUnixNano":"5","durationNanos":"7","attributes":[{"key":"n","value":{"intValue":"-3"}},{"key":"s","value":{"stringValue":"ü` + "\ufffd" + `"}}]}],"matched":4},` +
	`"spanSets":[{"spans":[{"spanID":"0000000000000001","name":"a","startTimeUnixNano":"5","durationNanos":"7","attributes":[{"key":"n","value":{"intValue":"-3"}},{"key":"s","value":{"stringValue":"ü` + "\ufffd" + `"}}]}],"matched":4}],` +
	`"serviceStats":{"cart":{"spanCount":4,"errorCount":1},"db":{"spanCount":2}}},` +
	`{"traceID":"1000000000000000000000000000000","rootServiceName":"<root span not yet received>","startTimeUnixNano":"5"}],` +
	`"metrics":{"inspectedTraces":3,"inspectedBytes":"100","inspectedSpans":"9","completedJobs":1,"totalJobs":1,"backendReads":"2"}}`

const traceBody = `"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"scopeSpans":[{"scope":{"name":"lib"},"spans":[` +
	`{"traceId":"AAAAAAAAAAAAAAAAAAAABw==","spanId":"AAAAAAAAAAg=","name":"GET \"/\"","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000501"}]}]`

func TestAnswersExactly(t *testing.T) {
	for _, tt := range []struct {
		path   string
		answer *peer.Answer
		code   int
		want   string
	}{
		{"/api/echo", nil, 200, "echo"},
		{"/api/search", &peer.Answer{Search: searchResult()}, 200, searchAnswer},
		{"/api/search", &peer.Answer{Search: &query.SearchResult{}, Missing: []string{"block b1: gone", `q "2"`}}, 200, `{"traces":[],"metrics":{"inspectedTraces":0,"inspectedBytes":"0","inspectedSpans":"0","completedJobs":0,"totalJobs":0,"backendReads":"0"},"status":"PARTIAL","message":"block b1: gone; q \"2\""}`},
		{"/api/traces/7", &peer.Answer{Trace: oneSpan()}, 200, `{"batches":[{` + traceBody + `}]}`},
		{"/api/v2/traces/7", &peer.Answer{Trace: oneSpan()}, 200, `{"trace":{"resourceSpans":[{` + traceBody + `}]},"metrics":{}}`},
		{"/api/v2/traces/7", &peer.Answer{Trace: oneSpan(), Missing: []string{"x"}}, 200, `{"trace":{"resourceSpans":[{` + traceBody + `}]},"metrics":{},"status":"PARTIAL","message":"x"}`},
		{"/api/v2/traces/7", &peer.Answer{Missing: []string{"x"}}, 200, `{"trace":{},"metrics":{},"status":"PARTIAL","message":"x"}`},
		{"/api/traces/7", &peer.Answer{Missing: []string{"x"}}, 503, "could not be asked: x\n"},
		{"/api/traces/7", &peer.Answer{}, 404, "trace not found\n"},
		{"/api/v2/traces/7", &peer.Answer{}, 404, "trace not found\n"},
	} {
		w := call(mux(says(tt.answer, nil), Config{}), http.MethodGet, tt.path)
		if w.Code != tt.code || w.Body.String() != tt.want {
			t.Errorf("%s: %d\n got %s\nwant %s", tt.path, w.Code, w.Body, tt.want)
		}
		if w.Body.Len() > 0 && w.Body.Bytes()[0] == '{' && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: no JSON: %s", tt.path, w.Body)
		}
	}
}

func TestMetricsExactly(t *testing.T) {
	var m querytest.MemoryBuilder
	if err := trace.Walk(oneSpan(), &m); err != nil {
		t.Fatal(err)
	}
	src, err := m.Build()
	if err != nil {
		t.Fatal(err)
	}
	evaluated := &stub{addrs: []string{"q1"}, answer: func(ctx context.Context, _ string, p *peer.Piece) (*peer.Answer, error) {
		return peer.Evaluate(ctx, &p.Question, []columnar.Source{src}, 1)
	}}
	nothing := &stub{addrs: []string{"q1"}, answer: func(_ context.Context, _ string, p *peer.Piece) (*peer.Answer, error) { return p.Nothing(), nil }}
	count := "q=" + url.QueryEscape("{ } | count_over_time() by (resource.service.name)") + "&start=1699999990&end=1700000010"
	const stats = `],"metrics":{"inspectedTraces":1,"inspectedBytes":"0","inspectedSpans":"1","completedJobs":1,"totalJobs":1}}`
	const none = `{"series":[],"metrics":{"inspectedTraces":0,"inspectedBytes":"0","inspectedSpans":"0","completedJobs":0,"totalJobs":0}}`
	const label = `{"series":[{"labels":[{"key":"resource.service.name","value":{"stringValue":"cart"}}],`
	for _, tt := range []struct {
		s          *stub
		path, want string
	}{
		{evaluated, "/api/metrics/query?" + count, label + `"value":1}` + stats},
		{evaluated, "/api/metrics/query_range?step=10&" + count, label + `"samples":[{"timestampMs":"1699999990000","value":0},{"timestampMs":"1700000000000","value":0},{"timestampMs":"1700000010000","value":1}]}` + stats},
		{nothing, "/api/metrics/query?" + count, none},
		{nothing, "/api/metrics/query_range?" + count, none},
		{nothing, "/api/metrics/query_range?q=" + url.QueryEscape("{ } | rate()"), none},
	} {
		w := call(mux(tt.s, Config{}), http.MethodGet, tt.path)
		if w.Code != 200 || w.Body.String() != tt.want {
			t.Errorf("%s: %d\n got %s\nwant %s", tt.path, w.Code, w.Body, tt.want)
		}
	}
}

func TestErrorsHaveTheirCodes(t *testing.T) {
	for _, tt := range []struct {
		path string
		s    *stub
		code int
		says string
	}{
		{"/api/search", &stub{}, 503, "no querier is up; see: ringctl"},
		{"/api/search", says(nil, status.Error(codes.Unavailable, "connection refused")), 503, "connection refused"},
		{"/api/search", says(nil, status.Error(codes.ResourceExhausted, "too many series")), 422, "too many series"},
		{"/api/search", says(nil, status.Error(codes.Internal, "oops")), 500, "oops"},
		{"/api/search", says(nil, status.Error(codes.Canceled, "")), 499, ""},
		{"/api/search?q={", says(nil, nil), 400, "^"},
		{"/api/search?q={+}+|+rate()", says(nil, nil), 400, ""},
		{"/api/search?limit=101", says(nil, nil), 400, "limit"},
		{"/api/traces/" + strings.Repeat("1", 33), says(nil, nil), 400, ""},
		{"/api/traces/x", says(nil, nil), 400, "x"},
		{"/api/traces/7?start=1", says(nil, nil), 400, "both"},
		{"/api/metrics/query_range", says(nil, nil), 400, "q is missing"},
		{"/api/metrics/query_range?q={}|rate()&since=30d", says(nil, nil), 400, "metrics_max_duration"},
		{"/api/metrics/query_range?q=" + strings.Repeat("x", maxQueryText+1), says(nil, nil), 400, "bytes"},
		{"/api/traces/7", says(&peer.Answer{Trace: bytes.Repeat([]byte("x"), 1001)}, nil), 422, "too large"},
	} {
		w := call(mux(tt.s, Config{Limits: func(string) tenant.Limits { return tenant.Limits{Global: tenant.Global{MaxBytesPerTrace: 1000}} }}), http.MethodGet, tt.path)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%.80s: %d %q, want %d with %q", tt.path, w.Code, w.Body, tt.code, tt.says)
		}
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, of := range []func(error) error{func(err error) error { return err }, func(err error) error { return status.FromContextError(err).Err() }} {
			s := says(nil, nil)
			s.answer = func(ctx context.Context, _ string, _ *peer.Piece) (*peer.Answer, error) {
				<-ctx.Done()
				return nil, of(ctx.Err())
			}
			w := call(mux(s, Config{Timeout: time.Second}), http.MethodGet, "/api/search")
			if w.Code != http.StatusGatewayTimeout || !strings.Contains(w.Body.String(), "api_timeout") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	})
}

func TestAnotherQuerierIsAskedWhenOneIsGone(t *testing.T) {
	s := &stub{addrs: []string{"q1", "q2", "q3"}}
	s.answer = func(_ context.Context, addr string, _ *peer.Piece) (*peer.Answer, error) {
		if addr != "q3" {
			return nil, status.Error(codes.Unavailable, "gone")
		}
		return &peer.Answer{Trace: oneSpan()}, nil
	}
	if w := call(mux(s, Config{}), http.MethodGet, "/api/traces/7"); w.Code != 200 || len(s.asked) != 3 {
		t.Errorf("%d %s, asked %v", w.Code, w.Body, s.asked)
	}
}

func TestMethods(t *testing.T) {
	m := mux(says(&peer.Answer{Search: searchResult()}, nil), Config{})
	for method, code := range map[string]int{http.MethodGet: 200, http.MethodPost: 200, http.MethodHead: 200, http.MethodDelete: 405, http.MethodPut: 405} {
		w := call(m, method, "/api/search")
		if w.Code != code || (code == 405) != (w.Header().Get("Allow") != "") {
			t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
	srv := httptest.NewServer(m)
	defer srv.Close()
	resp, err := http.Head(srv.URL + "/api/search")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 0 || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != typeJSON {
		t.Errorf("HEAD: %s %q %v", resp.Status, body, err)
	}
}

func TestCompression(t *testing.T) {
	large := searchResult()
	for i := range 50 {
		large.Traces = append(large.Traces, query.TraceResult{ID: trace.ID{byte(i), 1}, Start: 5, End: 6})
	}
	for _, tt := range []struct {
		answer *query.SearchResult
		accept string
		zipped bool
	}{
		{large, "gzip, deflate", true}, {large, "br;q=1.0, gzip;q=0.8, *;q=0.1", true}, {large, "", false}, {large, "gzip;q=0", false}, {large, "deflate", false},
		{&query.SearchResult{}, "gzip", false},
	} {
		w := call(mux(says(&peer.Answer{Search: tt.answer}, nil), Config{}), http.MethodGet, "/api/search", "Accept-Encoding", tt.accept)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != tt.zipped || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: zipped %v, headers %v", tt.accept, got, w.Header())
		}
		body := io.Reader(w.Body)
		if tt.zipped {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		if text, err := io.ReadAll(body); err != nil || !json.Valid(text) {
			t.Errorf("%q: %v %.100s", tt.accept, err, text)
		}
	}
}

func TestTenants(t *testing.T) {
	for _, tt := range []struct {
		header string
		code   int
		asked  string
	}{
		{"", 401, "[]"}, {"team-a", 200, "[q1 team-a]"}, {"b|a", 200, "[q1 a q1 b]"}, {"../x", 400, "[]"}, {"a|", 400, "[]"},
	} {
		s := &stub{addrs: []string{"q1"}}
		s.answer = func(_ context.Context, _ string, p *peer.Piece) (*peer.Answer, error) {
			if p.Search.Tenant != p.Tenant {
				t.Errorf("tenant %q asks for %q", p.Tenant, p.Search.Tenant)
			}
			return &peer.Answer{Search: &query.SearchResult{}}, nil
		}
		w := call(mux(s, Config{MultiTenant: true}), http.MethodGet, "/api/search", "X-Scope-OrgID", tt.header)
		slices.Sort(s.asked)
		if w.Code != tt.code || fmt.Sprint(s.asked) != tt.asked {
			t.Errorf("%q: %d %s, asked %v, want %d %s", tt.header, w.Code, w.Body, s.asked, tt.code, tt.asked)
		}
	}
}

// TestPiecesHoldEveryBlockOnce cuts blocks of all sizes for some queriers.
func TestPiecesHoldEveryBlockOnce(t *testing.T) {
	for n := range 60 {
		for queriers := 1; queriers < 6; queriers++ {
			var blocks []Block
			for i := range n {
				blocks = append(blocks, Block{ID: fmt.Sprint(i), Bytes: int64(i*i*7919%1000) << (i % 5)})
			}
			pieces := cut(peer.Question{Without: []string{"x"}}, blocks, queriers)
			next := 0
			for k, p := range pieces {
				if p.Recent != (k == 0) || (len(p.Without) > 0) != p.Recent || k > 0 && len(p.Blocks) == 0 {
					t.Fatalf("%d blocks, %d queriers: piece %d is %+v", n, queriers, k, p)
				}
				for _, id := range p.Blocks {
					if id != fmt.Sprint(next) {
						t.Fatalf("%d blocks, %d queriers: block %s, want %d", n, queriers, id, next)
					}
					next++
				}
			}
			if next != n || len(pieces) > max(1, queriers*piecesPerQuerier) || queriers == 1 && len(pieces) != 1 {
				t.Fatalf("%d blocks, %d queriers: %d in %d pieces", n, queriers, next, len(pieces))
			}
		}
	}
}

// TestPartsOfAnAnswer lets one of several pieces fail.
func TestPartsOfAnAnswer(t *testing.T) {
	q := peer.Question{Search: &query.SearchRequest{}}
	good := func() *peer.Answer { return &peer.Answer{Search: &query.SearchResult{}, Missing: []string{"m"}} }
	a, err := gather(t.Context(), &q, []*peer.Answer{nil, good(), good()}, []error{status.Error(codes.Internal, "piece lost"), nil, nil}, false)
	if err != nil || fmt.Sprint(a.Missing) != "[m piece lost]" {
		t.Errorf("%v %v", a, err)
	}
	if _, err := gather(t.Context(), &q, []*peer.Answer{nil, good()}, []error{status.Error(codes.ResourceExhausted, "bound"), nil}, false); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("over a bound: %v", err)
	}
	if _, err := gather(t.Context(), &q, []*peer.Answer{nil}, []error{status.Error(codes.Internal, "lost")}, false); status.Code(err) != codes.Internal {
		t.Errorf("all lost: %v", err)
	}
}

func TestNumbersOfJSON(t *testing.T) {
	for f, want := range map[float64]string{1: "1", 0.25: "0.25", 1e300: "1e+300", math.Inf(1): `"Infinity"`, math.Inf(-1): `"-Infinity"`} {
		if got := string(appendFloat(nil, f)); got != want {
			t.Errorf("%v: %s", f, got)
		}
	}
	if got := string(appendFloat(nil, math.NaN())); got != `"NaN"` {
		t.Errorf("NaN: %s", got)
	}
	for in, want := range map[string]string{"a\x01\t\"\\": `"a\u0001\t\"\\"`, "\xff": "\"\ufffd\"", "\u2028ü": "\"\u2028ü\""} {
		if got := string(appendString(nil, in)); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%q: %s", in, got)
		}
	}
}
