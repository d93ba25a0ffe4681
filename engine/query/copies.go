package query

import (
	"cmp"
	"context"
	"slices"

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
	var s scan
	s.begin(ctx, p.seg, p.live)
	if _, err := s.loadTraces(); err != nil {
		return err
	}
	traces := NewBitmap(len(t.IDs))
	for i, id := range t.IDs {
		if _, ok := only[id]; ok || only == nil {
			traces.Set(uint32(i))
		}
	}
	rows, err := s.rowsOf(traces)
	if err != nil {
		return err
	}
	id, err := s.intrinsic(KeySpanID, rows)
	if err != nil {
		return err
	}
	kind, err := s.intrinsic(KeyKind, rows)
	if err != nil {
		return err
	}
	var list []uint32
	var seen []spanIdentity
	for i, ok := traces.Next(0); ok; i, ok = traces.Next(i + 1) {
		if err := s.step(); err != nil {
			return err
		}
		list = s.traceRows(i, rows, list[:0])
		seen = seen[:0]
		for _, row := range list {
			seen = append(seen, spanIdentity{uint64(id.at(row)), kind.at(row), row})
		}
		slices.SortFunc(seen, spanIdentity.compare)
		for k := 1; k < len(seen); k++ {
			if seen[k].id == seen[k-1].id && seen[k].kind == seen[k-1].kind {
				p.live.Unset(seen[k].row) // the first received counts
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

// dropEqual masks the parts of split traces that are copies of another part as a whole, which is what replication leaves
// behind. What remains in split are traces whose parts differ.
func dropEqual(ctx context.Context, pieces []*piece, joint int) error {
	kept := make([][]fingerprint, joint)
	for _, p := range pieces {
		if len(p.split) == 0 {
			continue
		}
		if err := p.dropEqual(ctx, kept); err != nil {
			return err
		}
	}
	for _, p := range pieces {
		left := p.split[:0]
		for _, t := range p.split {
			if len(kept[t.joint]) > 1 {
				left = append(left, t)
			}
		}
		p.split = left
	}
	return nil
}

func (p *piece) dropEqual(ctx context.Context, kept [][]fingerprint) error {
	p.ensureLive()
	var s scan
	s.begin(ctx, p.seg, p.live)
	if _, err := s.loadTraces(); err != nil {
		return err
	}
	traces := NewBitmap(len(s.traces.IDs))
	for _, t := range p.split {
		traces.Set(t.number)
	}
	rows, err := s.rowsOf(traces)
	if err != nil {
		return err
	}
	id, err := s.intrinsic(KeySpanID, rows)
	if err != nil {
		return err
	}
	kind, err := s.intrinsic(KeyKind, rows)
	if err != nil {
		return err
	}
	left := p.split[:0]
	var list []uint32
	for _, t := range p.split {
		if err := s.step(); err != nil {
			return err
		}
		list = s.traceRows(t.number, rows, list[:0])
		var f fingerprint
		for _, row := range list {
			f.add(uint64(id.at(row)), kind.at(row))
		}
		if f.spans == 0 {
			continue
		}
		if slices.Contains(kept[t.joint], f) {
			for _, row := range list {
				p.live.Unset(row)
			}
			continue
		}
		kept[t.joint] = append(kept[t.joint], f)
		left = append(left, t)
	}
	p.split = left
	return nil
}
