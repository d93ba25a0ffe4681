package query

import (
	"bytes"
	"cmp"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// labeler numbers the groups of by(…): rows with equal values have one number, from 0.
type labeler struct {
	columns []labelColumn
	table   []int32          // group by combined value numbers, -1 = new; nil when there are too many combinations
	byKey   map[uint64]int32 // the same
	groups  [][]uint32       // value number of each column
}

// labelColumn is one attribute: a code per row, and the number of the value that a code stands for.
type labelColumn struct {
	name   string
	codes  []uint32
	number []uint32 // by code
	values []value  // by number
}

// maxCombinations bounds the table of groups.
const maxCombinations = 1 << 16

func (l *labeler) prepare(s *scan, by []*traceql.Attr, rows columnar.Bitmap) error {
	combinations := uint64(1)
	for _, a := range by {
		c, err := s.labelColumn(a, rows)
		if err != nil {
			return err
		}
		c.name = a.String()
		l.columns = append(l.columns, c)
		if combinations <= maxCombinations {
			combinations *= uint64(max(1, len(c.values)))
		}
	}
	if combinations <= maxCombinations {
		l.table = make([]int32, combinations)
		for i := range l.table {
			l.table[i] = -1
		}
	} else {
		l.byKey = make(map[uint64]int32)
	}
	return nil
}

// of is the group of a row.
func (l *labeler) of(row uint32) uint32 {
	k := uint64(0)
	for i := range l.columns {
		c := &l.columns[i]
		k = k*uint64(len(c.values)) + uint64(c.number[c.codes[row]])
	}
	if l.table != nil {
		if g := l.table[k]; g >= 0 {
			return uint32(g)
		}
	} else if g, ok := l.byKey[k]; ok {
		return uint32(g)
	}
	g := int32(len(l.groups))
	if l.table != nil {
		l.table[k] = g
	} else {
		l.byKey[k] = g
	}
	numbers := make([]uint32, len(l.columns))
	for i := range l.columns {
		numbers[i] = l.columns[i].number[l.columns[i].codes[row]]
	}
	l.groups = append(l.groups, numbers)
	return uint32(g)
}

// shown is the labels of a group.
func (l *labeler) shown(group uint32) []Attribute {
	if int(group) >= len(l.groups) {
		return nil
	}
	out := make([]Attribute, len(l.columns))
	for i, n := range l.groups[group] {
		out[i] = Attribute{l.columns[i].name, l.columns[i].values[n].shown()}
	}
	return out
}

// labelColumn reads an attribute as codes: those of the table or the dictionary where it has one.
func (s *scan) labelColumn(a *traceql.Attr, rows columnar.Bitmap) (labelColumn, error) {
	resource := a.Intrinsic == traceql.NotIntrinsic && !a.Parent &&
		(a.Scope == traceql.ScopeResource || a.Scope == traceql.ScopeNone && len(s.columns(columnar.ScopeSpan, a.Name).cols) == 0)
	if resource {
		return s.resourceLabels(a, rows)
	}
	var cols *colSet
	switch {
	case a.Intrinsic == traceql.Name && !a.Parent:
		cols = s.columns(columnar.ScopeIntrinsic, columnar.KeyName)
	case a.Scope == traceql.ScopeSpan && !a.Parent && a.Intrinsic == traceql.NotIntrinsic:
		cols = s.columns(columnar.ScopeSpan, a.Name)
	}
	if cols != nil && len(cols.cols) == 1 && cols.cols[0].Type()&columnar.Array == 0 {
		v, err := s.read(cols, 0, rows)
		if err != nil {
			return labelColumn{}, err
		}
		if v.Dict != nil && v.Rows == nil && v.Dict.Len() < maxCombinations {
			if err := s.mem.Take(sizeCode * int64(v.Dict.Len()+1)); err != nil {
				return labelColumn{}, err
			}
			return dictLabels(v, cols.cols[0].Type(), a.Intrinsic == traceql.Name), nil
		}
	}
	return s.rowLabels(a, rows)
}

func (s *scan) resourceLabels(a *traceql.Attr, rows columnar.Bitmap) (labelColumn, error) {
	t, err := s.table(columnar.ScopeResource)
	if err != nil {
		return labelColumn{}, err
	}
	v, err := s.intrinsic(columnar.KeyResource, rows)
	if err != nil {
		return labelColumn{}, err
	}
	c := labelColumn{codes: v.Codes, number: make([]uint32, t.Len())}
	n := numberer{}
	for i := range t.Len() {
		if err := s.step(); err != nil {
			return c, err
		}
		if c.number[i], err = s.numberOf(&n, &c, tableAttr(t, i, a.Name)); err != nil {
			return c, err
		}
	}
	return c, nil
}

func dictLabels(v *columnar.Vector, typ columnar.Type, nullIsEmpty bool) labelColumn {
	c := labelColumn{codes: v.Codes, number: make([]uint32, v.Dict.Len()+1), values: make([]value, v.Dict.Len()+1)}
	one := columnar.Vector{Dict: v.Dict, Codes: []uint32{0}}
	for i := range c.number {
		one.Codes[0] = uint32(i)
		c.number[i], c.values[i] = uint32(i), entryValue(&one, 0, typ)
		if i == 0 && nullIsEmpty {
			c.values[i] = stringValue(nil)
		}
	}
	return c
}

// rowLabels looks at each row.
func (s *scan) rowLabels(a *traceql.Attr, rows columnar.Bitmap) (labelColumn, error) {
	get, err := s.attrGetter(a, rows)
	if err != nil {
		return labelColumn{}, err
	}
	return s.numberRows(get, rows)
}

// numberRows numbers what get gives for the rows.
func (s *scan) numberRows(get getter, rows columnar.Bitmap) (labelColumn, error) {
	c := labelColumn{codes: make([]uint32, s.n)}
	n := numberer{}
	for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
		if err := s.step(); err != nil {
			return c, err
		}
		number, err := s.numberOf(&n, &c, get(row))
		if err != nil {
			return c, err
		}
		c.codes[row] = number
	}
	c.number = make([]uint32, len(c.values))
	for i := range c.number {
		c.number[i] = uint32(i)
	}
	return c, nil
}

