package query

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// fingerprint tells whether two segments have the same spans of a trace: their number and a hash of their ids and kinds
// that does not depend on the order.
type fingerprint struct {
	spans int
	hash  uint64
}

func (f *fingerprint) add(id uint64, kind int64) {
	h := id ^ uint64(kind)*0x9E3779B97F4A7C15
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	f.spans++
	f.hash += h ^ h>>31
}

// members reads which spans a piece has of some of its traces.
type members struct {
	s        scan
	id, kind *columnar.Vector
	within   columnar.Bitmap // the rows of the traces
	list     []uint32
	found    []spanIdentity
}

// members prepares the traces of a set of numbers. The caller ends its scan.
func (p *piece) members(ctx context.Context, traces iter.Seq[uint32]) (_ *members, err error) {
	m := &members{}
	m.s.begin(ctx, p.seg, p.live)
	defer func() {
		if err != nil {
			m.s.end()
		}
	}()
	if _, err := m.s.loadTraces(); err != nil {
		return nil, err
	}
	asked := columnar.NewBitmap(len(m.s.traces.IDs))
	for t := range traces {
		asked.Set(t)
	}
	if m.within, err = m.s.rowsOf(asked); err != nil {
		return nil, err
	}
	if m.id, err = m.s.intrinsic(columnar.KeySpanID, m.within); err != nil {
		return nil, err
	}
	m.kind, err = m.s.intrinsic(columnar.KeyKind, m.within)
	return m, err
}

// numbers is the numbers of split traces.
func numbers(list []splitTrace) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, t := range list {
			if !yield(t.number) {
				return
			}
		}
	}
}

// of lists the live spans of a trace by row, until it is called again.
func (m *members) of(number uint32) ([]spanIdentity, error) {
	if err := m.s.step(); err != nil {
		return nil, err
	}
	m.list = m.s.traceRows(number, m.within, m.list[:0])
	m.found = m.found[:0]
	for _, row := range m.list {
		m.found = append(m.found, spanIdentity{uint64(m.id.Int(row)), m.kind.Int(row), row})
	}
	return m.found, nil
}

// dropRepeated masks the spans that a segment has more than once, of the traces in only (nil = all).
func (p *piece) dropRepeated(ctx context.Context, only map[trace.ID]struct{}) error {
	if p.info.Unique || only != nil && len(only) == 0 {
		return nil
	}
	t, err := p.load(ctx)
	if err != nil {
		return err
	}
	p.ensureLive()
	asked := func(yield func(uint32) bool) {
		for i, id := range t.IDs {
			if _, ok := only[id]; (ok || only == nil) && !yield(uint32(i)) {
				return
			}
		}
	}
	m, err := p.members(ctx, asked)
	if err != nil {
		return err
	}
	defer m.s.end()
	for i := range asked {
		spans, err := m.of(i)
		if err != nil {
			return err
		}
		slices.SortFunc(spans, spanIdentity.compare)
		for k := 1; k < len(spans); k++ {
			if spans[k].id == spans[k-1].id && spans[k].kind == spans[k-1].kind {
				p.live.Unset(spans[k].row) // the first received counts
			}
		}
	}
	return nil
}

// spanIdentity is what makes spans of one trace the same span.
type spanIdentity struct {
	id   uint64
	kind int64
	row  uint32
}

func (a spanIdentity) compare(b spanIdentity) int {
	return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.kind, b.kind), cmp.Compare(a.row, b.row))
}

// identities is which spans the pieces have of their split traces: per piece, in the order of its split traces.
type identities [][][]spanIdentity

// identify reads them through run.
func identify(ctx context.Context, pieces []*piece, run Runner) (identities, error) {
	all := make(identities, len(pieces))
	err := run(len(pieces), func(i int) error {
		p := pieces[i]
		if len(p.split) == 0 {
			return nil
		}
		p.ensureLive()
		m, err := p.members(ctx, numbers(p.split))
		if err != nil {
			return err
		}
		defer m.s.end()
		all[i] = make([][]spanIdentity, len(p.split))
		for k, t := range p.split {
			spans, err := m.of(t.number)
			if err != nil {
				return err
			}
			if err := BudgetFrom(ctx).Take(sizeSplit * int64(len(spans))); err != nil {
				return err
			}
			all[i][k] = slices.Clone(spans)
		}
		return nil
	})
	return all, err
}

// leave keeps the split traces of piece i, and what is known of them, for which keep says yes.
func (all identities) leave(p *piece, i int, keep func(t splitTrace, spans []spanIdentity) bool) {
	n := 0
	for k, t := range p.split {
		if keep(t, all[i][k]) {
			p.split[n], all[i][n] = t, all[i][k]
			n++
		}
	}
	p.split, all[i] = p.split[:n], all[i][:n]
}

// dropEqual masks the parts of split traces that are copies of another part as a whole, which is what replication leaves
// behind. What remains in split are traces whose parts differ.
func dropEqual(ctx context.Context, pieces []*piece, all identities, joint int) error {
	kept := make([][]fingerprint, joint)
	for i, p := range pieces {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		all.leave(p, i, func(t splitTrace, spans []spanIdentity) bool {
			var f fingerprint
			for _, x := range spans {
				f.add(x.id, x.kind)
			}
			if f.spans == 0 {
				return false
			}
			if slices.Contains(kept[t.joint], f) {
				for _, x := range spans {
					p.live.Unset(x.row)
				}
				return false
			}
			kept[t.joint] = append(kept[t.joint], f)
			return true
		})
	}
	for i, p := range pieces {
		all.leave(p, i, func(t splitTrace, _ []spanIdentity) bool { return len(kept[t.joint]) > 1 })
	}
	return nil
}

type copyKey struct {
	joint int
	span  uint64
	kind  int64
}

// dropCopies takes from every piece the spans of split traces that an earlier piece has as well.
func dropCopies(ctx context.Context, pieces []*piece, all identities) error {
	seen := make(map[copyKey]struct{})
	for i, p := range pieces {
		for k, t := range p.split {
			if k&255 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			for _, x := range all[i][k] {
				key := copyKey{t.joint, x.id, x.kind}
				if _, dup := seen[key]; dup {
					p.live.Unset(x.row)
				}
				seen[key] = struct{}{}
			}
		}
	}
	return nil
}
