package block

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// plan takes traces from the inputs in ascending order until the stripe is full,
// decides the output row of each of their rows, and returns their number.
func (m *merger) plan() (int, error) {
	f := &m.w.forest
	f.begin(0)
	m.parts = m.parts[:0]
	var joins []joinedTrace
	rows := 0
	for rows < m.o.StripeRows {
		id, ok := m.smallest()
		if !ok {
			break
		}
		j := joinedTrace{id: id, row: rows, trace: len(f.traces)}
		for _, in := range m.inputs {
			if in.traces == nil || in.traces.IDs[in.next] != id {
				continue
			}
			from, to := in.traces.Offsets[in.next], in.traces.Offsets[in.next+1]
			j.pieces = append(j.pieces, piece{m.part(in), from, to})
			j.n += int(to - from)
			in.next++
			if in.next == len(in.traces.IDs) {
				if err := in.nextGroup(m.ctx); err != nil {
					return 0, err
				}
			}
		}
		f.traces = append(f.traces, traceInfo{id: id, row: uint32(rows), n: uint32(j.n), copied: true})
		if len(j.pieces) > 1 {
			joins = append(joins, j)
			rows += j.n
			continue
		}
		rows += j.pieces[0].place(uint32(rows))
	}
	for _, p := range m.parts {
		p.finish()
	}
	if len(joins) == 0 {
		return rows, nil
	}
	return m.join(joins)
}

// smallest is the lowest trace id at a cursor.
func (m *merger) smallest() (id trace.ID, ok bool) {
	for _, in := range m.inputs {
		if in.traces == nil {
			continue
		}
		if next := in.traces.IDs[in.next]; !ok || bytes.Compare(next[:], id[:]) < 0 {
			id, ok = next, true
		}
	}
	return id, ok
}

// part is the current group's part of the stripe.
func (m *merger) part(in *mergeInput) *part {
	if in.part == nil || len(m.parts) == 0 || !slices.Contains(m.parts, in.part) {
		seg, _ := in.b.segments[in.group].(*segment)
		p := &part{in: in, seg: seg, rowMap: make([]uint32, seg.info.Rows)}
		for i := range p.rowMap {
			p.rowMap[i] = dropped
		}
		in.part = p
		m.parts = append(m.parts, p)
	}
	return in.part
}

// finish notes which rows must be read.
func (p *part) finish() {
	if p.rows == p.seg.info.Rows {
		return
	}
	p.within = columnar.NewBitmap(p.seg.info.Rows)
	for i, r := range p.rowMap {
		if r != dropped {
			p.within.Set(uint32(i))
		}
	}
}

// piece is the rows of a trace in one part.
type piece struct {
	p        *part
	from, to uint32
}

// place maps the piece to the output rows from row on.
func (c piece) place(row uint32) int {
	for r := c.from; r < c.to; r++ {
		c.p.rowMap[r] = row + r - c.from
	}
	c.p.rows += int(c.to - c.from)
	return int(c.to - c.from)
}

// joinedTrace is a trace that is in several inputs.
type joinedTrace struct {
	id     trace.ID
	trace  int // its place in the stripe
	row, n int
	pieces []piece
}

// join puts the traces together that are in several inputs. Rows that occur twice
// are dropped, so all rows are placed anew.
func (m *merger) join(joins []joinedTrace) (int, error) {
	for _, j := range joins {
		for _, c := range j.pieces {
			for r := c.from; r < c.to; r++ {
				c.p.rowMap[r] = joined
			}
			c.p.rows += int(c.to - c.from)
		}
	}
	for _, p := range m.parts {
		p.within = nil
		p.finish()
	}
	members := map[*part]*members{}
	for _, p := range m.parts {
		if slices.Contains(p.rowMap, joined) {
			list, err := m.membersOf(p)
			if err != nil {
				return 0, err
			}
			members[p] = list
		}
	}
	return m.placeAgain(joins, members), nil
}

