package query

import (
	"context"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// candidates is a necessary condition for a trace to be in the answer that can be tested on the parts of the trace one
// by one: "some part has a span that matches this filter", combined by and, or.
type candidates struct {
	p    pred          // of a single filter, nil = every trace
	and  bool          // of list
	list []*candidates // nil = a single filter
}

// newCandidates derives the condition from a pipeline.
func newCandidates(p *traceql.Pipeline) (*candidates, error) {
	if len(p.Stages) == 0 {
		return &candidates{}, nil
	}
	return candidatesOf(p.Stages[0])
}

func candidatesOf(x traceql.Stage) (*candidates, error) {
	switch x := x.(type) {
	case *traceql.Pipeline:
		return newCandidates(x)
	case *traceql.Filter:
		if x.Expr == nil || looksBeyondSpan(x.Expr) {
			return &candidates{}, nil
		}
		p, err := newPred(x.Expr)
		return &candidates{p: p}, err
	case *traceql.SpansetOp:
		r, err := candidatesOf(x.Right)
		if err != nil || x.Op.Negated() {
			return r, err
		}
		l, err := candidatesOf(x.Left)
		return &candidates{and: x.Op != traceql.OpOr, list: []*candidates{l, r}}, err
	}
	return &candidates{}, nil
}

// looksBeyondSpan reports an expression whose value depends on other spans of the trace.
func looksBeyondSpan(f traceql.Field) bool {
	switch f := f.(type) {
	case *traceql.Unary:
		return looksBeyondSpan(f.Expr)
	case *traceql.Binary:
		return looksBeyondSpan(f.Left) || looksBeyondSpan(f.Right)
	case *traceql.Attr:
		return beyondSpan(f)
	}
	return false
}

func beyondSpan(a *traceql.Attr) bool {
	switch a.Intrinsic {
	case traceql.ChildCount, traceql.NestedSetLeft, traceql.NestedSetRight, traceql.NestedSetParent, traceql.TraceDuration,
		traceql.TraceRootName, traceql.TraceRootService, traceql.ParentSpan:
		return true
	}
	return a.Parent
}

// find is the set of the split traces (by joint number) that can be in the answer.
func (c *candidates) find(ctx context.Context, pieces []*piece, joint int) (columnar.Bitmap, error) {
	out := columnar.NewBitmap(joint)
	switch {
	case c.list != nil:
		for i, x := range c.list {
			b, err := x.find(ctx, pieces, joint)
			if err != nil {
				return nil, err
			}
			if c.and && i > 0 {
				out.And(b)
			} else {
				out.Or(b)
			}
		}
		return out, nil
	case c.p == nil:
		out.Fill(joint)
		return out, nil
	}
	var s scan
	defer s.end()
	for _, p := range pieces {
		if len(p.split) == 0 {
			continue
		}
		s.begin(ctx, p.seg, p.live)
		if _, err := s.loadTraces(); err != nil {
			return nil, err
		}
		traces := s.bitmapOf(len(s.traces.IDs))
		for _, t := range p.split {
			traces.Set(t.number)
		}
		rows, err := s.rowsOf(traces)
		if err != nil {
			return nil, err
		}
		hit, err := filterStage{c.p}.run(&s, state{rows: rows})
		if err != nil {
			return nil, err
		}
		if traces, err = s.tracesOf(hit.rows); err != nil {
			return nil, err
		}
		for _, t := range p.split {
			if traces.Has(t.number) {
				out.Set(uint32(t.joint))
			}
		}
	}
	return out, nil
}
