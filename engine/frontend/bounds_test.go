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