// placeAgain numbers all rows of the stripe without those that occur twice.
func (m *merger) placeAgain(joins []joinedTrace, members map[*part]*members) int {
	f, tw := &m.w.forest, &m.w.sorter.twins
	traces := slices.Clone(f.traces)
	total := 0
	for _, j := range joins {
		total += j.n
	}
	f.begin(total)
	shift := make([]uint32, 0, len(traces)) // rows dropped before each trace
	out := 0
	var spans []member
	var where []spot
	for t := range traces {
		shift = append(shift, traces[t].row-uint32(out))
		if len(joins) == 0 || joins[0].trace != t {
			f.traces = append(f.traces, traceInfo{id: traces[t].id, row: uint32(out), n: traces[t].n, copied: true})
			out += int(traces[t].n)
			continue
		}
		spans, where = spans[:0], where[:0]
		tw.begin(joins[0].n)
		for _, c := range joins[0].pieces {
			list := members[c.p].from(c.from)
			for r := c.from; r < c.to; r++ {
				s := &list[r-c.from]
				if !tw.add(s.id, s.kind) {
					c.p.rowMap[r] = dropped
					continue
				}
				where = append(where, spot{c.p, r, len(where), s})
			}
		}
		slices.SortFunc(where, func(a, b spot) int {
			return cmp.Or(cmp.Compare(a.s.start, b.s.start), cmp.Compare(a.order, b.order))
		})
		for i, s := range where {
			spans = append(spans, *s.s)
			s.p.rowMap[s.row] = joined | uint32(out+i)
		}
		f.add(traces[t].id, out, spans)
		out += len(where)
		joins = joins[1:]
	}
	m.shift(traces, shift)
	return out
}

// spot is a span of a joined trace in its input.
type spot struct {
	p     *part
	row   uint32
	order int
	s     *member
}

// shift moves the rows of the other traces by the rows dropped before them.
func (m *merger) shift(traces []traceInfo, shift []uint32) {
	for _, p := range m.parts {
		t := 0
		for i, r := range p.rowMap {
			if r == dropped || r&joined != 0 {
				continue
			}
			for t+1 < len(traces) && traces[t+1].row <= r {
				t++
			}
			p.rowMap[i] = r - shift[t]
		}
	}
}

// members are the spans of joined traces in a part.
type members struct {
	rows []uint32 // ascending
	list []member
}

// from returns the spans from a row on.
func (m *members) from(row uint32) []member {
	i, _ := slices.BinarySearch(m.rows, row)
	return m.list[i:]
}

// set calls f with the span of a row, if it is one of them. at is where the last
// call ended: rows ascend.
func (m *members) set(at *int, row uint32, f func(*member)) {
	for *at < len(m.rows) && m.rows[*at] < row {
		*at++
	}
	if *at < len(m.rows) && m.rows[*at] == row {
		f(&m.list[*at])
	}
}

// membersOf reads what the forest needs of the joined rows of a part.
func (m *merger) membersOf(p *part) (*members, error) {
	out := new(members)
	within := columnar.NewBitmap(p.seg.info.Rows)
	for i, r := range p.rowMap {
		if r == joined {
			within.Set(uint32(i))
			out.rows = append(out.rows, uint32(i))
		}
	}
	out.list = make([]member, len(out.rows))
	number := func(key string, set func(s *member, v int64)) error {
		v := &m.vector
		e := intrinsic(columnar.ScopeIntrinsic, key)
		c := columnReader{s: p.seg, n: e.leaf, t: e.t, form: e.form}
		if err := c.Read(m.ctx, within, v); err != nil {
			return err
		}
		at := 0
		eachNumber(v, func(row int, n int64) { out.set(&at, uint32(row), func(s *member) { set(s, n) }) })
		return nil
	}
	err := number(columnar.KeySpanID, func(s *member, v int64) { s.id = uint64(v) })
	for key, set := range map[string]func(*member, int64){
		columnar.KeyParentID: func(s *member, v int64) { s.parent = uint64(v) },
		columnar.KeyStart:    func(s *member, v int64) { s.start = v },
		columnar.KeyDuration: func(s *member, v int64) { s.duration = v },
		columnar.KeyKind:     func(s *member, v int64) { s.kind = uint32(v) },
		columnar.KeyStatus:   func(s *member, v int64) { s.status = uint32(v) },
		columnar.KeyResource: func(s *member, v int64) {
			if int(v) < len(p.in.remap[0]) {
				s.service = m.services[p.in.remap[0][v]]
			}
		},
	} {
		if err == nil {
			err = number(key, set)
		}
	}
	if err != nil {
		return nil, err
	}
	return out, p.seg.read(m.ctx, ColName, within, func(r *raw) error {
		c, _ := r.view()
		at := 0
		for i, k := range c.Codes {
			row := uint32(i)
			if c.Rows != nil {
				row = c.Rows[i]
			}
			out.set(&at, row, func(s *member) {
				if s.parent == 0 {
					s.name = m.names.Code(c.Dict.Entry(int(k - 1)))
				}
			})
		}
		return nil
	})
}

