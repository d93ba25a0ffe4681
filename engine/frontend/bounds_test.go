package frontend

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
)

func TestOutstandingQuestionsAreBounded(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	s := says(nil, nil)
	s.answer = func(context.Context, string, *peer.Piece) (*peer.Answer, error) {
		began <- struct{}{}
		<-finish
		return &peer.Answer{Search: searchResult()}, nil
	}
	m := mux(s, Config{MultiTenant: true, MaxOutstanding: 1})
	first := make(chan int)
	go func() { first <- call(m, http.MethodGet, "/api/search", "X-Scope-OrgID", "a").Code }()
	<-began
	for _, who := range []string{"a", "b|a"} {
		w := call(m, http.MethodGet, "/api/search", "X-Scope-OrgID", who)
		if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), "too many outstanding requests") {
			t.Errorf("%s: %d %s", who, w.Code, w.Body)
		}
	}
	other := make(chan int)
	go func() { other <- call(m, http.MethodGet, "/api/search", "X-Scope-OrgID", "b").Code }()
	<-began // the one that was refused is not counted for b
	close(finish)
	if a, b := <-first, <-other; a != http.StatusOK || b != http.StatusOK {
		t.Errorf("the two that were taken: %d, %d", a, b)
	}
	go func() { <-began }()
	if w := call(m, http.MethodGet, "/api/search", "X-Scope-OrgID", "a"); w.Code != http.StatusOK {
		t.Errorf("when all are answered: %d %s", w.Code, w.Body)
	}
}

func manySeries(n int) *query.MetricsResult {
	r := &query.MetricsResult{Start: 0, Step: 1, Steps: 1, Legs: make([]query.MetricsLeg, 1)}
	for range n {
		r.Legs[0].Series = append(r.Legs[0].Series, query.PartialSeries{Counts: []float64{1}})
	}
	return r
}

func TestLargeAnswersAreRefused(t *testing.T) {
	all := query.NewBudget(1<<20, "querier.max_bytes")
	for _, tt := range []struct {
		path   string
		answer peer.Answer
		most   int64
		code   int
		says   string
	}{
		{"/api/search", peer.Answer{Search: searchResult()}, 4000, 200, "traceID"},
		{"/api/search", peer.Answer{Search: searchResult()}, 600, 422, "max_bytes_per_query"},
		{"/api/metrics/query?q={}|rate()", peer.Answer{Metrics: manySeries(10)}, 100_000, 200, "series"},
		{"/api/metrics/query?q={}|rate()", peer.Answer{Metrics: manySeries(1000)}, 100_000, 422, "max_bytes_per_query"},
		{"/api/metrics/query?q={}|rate()", peer.Answer{Metrics: manySeries(10_000)}, 0, 429, "querier.max_bytes"},
	} {
		m := mux(says(&tt.answer, nil), Config{Memory: query.Bounds{All: all, Query: tt.most, Key: "querier.max_bytes_per_query"}})
		w := call(m, http.MethodGet, tt.path)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s with %d bytes: %d %.200s", tt.path, tt.most, w.Code, w.Body)
		}
		if all.Used() != 0 {
			t.Errorf("%s: %d bytes are not given back", tt.path, all.Used())
		}
	}
}

func TestBusyQueriersAreNamed(t *testing.T) {
	w := call(mux(says(nil, status.Error(codes.Aborted, "too busy: later")), Config{}), http.MethodGet, "/api/search")
	if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), "too busy") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// looked ends when it is asked for its error.
type looked struct {
	context.Context
	left int
}

func (l *looked) Err() error {
	if l.left--; l.left >= 0 {
		return nil
	}
	return context.Canceled
}

func TestAnswersStopWithTheirClient(t *testing.T) {
	ctx := &looked{t.Context(), 1}
	out := &text{z: &zipped{ResponseWriter: httptest.NewRecorder()}, room: roomOf(ctx)}
	if err := searchJSON(out, searchResult(), nil); err == nil || ctx.left != -1 {
		t.Errorf("%v, looked %d times too often", err, -ctx.left-1)
	}
}

