package query

import (
	"slices"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// nestedSet is the nested-set numbers of the rows, as stored or as computed: 32-bit two's complement.
type nestedSet struct {
	left, right, parent []uint32
	children            []uint32 // number of children per row, when asked for
	up                  []int32  // row of the parent, -1 = none, when asked for
}

// Parts of a nestedSet.
const (
	partLeft = 1 << iota
	partRight
	partParent
	partsAll = partLeft | partRight | partParent
)

// nestedSets reads or computes the numbers of the rows in within (nil = all); only the parts that are asked for.
func (s *scan) nestedSets(within columnar.Bitmap, parts int) (*nestedSet, error) {
	if s.nested != nil {
		return s.nested, nil
	}
	if len(s.columns(columnar.ScopeIntrinsic, columnar.KeyNestedLeft).cols) == 0 {
		n, err := s.computeNested(within)
		if within == nil {
			s.nested = n
		}
		return n, err
	}
	n := &nestedSet{}
	for _, part := range [...]struct {
		bit int
		key string
		dst *[]uint32
	}{{partLeft, columnar.KeyNestedLeft, &n.left}, {partRight, columnar.KeyNestedRight, &n.right}, {partParent, columnar.KeyNestedParent, &n.parent}} {
		if parts&part.bit == 0 {
			continue
		}
		v, err := s.intrinsic(part.key, within)
		if err != nil {
			return nil, err
		}
		*part.dst = v.Codes
	}
	if within == nil && parts == partsAll {
		s.nested = n
	}
	return n, nil
}

// computeNested numbers the traces that have a row in within (nil = all).
func (s *scan) computeNested(within columnar.Bitmap) (*nestedSet, error) {
	if within == nil {
		within = s.rows()
	}
	traces, err := s.tracesOf(within)
	if err != nil {
		return nil, err
	}
	all, err := s.rowsOf(traces)
	if err != nil {
		return nil, err
	}
	id, err := s.intrinsic(columnar.KeySpanID, all)
	if err != nil {
		return nil, err
	}
	parent, err := s.intrinsic(columnar.KeyParentID, all)
	if err != nil {
		return nil, err
	}
	kind, err := s.intrinsic(columnar.KeyKind, all)
	if err != nil {
		return nil, err
	}
	n := &nestedSet{left: make([]uint32, s.n), right: make([]uint32, s.n), parent: make([]uint32, s.n)}
	var nest columnar.Nester
	var ids, parents []uint64
	var kinds []uint8
	var left, right, up []int32
	var rows []uint32
	for i, ok := traces.Next(0); ok; i, ok = traces.Next(i + 1) {
		if err := s.step(); err != nil {
			return nil, err
		}
		rows = s.traceRows(i, s.rows(), rows[:0])
		ids, parents, kinds = ids[:0], parents[:0], kinds[:0]
		for _, row := range rows {
			ids = append(ids, uint64(id.Int(row)))
			parents = append(parents, uint64(parent.Int(row)))
			kinds = append(kinds, uint8(kind.Int(row)))
		}
		m := len(rows)
		left, right, up = slices.Grow(left[:0], m)[:m], slices.Grow(right[:0], m)[:m], slices.Grow(up[:0], m)[:m]
		nest.Nest(ids, parents, kinds, left, right, up)
		for k, row := range rows {
			n.left[row], n.right[row], n.parent[row] = uint32(left[k]), uint32(right[k]), uint32(up[k])
		}
	}
	return n, nil
}

// withTree adds the parent's row and the number of children of every row.
func (s *scan) withTree() (*nestedSet, error) {
	n, err := s.nestedSets(nil, partsAll)
	if err != nil {
		return nil, err
	}
	if n.up != nil {
		return n, nil
	}
	t, err := s.loadTraces()
	if err != nil {
		return nil, err
	}
	n.up, n.children = make([]int32, s.n), make([]uint32, s.n)
	at := map[uint32]uint32{}
	var rows []uint32
	for i := range t.IDs {
		if err := s.step(); err != nil {
			return nil, err
		}
		rows = s.traceRows(uint32(i), s.rows(), rows[:0])
		clear(at)
		for _, row := range rows {
			if n.left[row] > 0 {
				at[n.left[row]] = row
			}
		}
		for _, row := range rows {
			n.up[row] = -1
			if up, ok := at[n.parent[row]]; ok {
				n.up[row] = int32(up)
				n.children[up]++
			}
		}
	}
	return n, nil
}

func (s *scan) nestedGetter(i traceql.Intrinsic) (getter, error) {
	if i == traceql.ChildCount {
		n, err := s.withTree()
		if err != nil {
			return nil, err
		}
		return func(row uint32) value { return intValue(traceql.TypeInt, int64(n.children[row])) }, nil
	}
	n, err := s.nestedSets(nil, partsAll)
	if err != nil {
		return nil, err
	}
	numbers := map[traceql.Intrinsic][]uint32{
		traceql.NestedSetLeft: n.left, traceql.NestedSetRight: n.right, traceql.NestedSetParent: n.parent,
	}[i]
	return func(row uint32) value { return intValue(traceql.TypeInt, int64(int32(numbers[row]))) }, nil
}

// parentGetter is an attribute of the parent span; nil for roots and where the parent was not received. The bare word
// parent is true where there is one.
func (s *scan) parentGetter(a *traceql.Attr, _ columnar.Bitmap) (getter, error) {
	n, err := s.withTree()
	if err != nil {
		return nil, err
	}
	if a.Intrinsic == traceql.ParentSpan {
		return func(row uint32) value {
			if n.up[row] < 0 {
				return value{}
			}
			return boolValue(true)
		}, nil
	}
	own := *a
	own.Parent = false
	get, err := s.attrGetter(&own, nil)
	if err != nil {
		return nil, err
	}
	return func(row uint32) value {
		if n.up[row] < 0 {
			return value{}
		}
		return get(uint32(n.up[row]))
	}, nil
}
