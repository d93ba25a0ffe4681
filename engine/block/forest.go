package block

import (
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// forest holds what is computed for each trace, in the order of the output
// rows: its nested set and its summary.
type forest struct {
	nest  columnar.Nester
	kinds []uint8

	// By span, in the order of add; a trace starts at its base.
	left, right, parent []int32
	ids, parents        []uint64
	offset              []int64
	start               []int64 // of the span's trace
	n                   int

	// By trace, in the order of the output.
	traces []traceInfo
}

// traceInfo is the summary of one trace.
type traceInfo struct {
	id      trace.ID
	row     uint32 // first row
	base    uint32 // of its spans in the forest
	n       uint32
	start   int64
	end     int64
	root    uint32 // code of the root's name, 0 = no root
	service uint32 // code of the root's service, 0 = none
	errors  uint32
	copied  bool // by a merge, together with what is computed for it
}

// begin makes room for as many spans.
func (f *forest) begin(rows int) {
	f.left, f.right, f.parent = sized(f.left, rows), sized(f.right, rows), sized(f.parent, rows)
	f.ids, f.parents = sized(f.ids, rows), sized(f.parents, rows)
	f.offset, f.start = sized(f.offset, rows), sized(f.start, rows)
	f.traces, f.n = f.traces[:0], 0
}

// member is what the forest needs of a span.
type member struct {
	id, parent      uint64
	start, duration int64
	kind, status    uint32
	name, service   uint32
}

// add computes the next trace from its spans, sorted by start, which become the
// rows from row on.
func (f *forest) add(id trace.ID, row int, spans []member) {
	n, base := len(spans), f.n
	t := traceInfo{id: id, row: uint32(row), base: uint32(base), n: uint32(n), start: spans[0].start, end: spans[0].start}
	f.kinds = sized(f.kinds, n)
	for i := range spans {
		s := &spans[i]
		f.ids[base+i], f.parents[base+i] = s.id, s.parent
		f.kinds[i] = uint8(min(s.kind, 255))
		f.offset[base+i], f.start[base+i] = s.start-t.start, t.start
		t.end = max(t.end, s.start+max(s.duration, 0))
		if s.status == uint32(trace.StatusError) {
			t.errors++
		}
		if t.root == 0 && s.parent == 0 {
			t.root, t.service = s.name, s.service
		}
	}
	f.n += n
	f.nest.Nest(f.ids[base:f.n], f.parents[base:f.n], f.kinds, f.left[base:f.n], f.right[base:f.n], f.parent[base:f.n])
	f.traces = append(f.traces, t)
}

// parentIDs returns the rows whose parent id the nested set does not say, and
// those ids. A row's nested parent says its id when that span has it.
func (f *forest) parentIDs(rows []uint32, out []int64) ([]uint32, []int64) {
	var at []int32 // row of the span with that left number
	for i := range f.traces {
		t := &f.traces[i]
		if t.copied {
			continue
		}
		from, to := int(t.base), int(t.base+t.n)
		at = sized(at, 2*int(t.n)+1)
		for r := from; r < to; r++ {
			at[f.left[r]] = int32(r)
		}
		for r := from; r < to; r++ {
			var said uint64
			if p := f.parent[r]; p > 0 {
				said = f.ids[at[p]]
			}
			if f.parents[r] != said {
				rows, out = append(rows, uint32(r)-t.base+t.row), append(out, int64(f.parents[r]))
			}
		}
	}
	return rows, out
}

// perTrace makes a column with a value on the first row of the traces for which
// get has one.
func (f *forest) perTrace(get func(*traceInfo) (int64, bool)) *Column {
	c := &Column{Rows: make([]uint32, 0, len(f.traces)), Ints: make([]int64, 0, len(f.traces))}
	for i := range f.traces {
		if v, ok := get(&f.traces[i]); ok {
			c.Rows, c.Ints = append(c.Rows, f.traces[i].row), append(c.Ints, v)
		}
	}
	return c
}

// perTraceCodes is perTrace for strings; code 0 is none.
func (f *forest) perTraceCodes(get func(*traceInfo) uint32) *Column {
	c := &Column{Rows: make([]uint32, 0, len(f.traces)), Codes: make([]uint32, 0, len(f.traces))}
	for i := range f.traces {
		if v := get(&f.traces[i]); v != 0 {
			c.Rows, c.Codes = append(c.Rows, f.traces[i].row), append(c.Codes, v)
		}
	}
	return c
}

// cut divides the rows into groups of about want rows at trace edges: a group
// ends with the trace that fills it.
func (f *forest) cut(want int) []int {
	cuts := []int{0}
	for i := range f.traces {
		end := int(f.traces[i].row + f.traces[i].n)
		if end-cuts[len(cuts)-1] >= want {
			cuts = append(cuts, end)
		}
	}
	if last := len(f.traces) - 1; last >= 0 {
		if end := int(f.traces[last].row + f.traces[last].n); cuts[len(cuts)-1] != end {
			// A small rest joins the group before it.
			if n := len(cuts); n > 1 && end-cuts[n-1] < want/4 {
				cuts[n-1] = end
			} else {
				cuts = append(cuts, end)
			}
		}
	}
	return cuts
}

// groups describes the row groups for meta.json.
func (f *forest) groups(cuts []int) []Group {
	out := make([]Group, len(cuts)-1)
	g := 0
	for i := range f.traces {
		t := &f.traces[i]
		if int(t.row) >= cuts[g+1] {
			g++
		}
		o := &out[g]
		if o.Traces == 0 {
			o.Min, o.Start, o.End = HexID(t.id), t.start, t.end
		}
		o.Start, o.End, o.Max = min(o.Start, t.start), max(o.End, t.end), HexID(t.id)
		o.Traces++
		o.Rows += int(t.n)
	}
	return out
}