// One tenant's questions hold all that it may have; another tenant is answered.
func TestOneTenantDoesNotTakeTheOthersMemory(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	s := says(nil, nil)
	s.answer = func(ctx context.Context, _ string, p *peer.Piece) (*peer.Answer, error) {
		need := int64(100_000)
		if p.Tenant == "loud" {
			need = 300_000
		}
		if err := query.BudgetFrom(ctx).Take(need); err != nil {
			return nil, peer.StatusOf(err)
		}
		if p.Tenant == "loud" {
			began <- struct{}{}
			<-finish
		}
		return &peer.Answer{Search: searchResult()}, nil
	}
	mem := query.Bounds{All: query.NewBudget(1<<20, "querier.max_bytes"), Query: 400_000, Key: "querier.max_bytes_per_query",
		Tenants: query.NewTenants(func(string) int64 { return 512_000 }, "querier.max_bytes_per_tenant")}
	m := mux(s, Config{MultiTenant: true, Memory: mem})
	first := make(chan int)
	go func() { first <- call(m, http.MethodGet, "/api/search", "X-Scope-OrgID", "loud").Code }()
	<-began
	for _, who := range []string{"loud", "calm|loud"} {
		w := call(m, http.MethodGet, "/api/search", "X-Scope-OrgID", who)
		if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), `tenant "loud"`) || !strings.Contains(w.Body.String(), "querier.max_bytes_per_tenant") {
			t.Errorf("%s: %d %s", who, w.Code, w.Body)
		}
	}
	if w := call(m, http.MethodGet, "/api/search", "X-Scope-OrgID", "calm"); w.Code != http.StatusOK {
		t.Errorf("the other tenant: %d %s", w.Code, w.Body)
	}
	close(finish)
	if code := <-first; code != http.StatusOK || mem.All.Used() != 0 || len(mem.Tenants.Use()) != 0 {
		t.Errorf("the first: %d; held at the end: %d, %+v", code, mem.All.Used(), mem.Tenants.Use())
	}
}

// TestHostileQuestionsAreRefused holds before anybody is asked.
func TestHostileQuestionsAreRefused(t *testing.T) {
	s := says(nil, nil)
	s.answer = func(context.Context, string, *peer.Piece) (*peer.Answer, error) {
		t.Error("it was asked")
		return nil, status.Error(codes.Internal, "")
	}
	m := mux(s, Config{})
	search, series := "/api/search?q=", "/api/metrics/query_range?q="
	for _, tt := range []struct {
		path string
		code int
		says string
	}{
		{search + strings.Repeat("(", 10_000), 400, "nested deeper than 100"},
		{search + "{}" + strings.Repeat("%26%3E%3E{}", 1000), 400, "more than 128 spansets and functions"},
		{search + "{}|select(.a" + strings.Repeat(",.a", 5000) + ")", 400, "select() lists more than 100"},
		{search + "{}|count()" + strings.Repeat("%2Bcount()", 5000) + "%3E0", 400, "more than 128 spansets and functions"},
		{search + `{name=~"(a{1000}){1000}"}`, 400, "invalid repeat count"},
		{search + `{name=~"(abcdefg){1000}"}`, 400, "9002 instructions, at most 5000"},
		{search + "{.a" + strings.Repeat(" %2B .a", 10_000) + "%3E1}", 400, "more than 256 parts"},
		{search + `{name="` + strings.Repeat("x", 1_000_000) + `"}`, 400, "1000009 bytes, at most 131072"},
		{search + "{}&limit=1000000000", 400, "from 1 to 100"},
		{search + "{}&spss=1000000000", 400, "from 1 to 100"},
		{series + "{}|rate()&since=1h&step=1ns", 422, "more than 10000 steps"},
		{series + "{}|rate()&step=1e-12", 400, "want a positive number"},
		{series + "{}|rate()&step=2562047h", 422, "longer than 70 years"},
		{series + "{}|rate()&start=9223372036854775000&end=9223372036854775807", 422, "the end too far away"},
		{series + "{}|rate()by(.a" + strings.Repeat(",.a", 1000) + ")", 400, "by() lists more than 100"},
		{series + "{}|quantile_over_time(duration" + strings.Repeat(",.5", 1000) + ")", 400, "more than 100 quantiles"},
		{series + "{}|compare({},1000000)", 400, "from 1 to 1000"},
	} {
		w := call(m, http.MethodGet, strings.ReplaceAll(tt.path, " ", "+"))
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.says) || w.Body.Len() > 2000 {
			t.Errorf("%.60s…: %d %.300s", tt.path, w.Code, w.Body)
		}
	}
}
