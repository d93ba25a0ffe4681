package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/frontend"
	"github.com/ringctl/ringctl/engine/query"
)

// blocks is the catalogue as queriers and frontends need it.
type blocks struct{ *catalog.Catalog }

// Open opens a block to read.
func (b blocks) Open(ctx context.Context, tenantID, id string) (query.Source, error) {
	return b.Catalog.Open(ctx, tenantID, id)
}

// Overlapping lists the blocks with spans in a time range, newest first.
func (b blocks) Overlapping(tenantID string, start, end int64) []frontend.Block {
	var out []frontend.Block
	for _, m := range b.Blocks(tenantID) {
		from, to := m.Start.UnixNano(), m.End.UnixNano()
		if start != 0 && to < start || end != 0 && from > end {
			continue
		}
		out = append(out, frontend.Block{ID: m.ID, Replaces: m.Replaces, Start: from, End: to, Bytes: m.DataBytes})
	}
	slices.SortStableFunc(out, func(a, b frontend.Block) int { return cmp.Compare(b.End, a.End) })
	return out
}

// registererFor labels the metrics of a part that a process may have twice.
func (e *Engine) registererFor(keeper string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"keeper": keeper}, e.reg)
}

// openFrontend makes this process answer the HTTP API.
func (e *Engine) openFrontend() error {
	if !e.cfg.Has(TargetFrontend) {
		return nil
	}
	w, err := e.rings.watch(ringQuerier, e.cfg.Querier.Ring, lookup(e.cfg.Querier.Ring))
	if err != nil {
		return err
	}
	e.take()
	c := e.cfg.Frontend
	f := frontend.New(frontend.Config{MultiTenant: e.cfg.MultiTenant, Timeout: c.Timeout, DefaultLimit: c.DefaultLimit, MaxLimit: c.MaxLimit,
		MaxSearch: c.MaxSearchTime, MaxMetrics: c.MaxMetricsTime, MaxTrace: e.cfg.Overrides.Defaults.Global.MaxBytesPerTrace},
		blocks{e.catalog}, queriers{w}, e.peers, time.Now, e.log, e.reg)
	f.Routes(e.mux)
	return nil
}
