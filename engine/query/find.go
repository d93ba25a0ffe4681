package query

import (
	"context"
	"fmt"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// FindTrace gathers all spans of a trace from all sources as OTLP bytes (TracesData), copies once. Nothing found is
// no error: the bytes are empty. A source that fails is left out and named in partial; the end of ctx, and a trace that is
// too large for the memory of the query, are errors.
func FindTrace(ctx context.Context, sources []columnar.Source, id trace.ID) (otlp []byte, partial []string, err error) {
	f := finder{ctx: ctx, mem: BudgetFrom(ctx)}
	var rows []uint32
	for _, src := range sources {
		for _, seg := range src.Segments() {
			if rows, err = f.find(ctx, seg, id, rows); err == nil {
				continue
			}
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			if final(err) {
				return nil, nil, err
			}
			partial = append(partial, fmt.Sprintf("%s: %v", src.Name(), err))
		}
	}
	if f.b.Spans() == 0 {
		return nil, partial, nil
	}
	return f.b.Append(nil), partial, nil
}

// finder puts the spans of a trace together.
type finder struct {
	ctx context.Context
	mem *Budget
	b   trace.Builder
}

func (f *finder) find(ctx context.Context, seg columnar.Segment, id trace.ID, rows []uint32) ([]uint32, error) {
	rows, err := seg.Find(ctx, id, rows[:0])
	if err != nil || len(rows) == 0 {
		return rows, err
	}
	return rows, addSpans(ctx, seg, rows, f)
}

// Resource implements trace.Visitor.
func (f *finder) Resource(g *trace.Group) error {
	f.b.SetResource(g)
	return nil
}

// Scope implements trace.Visitor.
func (f *finder) Scope(g *trace.Group) error {
	f.b.SetScope(g)
	return nil
}

// Span implements trace.Visitor.
func (f *finder) Span(raw []byte) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if err := f.mem.Take(2 * int64(len(raw))); err != nil { // here and in the answer
		return err
	}
	_, err := f.b.Add(raw)
	return err
}

// addSpans adds whole spans of a segment to a builder.
func addSpans(ctx context.Context, seg columnar.Segment, rows []uint32, b trace.Visitor) error {
	resources, err := seg.Table(ctx, columnar.ScopeResource)
	if err != nil {
		return err
	}
	scopes, err := seg.Table(ctx, columnar.ScopeInstrumentation)
	if err != nil {
		return err
	}
	resource, scope := uint32(1<<32-1), uint32(1<<32-1)
	return seg.Spans(ctx, rows, func(r columnar.RawSpan) error {
		if r.Resource != resource || r.Scope != scope {
			resource, scope = r.Resource, r.Scope
			of, in := resources.Entry(int(resource)), scopes.Entry(int(scope))
			if err := b.Resource(&of); err != nil {
				return err
			}
			if err := b.Scope(&in); err != nil {
				return err
			}
		}
		return b.Span(r.Span)
	})
}
