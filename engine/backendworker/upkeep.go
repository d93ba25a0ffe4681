package backendworker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/compactor"
)

// written is the index of a tenant as this worker wrote it last.
type written struct {
	built  time.Time
	blocks []*block.Meta
}

func (w *Worker) upkeepLoop(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := w.Cycle(ctx); err != nil && ctx.Err() == nil {
			w.m.errors.Inc()
			w.log.Warn("upkeep of the bucket failed, will be tried again", "err", err, "in", w.cfg.Every)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Cycle does the upkeep of all tenants that fall to this worker once. The error
// joins those of tenants; each tenant is tried.
func (w *Worker) Cycle(ctx context.Context) error {
	now := w.cfg.Now()
	if err := w.scan(ctx, ""); err != nil {
		return err
	}
	var errs []error
	tenants := w.tenants()
	for _, t := range tenants {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.tend(ctx, t, now); err != nil {
			errs = append(errs, fmt.Errorf("tenant %s: %w", t, err))
		}
	}
	for _, t := range w.scanner.Indexes() { // of tenants that have nothing any more
		if !slices.Contains(tenants, t) && w.ownsIndex(t) {
			errs = append(errs, catalog.RemoveIndex(ctx, w.b, t))
			w.forget(t)
		}
	}
	w.prune()
	return errors.Join(errs...)
}

// ownsIndex tells whether the upkeep of a tenant falls to this worker.
func (w *Worker) ownsIndex(tenantID string) bool {
	return w.owner.Owns(compactor.Hash("build-tenant-index-0-" + tenantID))
}

func (w *Worker) forget(tenantID string) {
	delete(w.indexes, tenantID)
	w.m.builder.DeleteLabelValues(tenantID)
	w.m.damaged.DeleteLabelValues(tenantID)
	w.m.outstanding.DeleteLabelValues(tenantID)
}

// tend does the upkeep of one tenant.
func (w *Worker) tend(ctx context.Context, tenantID string, now time.Time) error {
	h := w.held(tenantID)
	w.m.outstanding.WithLabelValues(tenantID).Set(w.outstanding(tenantID, now))
	if !w.ownsIndex(tenantID) {
		delete(w.indexes, tenantID)
		w.m.builder.WithLabelValues(tenantID).Set(0)
		return nil
	}
	w.m.builder.WithLabelValues(tenantID).Set(1)
	w.report(tenantID, h)
	if h.Unread != nil {
		return h.Unread // with a block unknown, the rest may look different
	}
	rules, _ := w.rules(tenantID)
	over := compactor.Retention(now, h.Metas(), rules)
	if err := w.writeIndex(ctx, tenantID, now, h, over); err != nil {
		return err
	}
	return errors.Join(
		w.sweep(ctx, tenantID, now, h, rules),
		w.retain(ctx, tenantID, now, h, over, rules),
		w.clear(ctx, tenantID, now, h, rules))
}

// report names damaged blocks, each once.
func (w *Worker) report(tenantID string, h *catalog.Holding) {
	w.m.damaged.WithLabelValues(tenantID).Set(float64(len(h.Damaged)))
	for _, d := range h.Damaged {
		if !w.damaged[d.ID] {
			w.log.Error("block is damaged and left out", "tenant", tenantID, "block", d.ID, "err", d.Err)
		}
		w.damaged[d.ID] = true
	}
}

// writeIndex writes the index when the blocks have changed, or before readers
// take it for stale.
func (w *Worker) writeIndex(ctx context.Context, tenantID string, now time.Time, h *catalog.Holding, over []*block.Meta) error {
	blocks := slices.DeleteFunc(catalog.Visible(h.Metas()), func(m *block.Meta) bool { return slices.Contains(over, m) })
	last := w.indexes[tenantID]
	if last != nil && slices.Equal(last.blocks, blocks) && now.Sub(last.built) < w.cfg.Stale/3 {
		return nil
	}
	if err := catalog.WriteIndex(ctx, w.b, tenantID, now, blocks); err != nil {
		w.m.indexErrors.WithLabelValues(tenantID).Inc()
		return err
	}
	w.indexes[tenantID] = &written{now, blocks}
	return nil
}

// sweep removes blocks that were replaced long enough ago.
func (w *Worker) sweep(ctx context.Context, tenantID string, now time.Time, h *catalog.Holding, rules compactor.Config) error {
	var errs []error
	for _, list := range compactor.Sweep(now, h.Blocks, rules) {
		for _, r := range list {
			ok, err := w.verify(ctx, tenantID, r.By, h)
			if ok && err == nil {
				err = w.remove(ctx, tenantID, r.ID, "replaced", "by", r.By)
			}
			if err != nil {
				errs = append(errs, err)
			}
			if !ok || err != nil {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// verify tells whether a merged block can be read, before what it replaced goes.
// One that cannot is removed if its inputs are all there, which then serve again.
func (w *Worker) verify(ctx context.Context, tenantID string, id block.ID, h *catalog.Holding) (bool, error) {
	if w.verified[id] {
		return true, nil
	}
	_, err := block.Open(ctx, w.b, tenantID, id, block.OpenOptions{})
	var damage *block.CorruptError
	switch {
	case err == nil:
		w.verified[id] = true
		return true, nil
	case !errors.As(err, &damage) && !errors.Is(err, bucket.ErrNotFound):
		return false, err
	case !catalog.Replaceable(h.Metas(), id):
		return false, fmt.Errorf("merged block cannot be read, and not all of its inputs are there: restore it from a backup: %w", err)
	}
	w.log.Error("merged block cannot be read, its inputs serve again", "tenant", tenantID, "block", id, "err", err)
	return false, w.remove(ctx, tenantID, id, "damaged")
}

// retain removes blocks that are older than the retention, some time after they
// left the index; also those that cannot be read.
func (w *Worker) retain(ctx context.Context, tenantID string, now time.Time, h *catalog.Holding, over []*block.Meta, rules compactor.Config) error {
	start := time.Now()
	defer func() { w.m.retention.Observe(time.Since(start).Seconds()) }()
	for _, m := range over {
		if w.unlisted[m.ID].IsZero() {
			w.unlisted[m.ID] = now
		}
		if now.Sub(w.unlisted[m.ID]) < w.notice() || !compactor.Due(now, m, rules) {
			continue
		}
		if err := w.remove(ctx, tenantID, m.ID, "retention", "end", m.End); err != nil {
			return err
		}
	}
	for _, d := range h.Damaged {
		if rules.Retention > 0 && now.Sub(d.Modified) > rules.Retention+rules.Delay {
			if err := w.remove(ctx, tenantID, d.ID, "retention", "damage", d.Err); err != nil {
				return err
			}
		}
	}
	return nil
}

// clear removes what uploads and deletions that died have left. Somebody may
// have taken one up again since the bucket was listed, so each is looked at once
// more.
func (w *Worker) clear(ctx context.Context, tenantID string, now time.Time, h *catalog.Holding, rules compactor.Config) error {
	for _, id := range compactor.Abandoned(now, h.Unfinished, rules) {
		alive := false
		err := w.b.List(ctx, block.Path(tenantID, id), func(o bucket.Object) error {
			alive = alive || now.Sub(o.Modified) < rules.Abandon || o.Name == block.Path(tenantID, id)+block.MetaName
			return nil
		})
		if err != nil {
			return err
		}
		if alive {
			continue
		}
		if err := w.remove(ctx, tenantID, id, "abandoned"); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a block and says so.
func (w *Worker) remove(ctx context.Context, tenantID string, id block.ID, why string, more ...any) error {
	if err := block.Delete(ctx, w.b, tenantID, id); err != nil {
		w.m.retentionErrors.Inc()
		return err
	}
	w.m.deleted.WithLabelValues(why).Inc()
	w.log.Info("removed block", append([]any{"tenant", tenantID, "block", id, "why", why}, more...)...)
	return nil
}

// prune forgets what was remembered of blocks that are gone.
func (w *Worker) prune() {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := map[block.ID]bool{}
	for _, h := range w.holding {
		for i := range h.Blocks {
			there[h.Blocks[i].Meta.ID] = true
		}
		for _, d := range h.Damaged {
			there[d.ID] = true
		}
	}
	for _, known := range []map[block.ID]bool{w.verified, w.damaged, w.unfit} {
		maps.DeleteFunc(known, func(id block.ID, _ bool) bool { return !there[id] })
	}
	maps.DeleteFunc(w.unlisted, func(id block.ID, _ time.Time) bool { return !there[id] })
	now := w.cfg.Now()
	for hash, b := range w.retry {
		if now.Sub(b.until) > maxBackoff {
			delete(w.retry, hash)
		}
	}
}
