package query

import (
	"sort"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// pred is a condition on a span, made ready for evaluation on whole segments.
type pred interface {
	// share estimates the share of rows that match, before any data page is read; 0 means that no row does.
	share(s *scan) (float64, error)
	// eval adds to out the rows of within that match.
	eval(s *scan, within, out columnar.Bitmap) error
}

type (
	predConst bool
	predAll   struct{ list []pred } // &&
	predAny   struct{ list []pred } // ||
	predNot   struct{ x pred }
	// predRow evaluates an expression row by row: whatever has no faster way.
	predRow struct{ expr traceql.Field }
)

// newPred makes the condition of a filter; nil matches everything.
func newPred(f traceql.Field) (pred, error) {
	if f == nil {
		return predConst(true), nil
	}
	switch f := f.(type) {
	case *traceql.Lit:
		return predConst(staticValue(f.Value).truth()), nil
	case *traceql.Attr:
		return newLeaf(f, traceql.OpEq, traceql.Static{Type: traceql.TypeBool, Int: 1})
	case *traceql.Unary:
		if f.Op == traceql.OpNot {
			return newNot(f.Expr)
		}
	case *traceql.Binary:
		return newBinary(f)
	}
	return predRow{f}, nil
}

// newNot is !x: true where x is false. Of an attribute that is not there, or not a bool, it is nothing.
func newNot(x traceql.Field) (pred, error) {
	switch f := x.(type) {
	case *traceql.Attr:
		return newLeaf(f, traceql.OpEq, traceql.Static{Type: traceql.TypeBool})
	case *traceql.Binary:
		if p, err := newBinary(f); err != nil || !f.Op.Arithmetic() {
			return predNot{p}, err
		}
	}
	return predRow{&traceql.Unary{Op: traceql.OpNot, Expr: x}}, nil
}

func newBinary(f *traceql.Binary) (pred, error) {
	if f.Op.Boolean() {
		return newBoolean(f)
	}
	l, lattr := f.Left.(*traceql.Attr)
	r, rattr := f.Right.(*traceql.Attr)
	llit, lis := f.Left.(*traceql.Lit)
	rlit, ris := f.Right.(*traceql.Lit)
	switch {
	case lattr && ris && rlit.Value.Type == traceql.TypeNil:
		return newExists(l, f.Op), nil
	case rattr && lis && llit.Value.Type == traceql.TypeNil:
		return newExists(r, f.Op), nil
	case lattr && ris:
		return newLeaf(l, f.Op, rlit.Value)
	case rattr && lis:
		return newLeaf(r, flip(f.Op), llit.Value)
	}
	return predRow{f}, nil
}

// newBoolean flattens a chain of one operator, so that its conditions can be ordered by cost.
func newBoolean(f *traceql.Binary) (pred, error) {
	var list []pred
	var operands []traceql.Field
	var x traceql.Field = f
	for {
		b, ok := x.(*traceql.Binary)
		if !ok || b.Op != f.Op {
			operands = append(operands, x)
			break
		}
		operands = append(operands, b.Right)
		x = b.Left
	}
	for i := len(operands) - 1; i >= 0; i-- {
		p, err := newPred(operands[i])
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	if f.Op == traceql.OpAnd {
		return &predAll{list}, nil
	}
	return &predAny{list}, nil
}

func (p predConst) share(*scan) (float64, error) {
	if p {
		return 1, nil
	}
	return 0, nil
}

func (p predConst) eval(_ *scan, within, out columnar.Bitmap) error {
	if p {
		out.Or(within)
	}
	return nil
}

func (p *predAll) share(s *scan) (float64, error) {
	lowest := 1.0
	for _, x := range p.list {
		f, err := x.share(s)
		if err != nil || f == 0 {
			return 0, err
		}
		lowest = min(lowest, f)
	}
	return lowest, nil
}

func (p *predAll) eval(s *scan, within, out columnar.Bitmap) error {
	type item struct {
		x     pred
		share float64
	}
	items := make([]item, len(p.list))
	for i, x := range p.list {
		f, err := x.share(s)
		if err != nil || f == 0 {
			return err
		}
		items[i] = item{x, f}
	}
	sort.SliceStable(items, func(i, j int) bool { return items[i].share < items[j].share })
	mark := s.used
	defer func() { s.used = mark }()
	for _, it := range items {
		hit := s.bitmap()
		if err := it.x.eval(s, within, hit); err != nil {
			return err
		}
		if hit.Empty() {
			return nil
		}
		within = hit
	}
	out.Or(within)
	return nil
}

func (p *predAny) share(s *scan) (float64, error) {
	sum := 0.0
	for _, x := range p.list {
		f, err := x.share(s)
		if err != nil {
			return 0, err
		}
		if sum += f; sum >= 1 {
			return 1, nil
		}
	}
	return sum, nil
}

func (p *predAny) eval(s *scan, within, out columnar.Bitmap) error {
	mark := s.used
	defer func() { s.used = mark }()
	rest, hit := s.bitmap(), s.bitmap()
	copy(rest, within)
	for _, x := range p.list {
		clear(hit)
		if err := x.eval(s, rest, hit); err != nil {
			return err
		}
		out.Or(hit)
		rest.AndNot(hit)
		if rest.Empty() {
			return nil
		}
	}
	return nil
}

func (p predNot) share(*scan) (float64, error) { return 1, nil }

func (p predNot) eval(s *scan, within, out columnar.Bitmap) error {
	mark := s.used
	defer func() { s.used = mark }()
	hit := s.bitmap()
	if err := p.x.eval(s, within, hit); err != nil {
		return err
	}
	for i := range within {
		out[i] |= within[i] &^ hit[i]
	}
	return nil
}

func (p predRow) share(*scan) (float64, error) { return 1, nil }

func (p predRow) eval(s *scan, within, out columnar.Bitmap) error {
	get, err := s.getter(p.expr, within)
	if err != nil {
		return err
	}
	return s.eachRow(within, out, func(row uint32) bool { return get(row).truth() })
}

// eachRow adds to out the rows of within for which test is true.
func (s *scan) eachRow(within, out columnar.Bitmap, test func(row uint32) bool) error {
	for row, ok := within.Next(0); ok; row, ok = within.Next(row + 1) {
		if err := s.step(); err != nil {
			return err
		}
		if test(row) {
			out.Set(row)
		}
	}
	return nil
}
