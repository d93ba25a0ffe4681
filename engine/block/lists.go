package block

import (
	"cmp"
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// List is the elements of an array as a column holds them: Texts for strings,
// which alias what was read, Ints as in [Column] for the others.
type List struct {
	Ints  []int64
	Texts [][]byte
}

// Read takes an array apart and returns the type of its column. It is Nil for
// anything that would not come out of a column byte for byte as it went in: empty,
// mixed and nested arrays, those with fields that OTLP does not have, with text that
// is not UTF-8, in an unusual encoding, or longer than a column takes.
func (l *List) Read(v *trace.Value) columnar.Type {
	l.Ints, l.Texts = l.Ints[:0], l.Texts[:0]
	if v.Kind != trace.KindArray {
		return columnar.Nil
	}
	t, n := columnar.Nil, 0
	for b := v.Bytes; len(b) > 0; n++ {
		elem, rest, ok := delimited(b)
		if !ok || n == pq.MaxElements {
			return columnar.Nil
		}
		et := l.element(elem)
		if et == columnar.Nil || n > 0 && et != t {
			return columnar.Nil
		}
		t, b = et, rest
	}
	if t == columnar.Nil {
		return columnar.Nil
	}
	return t | columnar.Array
}

// fits tells whether the column of a value's key and type gives it back as it was.
func (l *List) fits(v *trace.Value) bool {
	switch v.Kind {
	case trace.KindString:
		return utf8.Valid(v.Bytes)
	case trace.KindArray:
		return l.Read(v) != columnar.Nil
	}
	return true
}

// element adds an AnyValue of a basic type in its shortest encoding.
func (l *List) element(b []byte) columnar.Type {
	if len(b) == 0 {
		return columnar.Nil
	}
	switch b[0] {
	case 1<<3 | 2:
		v, rest, ok := delimited(b)
		if !ok || len(rest) > 0 || !utf8.Valid(v) {
			return columnar.Nil
		}
		l.Texts = append(l.Texts, v)
		return columnar.String
	case 2 << 3:
		if len(b) != 2 || b[1] > 1 {
			return columnar.Nil
		}
		l.Ints = append(l.Ints, int64(b[1]))
		return columnar.Bool
	case 3 << 3:
		n, k := shortest(b[1:])
		if k != len(b)-1 {
			return columnar.Nil
		}
		l.Ints = append(l.Ints, int64(n))
		return columnar.Int
	case 4<<3 | 1:
		if len(b) != 9 {
			return columnar.Nil
		}
		l.Ints = append(l.Ints, int64(binary.LittleEndian.Uint64(b[1:])))
		return columnar.Float
	}
	return columnar.Nil
}

// delimited cuts field 1 with a length off b.
func delimited(b []byte) (v, rest []byte, ok bool) {
	if b[0] != 1<<3|2 {
		return nil, nil, false
	}
	n, k := shortest(b[1:])
	if k <= 0 || n > uint64(len(b)-1-k) {
		return nil, nil, false
	}
	return b[1+k : 1+k+int(n)], b[1+k+int(n):], true
}

// shortest reads a varint that has no more bytes than it needs; k is 0 for others.
func shortest(b []byte) (n uint64, k int) {
	n, k = binary.Uvarint(b)
	if k <= 0 || k > 1 && b[k-1] == 0 {
		return 0, 0
	}
	return n, k
}

// appendList appends elements [from, to) of a column as an ArrayValue; dict as in
// valueAt.
func appendList(dst []byte, t columnar.Type, c *Column, from, to int, dict []int64) []byte {
	for e := from; e < to; e++ {
		v := valueAt(t.Elem(), c, e, dict)
		dst = trace.AppendElement(dst, &v)
	}
	return dst
}

// eachList calls f with the row and the elements [from, to) of each list.
func (c *Column) eachList(f func(row uint32, from, to int)) {
	e := 0
	for i, n := range c.Lens {
		f(c.Rows[i], e, e+int(n))
		e += int(n)
	}
}

// ends lists where the lists of a column end, after a 0: list i is the elements
// [ends[i], ends[i+1]).
func ends(lens []uint32) []uint32 {
	out := make([]uint32, len(lens)+1)
	for i, n := range lens {
		out[i+1] = out[i] + n
	}
	return out
}

// listGatherer is gatherer for columns of lists.
type listGatherer struct {
	items  []listItem
	sorted bool
	in     Column // elements in order of arrival
	out    Column
}

type listItem struct {
	row, from, n uint32
}

func (g *listGatherer) begin() {
	g.items, g.sorted = g.items[:0], true
	g.in = Column{Codes: g.in.Codes[:0], Ints: g.in.Ints[:0]}
}

// start begins the list of an output row, whose elements are appended next.
func (g *listGatherer) start(row, n uint32) {
	if k := len(g.items); k > 0 && g.items[k-1].row > row {
		g.sorted = false
	}
	g.items = append(g.items, listItem{row, uint32(g.in.Len()), n})
}

// add adds the lists of a column. rowMap gives the new row of each row, remap the
// new code of each code of a string; dict has what the codes of numbers stand for.
func (g *listGatherer) add(c *Column, rowMap, remap []uint32, dict []int64) {
	c.eachList(func(row uint32, from, to int) {
		out := at(rowMap, row)
		if out == dropped {
			return
		}
		g.start(out&^joined, uint32(to-from))
		switch {
		case c.Codes == nil:
			g.in.Ints = append(g.in.Ints, c.Ints[from:to]...)
		case dict != nil:
			for _, k := range c.Codes[from:to] {
				g.in.Ints = append(g.in.Ints, dict[k-1])
			}
		case remap != nil:
			for _, k := range c.Codes[from:to] {
				g.in.Codes = append(g.in.Codes, remap[k-1])
			}
		default:
			g.in.Codes = append(g.in.Codes, c.Codes[from:to]...)
		}
	})
}

// addList adds one array that stood elsewhere.
func (g *listGatherer) addList(row uint32, l *List, words *pq.Interner) {
	g.start(row, uint32(len(l.Ints)+len(l.Texts)))
	g.in.Ints = append(g.in.Ints, l.Ints...)
	for _, v := range l.Texts {
		g.in.Codes = append(g.in.Codes, words.Code(v))
	}
}

// finish returns the lists in the order of their rows; valid until begin.
func (g *listGatherer) finish() *Column {
	if !g.sorted {
		slices.SortFunc(g.items, func(a, b listItem) int { return cmp.Compare(a.row, b.row) })
	}
	o := &g.out
	*o = Column{Rows: notNil(o.Rows[:0]), Lens: notNil(o.Lens[:0]), Codes: o.Codes[:0], Ints: o.Ints[:0]}
	for _, it := range g.items {
		o.Rows, o.Lens = append(o.Rows, it.row), append(o.Lens, it.n)
		if g.sorted {
			continue
		}
		if len(g.in.Ints) > 0 {
			o.Ints = append(o.Ints, g.in.Ints[it.from:it.from+it.n]...)
		} else {
			o.Codes = append(o.Codes, g.in.Codes[it.from:it.from+it.n]...)
		}
	}
	c := &Column{Rows: o.Rows, Lens: o.Lens, Codes: o.Codes, Ints: o.Ints}
	if g.sorted {
		c.Codes, c.Ints = g.in.Codes, g.in.Ints
	}
	return c
}

// listColumn is a gathered column of lists; text that hardly repeats is written
// plain.
func (w *Writer) listColumn(ints bool, d *pq.Dict, plain bool) *Column {
	c := w.lists.finish()
	if ints {
		c.Codes = nil
		return c
	}
	c.Ints, c.Dict = nil, d
	c.Plain = plain || hardlyRepeat(d, len(c.Codes))
	return c
}

// lists merges one column of arrays, with those that stood in overflow lists.
func (m *merger) lists(a Attr, number int, leaf func(*part) int) (*Column, error) {
	w := m.w
	w.words.Reset()
	w.lists.begin()
	text := a.Type.Elem() == columnar.String
	unique := text && m.unique(leaf)
	for _, p := range m.parts {
		n := leaf(p)
		if n < 0 || p.seg.chunk(n).Nulls == p.seg.chunk(n).Values {
			continue
		}
		err := p.seg.read(m.ctx, n, p.within, func(r *raw) error {
			c, dict := r.view()
			if text {
				m.renameLists(c, p.rowMap, unique)
				w.lists.add(c, p.rowMap, w.remap, nil)
			} else {
				w.lists.add(c, p.rowMap, nil, dict)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var l List
	for _, v := range m.promoted[number] {
		l.Read(&trace.Value{Kind: trace.KindArray, Bytes: v.text})
		w.lists.addList(v.row, &l, &w.words)
	}
	return w.listColumn(!text, &w.words.Dict, unique), nil
}

// renameLists gives new codes to the entries that a row of the stripe uses.
func (m *merger) renameLists(c *Column, rowMap []uint32, unique bool) {
	w := m.w
	w.remap = sized(w.remap, c.Dict.Len())
	clear(w.remap)
	c.eachList(func(row uint32, from, to int) {
		if at(rowMap, row) == dropped {
			return
		}
		for _, k := range c.Codes[from:to] {
			if w.remap[k-1] == 0 {
				m.rename(c.Dict, k, unique)
			}
		}
	})
}