// numberOf numbers a value and takes the memory of a new one.
func (s *scan) numberOf(n *numberer, c *labelColumn, v value) (uint32, error) {
	known := len(c.values)
	i := n.of(c, v)
	if len(c.values) == known {
		return i, nil
	}
	return i, s.mem.Take(sizeValue + 2*int64(len(n.key)))
}

// numberer gives equal values one number.
type numberer struct {
	seen map[string]uint32
	key  []byte
}

func (n *numberer) of(c *labelColumn, v value) uint32 {
	if n.seen == nil {
		n.seen = make(map[string]uint32)
	}
	n.key = v.appendKey(n.key[:0])
	i, ok := n.seen[string(n.key)]
	if !ok {
		i = uint32(len(c.values))
		n.seen[string(n.key)] = i
		v.s, v.raw = bytes.Clone(v.s), bytes.Clone(v.raw)
		c.values = append(c.values, v)
	}
	return i
}

// labelsKey is equal for equal labels only.
func labelsKey(dst []byte, labels []Attribute) []byte {
	for i := range labels {
		dst = append(dst, labels[i].Key...)
		dst = append(dst, 0)
		dst = appendValueKey(dst, &labels[i].Value)
	}
	return dst
}

// compareLabels orders series: by their labels one after the other, numbers by size, text by bytes.
func compareLabels(a, b []Attribute) int {
	for i := range min(len(a), len(b)) {
		x, y := &a[i], &b[i]
		c := cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.Value.Kind, y.Value.Kind))
		switch {
		case c != 0:
			return c
		case x.Value.Kind == trace.KindDouble:
			c = cmp.Compare(x.Value.Float(), y.Value.Float())
		default:
			c = cmp.Or(cmp.Compare(x.Value.Int, y.Value.Int), bytes.Compare(x.Value.Bytes, y.Value.Bytes))
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// isNilLabel reports the label of spans without the attribute.
func isNilLabel(v trace.Value) bool { return v.Kind == trace.KindEmpty }
