package block

import (
	"context"
	"fmt"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
)

// times are the starts and ends of the traces of a row group.
type times struct {
	start, end []int64
}

// times reads what stands on the first row of each trace, once while the cache
// has room.
func (s *segment) times(ctx context.Context, traces *columnar.Traces) (*times, error) {
	key := cacheKey{s.b.meta.ID, s.group, cacheTimes}
	if t, ok := s.b.cache.get(key).(*times); ok {
		return t, nil
	}
	first := columnar.NewBitmap(s.info.Rows)
	for _, r := range traces.Offsets[:len(traces.IDs)] {
		first.Set(r)
	}
	t := &times{start: make([]int64, len(traces.IDs)), end: make([]int64, len(traces.IDs))}
	if err := s.perTrace(ctx, ColTraceStart, first, traces, t.start); err != nil {
		return nil, err
	}
	if err := s.perTrace(ctx, ColTraceDuration, first, traces, t.end); err != nil {
		return nil, err
	}
	for i, start := range t.start {
		t.end[i] += start
	}
	s.b.cache.put(key, t, int64(16*len(t.start)))
	return t, nil
}

// readStart adds the start of each trace and the offset of each span; whole
// tells whether no page was left out.
func (s *segment) readStart(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) (whole bool, err error) {
	traces, err := s.Traces(ctx)
	if err != nil {
		return false, err
	}
	times, err := s.times(ctx, traces)
	if err != nil {
		return false, err
	}
	err = s.read(ctx, ColStartOffset, within, func(r *raw) error {
		whole = !r.partial
		r.ints(dst)
		t := 0
		for i := range dst.Ints {
			row := uint32(i)
			if dst.Rows != nil {
				row = dst.Rows[i]
			}
			for traces.Offsets[t+1] <= row {
				t++
			}
			dst.Ints[i] += times.start[t]
		}
		return nil
	})
	return whole, err
}

// readParents gives each row the id of its parent.
func (s *segment) readParents(ctx context.Context, dst *columnar.Vector) error {
	traces, err := s.Traces(ctx)
	if err != nil {
		return err
	}
	var ids, left, parent columnar.Vector
	for _, c := range []struct {
		n    int
		form form
		v    *columnar.Vector
	}{{ColSpanID, asIs, &ids}, {ColNestedLeft, directForm, &left}, {ColNestedParent, directForm, &parent}} {
		r := columnReader{s: s, n: c.n, t: columnar.Int, form: c.form}
		if err := r.Read(ctx, nil, c.v); err != nil {
			return err
		}
	}
	out := dst.UseInts(s.info.Rows)
	var at []uint32
	for t := range traces.IDs {
		from, to := traces.Offsets[t], traces.Offsets[t+1]
		at = sized(at, int(2*(to-from)+1))
		clear(at)
		for r := from; r < to; r++ {
			if l := int(left.Codes[r]); l < len(at) {
				at[l] = r + 1
			}
		}
		for r := from; r < to; r++ {
			out[r] = 0
			if p := int32(parent.Codes[r]); p > 0 && int(p) < len(at) && at[p] > 0 {
				out[r] = ids.Ints[at[p]-1]
			}
		}
	}
	return s.read(ctx, ColParentID, nil, func(r *raw) error {
		if len(r.v.Ints) != len(r.v.Rows) && r.sparse {
			return s.b.fault(s.part(ColParentID), fmt.Errorf("%w: rows without ids", pq.ErrDamaged))
		}
		for i, v := range r.v.Ints {
			row := i
			if r.sparse {
				row = int(r.v.Rows[i])
			}
			out[row] = v
		}
		return nil
	})
}

// readPerTrace moves what stands on the first row of each trace to the trace.
func (s *segment) readPerTrace(ctx context.Context, n int, t columnar.Type, dst *columnar.Vector) error {
	traces, err := s.Traces(ctx)
	if err != nil {
		return err
	}
	if t == columnar.Int {
		times, err := s.times(ctx, traces)
		if err != nil {
			return err
		}
		if dst.Ints = times.start; n == ColTraceDuration {
			dst.Ints = times.end
		}
		return nil
	}
	return s.read(ctx, n, nil, func(r *raw) error {
		if r.dict == nil { // nearly unique names, or none at all
			return s.plainPerTrace(r, traces, dst)
		}
		dst.Dict = r.dict
		out := dst.UseCodes(len(traces.IDs))
		clear(out)
		r.eachFirst(traces, func(i, t int) { out[t] = r.v.Codes[i] })
		return nil
	})
}

// perTrace puts the values on first rows into out.
func (s *segment) perTrace(ctx context.Context, n int, first columnar.Bitmap, traces *columnar.Traces, out []int64) error {
	return s.read(ctx, n, first, func(r *raw) error {
		r.eachFirst(traces, func(i, t int) {
			if r.dict != nil {
				out[t] = r.dict.Ints[r.v.Codes[i]-1]
			} else {
				out[t] = r.v.Ints[i]
			}
		})
		return nil
	})
}

// eachFirst calls f for each value i that stands on the first row of a trace.
func (r *raw) eachFirst(traces *columnar.Traces, f func(i, t int)) {
	n, t := max(len(r.v.Codes), len(r.v.Ints), r.v.Plain.Len()), 0
	for i := range n {
		row := uint32(i)
		if r.sparse {
			row = r.v.Rows[i]
		}
		for t < len(traces.IDs) && traces.Offsets[t] < row {
			t++
		}
		if t < len(traces.IDs) && traces.Offsets[t] == row {
			f(i, t)
		}
	}
}

// plainPerTrace is readPerTrace for strings without a dictionary.
func (s *segment) plainPerTrace(r *raw, traces *columnar.Traces, dst *columnar.Vector) error {
	var rows []uint32
	var d pq.Dict
	d.Offsets = append(d.Offsets, 0)
	r.eachFirst(traces, func(i, t int) {
		rows = append(rows, uint32(t))
		d.Append(r.v.Plain.Entry(i))
	})
	copy(dst.UseRows(len(rows)), rows)
	dst.Arena, dst.Offsets = d.Arena, d.Offsets
	return nil
}
