package query

import (
	"fmt"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// state is what flows through a pipeline: spansets. Without sets, every trace with a row in rows is one spanset.
type state struct {
	rows  columnar.Bitmap
	sets  []spanset              // after by()
	group bool                   // sets is in use
	attrs map[uint32][]Attribute // per trace, values of aggregates, when not grouped
}

// spanset is one set of spans of one trace.
type spanset struct {
	trace uint32
	rows  []uint32
	attrs []Attribute
}

// stage is a compiled step of a pipeline.
type stage interface {
	run(s *scan, in state) (state, error)
	// share estimates the share of rows in the result; 0 means none.
	share(s *scan) (float64, error)
}

type (
	filterStage   struct{ p pred }
	coalesceStage struct{}
	selectStage   struct{}
	pipeStage     struct{ list []stage }
	groupStage    struct {
		expr  traceql.Field
		label string
	}
)

func newPipeline(p *traceql.Pipeline) (pipeStage, error) {
	var out pipeStage
	for _, x := range p.Stages {
		st, err := newStage(x)
		if err != nil {
			return out, err
		}
		out.list = append(out.list, st)
	}
	return out, nil
}

func newStage(x traceql.Stage) (stage, error) {
	switch x := x.(type) {
	case *traceql.Filter:
		p, err := newPred(x.Expr)
		return filterStage{p}, err
	case *traceql.Pipeline:
		return newPipeline(x)
	case *traceql.SpansetOp:
		return newOp(x)
	case *traceql.ScalarFilter:
		return newScalarFilter(x)
	case *traceql.Group:
		return groupStage{x.Expr, "by(" + traceql.FieldString(x.Expr) + ")"}, nil
	case *traceql.Coalesce:
		return coalesceStage{}, nil
	case *traceql.Select:
		return selectStage{}, nil
	}
	return nil, fmt.Errorf("unknown stage %T", x)
}

func (p pipeStage) run(s *scan, in state) (state, error) {
	for _, st := range p.list {
		if in.rows.Empty() {
			return state{rows: in.rows}, nil
		}
		err := s.ctx.Err()
		if err != nil {
			return in, err
		}
		if in, err = st.run(s, in); err != nil {
			return in, err
		}
	}
	return in, nil
}

// share is that of the first stage: the ones after only take away, except that they may come first themselves.
func (p pipeStage) share(s *scan) (float64, error) {
	lowest := 1.0
	for _, st := range p.list {
		f, err := st.share(s)
		if err != nil || f == 0 {
			return 0, err
		}
		lowest = min(lowest, f)
	}
	return lowest, nil
}

func (f filterStage) share(s *scan) (float64, error) { return f.p.share(s) }

func (f filterStage) run(s *scan, in state) (state, error) {
	if share, err := f.p.share(s); err != nil || share == 0 {
		return state{rows: s.bitmap()}, err
	}
	out := state{rows: s.bitmap(), group: in.group, attrs: in.attrs}
	if err := f.p.eval(s, in.rows, out.rows); err != nil {
		return out, err
	}
	for _, set := range in.sets {
		if kept := keep(set.rows, out.rows); len(kept) > 0 {
			out.sets = append(out.sets, spanset{set.trace, kept, set.attrs})
		}
	}
	return out, nil
}

func keep(rows []uint32, in columnar.Bitmap) []uint32 {
	var out []uint32
	for _, row := range rows {
		if in.Has(row) {
			out = append(out, row)
		}
	}
	return out
}

func (coalesceStage) share(*scan) (float64, error) { return 1, nil }

func (coalesceStage) run(_ *scan, in state) (state, error) { return state{rows: in.rows}, nil }

func (selectStage) share(*scan) (float64, error) { return 1, nil }

func (selectStage) run(_ *scan, in state) (state, error) { return in, nil }

func (g groupStage) share(*scan) (float64, error) { return 1, nil }

func (g groupStage) run(s *scan, in state) (state, error) {
	col, err := s.groupColumn(g.expr, in.rows)
	if err != nil {
		return in, err
	}
	shown := make([]Attribute, len(col.values)) // by number, made when needed
	out := state{rows: in.rows, group: true}
	at := map[uint32]int{}
	split := func(t uint32, rows []uint32, attrs []Attribute) error {
		clear(at)
		for _, row := range rows {
			if err := s.step(); err != nil {
				return err
			}
			n := col.number[col.codes[row]]
			i, ok := at[n]
			if !ok {
				i = len(out.sets)
				at[n] = i
				if shown[n].Key == "" {
					shown[n] = Attribute{g.label, col.values[n].shown()}
				}
				out.sets = append(out.sets, spanset{trace: t, attrs: with(attrs, shown[n])})
				if err := s.mem.Take(sizeSet + sizeAttribute*int64(len(attrs)+1)); err != nil {
					return err
				}
			}
			out.sets[i].rows = append(out.sets[i].rows, row)
		}
		return nil
	}
	if !in.group {
		err = s.eachTrace(in.rows, func(t uint32, rows []uint32) error { return split(t, rows, in.attrs[t]) })
		return out, err
	}
	for _, set := range in.sets {
		if err := split(set.trace, set.rows, set.attrs); err != nil {
			return out, err
		}
	}
	return out, nil
}

// groupColumn numbers the values of an expression.
func (s *scan) groupColumn(f traceql.Field, rows columnar.Bitmap) (labelColumn, error) {
	if a, ok := f.(*traceql.Attr); ok {
		return s.labelColumn(a, rows)
	}
	get, err := s.getter(f, rows)
	if err != nil {
		return labelColumn{}, err
	}
	return s.numberRows(get, rows)
}

// inRounds runs f on grouped spansets: the first of every trace together, then the second, and so on, as if each were
// its trace's only one. f returns the state of one round; its rows are what is left of the round's sets.
func (s *scan) inRounds(in state, f func(state) (state, error)) (state, error) {
	out := state{rows: s.bitmap(), group: true}
	results := make([]spanset, len(in.sets)) // in the order of in.sets: the sets of a trace stay together
	left := make([]int, len(in.sets))
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		if err := s.ctx.Err(); err != nil {
			return out, err
		}
		mark := s.used
		rows := s.bitmap()
		var now, later []int
		last := -1
		for _, i := range left {
			t := int(in.sets[i].trace)
			if t == last {
				later = append(later, i)
				continue
			}
			last = t
			now = append(now, i)
			for _, row := range in.sets[i].rows {
				rows.Set(row)
			}
		}
		res, err := f(state{rows: rows})
		if err != nil {
			return out, err
		}
		for _, i := range now {
			set := in.sets[i]
			if kept := keep(set.rows, res.rows); len(kept) > 0 {
				attrs := append(append([]Attribute(nil), set.attrs...), res.attrs[set.trace]...)
				results[i] = spanset{set.trace, kept, attrs}
				for _, row := range kept {
					out.rows.Set(row)
				}
			}
		}
		s.used = mark
		left = later
	}
	for _, set := range results {
		if len(set.rows) > 0 {
			out.sets = append(out.sets, set)
		}
	}
	return out, nil
}
