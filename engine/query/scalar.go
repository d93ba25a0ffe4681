package query

import (
	"github.com/ringctl/ringctl/engine/traceql"
)

// scalarStage keeps the spansets for which a comparison of scalars holds.
type scalarStage struct {
	op          traceql.Op
	left, right scalar
}

// scalar is a number per spanset. prepare reads what it needs for the rows of in; of is then called per spanset.
type scalar interface {
	prepare(s *scan, in state) (func(t uint32, rows []uint32) value, error)
	// labels appends the aggregates in the scalar, whose values are shown with the spanset.
	labels(dst []*aggregate) []*aggregate
}

type (
	numberScalar struct{ v value }
	opScalar     struct {
		op          traceql.Op
		left, right scalar
	}
	pipeScalar struct {
		pipe pipeStage
		agg  *aggregate
	}
	aggregate struct {
		fn    traceql.AggregateFunc
		expr  traceql.Field
		label string
	}
)

func newScalarFilter(x *traceql.ScalarFilter) (stage, error) {
	l, err := newScalar(x.Left)
	if err != nil {
		return nil, err
	}
	r, err := newScalar(x.Right)
	return scalarStage{x.Op, l, r}, err
}

func newScalar(x traceql.Scalar) (scalar, error) {
	switch x := x.(type) {
	case *traceql.Number:
		return numberScalar{staticValue(x.Value)}, nil
	case *traceql.Aggregate:
		return newAggregate(x), nil
	case *traceql.PipelineScalar:
		for _, st := range x.Pipeline.Stages {
			if _, ok := st.(*traceql.Group); ok && endsGrouped(x.Pipeline) {
				return nil, &UnsupportedError{"by() before an aggregate in parentheses: merge the groups with coalesce() first"}
			}
		}
		p, err := newPipeline(x.Pipeline)
		return pipeScalar{p, newAggregate(x.Aggregate)}, err
	case *traceql.ScalarOp:
		l, err := newScalar(x.Left)
		if err != nil {
			return nil, err
		}
		r, err := newScalar(x.Right)
		return opScalar{x.Op, l, r}, err
	}
	return nil, &UnsupportedError{"this scalar"}
}

func newAggregate(x *traceql.Aggregate) *aggregate {
	a := &aggregate{fn: x.Func, expr: x.Expr, label: x.Func.String() + "()"}
	if x.Expr != nil {
		a.label = x.Func.String() + "(" + traceql.FieldString(x.Expr) + ")"
	}
	return a
}

func (f scalarStage) share(*scan) (float64, error) { return 1, nil }

func (f scalarStage) run(s *scan, in state) (state, error) {
	if out, ok, err := f.countOnly(s, in); ok || err != nil {
		return out, err
	}
	if in.group && f.hasPipe() {
		return s.inRounds(in, func(x state) (state, error) { return f.run(s, x) })
	}
	left, err := f.left.prepare(s, in)
	if err != nil {
		return in, err
	}
	right, err := f.right.prepare(s, in)
	if err != nil {
		return in, err
	}
	shown, err := f.shown(s, in)
	if err != nil {
		return in, err
	}
	out := state{rows: s.bitmap(), group: in.group, attrs: map[uint32][]Attribute{}}
	test := func(t uint32, rows []uint32, attrs []Attribute) ([]Attribute, bool) {
		if !compareValues(f.op, left(t, rows), right(t, rows)) {
			return nil, false
		}
		attrs = append([]Attribute(nil), attrs...)
		for _, a := range shown {
			attrs = append(attrs, Attribute{a.label, a.of(t, rows).shown()})
		}
		for _, row := range rows {
			out.rows.Set(row)
		}
		return attrs, true
	}
	if !in.group {
		return out, s.eachTrace(in.rows, func(t uint32, rows []uint32) error {
			if attrs, ok := test(t, rows, in.attrs[t]); ok {
				out.attrs[t] = attrs
			}
			return nil
		})
	}
	for _, set := range in.sets {
		if err := s.step(); err != nil {
			return out, err
		}
		if attrs, ok := test(set.trace, set.rows, set.attrs); ok {
			out.sets = append(out.sets, spanset{set.trace, set.rows, attrs})
		}
	}
	return out, nil
}

func (f scalarStage) hasPipe() bool { return hasPipe(f.left) || hasPipe(f.right) }

func hasPipe(x scalar) bool {
	switch x := x.(type) {
	case pipeScalar:
		return true
	case opScalar:
		return hasPipe(x.left) || hasPipe(x.right)
	}
	return false
}

type shownAggregate struct {
	label string
	of    func(t uint32, rows []uint32) value
}

