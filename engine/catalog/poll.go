package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
)

// Refresh polls the bucket now. On an error the catalog shows what it knew of
// the tenants that could not be read.
func (c *Catalog) Refresh(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := time.Now()
	err := c.poll(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.m.duration.Observe(time.Since(start).Seconds())
	c.publish()
	c.failed.Store(&err)
	return err
}

// poll reads the indexes that changed, and lists the blocks where an index is
// not to be believed.
func (c *Catalog) poll(ctx context.Context) error {
	indexes := map[string]bucket.Object{}
	err := c.b.List(ctx, IndexPrefix, func(o bucket.Object) error {
		if t, ok := indexTenant(o.Name); ok {
			indexes[t] = o
		}
		return nil
	})
	if err != nil {
		c.m.errors.WithLabelValues("").Inc()
		return fmt.Errorf("list indexes: %w", err)
	}
	for t, o := range indexes {
		c.readIndex(ctx, t, o)
	}
	now := c.cfg.Now()
	stale := c.stale(indexes, now)
	if now.Sub(c.listed) >= c.cfg.ListEvery || len(stale) > len(c.tenants)/2 || len(indexes) == 0 {
		return c.list(ctx, "", stale)
	}
	var errs []error
	for _, t := range stale {
		errs = append(errs, c.list(ctx, t, stale))
	}
	return errors.Join(errs...)
}

// readIndex takes over an index, unless it is the one that was read last or
// older than what is known.
func (c *Catalog) readIndex(ctx context.Context, tenantID string, o bucket.Object) {
	s := c.tenants[tenantID]
	if s == nil {
		s = new(shown)
		c.tenants[tenantID] = s
	}
	if !s.bad && s.index.Size == o.Size && s.index.Modified.Equal(o.Modified) {
		return
	}
	x, err := ReadIndex(ctx, c.b, tenantID)
	if s.bad = err != nil; s.bad {
		if ctx.Err() == nil {
			c.m.indexErrors.WithLabelValues(tenantID).Inc()
			c.log.Warn("index is not usable, listing the blocks instead", "tenant", tenantID, "err", err)
		}
		return
	}
	s.index, s.built = o, x.Built
	if !x.Built.Before(s.asOf) {
		s.blocks, s.asOf = Visible(c.scanner.learn(tenantID, x.Blocks)), x.Built
	}
}

// stale lists the tenants whose index is missing or not to be believed.
func (c *Catalog) stale(indexes map[string]bucket.Object, now time.Time) []string {
	var out []string
	for t, s := range c.tenants {
		_, there := indexes[t]
		if age := now.Sub(s.built); !there || s.bad || age > c.cfg.Stale || age < -c.cfg.Stale {
			out = append(out, t)
		}
	}
	return out
}

// list reads what there is of one tenant, or of all. A tenant whose index is
// believed stays as it is: the index leaves out what is about to be removed.
func (c *Catalog) list(ctx context.Context, tenantID string, stale []string) error {
	now := c.cfg.Now()
	held, err := c.scanner.Scan(ctx, tenantID)
	if err != nil {
		c.m.errors.WithLabelValues(tenantID).Inc()
		return err
	}
	var errs []error
	for t, h := range held {
		c.report(t, h)
		if s := c.tenants[t]; s != nil && !slices.Contains(stale, t) {
			continue
		}
		if h.Unread != nil {
			c.m.errors.WithLabelValues(t).Inc()
			errs = append(errs, fmt.Errorf("tenant %s: %w", t, h.Unread))
		}
		if c.tenants[t] == nil {
			c.tenants[t] = new(shown)
		}
		s := c.tenants[t]
		s.blocks, s.asOf = Visible(h.Metas()), now
	}
	if tenantID == "" {
		c.listed = now
	}
	for t := range c.tenants {
		if held[t] == nil && (tenantID == "" || tenantID == t) && slices.Contains(stale, t) {
			delete(c.tenants, t)
		}
	}
	return errors.Join(errs...)
}

// report names blocks that cannot be read, once until they can.
func (c *Catalog) report(tenantID string, h *Holding) {
	c.m.damaged.WithLabelValues(tenantID).Set(float64(len(h.Damaged)))
	if len(c.damaged) > 0 {
		for _, b := range h.Blocks {
			delete(c.damaged, b.Meta.ID)
		}
	}
	for _, d := range h.Damaged {
		if !c.damaged[d.ID] {
			c.log.Error("block is damaged and left out", "tenant", tenantID, "block", d.ID, "err", d.Err)
		}
		c.damaged[d.ID] = true
	}
}

// publish shows readers what the poll found, and lets go of what is gone.
func (c *Catalog) publish() {
	v := &view{blocks: make(map[string][]*block.Meta, len(c.tenants))}
	alive := map[shelfKey]bool{}
	for t, s := range c.tenants {
		if len(s.blocks) > 0 {
			v.blocks[t] = s.blocks
		}
		for _, m := range s.blocks {
			alive[shelfKey{t, m.ID}] = true
		}
	}
	c.view.Store(v)
	c.open.retire(alive)
	c.m.update(c.tenants, c.cfg.Now())
}