// eachNumber visits the numbers of a vector.
func eachNumber(v *columnar.Vector, f func(row int, n int64)) {
	n := max(len(v.Codes), len(v.Ints))
	for i := range n {
		row := i
		if v.Rows != nil {
			row = int(v.Rows[i])
		}
		switch {
		case v.Codes == nil:
			f(row, v.Ints[i])
		case v.Dict == nil:
			f(row, int64(int32(v.Codes[i])))
		case v.Codes[i] != 0:
			f(row, v.Dict.Ints[v.Codes[i]-1])
		}
	}
}

// patch adds the computed values of joined traces to the gathered column.
func (m *merger) patch(n int) {
	if !computedColumn(n) {
		return
	}
	f, g := &m.w.forest, &m.w.gather
	if n == ColParentID {
		rows, ids := f.parentIDs(nil, nil)
		for i, r := range rows {
			g.set(r, ids[i])
		}
		return
	}
	for i := range f.traces {
		t := &f.traces[i]
		if t.copied {
			continue
		}
		switch n {
		case ColTraceDuration:
			g.set(t.row, t.end-t.start)
		case ColTraceSpans:
			g.set(t.row, int64(t.n))
		case ColTraceErrors:
			if t.errors > 0 {
				g.set(t.row, int64(t.errors))
			}
		default:
			for i := range t.n {
				g.set(t.row+i, f.value(n, t.base+i))
			}
		}
	}
}

// value is a computed value of a span.
func (f *forest) value(n int, r uint32) int64 {
	switch n {
	case ColNestedLeft:
		return int64(f.left[r])
	case ColNestedRight:
		return int64(f.right[r])
	case ColNestedParent:
		return int64(f.parent[r])
	case ColTraceStart:
		return f.start[r]
	}
	return f.offset[r]
}

// patchRoots adds the roots of joined traces to a column of codes.
func (m *merger) patchRoots(n int, c *Column) *Column {
	if n != ColRootName && n != ColRootService {
		return c
	}
	w := m.w
	for i := range w.forest.traces {
		t := &w.forest.traces[i]
		switch {
		case t.copied:
		case n == ColRootName && t.root != 0:
			w.gather.setCode(t.row, w.words.Code(m.names.Entry(int(t.root-1))))
		case n == ColRootService && t.service != 0:
			w.gather.setCode(t.row, w.words.Code(m.service.Entry(int(t.service-1))))
		}
	}
	return w.codeColumn(&w.words.Dict, c.Plain)
}

// learn takes the summaries of copied traces from their columns.
func (m *merger) learn(n int, c *Column) {
	f := &m.w.forest
	k := 0
	for i := range f.traces {
		t := &f.traces[i]
		if !t.copied {
			continue
		}
		v, ok := c.next(&k, t.row)
		switch {
		case !ok:
		case n == ColTraceStart:
			t.start = v
		case n == ColTraceDuration:
			t.end = t.start + v
		case n == ColTraceErrors:
			t.errors = uint32(v)
		default:
			return
		}
	}
}

// next is the integer of a row; rows are asked for in ascending order.
func (c *Column) next(k *int, row uint32) (int64, bool) {
	if c.Rows == nil {
		return c.Ints[row], true
	}
	for *k < len(c.Rows) && c.Rows[*k] < row {
		*k++
	}
	if *k < len(c.Rows) && c.Rows[*k] == row {
		return c.Ints[*k], true
	}
	return 0, false
}
