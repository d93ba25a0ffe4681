package recent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket/local"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/wal"
)

// Config of a store. Zero values mean the defaults, which suit a laptop.
type Config struct {
	// Dir is the folder of the store: its log and its blocks.
	Dir string
	// MaxRows is the number of spans at which a head is cut. Default 131,072.
	MaxRows int
	// MaxAge is how long the oldest span may wait for its block. Default 5m.
	MaxAge time.Duration
	// HoldBack keeps traces that got a span this recently out of a cut that age
	// asked for, so that few traces are split. Default 5s.
	HoldBack time.Duration
	// TenantBytes and NodeBytes bound the spans (in OTLP bytes) that are not yet
	// in a block. Defaults 128 MiB and 256 MiB.
	TenantBytes, NodeBytes int64
	// Limits is what a tenant may have here, asked for at each push; nil is no limit.
	Limits func(tenantID string) Limits
	// PushWait is how long a push waits for room before it is refused. Default 2s.
	PushWait time.Duration
	// KeepLocal is how long a shipped block stays here, so that readers find it
	// in the bucket before it is gone. Default 15m.
	KeepLocal time.Duration
	// Ship sends a finished block away; nil keeps blocks here for good. It may be
	// called again for the same block after an error or a crash.
	Ship func(ctx context.Context, tenantID, dir string, m *block.Meta) error
	// Tick is how often ages are looked at. Default 1s.
	Tick time.Duration
	// Level is the zstd level of blocks. Default 1: they will be merged.
	Level int
	// CacheBytes is for reading local blocks. Default 32 MiB.
	CacheBytes int64
	// Now replaces time.Now.
	Now func() time.Time
	// WAL is handed to the log.
	WAL wal.Options
}

