package backendworker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/compactor"
)

// Owner says which jobs fall to this worker: the place of a job in the ring is
// its hash. It is asked again for each job.
type Owner interface{ Owns(hash uint32) bool }

// Config of a worker. Zero values mean the defaults, except Dir.
type Config struct {
	// Dir is a folder for merges under way. What is left in it from an earlier
	// process is removed.
	Dir string
	// Every is the length of a cycle. Default 30s.
	Every time.Duration
	// Poll and Stale are those of the catalogs that read this bucket: no block is
	// removed before every reader had time to notice that it need not read it.
	// Defaults as there.
	Poll, Stale time.Duration
	// Merges is how many merges go on at once. Default 1.
	Merges int
	// Compaction is the rules for all tenants.
	Compaction compactor.Config
	// Tenant gives the rules for one tenant, from those for all, and whether its
	// blocks are merged at all. nil: the same for all.
	Tenant func(tenantID string, all compactor.Config) (c compactor.Config, merge bool)
	// Now replaces time.Now.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	if c.Every <= 0 {
		c.Every = 30 * time.Second
	}
	if c.Poll <= 0 {
		c.Poll = 30 * time.Second
	}
	if c.Stale <= 0 {
		c.Stale = catalog.StaleAfter(c.Poll)
	}
	c.Merges = max(c.Merges, 1)
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Worker keeps a bucket tidy. Run it once.
type Worker struct {
	cfg   Config
	b     bucket.Bucket
	owner Owner
	log   *slog.Logger
	m     *metrics

	mu      sync.Mutex // guards all below; not held while the bucket works
	holding map[string]*catalog.Holding
	busy    map[uint32]bool     // jobs under way
	retry   map[uint32]*backoff // jobs that failed
	unfit   map[block.ID]bool   // blocks that a merge could not read
	last    string              // tenant of the last merge
	fresh   chan struct{}       // closed and replaced when holding was scanned anew

	scanMu  sync.Mutex
	scanner *catalog.Scanner

	// Of the upkeep loop only.
	indexes  map[string]*written
	verified map[block.ID]bool
	damaged  map[block.ID]bool      // that were named
	unlisted map[block.ID]time.Time // over the retention, since when they are in no index
}

// backoff is how long a job rests after failing.
type backoff struct {
	times int
	until time.Time
}

// New makes a worker; reg may be nil.
func New(cfg Config, b bucket.Bucket, owner Owner, log *slog.Logger, reg prometheus.Registerer) (*Worker, error) {
	cfg.setDefaults()
	w := &Worker{cfg: cfg, b: b, owner: owner, log: log, holding: map[string]*catalog.Holding{}, busy: map[uint32]bool{},
		retry: map[uint32]*backoff{}, unfit: map[block.ID]bool{}, fresh: make(chan struct{}), scanner: catalog.NewScanner(b),
		indexes: map[string]*written{}, verified: map[block.ID]bool{}, damaged: map[block.ID]bool{}, unlisted: map[block.ID]time.Time{}}
	var err error
	if w.m, err = newMetrics(reg); err != nil {
		return nil, fmt.Errorf("open backend worker: %w", err)
	}
	return w, nil
}

// notice is the time in which every reader learns of a change: an index may be
// believed until it is stale, and what was read is used until the next poll.
func (w *Worker) notice() time.Duration { return w.cfg.Stale + 2*w.cfg.Poll }

// rules are those of one tenant; readers have time to notice, however short the
// configured delay is.
func (w *Worker) rules(tenantID string) (compactor.Config, bool) {
	c, merge := w.cfg.Compaction, true
	if w.cfg.Tenant != nil {
		c, merge = w.cfg.Tenant(tenantID, c)
	}
	c = c.WithDefaults()
	c.Delay = max(c.Delay, w.notice())
	return c, merge
}

// Run works until ctx ends. What fails is logged, counted and tried again; the
// only error is a scratch folder that cannot be used.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.clearScratch(); err != nil {
		return fmt.Errorf("backend worker: %w; set its folder to one that this process may write to", err)
	}
	w.scanMu.Lock()
	err := w.scanner.Learn(ctx)
	w.scanMu.Unlock()
	if err != nil && ctx.Err() == nil {
		w.log.Warn("indexes could not be read, all blocks are listed", "err", err)
	}
	var wg sync.WaitGroup
	for range w.cfg.Merges {
		wg.Go(func() { w.mergeLoop(ctx) })
	}
	w.upkeepLoop(ctx)
	wg.Wait()
	return nil
}

const scratchPrefix = "merge-"

// clearScratch removes what an earlier process left.
func (w *Worker) clearScratch() error {
	if err := os.MkdirAll(w.cfg.Dir, 0o755); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(w.cfg.Dir, scratchPrefix+"*"))
	for _, dir := range left {
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}
	return err
}

// scan looks what there is of one tenant, or of all.
func (w *Worker) scan(ctx context.Context, tenantID string) error {
	w.scanMu.Lock()
	defer w.scanMu.Unlock()
	held, err := w.scanner.Scan(ctx, tenantID)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if tenantID == "" {
		w.holding = held
	} else if h := held[tenantID]; h != nil {
		w.holding[tenantID] = h
	} else {
		delete(w.holding, tenantID)
	}
	close(w.fresh)
	w.fresh = make(chan struct{})
	return nil
}

// tenants lists the tenants of the last scan, sorted.
func (w *Worker) tenants() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.holding))
}

// held is what the last scan found of a tenant; an empty holding for nothing.
func (w *Worker) held(tenantID string) *catalog.Holding {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.holding[tenantID]; h != nil {
		return h
	}
	return new(catalog.Holding)
}
