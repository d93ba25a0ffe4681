package recent

import (
	"context"
	"fmt"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// snapshot is one head as a columnar.Source.
type snapshot struct {
	name string
	list []columnar.Segment
}

// Name implements columnar.Source.
func (s *snapshot) Name() string { return s.name }

// Segments implements columnar.Source.
func (s *snapshot) Segments() []columnar.Segment { return s.list }

// Sources are all recent spans of a tenant at this moment: its head, heads that
// are being sealed, and local blocks. What it returns never changes and needs no
// closing. Blocks for which without says true are left out: whoever asks reads
// them elsewhere. A span may be in two sources for a moment, when its trace was
// held back by a cut.
func (s *Store) Sources(tenantID string, without func(block.ID) bool) []columnar.Source {
	s.mu.Lock()
	t := s.tenants[tenantID]
	s.mu.Unlock()
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []columnar.Source
	if t.head.rows > 0 {
		out = append(out, &snapshot{"recent spans", []columnar.Segment{t.snapshot()}})
	}
	for _, c := range t.sealing {
		c.lent = true
		out = append(out, &snapshot{"recent spans, block " + c.id, []columnar.Segment{c.seg}})
	}
	for _, b := range t.blocks {
		if b.gone.IsZero() && (without == nil || !without(b.meta.ID)) {
			out = append(out, b.open)
		}
	}
	return out
}

// snapshot is the head as it is now; the same while nothing arrives.
func (t *tenantState) snapshot() *segment {
	if t.snap == nil || t.snapAt != t.head.rows {
		cols := t.head.columns()
		t.snap, t.snapAt, t.lent = newSegment(cols, int64(t.head.bytes), t.head.knownOf(cols)), t.head.rows, true
	}
	return t.snap
}

// FindTrace returns the recent spans of a trace as TracesData bytes, nil when
// there are none; without as in Sources. A block that fails makes the answer an
// error, but the spans of the others come with it.
func (s *Store) FindTrace(ctx context.Context, tenantID string, id trace.ID, without func(block.ID) bool) ([]byte, error) {
	var out trace.Builder
	var failed error
	for _, src := range s.Sources(tenantID, without) {
		for _, seg := range src.Segments() {
			if err := block.AppendTrace(ctx, seg, id, &out); err != nil && failed == nil {
				failed = fmt.Errorf("find trace %s in %s: %w", id, src.Name(), err)
			}
		}
	}
	if out.Spans() == 0 {
		return nil, failed
	}
	return out.Append(nil), failed
}

// Tenants lists the tenants with spans or blocks here.
func (s *Store) Tenants() []string {
	var out []string
	for _, t := range s.all() {
		t.mu.Lock()
		if t.head.rows > 0 || len(t.sealing) > 0 || len(t.blocks) > 0 {
			out = append(out, t.id)
		}
		t.mu.Unlock()
	}
	return out
}

// UnshippedBytes is what a loss of this folder would lose: OTLP bytes of spans that
// are in no block, and stored bytes of blocks that are not in the bucket.
func (s *Store) UnshippedBytes() int64 {
	n := s.bytes.Load()
	for _, t := range s.all() {
		t.mu.Lock()
		for _, b := range t.blocks {
			if b.shipped.IsZero() {
				n += b.meta.Bytes()
			}
		}
		t.mu.Unlock()
	}
	return n
}

// Ready is nil while the store takes spans; Open has replayed the log.
func (s *Store) Ready() error {
	if s.isClosed() {
		return ErrClosed
	}
	return nil
}

// Blocks lists the local blocks of a tenant and when each was shipped (zero: not
// yet).
func (s *Store) Blocks(tenantID string) (metas []*block.Meta, shipped []time.Time) {
	s.mu.Lock()
	t := s.tenants[tenantID]
	s.mu.Unlock()
	if t == nil {
		return nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.blocks {
		if b.gone.IsZero() {
			metas, shipped = append(metas, b.meta), append(shipped, b.shipped)
		}
	}
	return metas, shipped
}
