package recent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// tmpSuffix ends the names of folders of unfinished blocks.
const tmpSuffix = ".tmp"

// Run cuts, seals, ships and tidies until ctx ends. Errors are logged and counted,
// and what failed is tried again at the next tick. On return nothing of the store
// runs; call Flush before to leave no spans behind in the log.
func (s *Store) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.shipLoop(ctx)
	}()
	tick := time.NewTicker(s.cfg.Tick)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.work:
		case <-tick.C:
		}
		s.turn(ctx)
	}
	<-done
	return nil
}

// turn cuts what is due and seals what is cut.
func (s *Store) turn(ctx context.Context) {
	for _, t := range s.all() {
		if ctx.Err() != nil {
			return
		}
		if due, aged := s.due(t); due {
			if err := s.cut(ctx, t, aged); err != nil {
				s.failed("cut", t.id, err)
				continue
			}
		}
		if err := s.sealAll(t); err != nil {
			s.failed("seal", t.id, err)
		}
		t.relax(s.cfg.Now().UnixNano(), s.liveSince())
	}
	if err := s.restWriter(s.cfg.Now().UnixNano()); err != nil {
		s.failed("rest", "", err)
	}
}

// idle is how long nothing is done before the memory for it goes.
const idle = int64(10 * time.Second)

// relax frees what a tenant that sends nothing has only for its next spans, and
// what is known of its traces when none of them lives any more.
func (t *tenantState) relax(now, since int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now-t.pushed <= idle || len(t.sealing) > 0 {
		return
	}
	t.spare = nil
	if t.head.rows == 0 && cap(t.head.trace) > 0 {
		t.head, t.snap = newHead(), nil
	}
	if t.pushed <= since {
		t.past = memory{}
	}
}

// writing is the writer of blocks, which is made when it is needed. The caller
// holds sealMu.
func (s *Store) writing() (*block.Writer, error) {
	s.wrote = s.cfg.Now().UnixNano()
	if s.writer != nil {
		return s.writer, nil
	}
	var err error
	s.writer, err = block.NewWriter(block.WriterOptions{Level: s.cfg.Level})
	return s.writer, err
}

// restWriter frees the writer and its buffers, which are as large as the largest
// block, when no block was written for a while.
func (s *Store) restWriter(now int64) error {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	if s.writer == nil || now-s.wrote <= idle {
		return nil
	}
	err := s.writer.Close()
	s.writer = nil
	return err
}

func (s *Store) failed(step, tenantID string, err error) {
	s.m.failed.WithLabelValues(step).Inc()
	s.log.Warn("recent spans: "+step+" failed, will be tried again", "tenant", tenantID, "err", err)
}

func (s *Store) shipLoop(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Tick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.shipNow:
		case <-tick.C:
		}
		for _, t := range s.all() {
			if err := s.shipAll(ctx, t); err != nil && ctx.Err() == nil {
				s.failed("ship", t.id, err)
			}
			s.tidy(t)
		}
	}
}

// due tells whether the head should be cut, and whether only for its age.
func (s *Store) due(t *tenantState) (due, aged bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.head
	switch {
	case h.rows == 0:
		return false, false
	case h.rows >= s.cfg.MaxRows || int64(h.bytes) >= s.cfg.TenantBytes/2:
		return true, false
	}
	aged = s.cfg.Now().UnixNano()-h.oldest >= int64(s.cfg.MaxAge)
	return aged, aged
}

