package query_test

import (
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
)

func bounds(all, one int64, tenants map[string]int64) query.Bounds {
	return query.Bounds{All: query.NewBudget(all, "all"), Query: one, Key: "one", Refused: new(atomic.Int64),
		Tenants: query.NewTenants(func(id string) int64 { return tenants[id] }, "per tenant")}
}

// One tenant takes all it can get; another is answered all the same.
func TestTenantsLeaveEachOtherMemory(t *testing.T) {
	b := bounds(100, 40, map[string]int64{"loud": 50, "calm": 50})
	_, first := b.Begin(t.Context(), "loud")
	_, second := b.Begin(t.Context(), "loud")
	if err := errors.Join(first.Take(40), second.Take(10)); err != nil {
		t.Fatal(err)
	}
	var busy *query.BusyError
	var limit *query.LimitError
	err := second.Take(1)
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), `tenant "loud"`) || !strings.Contains(err.Error(), "50 bytes (per tenant)") {
		t.Errorf("both queries together: %v", err)
	}
	if err := first.Take(1); !errors.As(err, &limit) || !strings.Contains(err.Error(), "40 bytes of memory (one)") {
		t.Errorf("the first alone: %v", err)
	}
	_, other := b.Begin(t.Context(), "calm")
	if err := other.Take(40); err != nil {
		t.Errorf("the other tenant: %v", err)
	}
	if _, free := b.Begin(t.Context(), "free"); free.Take(11) == nil || free.Take(10) != nil {
		t.Error("a tenant without a bound has what is left of all")
	} else {
		free.Release()
	}
	if use := b.Tenants.Use(); len(use) != 2 || use[0] != (query.TenantUse{Tenant: "calm", Queries: 1, Bytes: 40}) || use[1] != (query.TenantUse{Tenant: "loud", Queries: 2, Bytes: 50}) {
		t.Errorf("use: %+v", use)
	}
	first.Release()
	if err := second.Take(30); err != nil {
		t.Errorf("after the first: %v", err)
	}
	second.Release()
	second.Release() // changes nothing
	other.Release()
	if len(b.Tenants.Use()) != 0 || b.All.Used() != 0 {
		t.Errorf("held: %+v, all %d", b.Tenants.Use(), b.All.Used())
	}
	if b.Refused.Load() != 1 || b.Tenants.Refused() != 1 || b.All.Refused() != 1 {
		t.Errorf("refused: query %d, tenant %d, process %d", b.Refused.Load(), b.Tenants.Refused(), b.All.Refused())
	}
}

// A query that alone needs more than its tenant may have is too large, not too early.
func TestTenantBelowTheBoundOfAQuery(t *testing.T) {
	limits := map[string]int64{"small": 30, "b": 20}
	b := bounds(100, 40, limits)
	_, q := b.Begin(t.Context(), "small")
	var limit *query.LimitError
	if err := q.Take(31); !errors.As(err, &limit) || !strings.Contains(err.Error(), `all that tenant "small" has`) {
		t.Errorf("%v", err)
	}
	limits["small"] = 60 // for those that begin from now on
	if _, later := b.Begin(t.Context(), "small"); later.Take(40) != nil {
		t.Error("the bound was raised")
	}
	_, both := b.Begin(t.Context(), "b", "small")
	if err := both.Take(21); !errors.As(err, &limit) || !strings.Contains(err.Error(), `tenant "b"`) {
		t.Errorf("of two tenants: %v", err)
	}
	if err := both.Take(20); err != nil || b.All.Used() != 60 {
		t.Errorf("of two tenants: %v, all %d", err, b.All.Used())
	}
}

func TestBoundsHoldForManyAtOnce(t *testing.T) {
	b := bounds(1000, 300, map[string]int64{"a": 500, "b": 500})
	var over atomic.Bool
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 300 {
				_, q := b.Begin(t.Context(), []string{"a", "b"}[i%2])
				part := q.Part()
				for part.Take(int64(1+k%7)*13) == nil && q.Used() < 300 {
					over.CompareAndSwap(false, b.All.Used() > 1000)
				}
				q.Release()
			}
		})
	}
	wg.Wait()
	if over.Load() || b.All.Used() != 0 || len(b.Tenants.Use()) != 0 {
		t.Errorf("over the bound: %v; at the end %d, %+v", over.Load(), b.All.Used(), b.Tenants.Use())
	}
}

func TestIntervalsDoNotOverflow(t *testing.T) {
	const last, hour = math.MaxInt64, int64(3600e9)
	for _, r := range []query.MetricsRequest{
		{Start: last - hour, End: last}, {Start: last - hour, End: last, Step: last}, {Start: 1, End: 2, Step: last},
		{Start: last - 2, End: last - 1, Step: 1 << 61}, {Start: hour, End: 2 * hour, Step: 1<<61 + 1}, {Start: 0, End: last, Step: 1},
	} {
		r.Query = "{ } | quantile_over_time(duration, .5)"
		var limit *query.LimitError
		if _, err := query.PrepareMetrics(r); !errors.As(err, &limit) {
			t.Errorf("%d to %d by %d: %v", r.Start, r.End, r.Step, err)
		}
	}
	src := []columnar.Source{memory(t, storySpans(t)...)}
	for _, r := range []query.MetricsRequest{
		{Start: querytest.Epoch, End: querytest.Epoch + hour, Step: 1 << 61}, {Start: 0, End: 1 << 62, Step: 1 << 60},
	} {
		r.Query = "{ } | quantile_over_time(duration, .5)"
		if res, err := query.Metrics(t.Context(), src, r); err != nil || len(res.Legs[0].Series) != 1 {
			t.Errorf("%d to %d by %d: %v", r.Start, r.End, r.Step, err)
		}
	}
}