func (c *Config) setDefaults() {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	if c.MaxRows <= 0 {
		c.MaxRows = 131072
	}
	dur(&c.MaxAge, 5*time.Minute)
	dur(&c.HoldBack, 5*time.Second)
	dur(&c.PushWait, 2*time.Second)
	dur(&c.KeepLocal, 15*time.Minute)
	dur(&c.Tick, time.Second)
	def(&c.TenantBytes, 128<<20)
	def(&c.NodeBytes, 256<<20)
	def(&c.CacheBytes, 32<<20)
	if c.Level <= 0 {
		c.Level = 1
	}
	if c.Limits == nil {
		c.Limits = func(string) Limits { return Limits{} }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// ExhaustedError refuses a push because too many spans wait for their block.
// Nothing of the push was kept.
type ExhaustedError struct {
	Tenant     string
	What       string // "tenant" or "node"
	Bytes, Max int64
	RetryAfter time.Duration
}

// Error implements error.
func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("recent spans of tenant %s: the %s holds %d bytes of at most %d; retry in %s", e.Tenant, e.What, e.Bytes, e.Max, e.RetryAfter)
}

// RetryIn says when to try again.
func (e *ExhaustedError) RetryIn() time.Duration { return e.RetryAfter }

// ErrClosed is returned after Close.
var ErrClosed = errors.New("recent store is closed")

// Store keeps the recent spans of all tenants. Safe for concurrent use.
type Store struct {
	cfg     Config
	log     *slog.Logger
	m       *metrics
	wal     *wal.Log
	bucket  *local.Bucket
	cache   *block.Cache
	bytes   atomic.Int64  // in heads and sealings
	records sync.Pool     // *[]byte
	batches sync.Pool     // *trace.Batch
	segment atomic.Uint64 // all later records are in this log segment or a later one
	refuses atomic.Bool   // the log took nothing the last time

	// gate keeps cuts and pushes apart: between the moment a record is in the log
	// and the moment it is in the head, no cut may fall. Lock order: gate, mu,
	// tenantState.mu.
	gate    sync.RWMutex
	mu      sync.Mutex
	tenants map[string]*tenantState
	closed  bool
	room    chan struct{} // closed and replaced when bytes went down

	work chan struct{} // a head is full

	sealMu  sync.Mutex    // one seal at a time
	writer  *block.Writer // nil until it is needed
	wrote   int64         // when it was used last, Unix ns
	shipMu  sync.Mutex
	shipNow chan struct{}
}

// tenantState is what the store holds of one tenant.
type tenantState struct {
	id string

	mu      sync.Mutex
	head    *head
	floor   uint64 // first log segment with spans of the head
	pushed  int64  // time of the last push, Unix ns
	lent    bool   // a snapshot of the head was taken
	spare   *head
	held    map[trace.ID]bool // held back once already
	past    memory            // of live traces with spans in earlier heads
	sealing []*sealing
	blocks  []*localBlock
	snap    *segment // of head at its number of rows
	snapAt  int
}

// sealing is a head that was cut and is not yet a block.
type sealing struct {
	id    block.ID
	head  *head
	cols  *block.Columns
	seg   *segment
	floor uint64
	after uint64 // log segment that starts behind the cut
	bytes int64
	lent  bool
}

// localBlock is a finished block in the store's folder.
type localBlock struct {
	meta    *block.Meta
	open    *block.Block
	after   uint64
	shipped time.Time
	gone    time.Time // left out of answers since
}

// Open opens the folder and replays the log: everything that was acknowledged is
// there on return. Run must be running for heads to become blocks.
func Open(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	cfg.setDefaults()
	s := &Store{cfg: cfg, log: log, tenants: map[string]*tenantState{}, room: make(chan struct{}), cache: block.NewCache(cfg.CacheBytes),
		work: make(chan struct{}, 1), shipNow: make(chan struct{}, 1)}
	var err error
	if s.m, err = newMetrics(s, reg); err != nil {
		return nil, fmt.Errorf("open recent store: %w", err)
	}
	if s.bucket, err = local.Open(s.blocksDir()); err != nil {
		return nil, fmt.Errorf("open recent store: %w", err)
	}
	if s.wal, err = wal.Open(filepath.Join(cfg.Dir, "wal"), cfg.WAL); err != nil {
		return nil, fmt.Errorf("open recent store: %w", err)
	}
	if err = s.restore(); err != nil {
		_ = s.wal.Close()
		return nil, fmt.Errorf("open recent store: %w", err)
	}
	return s, nil
}

func (s *Store) blocksDir() string { return filepath.Join(s.cfg.Dir, "blocks") }

// tenant returns the state of a tenant, making it when it is new.
func (s *Store) tenant(id string) (*tenantState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[id]
	if t != nil {
		return t, nil
	}
	if err := tenant.Valid(id); err != nil {
		return nil, err
	}
	t = &tenantState{id: id, head: newHead(), held: map[trace.ID]bool{}}
	s.tenants[id] = t
	return t, nil
}

// all lists the tenants in a fixed order.
func (s *Store) all() []*tenantState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Collect(maps.Values(s.tenants))
	slices.SortFunc(out, func(a, b *tenantState) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return out
}

// Push keeps the spans of an export request. When it returns nil they are
// durable, and every question asked from now on sees them. Errors: a
// *trace.MalformedError when the bytes are no OTLP, an [*ExhaustedError] when
// there is no room, one that wraps wal.ErrFull when the disk is full; nothing was
// kept then. A [*RefusedError] names traces that are over a limit of the tenant;
// all others were kept. After an error of ctx the spans may or may not have been
// kept.
func (s *Store) Push(ctx context.Context, tenantID string, otlp []byte) error {
	t, err := s.tenant(tenantID)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	if err := trace.Walk(otlp, framing{}); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	otlp, refused, err := s.within(t, otlp)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	if len(otlp) > 0 {
		err = s.keep(ctx, t, otlp)
	}
	if err == nil && refused != nil {
		return refused
	}
	return err
}

// keep makes spans durable and visible.
func (s *Store) keep(ctx context.Context, t *tenantState, otlp []byte) error {
	if err := s.admit(ctx, t, int64(len(otlp))); err != nil {
		s.m.refused.Inc()
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	if err := s.record(ctx, t.id, otlp); err != nil {
		s.release(int64(len(otlp)))
		return fmt.Errorf("push: %w", err)
	}
	return s.append(t, otlp, s.segment.Load())
}

// maxRecord is the largest record buffer that is kept for the next push.
const maxRecord = 1 << 20

// record makes a push durable.
func (s *Store) record(ctx context.Context, tenantID string, otlp []byte) error {
	if s.isClosed() {
		return ErrClosed
	}
	buf, ok := s.records.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	*buf = appendPush((*buf)[:0], tenantID, otlp)
	err := s.wal.Append(ctx, *buf) // does not keep it
	s.tell(ctx, err)
	if cap(*buf) <= maxRecord {
		s.records.Put(buf)
	}
	return err
}

// tell says once that the log takes nothing, as on a full disk, and once that it
// does again.
func (s *Store) tell(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil, errors.Is(err, wal.ErrTooLarge), err != nil && s.isClosed():
	case err != nil && s.refuses.CompareAndSwap(false, true):
		s.log.Error("recent spans: the log cannot be written, spans are refused", "err", err)
	case err == nil && s.refuses.Load() && s.refuses.CompareAndSwap(true, false):
		s.log.Info("recent spans: the log can be written again, spans are taken")
	}
}

// framing accepts everything; the walk itself checks the frame of the message.
type framing struct{}

// Resource implements trace.Visitor.
func (framing) Resource(*trace.Group) error { return nil }

// Scope implements trace.Visitor.
func (framing) Scope(*trace.Group) error { return nil }

// Span implements trace.Visitor.
func (framing) Span([]byte) error { return nil }

// append adds spans that are in the log to the head.
func (s *Store) append(t *tenantState, otlp []byte, floor uint64) error {
	t.mu.Lock()
	if t.head.rows == 0 {
		t.floor = floor
	}
	t.pushed = s.cfg.Now().UnixNano()
	spans, rejected, err := t.head.add(otlp, t.pushed)
	full := t.head.rows >= s.cfg.MaxRows
	t.mu.Unlock()
	s.m.spans.Add(float64(spans))
	s.m.rejected.Add(float64(rejected))
	if full {
		signal(s.work)
	}
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// admit reserves room for n bytes, waiting a little for it.
func (s *Store) admit(ctx context.Context, t *tenantState, n int64) error {
	var timeout <-chan time.Time
	for {
		refused := s.reserve(t, n)
		if refused == nil {
			return nil
		}
		signal(s.work)
		if timeout == nil {
			timer := time.NewTimer(s.cfg.PushWait)
			defer timer.Stop()
			timeout = timer.C
		}
		s.mu.Lock()
		room := s.room
		s.mu.Unlock()
		if again := s.reserve(t, n); again == nil {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return refused
		}
	}
}

// reserve counts n bytes in when there is room for them. An empty store takes
// anything, so that no request is too large for ever.
func (s *Store) reserve(t *tenantState, n int64) *ExhaustedError {
	if have := t.waiting(); have > 0 && have+n > s.cfg.TenantBytes {
		return &ExhaustedError{t.id, "tenant", have, s.cfg.TenantBytes, time.Second}
	}
	for {
		have := s.bytes.Load()
		if have > 0 && have+n > s.cfg.NodeBytes {
			return &ExhaustedError{t.id, "node", have, s.cfg.NodeBytes, time.Second}
		}
		if s.bytes.CompareAndSwap(have, have+n) {
			return nil
		}
	}
}

// waiting is the number of bytes of the tenant that are not in a block.
func (t *tenantState) waiting() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := int64(t.head.bytes)
	for _, c := range t.sealing {
		n += c.bytes
	}
	return n
}

// release counts bytes out and wakes pushes that wait for room.
func (s *Store) release(n int64) {
	s.bytes.Add(-n)
	s.mu.Lock()
	close(s.room)
	s.room = make(chan struct{})
	s.mu.Unlock()
}

// Close stops taking spans and closes the log. What is not in a block yet is
// replayed from the log at the next Open. Stop Run first.
func (s *Store) Close() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	s.m.unregister()
	err := s.wal.Close()
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	if s.writer != nil {
		err = errors.Join(err, s.writer.Close())
		s.writer = nil
	}
	return err
}
