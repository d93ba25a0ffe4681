// Package catalog knows which blocks exist now.
//
// A [Catalog] looks into the bucket again and again and keeps the metadata of
// every block in memory; blocks never change, so a look reads only what is new.
// Readers see an immutable list behind an atomic pointer. One process – whoever
// owns the job – writes what it saw as index objects, and the others read those
// instead of listing the bucket.
//
// A block that a merge replaced is left out of [Catalog.Blocks] from the moment
// the merged block is seen, so no span is found twice however slowly the old
// blocks are deleted.
//
// It opens blocks on request and shares them ([Catalog.Open]), with one bounded
// cache for all. It deletes nothing (see package compactor).
package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/tenant"
)

// Config of a catalog. Zero values mean the defaults.
type Config struct {
	// Poll is the time between looks. Default 30s.
	Poll time.Duration
	// WriteIndex makes this process write the index objects.
	WriteIndex bool
	// ReadIndex trusts index objects younger than this instead of listing; 0
	// lists always.
	ReadIndex time.Duration
	// FewReads says that the bucket is object storage; see block.OpenOptions.
	FewReads bool
	// CacheBytes bounds what open blocks keep decoded. Default 128 MiB.
	CacheBytes int64
	// MaxOpen is how many blocks stay open. Default 512.
	MaxOpen int
	// Now replaces time.Now.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	if c.Poll <= 0 {
		c.Poll = 30 * time.Second
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = 128 << 20
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = 512
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Catalog is the list of blocks. Safe for concurrent use.
type Catalog struct {
	cfg    Config
	bucket bucket.Bucket
	log    *slog.Logger
	cache  *block.Cache
	list   atomic.Pointer[list]
	looks  sync.Mutex // one look at a time

	errors  prometheus.Counter
	damaged prometheus.Gauge

	mu   sync.Mutex
	open map[string]*opened
	tick int64
}

// opened is an open block and when it was last asked for.
type opened struct {
	b    *block.Block
	used int64
}

// list is what one look saw; it never changes.
type list struct {
	at      time.Time
	tenants map[string]*blocks
	damaged map[string]error // by tenant/id: metas that cannot be read
}

// blocks are the blocks of one tenant, by id.
type blocks struct {
	all    []*block.Meta // sorted by id
	live   []*block.Meta // without the replaced ones
	hidden map[block.ID]block.ID
}

// Open makes a catalog; the first look is Refresh's or Run's.
func Open(b bucket.Bucket, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Catalog, error) {
	cfg.setDefaults()
	c := &Catalog{cfg: cfg, bucket: b, log: log, cache: block.NewCache(cfg.CacheBytes), open: map[string]*opened{}}
	c.list.Store(&list{})
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "tempod", Subsystem: "catalog", Name: name, Help: help}
	}
	c.errors = prometheus.NewCounter(prometheus.CounterOpts(opts("refresh_failures_total", "Looks into the bucket that failed.")))
	c.damaged = prometheus.NewGauge(prometheus.GaugeOpts(opts("damaged_blocks", "Blocks whose metadata cannot be read.")))
	count := prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts("blocks", "Blocks that answer questions.")), func() float64 {
		n := 0
		for _, t := range c.list.Load().tenants {
			n += len(t.live)
		}
		return float64(n)
	})
	if reg == nil {
		return c, nil
	}
	for _, m := range []prometheus.Collector{c.errors, c.damaged, count} {
		if err := reg.Register(m); err != nil {
			return nil, fmt.Errorf("open catalog: %w", err)
		}
	}
	return c, nil
}

