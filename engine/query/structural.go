package query

import (
	"slices"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// opStage combines two spansets of one trace.
type opStage struct {
	op          traceql.Op
	left, right stage
}

func newOp(x *traceql.SpansetOp) (stage, error) {
	for _, side := range [...]traceql.Spanset{x.Left, x.Right} {
		if endsGrouped(side) {
			return nil, &UnsupportedError{"by() on one side of " + x.Op.String() + ": merge the groups with coalesce() first"}
		}
	}
	l, err := newStage(x.Left)
	if err != nil {
		return nil, err
	}
	r, err := newStage(x.Right)
	return opStage{x.Op, l, r}, err
}

// endsGrouped reports a pipeline that may give several spansets per trace.
func endsGrouped(x traceql.Stage) bool {
	p, ok := x.(*traceql.Pipeline)
	grouped := false
	if ok {
		for _, st := range p.Stages {
			switch st := st.(type) {
			case *traceql.Group:
				grouped = true
			case *traceql.Coalesce:
				grouped = false
			case *traceql.Pipeline:
				grouped = grouped || endsGrouped(st)
			}
		}
	}
	return grouped
}

func (o opStage) share(s *scan) (float64, error) {
	r, err := o.right.share(s)
	if err != nil {
		return 0, err
	}
	if o.op.Negated() {
		return r, nil
	}
	l, err := o.left.share(s)
	if err != nil {
		return 0, err
	}
	if o.op == traceql.OpOr {
		return min(1, l+r), nil
	}
	if l == 0 || r == 0 {
		return 0, nil
	}
	if o.op == traceql.OpAnd || o.op.Union() {
		return min(1, l+r), nil
	}
	return r, nil
}

func (o opStage) run(s *scan, in state) (state, error) {
	if in.group {
		return s.inRounds(in, func(x state) (state, error) { return o.run(s, x) })
	}
	if err := s.ctx.Err(); err != nil { // a chain of operators may be long
		return in, err
	}
	share, err := o.share(s)
	if err != nil || share == 0 {
		return state{rows: s.bitmap()}, err
	}
	if o.op == traceql.OpOr {
		l, err := o.left.run(s, in)
		if err != nil {
			return l, err
		}
		r, err := o.right.run(s, in)
		if err != nil {
			return r, err
		}
		rows := s.bitmap()
		rows.Or(l.rows)
		rows.Or(r.rows)
		return state{rows: rows, attrs: in.attrs}, nil
	}
	l, r, err := o.sides(s, in)
	if err != nil || r.Empty() {
		return state{rows: s.bitmap()}, err
	}
	rows := s.bitmap()
	if o.op == traceql.OpAnd {
		rows.Or(l)
		rows.Or(r)
		return state{rows: rows, attrs: in.attrs}, nil
	}
	return state{rows: rows, attrs: in.attrs}, o.relate(s, l, r, rows)
}

// sides evaluates both operands, the rarer one first, and leaves only traces that can be in the result: those with
// spans on both sides, for negated operators those with spans on the right.
func (o opStage) sides(s *scan, in state) (l, r columnar.Bitmap, err error) {
	first, second := o.right, o.left
	swapped := false
	if !o.op.Negated() {
		ls, err := o.left.share(s)
		if err != nil {
			return nil, nil, err
		}
		rs, err := o.right.share(s)
		if err != nil {
			return nil, nil, err
		}
		if ls < rs {
			first, second, swapped = o.left, o.right, true
		}
	}
	a, err := first.run(s, in)
	if err != nil || a.rows.Empty() {
		return a.rows, a.rows, err
	}
	within, err := s.sameTraces(a.rows, in.rows)
	if err != nil {
		return nil, nil, err
	}
	b, err := second.run(s, state{rows: within})
	if err != nil {
		return nil, nil, err
	}
	if o.op.Negated() {
		return b.rows, a.rows, nil
	}
	if b.rows.Empty() {
		return b.rows, b.rows, nil
	}
	if a.rows, err = s.sameTraces(b.rows, a.rows); err != nil {
		return nil, nil, err
	}
	if swapped {
		return a.rows, b.rows, nil
	}
	return b.rows, a.rows, nil
}

// sameTraces is the rows of in whose trace has a row in rows.
func (s *scan) sameTraces(rows, in columnar.Bitmap) (columnar.Bitmap, error) {
	traces, err := s.tracesOf(rows)
	if err != nil {
		return nil, err
	}
	out, err := s.rowsOf(traces)
	if err != nil {
		return nil, err
	}
	out.And(in)
	return out, nil
}

// relation finds spans by their place in the tree relative to a set of others.
type relation struct {
	op    traceql.Op
	n     *nestedSet
	keys  []uint64 // of the others, sorted
	reach []uint32 // for descendants: the largest right up to a key
}

func relationParts(op traceql.Op) int {
	switch op {
	case traceql.OpDescendant, traceql.OpAncestor:
		return partLeft | partRight
	case traceql.OpSibling:
		return partParent
	}
	return partLeft | partParent
}

// relate adds to out the right rows that are (or, negated, are not) related to a left one; for union operators both
// sides of every related pair.
func (o opStage) relate(s *scan, l, r, out columnar.Bitmap) error {
	both := s.bitmap()
	both.Or(l)
	both.Or(r)
	rel := o.op.Relation()
	n, err := s.nestedSets(both, relationParts(rel)|partLeft)
	if err != nil {
		return err
	}
	x, back := relation{op: rel, n: n}, relation{op: inverse(rel), n: n}
	var left []uint32
	return s.eachTrace(r, func(t uint32, right []uint32) error {
		left = s.traceRows(t, l, left[:0])
		x.prepare(left)
		for _, row := range right {
			if err := s.step(); err != nil {
				return err
			}
			if n.left[row] != 0 && x.has(row, l.Has(row)) != o.op.Negated() {
				out.Set(row)
			}
		}
		if !o.op.Union() {
			return nil
		}
		back.prepare(right)
		for _, row := range left {
			if n.left[row] != 0 && back.has(row, r.Has(row)) {
				out.Set(row)
			}
		}
		return nil
	})
}

func inverse(op traceql.Op) traceql.Op {
	switch op {
	case traceql.OpChild:
		return traceql.OpParent
	case traceql.OpParent:
		return traceql.OpChild
	case traceql.OpDescendant:
		return traceql.OpAncestor
	case traceql.OpAncestor:
		return traceql.OpDescendant
	}
	return op
}

// prepare sorts what is asked of the others: their left for children, descendants and ancestors, their parent for
// parents and siblings. Spans without a place in the tree are left out.
func (x *relation) prepare(others []uint32) {
	x.keys = x.keys[:0]
	for _, row := range others {
		n := x.n
		switch x.op {
		case traceql.OpChild, traceql.OpAncestor:
			if n.left[row] != 0 {
				x.keys = append(x.keys, uint64(n.left[row]))
			}
		case traceql.OpDescendant:
			if n.left[row] != 0 {
				x.keys = append(x.keys, uint64(n.left[row])<<32|uint64(n.right[row]))
			}
		case traceql.OpParent, traceql.OpSibling:
			if int32(n.parent[row]) > 0 {
				x.keys = append(x.keys, uint64(n.parent[row]))
			}
		}
	}
	slices.Sort(x.keys)
	if x.op == traceql.OpDescendant {
		x.reach = x.reach[:0]
		far := uint32(0)
		for _, k := range x.keys {
			far = max(far, uint32(k))
			x.reach = append(x.reach, far)
		}
	}
}

// has reports whether the row is a child (parent, descendant, …) of one of the others; among says that the row is one
// of them itself.
func (x *relation) has(row uint32, among bool) bool {
	n := x.n
	switch x.op {
	case traceql.OpChild:
		return int32(n.parent[row]) > 0 && x.contains(uint64(n.parent[row]), 1)
	case traceql.OpParent:
		return x.contains(uint64(n.left[row]), 1)
	case traceql.OpSibling:
		times := 1
		if among {
			times = 2
		}
		return int32(n.parent[row]) > 0 && x.contains(uint64(n.parent[row]), times)
	case traceql.OpAncestor: // one of the others lies inside
		i, _ := slices.BinarySearch(x.keys, uint64(n.left[row])+1)
		return i < len(x.keys) && x.keys[i] < uint64(n.right[row])
	}
	i, _ := slices.BinarySearch(x.keys, uint64(n.left[row])<<32)
	return i > 0 && x.reach[i-1] > n.right[row]
}

// contains reports that the key is there at least that often.
func (x *relation) contains(key uint64, times int) bool {
	i, ok := slices.BinarySearch(x.keys, key)
	return ok && i+times-1 < len(x.keys) && x.keys[i+times-1] == key
}