// cut takes the head away from the pushes and starts a new one. holdBack leaves
// the traces that are still growing to the new one.
func (s *Store) cut(ctx context.Context, t *tenantState, holdBack bool) error {
	id, err := block.NewID()
	if err != nil {
		return err
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.isClosed() {
		return ErrClosed
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.head.rows == 0 { // somebody else was faster
		return nil
	}
	var held []trace.ID
	if holdBack {
		held = t.growing(s.cfg.Now().Add(-s.cfg.HoldBack).UnixNano())
	}
	segment, err := s.wal.Rotate()
	if err != nil {
		return fmt.Errorf("cut head: %w", err)
	}
	// An end of ctx must not leave it open whether the record is there.
	if err := s.wal.Append(context.WithoutCancel(ctx), appendCut(nil, t.id, id, held)); err != nil {
		return fmt.Errorf("cut head: %w", err)
	}
	s.segment.Store(segment)
	return s.take(t, id, held, segment)
}

// growing lists the traces that got a span since a time and were not held back
// before; none when they are most of the head.
func (t *tenantState) growing(since int64) []trace.ID {
	var out []trace.ID
	for i, at := range t.head.touched {
		if at > since && !t.held[t.head.ids[i]] {
			out = append(out, t.head.ids[i])
		}
	}
	if 2*len(out) > len(t.head.ids) {
		return nil
	}
	return out
}

// take moves the head to sealing. It does the same when the log is replayed.
func (s *Store) take(t *tenantState, id block.ID, held []trace.ID, after uint64) error {
	old := t.head
	cols := old.columns()
	c := &sealing{id: id, head: old, cols: cols, floor: t.floor, after: after, bytes: int64(old.bytes), lent: t.lent}
	c.seg = newSegment(cols, c.bytes, old.knownOf(cols))
	t.head, t.spare, t.lent, t.snap = t.spare, nil, false, nil
	if t.head == nil {
		t.head = newHead()
	}
	t.past = t.past.after(old, held, s.cfg.Limits(t.id).Traces > 0, s.liveSince(), int64(s.cfg.HoldBack))
	clear(t.held)
	if len(held) > 0 {
		otlp, err := c.hold(held)
		if err != nil {
			return err
		}
		t.floor = c.floor
		if _, _, err := t.head.add(otlp, old.newest); err != nil {
			return fmt.Errorf("hold back traces: %w", err)
		}
		s.bytes.Add(int64(len(otlp)))
		for _, id := range held {
			t.held[id] = true
		}
	}
	t.sealing = append(t.sealing, c)
	return nil
}

// hold marks the traces that stay out of the block and returns their spans.
func (c *sealing) hold(held []trace.ID) ([]byte, error) {
	mark := make([]bool, len(c.cols.IDs))
	for _, id := range held {
		if no, ok := c.head.findTrace(id); ok {
			mark[no] = true
		}
	}
	var rows []uint32
	for row, no := range c.cols.Trace {
		if mark[no] {
			rows = append(rows, uint32(row))
		}
	}
	var out trace.Builder
	err := c.cols.EachSpan(rows, func(r columnar.RawSpan) error {
		out.SetResource(&c.cols.Resources[r.Resource])
		out.SetScope(&c.cols.Scopes[r.Scope])
		_, err := out.Add(r.Span)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("hold back traces: %w", err)
	}
	c.cols.Held = mark
	return out.Append(nil), nil
}

// sealAll makes blocks of what was cut.
func (s *Store) sealAll(t *tenantState) error {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	for {
		t.mu.Lock()
		if len(t.sealing) == 0 {
			t.mu.Unlock()
			return nil
		}
		c := t.sealing[0]
		t.mu.Unlock()
		b, err := s.seal(t.id, c)
		if err != nil {
			return err
		}
		s.sealed(t, c, b)
		if err := s.trim(); err != nil {
			return err
		}
	}
}

// seal writes one block and gives it its name. It returns nil when every trace
// was held back.
func (s *Store) seal(tenantID string, c *sealing) (*localBlock, error) {
	final := filepath.Join(s.blocksDir(), tenantID, c.id)
	tmp := final + tmpSuffix
	if err := os.RemoveAll(tmp); err != nil {
		return nil, fmt.Errorf("seal block: %w", err)
	}
	w, err := s.writing()
	if err != nil {
		return nil, fmt.Errorf("seal block: %w", err)
	}
	m, err := w.Seal(tmp, c.cols, block.SealOptions{Tenant: tenantID, ID: c.id, Created: s.cfg.Now()})
	if err != nil {
		return nil, err
	}
	if m.Spans == 0 {
		return nil, os.RemoveAll(tmp)
	}
	if err := os.Rename(tmp, final); err != nil {
		return nil, fmt.Errorf("seal block: %w", err)
	}
	if err := syncDir(filepath.Dir(final)); err != nil {
		return nil, err
	}
	if err := syncDir(s.blocksDir()); err != nil {
		return nil, err
	}
	open, err := block.Open(context.Background(), s.bucket, tenantID, c.id, block.OpenOptions{Meta: m, Cache: s.cache})
	if err != nil {
		return nil, err
	}
	s.m.sealed.Inc()
	return &localBlock{meta: m, open: open, after: c.after}, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// sealed puts the block in the place of its head.
func (s *Store) sealed(t *tenantState, c *sealing, b *localBlock) {
	t.mu.Lock()
	t.sealing = t.sealing[1:]
	if b != nil {
		t.blocks = append(t.blocks[:len(t.blocks):len(t.blocks)], b)
	}
	// Only a tenant that fills its heads soon needs the memory again.
	if !c.lent && t.spare == nil && 4*c.cols.Rows >= s.cfg.MaxRows {
		c.head.reset()
		t.spare = c.head
	}
	t.mu.Unlock()
	s.release(c.bytes)
	signal(s.shipNow)
}

// trim drops the log segments whose spans are all in blocks.
func (s *Store) trim() error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.isClosed() {
		return nil
	}
	if err := s.wal.RemoveBefore(s.floor()); err != nil {
		return fmt.Errorf("trim log: %w", err)
	}
	return nil
}

// floor is the first log segment with spans that are in no block.
func (s *Store) floor() uint64 {
	floor := s.segment.Load()
	for _, t := range s.all() {
		t.mu.Lock()
		if t.head.rows > 0 {
			floor = min(floor, t.floor)
		}
		for _, c := range t.sealing {
			floor = min(floor, c.floor)
		}
		t.mu.Unlock()
	}
	return floor
}

// shippedName is the file that says that a block is in the bucket.
const shippedName = "shipped"

// shipAll sends the tenant's blocks that are not in the bucket yet.
func (s *Store) shipAll(ctx context.Context, t *tenantState) error {
	if s.cfg.Ship == nil {
		return nil
	}
	s.shipMu.Lock()
	defer s.shipMu.Unlock()
	t.mu.Lock()
	list := t.blocks
	t.mu.Unlock()
	for _, b := range list {
		if !b.shippedAt(t).IsZero() {
			continue
		}
		dir, began := filepath.Join(s.blocksDir(), t.id, b.meta.ID), s.cfg.Now()
		if err := s.cfg.Ship(ctx, t.id, dir, b.meta); err != nil {
			return fmt.Errorf("ship block %s: %w", b.meta.ID, err)
		}
		if err := markShipped(dir); err != nil {
			return err
		}
		t.mu.Lock()
		b.shipped = s.cfg.Now()
		t.mu.Unlock()
		s.m.shipped.Inc()
		s.log.Info("shipped block", "tenant", t.id, "block", b.meta.ID, "spans", b.meta.Spans, "bytes", b.meta.Bytes(),
			"took", b.shippedAt(t).Sub(began).Round(time.Millisecond))
	}
	return nil
}

func (b *localBlock) shippedAt(t *tenantState) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return b.shipped
}

func markShipped(dir string) error {
	f, err := os.Create(filepath.Join(dir, shippedName))
	if err != nil {
		return fmt.Errorf("note shipped block: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("note shipped block: %w", err)
	}
	return syncDir(dir)
}

// grace is how long a block's files outlive its last appearance in an answer.
const grace = time.Minute

// tidy lets go of shipped blocks: first from the answers, later from the disk, and
// not before the log has forgotten their spans.
func (s *Store) tidy(t *tenantState) {
	now, floor := s.cfg.Now(), s.floor()
	t.mu.Lock()
	var keep, drop []*localBlock
	for _, b := range t.blocks {
		switch {
		case b.shipped.IsZero() || now.Sub(b.shipped) < s.cfg.KeepLocal:
		case b.gone.IsZero():
			b.gone = now
		case now.Sub(b.gone) >= grace && floor >= b.after:
			drop = append(drop, b)
			continue
		}
		keep = append(keep, b)
	}
	t.blocks = keep
	t.mu.Unlock()
	for _, b := range drop {
		s.cache.Forget(b.meta.ID)
		if err := os.RemoveAll(filepath.Join(s.blocksDir(), t.id, b.meta.ID)); err != nil {
			s.failed("tidy", t.id, err)
		}
	}
}

// Flush makes blocks of all spans and ships them.
func (s *Store) Flush(ctx context.Context) error {
	var errs []error
	for _, t := range s.all() {
		t.mu.Lock()
		rows := t.head.rows
		t.mu.Unlock()
		if rows > 0 {
			if err := s.cut(ctx, t, false); err != nil {
				errs = append(errs, fmt.Errorf("flush tenant %s: %w", t.id, err))
				continue
			}
		}
		if err := errors.Join(s.sealAll(t), s.shipAll(ctx, t)); err != nil {
			errs = append(errs, fmt.Errorf("flush tenant %s: %w", t.id, err))
		}
	}
	return errors.Join(errs...)
}