func (f scalarStage) shown(s *scan, in state) ([]shownAggregate, error) {
	var out []shownAggregate
	for _, a := range f.right.labels(f.left.labels(nil)) {
		of, err := a.prepare(s, in)
		if err != nil {
			return nil, err
		}
		out = append(out, shownAggregate{a.label, of})
	}
	return out, nil
}

// countOnly is the fast way for "count() op number": counting bits.
func (f scalarStage) countOnly(s *scan, in state) (out state, ok bool, err error) {
	a, isAgg := f.left.(*aggregate)
	num, isNum := f.right.(numberScalar)
	if in.group || !isAgg || a.fn != traceql.Count || !isNum {
		return in, false, nil
	}
	t, err := s.loadTraces()
	if err != nil || t.Perm != nil {
		return in, false, err
	}
	lo, hi, invert := intRange(f.op, num.v)
	traces, err := s.tracesOf(in.rows)
	if err != nil {
		return in, false, err
	}
	out = state{rows: s.bitmap(), attrs: map[uint32][]Attribute{}}
	for i, ok := traces.Next(0); ok; i, ok = traces.Next(i + 1) {
		if err := s.step(); err != nil {
			return in, false, err
		}
		from, to := t.Offsets[i], t.Offsets[i+1]
		n := in.rows.CountRange(from, to)
		if (n >= lo && n <= hi) == invert {
			continue
		}
		out.rows.SetRange(from, to)
		out.attrs[i] = append(append([]Attribute(nil), in.attrs[i]...), Attribute{a.label, intValue(traceql.TypeInt, n).shown()})
	}
	out.rows.And(in.rows)
	return out, true, nil
}

func (n numberScalar) prepare(*scan, state) (func(uint32, []uint32) value, error) {
	return func(uint32, []uint32) value { return n.v }, nil
}

func (n numberScalar) labels(dst []*aggregate) []*aggregate { return dst }

func (o opScalar) prepare(s *scan, in state) (func(uint32, []uint32) value, error) {
	l, err := o.left.prepare(s, in)
	if err != nil {
		return nil, err
	}
	r, err := o.right.prepare(s, in)
	if err != nil {
		return nil, err
	}
	return func(t uint32, rows []uint32) value { return arithmetic(o.op, l(t, rows), r(t, rows)) }, nil
}

func (o opScalar) labels(dst []*aggregate) []*aggregate { return o.right.labels(o.left.labels(dst)) }

// A scalar over a pipeline of its own looks at what that pipeline leaves of the trace.
func (p pipeScalar) prepare(s *scan, in state) (func(uint32, []uint32) value, error) {
	res, err := p.pipe.run(s, in)
	if err != nil {
		return nil, err
	}
	of, err := p.agg.prepare(s, res)
	if err != nil {
		return nil, err
	}
	if _, err := s.loadTraces(); err != nil {
		return nil, err
	}
	var list []uint32
	return func(t uint32, _ []uint32) value {
		list = s.traceRows(t, res.rows, list[:0])
		return of(t, list)
	}, nil
}

func (p pipeScalar) labels(dst []*aggregate) []*aggregate { return dst }

func (a *aggregate) labels(dst []*aggregate) []*aggregate { return append(dst, a) }

func (a *aggregate) prepare(s *scan, in state) (func(uint32, []uint32) value, error) {
	if a.fn == traceql.Count {
		return func(_ uint32, rows []uint32) value { return intValue(traceql.TypeInt, int64(len(rows))) }, nil
	}
	get, err := s.getter(a.expr, in.rows)
	if err != nil {
		return nil, err
	}
	return func(_ uint32, rows []uint32) value {
		var acc accumulator
		for _, row := range rows {
			acc.add(get(row))
		}
		return acc.result(a.fn)
	}, nil
}

// accumulator collects numbers; everything else is ignored.
type accumulator struct {
	n         int64
	low, high value
	sum       value
}

func (c *accumulator) add(v value) {
	if _, ok := v.number(); !ok {
		return
	}
	if c.n++; c.n == 1 {
		c.low, c.high, c.sum = v, v, v
		return
	}
	if order(v, c.low) == -1 {
		c.low = v
	}
	if order(v, c.high) == 1 {
		c.high = v
	}
	c.sum = arithmetic(traceql.OpAdd, c.sum, v)
}

// result is nil when there was no number.
func (c *accumulator) result(fn traceql.AggregateFunc) value {
	switch {
	case c.n == 0:
		return value{}
	case fn == traceql.Min:
		return c.low
	case fn == traceql.Max:
		return c.high
	case fn == traceql.Sum:
		return c.sum
	}
	total, ok := c.sum.number()
	if !ok {
		return value{}
	}
	if c.sum.typ == traceql.TypeDuration {
		return intValue(traceql.TypeDuration, c.sum.n/c.n)
	}
	return floatValue(total / float64(c.n))
}
