package block

import (
	"bytes"
	"cmp"
	"slices"
)

// sorter brings the rows of Columns into the order of a block: by trace id, then
// start, then arrival. Spans that occur twice (same trace, span id and kind)
// stay once.
type sorter struct {
	rank   []uint32 // place of each trace in ascending order
	byRank []uint32 // trace at each place
	from   []uint32 // first position of each place in order
	order  []uint32 // rows of the input, in output order
	rowMap []uint32 // output row of each input row
	spans  []member
	twins  twins
}

// sort fills order with all rows, grouped by trace and sorted by start.
func (s *sorter) sort(c *Columns) {
	n := len(c.IDs)
	s.byRank, s.rank, s.from = sized(s.byRank, n), sized(s.rank, n), sized(s.from, n+1)
	for i := range s.byRank {
		s.byRank[i] = uint32(i)
	}
	slices.SortFunc(s.byRank, func(a, b uint32) int { return bytes.Compare(c.IDs[a][:], c.IDs[b][:]) })
	for place, t := range s.byRank {
		s.rank[t] = uint32(place)
	}
	clear(s.from)
	for _, t := range c.Trace {
		s.from[s.rank[t]+1]++
	}
	for i := range n {
		s.from[i+1] += s.from[i]
	}
	s.order = sized(s.order, c.Rows)
	s.rowMap = sized(s.rowMap, c.Rows) // first as the next free position of each trace
	next := s.rowMap[:0]
	next = append(next, s.from[:n]...)
	for row, t := range c.Trace {
		p := &next[s.rank[t]]
		s.order[*p] = uint32(row)
		*p++
	}
	for i := range n {
		SortByStart(s.order[s.from[i]:s.from[i+1]], c.Start)
	}
}

// SortByStart sorts the rows of one trace by start, keeping the order of equal
// ones. They mostly arrive in order.
func SortByStart(rows []uint32, start []int64) {
	if len(rows) > 64 {
		slices.SortStableFunc(rows, func(a, b uint32) int { return cmp.Compare(start[a], start[b]) })
		return
	}
	for i := 1; i < len(rows); i++ {
		r := rows[i]
		v := start[r]
		j := i
		for ; j > 0 && start[rows[j-1]] > v; j-- {
			rows[j] = rows[j-1]
		}
		rows[j] = r
	}
}

// layout numbers the output rows and builds the forest. service gives the code
// of each resource's service name. It returns the number of rows that stay.
func (s *sorter) layout(c *Columns, f *forest, service []uint32) int {
	f.begin(c.Rows)
	span, parent, duration := c.Fixed[ColSpanID].Ints, c.Fixed[ColParentID].Ints, c.Fixed[ColDuration].Ints
	kind, status := c.Fixed[ColKind].Codes, c.Fixed[ColStatus].Codes
	name, resource := c.Fixed[ColName].Codes, c.Fixed[ColResource].Codes
	out := 0
	for place, t := range s.byRank {
		rows := s.order[s.from[place]:s.from[place+1]]
		if c.Held != nil && c.Held[t] {
			for _, r := range rows {
				s.rowMap[r] = dropped
			}
			continue
		}
		if len(rows) == 0 {
			continue
		}
		s.spans = s.spans[:0]
		s.twins.begin(len(rows))
		first := out
		for _, r := range rows {
			if !s.twins.add(uint64(span[r]), kind[r]) {
				s.rowMap[r] = dropped
				continue
			}
			s.rowMap[r] = uint32(out)
			out++
			s.spans = append(s.spans, member{id: uint64(span[r]), parent: uint64(parent[r]), start: c.Start[r], duration: duration[r],
				kind: kind[r], status: status[r], name: name[r], service: service[resource[r]]})
		}
		f.add(c.IDs[t], first, s.spans)
	}
	return out
}

// twins finds spans of one trace with the same id and kind. Forgetting costs
// nothing: entries of an older round do not count.
type twins struct {
	slots []twin
	round uint32
}

type twin struct {
	id    uint64
	kind  uint32
	round uint32
}

// begin starts a trace of n spans.
func (t *twins) begin(n int) {
	if size := len(t.slots); size < 2*n {
		for size = max(size, 64); size < 2*n; {
			size *= 2
		}
		t.slots = make([]twin, size)
		t.round = 0
	}
	t.round++
	if t.round == 0 {
		clear(t.slots)
		t.round = 1
	}
}

// add reports whether the span is new.
func (t *twins) add(id uint64, kind uint32) bool {
	mask := uint64(len(t.slots) - 1)
	for at := (id + uint64(kind)) * 0x9E3779B97F4A7C15 >> 20 & mask; ; at = (at + 1) & mask {
		s := &t.slots[at]
		if s.round != t.round {
			*s = twin{id, kind, t.round}
			return true
		}
		if s.id == id && s.kind == kind {
			return false
		}
	}
}
