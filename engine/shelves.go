package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/backendworker"
	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/compactor"
	"github.com/ringctl/ringctl/engine/folderlock"
	"github.com/ringctl/ringctl/engine/frontend"
	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/ring"
)

// blocks is the catalogue as queriers and frontends need it.
type blocks struct{ *catalog.Catalog }

// Open opens a block to read.
func (b blocks) Open(ctx context.Context, tenantID, id string) (columnar.Source, error) {
	return b.Catalog.Open(ctx, tenantID, id)
}

// Overlapping lists the blocks with spans in a time range, newest first.
func (b blocks) Overlapping(tenantID string, start, end int64) []frontend.Block {
	metas := b.Catalog.Overlapping(tenantID, start, end)
	out := make([]frontend.Block, len(metas))
	for i, m := range metas {
		out[i] = frontend.Block{ID: m.ID, Replaces: m.Replaces, Start: m.Start.UnixNano(), End: m.End.UnixNano(), Bytes: m.DataBytes}
	}
	return out
}

// registererFor labels the metrics of a part that a process may have twice.
func (e *Engine) registererFor(keeper string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"keeper": keeper}, e.reg)
}

// copies reports whether several keepers hold the same spans.
func (c *Config) copies() bool {
	return c.Clustered() || c.replicas() > 1
}

// youngFor is how long after its end a keeper may hold spans of a block, in its
// head or in a block of its own that was not yet merged with the others.
func (c *Config) youngFor() time.Duration {
	of := func(r RecentConfig) time.Duration { return r.KeepBlocks + 2*r.MaxBlockAge }
	return max(of(c.Ingester.Recent), of(c.LiveStore.Recent))
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
		MaxSearch: c.MaxSearchTime, MaxMetrics: c.MaxMetricsTime, Limits: e.limits.limits,
		Copies: e.cfg.copies(), Young: e.cfg.youngFor(), MaxOutstanding: c.MaxOutstanding, Memory: e.memory},
		blocks{e.catalog}, queriers{w}, e.peers, time.Now, e.log, e.reg)
	f.Routes(e.mux)
	return nil
}

// shares is the part of the upkeep jobs that falls to this process.
type shares struct{ member *membership.Instance }

// Owns reports whether this process is first in its ring for a job.
func (s shares) Owns(hash uint32) bool {
	var buf [1]*ring.Instance
	rs, err := s.member.Ring().Get(hash, ring.WriteNoExtend, time.Now(), buf[:0])
	return err == nil && len(rs.Instances) == 1 && rs.Instances[0].ID == s.member.ID()
}

// workerTokens is how finely upkeep jobs are spread over backend workers.
const workerTokens = 512

// openWorker makes this process do its share of the upkeep.
func (e *Engine) openWorker() error {
	if !e.cfg.Has(TargetWorker) {
		return nil
	}
	member, err := e.rings.join(ringWorker, e.cfg.Worker.Ring, func(c *membership.Config) { c.NumTokens = workerTokens })
	if err != nil {
		return err
	}
	e.take()
	// A worker clears the folder of what is left in it.
	scratch := filepath.Join(e.cfg.Storage.Trace.WAL.Path, "compaction")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return fmt.Errorf("backend worker: %w", err)
	}
	lock, err := folderlock.Take(scratch)
	if err != nil {
		return fmt.Errorf("backend worker: %w", err)
	}
	e.closers = append(e.closers, lock.Close)
	c := e.cfg.Worker.Compaction
	w, err := backendworker.New(backendworker.Config{
		Dir: scratch, Every: c.Every, Poll: e.cfg.Storage.Trace.Poll,
		Compaction: compactor.Config{Window: c.Window, MaxInputs: c.MaxInputs, MaxSpans: c.MaxSpans, Settle: c.Settle, Retention: c.BlockRetention, Delay: c.KeepCompacted},
		Tenant:     e.tenantRules,
	}, e.bucket, shares{member}, e.log.With("part", "backend worker"), e.reg)
	if err != nil {
		return err
	}
	e.parts = append(e.parts, part{"backend worker", w.Run})
	return nil
}

// tenantRules is what a tenant's limits change of the rules for all.
func (e *Engine) tenantRules(tenantID string, c compactor.Config) (compactor.Config, bool) {
	l := e.limits.limits(tenantID).Compaction
	if l.BlockRetention > 0 {
		c.Retention = time.Duration(l.BlockRetention)
	}
	if l.CompactionWindow > 0 {
		c.Window = time.Duration(l.CompactionWindow)
	}
	return c, !l.CompactionDisabled
}