// Run looks into the bucket now and at every Poll until ctx ends. A look that
// fails is logged; the list of the last good one stays.
func (c *Catalog) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Poll)
	defer tick.Stop()
	for {
		if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("catalog: look into the bucket failed, the last list stays", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Refresh looks into the bucket.
func (c *Catalog) Refresh(ctx context.Context) error {
	c.looks.Lock()
	defer c.looks.Unlock()
	next, err := c.look(ctx)
	if err != nil {
		c.errors.Inc()
		return fmt.Errorf("refresh catalog: %w", err)
	}
	c.damaged.Set(float64(len(next.damaged)))
	old := c.list.Swap(next)
	c.forget(next)
	if c.cfg.WriteIndex {
		if err := c.writeIndex(ctx, old, next); err != nil {
			return fmt.Errorf("refresh catalog: %w", err)
		}
	}
	return nil
}

// look reads the index, or lists the bucket and reads the metas that are new.
func (c *Catalog) look(ctx context.Context) (*list, error) {
	if c.cfg.ReadIndex > 0 {
		l, err := c.readIndex(ctx)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, errNoIndex) {
			c.log.Warn("catalog: the index cannot be used, listing the bucket", "err", err)
		}
	}
	old := c.list.Load()
	next := &list{at: c.cfg.Now(), tenants: map[string]*blocks{}, damaged: map[string]error{}}
	found := map[string][]block.ID{}
	err := c.bucket.List(ctx, "", func(o bucket.Object) error {
		if t, id, ok := metaName(o.Name); ok {
			found[t] = append(found[t], id)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for t, ids := range found {
		var metas []*block.Meta
		for _, id := range ids {
			m, err := c.meta(ctx, old, t, id)
			switch corrupt := (*block.CorruptError)(nil); {
			case err == nil:
				metas = append(metas, m)
			case errors.Is(err, bucket.ErrNotFound): // deleted meanwhile
			case errors.As(err, &corrupt):
				next.damaged[t+"/"+id] = err
				if old.damaged[t+"/"+id] == nil {
					c.log.Error("catalog: a block is damaged and left out", "err", err)
				}
			default:
				return nil, err
			}
		}
		next.tenants[t] = newBlocks(metas)
	}
	return next, nil
}

// metaName takes the name of a meta.json apart.
func metaName(name string) (tenantID string, id block.ID, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[2] != block.MetaName || tenant.Valid(parts[0]) != nil {
		return "", "", false
	}
	return parts[0], parts[1], true
}

// meta takes a block's metadata from the last list or reads it.
func (c *Catalog) meta(ctx context.Context, old *list, tenantID string, id block.ID) (*block.Meta, error) {
	if t := old.tenants[tenantID]; t != nil {
		if m := t.find(id); m != nil {
			return m, nil
		}
	}
	return block.ReadMeta(ctx, c.bucket, tenantID, id)
}

func newBlocks(metas []*block.Meta) *blocks {
	slices.SortFunc(metas, func(a, b *block.Meta) int { return cmp.Compare(a.ID, b.ID) })
	b := &blocks{all: metas, hidden: Replaced(metas)}
	for _, m := range metas {
		if _, gone := b.hidden[m.ID]; !gone {
			b.live = append(b.live, m)
		}
	}
	return b
}

// Replaced tells which of the blocks others have replaced, and by which.
func Replaced(metas []*block.Meta) map[block.ID]block.ID {
	out := map[block.ID]block.ID{}
	for _, m := range metas {
		for _, id := range m.Replaces {
			out[id] = m.ID
		}
	}
	return out
}

func (b *blocks) find(id block.ID) *block.Meta {
	i, ok := slices.BinarySearchFunc(b.all, id, func(m *block.Meta, id block.ID) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return nil
	}
	return b.all[i]
}

// Tenants lists the tenants with blocks, sorted.
func (c *Catalog) Tenants() []string {
	var out []string
	for t := range c.list.Load().tenants {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// Blocks lists the blocks of a tenant that answer questions, by id, which is the
// order of their making. The metas are shared and must not change.
func (c *Catalog) Blocks(tenantID string) []*block.Meta {
	if t := c.list.Load().tenants[tenantID]; t != nil {
		return t.live
	}
	return nil
}

// All is Blocks with those that others have replaced.
func (c *Catalog) All(tenantID string) []*block.Meta {
	if t := c.list.Load().tenants[tenantID]; t != nil {
		return t.all
	}
	return nil
}

// Damaged lists the blocks ("tenant/id") whose metadata cannot be read and why.
func (c *Catalog) Damaged() map[string]error { return c.list.Load().damaged }

// Age is how old the list is; at first it is very old.
func (c *Catalog) Age() time.Duration { return c.cfg.Now().Sub(c.list.Load().at) }

// Open opens a block, or returns it when it is open already.
func (c *Catalog) Open(ctx context.Context, tenantID string, id block.ID) (*block.Block, error) {
	key := block.Path(tenantID, id)
	c.mu.Lock()
	c.tick++
	if o := c.open[key]; o != nil {
		o.used = c.tick
		c.mu.Unlock()
		return o.b, nil
	}
	c.mu.Unlock()
	o := block.OpenOptions{Cache: c.cache, FewReads: c.cfg.FewReads}
	if t := c.list.Load().tenants[tenantID]; t != nil {
		o.Meta = t.find(id)
	}
	b, err := block.Open(ctx, c.bucket, tenantID, id, o)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if was := c.open[key]; was != nil {
		return was.b, nil
	}
	c.open[key] = &opened{b, c.tick}
	c.evict()
	return b, nil
}

// evict lets go of the block that was not asked for the longest.
func (c *Catalog) evict() {
	for len(c.open) > c.cfg.MaxOpen {
		oldest := ""
		for k, o := range c.open {
			if oldest == "" || o.used < c.open[oldest].used {
				oldest = k
			}
		}
		c.cache.Forget(c.open[oldest].b.Meta().ID)
		delete(c.open, oldest)
	}
}

// forget lets go of open blocks that are no longer there.
func (c *Catalog) forget(l *list) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, o := range c.open {
		m := o.b.Meta()
		if t := l.tenants[m.Tenant]; t == nil || t.find(m.ID) == nil {
			c.cache.Forget(m.ID)
			delete(c.open, k)
		}
	}
}
