package block

import (
	"cmp"
	"slices"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// chooseColumns tells which attributes get a column of their own: those worth
// one, the most frequent first.
func chooseColumns(attrs []AttrColumn, rows int) []bool {
	keep := make([]bool, len(attrs))
	var worth []int
	for i := range attrs {
		if worthColumn(attrs[i].filled(), rows) {
			worth = append(worth, i)
		}
	}
	slices.SortStableFunc(worth, func(a, b int) int { return cmp.Compare(attrs[b].filled(), attrs[a].filled()) })
	for _, i := range worth[:min(len(worth), maxColumns)] {
		keep[i] = true
	}
	return keep
}

// overflow gathers the attributes without a column of their own: a list of keys
// and encoded AnyValue messages for each row that has some.
type overflow struct {
	items  []overflowItem
	keys   pq.Interner
	values pq.Interner
	buf    []byte
	key    Column
	value  Column
}

type overflowItem struct {
	row, key, value uint32
}

func (o *overflow) begin() {
	o.items = o.items[:0]
	o.keys.Reset()
	o.values.Reset()
}

// addList adds the overflow of a source. move, when set, takes an entry that has
// found a column elsewhere: it returns true for those.
func (o *overflow) addList(key, value *Column, rowMap []uint32, base uint32, move func(row uint32, k, v []byte) bool) {
	e := 0
	for i, r := range key.Rows {
		to := at(rowMap, r-base)
		for range key.Lens[i] {
			k, v := key.Codes[e], value.Codes[e]
			e++
			if to == dropped {
				continue
			}
			to &^= joined
			kb, vb := key.Dict.Entry(int(k-1)), value.Dict.Entry(int(v-1))
			if move != nil && move(to, kb, vb) {
				continue
			}
			o.items = append(o.items, overflowItem{to, o.keys.Code(kb), o.values.Code(vb)})
		}
	}
}

// addAttr adds the values of an attribute column.
func (o *overflow) addAttr(a *AttrColumn, rowMap []uint32) {
	o.addColumn(a.Attr, &a.Column, rowMap, 0, nil)
}

// addColumn adds a column whose integers may stand in dict.
func (o *overflow) addColumn(a Attr, c *Column, rowMap []uint32, base uint32, dict []int64) {
	k := o.keys.Code([]byte(a.Key))
	if a.Type&columnar.Array != 0 {
		o.addLists(k, a.Type, c, rowMap, base, dict)
		return
	}
	for i := range c.Len() {
		row := uint32(i)
		if c.Rows != nil {
			row = c.Rows[i]
		}
		to := at(rowMap, row-base)
		if to == dropped || c.Codes != nil && c.Codes[i] == 0 {
			continue
		}
		to &^= joined
		v := valueAt(a.Type, c, i, dict)
		o.buf = trace.AppendValue(o.buf[:0], &v)
		o.items = append(o.items, overflowItem{to, k, o.values.Code(o.buf)})
	}
}

// addLists is addColumn for a column of arrays.
func (o *overflow) addLists(key uint32, t columnar.Type, c *Column, rowMap []uint32, base uint32, dict []int64) {
	var body []byte
	c.eachList(func(row uint32, from, to int) {
		out := at(rowMap, row-base)
		if out == dropped {
			return
		}
		body = appendList(body[:0], t, c, from, to, dict)
		o.buf = trace.AppendValue(o.buf[:0], &trace.Value{Kind: trace.KindArray, Bytes: body})
		o.items = append(o.items, overflowItem{out &^ joined, key, o.values.Code(o.buf)})
	})
}

// valueAt is entry i of an attribute column, or an element of one of arrays.
func valueAt(t columnar.Type, c *Column, i int, dict []int64) trace.Value {
	if t == columnar.String {
		return trace.StringValue(c.Dict.Entry(int(c.Codes[i] - 1)))
	}
	var v int64
	switch {
	case c.Codes == nil:
		v = c.Ints[i]
	case dict != nil:
		v = dict[c.Codes[i]-1]
	}
	switch t {
	case columnar.Int:
		return trace.IntValue(v)
	case columnar.Bool:
		return trace.BoolValue(v != 0)
	}
	return trace.Value{Kind: trace.KindDouble, Int: v}
}

// put writes both overflow columns.
func (o *overflow) put(s *stripe, w *pq.Writer) error {
	slices.SortStableFunc(o.items, func(a, b overflowItem) int { return cmp.Compare(a.row, b.row) })
	rows, lens := o.key.Rows[:0], o.key.Lens[:0]
	keys, values := o.key.Codes[:0], o.value.Codes[:0]
	for _, it := range o.items {
		if n := len(rows); n > 0 && rows[n-1] == it.row {
			lens[n-1]++
		} else {
			rows, lens = append(rows, it.row), append(lens, 1)
		}
		keys, values = append(keys, it.key), append(values, it.value)
	}
	o.key = Column{Rows: notNil(rows), Lens: notNil(lens), Codes: keys, Dict: &o.keys.Dict}
	o.value = Column{Rows: o.key.Rows, Lens: o.key.Lens, Codes: values, Dict: &o.values.Dict}
	if err := s.put(ColOverflowKey, w.Leaf(ColOverflowKey), &o.key); err != nil {
		return err
	}
	return s.put(ColOverflowValue, w.Leaf(ColOverflowValue), &o.value)
}
