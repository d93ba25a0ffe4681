package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
)

// Config of a catalog. Zero values mean the defaults.
type Config struct {
	// Poll is how often the bucket is looked at. Default 30s.
	Poll time.Duration
	// Stale is the age at which an index is no longer believed and the blocks are
	// listed instead. Default [StaleAfter] of Poll.
	Stale time.Duration
	// ListEvery is how often all objects are listed although indexes are fresh,
	// to find tenants that have none. Default the same as Stale.
	ListEvery time.Duration
	// CacheBytes bounds what open blocks share: decoded dictionaries and trace
	// tables. Default 256 MiB.
	CacheBytes int64
	// OpenBytes bounds the metadata of blocks that are kept open. Default 128 MiB.
	OpenBytes int64
	// FewReads is that of block.OpenOptions: set it for object storage.
	FewReads bool
	// Now replaces time.Now.
	Now func() time.Time
}

// StaleAfter is the default of Config.Stale: ten polls.
func StaleAfter(poll time.Duration) time.Duration { return 10 * poll }

func (c *Config) setDefaults() {
	if c.Poll <= 0 {
		c.Poll = 30 * time.Second
	}
	if c.Stale <= 0 {
		c.Stale = StaleAfter(c.Poll)
	}
	if c.ListEvery <= 0 {
		c.ListEvery = c.Stale
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = 256 << 20
	}
	if c.OpenBytes <= 0 {
		c.OpenBytes = 128 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Catalog knows the blocks of a bucket and opens them. Safe for concurrent use;
// what it returns is shared and read-only.
type Catalog struct {
	cfg   Config
	b     bucket.Bucket
	log   *slog.Logger
	m     *metrics
	cache *block.Cache
	open  *shelf

	view   atomic.Pointer[view]
	failed atomic.Pointer[error] // of the last poll

	mu      sync.Mutex // one poll at a time
	scanner *Scanner
	tenants map[string]*shown
	listed  time.Time // last listing of everything
	damaged map[block.ID]bool
}

// view is what readers see: visible blocks by tenant, newest first.
type view struct {
	blocks map[string][]*block.Meta
}

// shown is what the catalog shows of one tenant, and how it knows.
type shown struct {
	blocks []*block.Meta
	asOf   time.Time     // when the bucket was like this
	index  bucket.Object // the index object that was read last
	built  time.Time     // its Built
	bad    bool          // it could not be used
}

// Open makes a catalog of a bucket; reg may be nil. Nothing is read before Run
// or Refresh.
func Open(b bucket.Bucket, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Catalog, error) {
	cfg.setDefaults()
	c := &Catalog{cfg: cfg, b: b, log: log, cache: block.NewCache(cfg.CacheBytes), scanner: NewScanner(b),
		tenants: map[string]*shown{}, damaged: map[block.ID]bool{}}
	c.open = newShelf(cfg.OpenBytes, c.cache.Forget)
	c.view.Store(&view{})
	var err error
	if c.m, err = newMetrics(c, reg); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	return c, nil
}

// Run polls at once and then every Poll, give or take a tenth, until ctx ends.
// A poll that fails is logged and counted; the catalog shows what it knew.
func (c *Catalog) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("reading the list of blocks failed, will be tried again", "err", err, "in", c.cfg.Poll)
		}
		t := time.NewTimer(c.cfg.Poll - c.cfg.Poll/10 + rand.N(c.cfg.Poll/5+1))
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// Ready is nil once the bucket was read; before, it says why not.
func (c *Catalog) Ready() error {
	switch err := c.failed.Load(); {
	case err == nil:
		return errors.New("the list of blocks was not read yet")
	case *err != nil && len(c.view.Load().blocks) == 0:
		return *err
	}
	return nil
}

// Tenants lists the tenants that have blocks, sorted.
func (c *Catalog) Tenants() []string { return slices.Sorted(maps.Keys(c.view.Load().blocks)) }

// Blocks lists the blocks of a tenant that hold each span exactly once, newest
// first. Groups and Fields of the metas are left out; open a block to see them.
func (c *Catalog) Blocks(tenantID string) []*block.Meta { return c.view.Load().blocks[tenantID] }

// Overlapping lists the blocks with spans in [start, end], in Unix ns; an end of
// 0 is open. Else as Blocks.
func (c *Catalog) Overlapping(tenantID string, start, end int64) []*block.Meta {
	var out []*block.Meta
	for _, m := range c.Blocks(tenantID) {
		if m.End.UnixNano() >= start && (end == 0 || m.Start.UnixNano() <= end) {
			out = append(out, m)
		}
	}
	return out
}

// Open returns an open block. Blocks stay open for later callers as long as
// there is room; a block that no poll has seen yet is opened all the same. Use
// it as long as you like: there is nothing to close. Errors are those of
// [block.Open].
func (c *Catalog) Open(ctx context.Context, tenantID string, id block.ID) (*block.Block, error) {
	return c.open.get(ctx, shelfKey{tenantID, id}, func() (*block.Block, error) {
		return block.Open(ctx, c.b, tenantID, id, block.OpenOptions{Cache: c.cache, FewReads: c.cfg.FewReads})
	})
}
