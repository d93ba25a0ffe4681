package traceql

import "math"

// expression reads operands and binary operators that bind at least as strong as min, outside of braces.
func (p *parser) expression(min int) (node, *Error) {
	left, err := p.operand()
	if err != nil {
		return node{}, err
	}
	for p.tok.kind == tokOp && p.tok.op != OpNot {
		op, pos := p.tok.op, p.tok.pos
		prec := op.precedence()
		if prec < min || prec == 0 {
			return left, nil
		}
		if (left.kind == nodeMetric || left.kind == nodeFunc) && op.Comparison() {
			return left, nil // a second stage
		}
		if err := p.advance(); err != nil {
			return node{}, err
		}
		right, err := p.expression(prec + 1)
		if err != nil {
			return node{}, err
		}
		if left, err = p.combine(left, op, pos, right); err != nil {
			return node{}, err
		}
	}
	if left.kind == nodeFunc && p.tok.kind == tokOp && !p.tok.op.Comparison() {
		return node{}, p.errorf(p.tok.pos, "put each metrics query into parentheses", "unexpected %s after a metrics function", p.tok.describe())
	}
	return left, nil
}

// combine makes one node of two operands; what the operator means depends on what they are.
func (p *parser) combine(l node, op Op, pos int, r node) (node, *Error) {
	scalar := func(n node) bool { return n.kind == nodeScalar || n.kind == nodeNumber }
	metric := func(n node) bool { return n.kind == nodeMetric || n.kind == nodeNumber }
	switch {
	case l.kind == nodeSpanset && r.kind == nodeSpanset:
		if op = op.structural(); !op.Boolean() && !op.Structural() {
			return node{}, p.errorf(pos, "spansets are combined with &&, ||, >, <, >>, <<, ~ and their ! and & forms", "%q cannot combine spansets", op)
		}
		return node{kind: nodeSpanset, pos: l.pos, stage: &SpansetOp{Pos: pos, Op: op, Left: l.stage.(Spanset), Right: r.stage.(Spanset)}}, nil
	case l.kind == nodeNumber && r.kind == nodeNumber:
		return p.fold(l, op, pos, r)
	case scalar(l) && scalar(r) && op.Comparison():
		return node{kind: nodeCompared, pos: l.pos, stage: &ScalarFilter{Pos: pos, Op: op, Left: l.asScalar(), Right: r.asScalar()}}, nil
	case scalar(l) && scalar(r) && op >= OpAdd && op <= OpDiv:
		return node{kind: nodeScalar, pos: l.pos, scalar: &ScalarOp{Pos: pos, Op: op, Left: l.asScalar(), Right: r.asScalar()}}, nil
	case metric(l) && metric(r) && op >= OpAdd && op <= OpDiv:
		return node{kind: nodeMetric, pos: l.pos, metric: &MetricOp{Pos: pos, Op: op, Left: l.asMetric(), Right: r.asMetric()}}, nil
	case l.kind == nodeCompared || r.kind == nodeCompared:
		return node{}, p.errorf(pos, "filter in one pipeline per side: ({…} | count() > 1) "+op.String()+" ({…})", "%q cannot combine a scalar filter with %s", op, nodeNames[other(l, r).kind])
	}
	return node{}, p.errorf(pos, suggestCombine(l, op, r), "%q cannot combine %s and %s", op, nodeNames[l.kind], nodeNames[r.kind])
}

// suggestCombine says how two things are combined that an operator cannot combine as they are.
func suggestCombine(l node, op Op, r node) string {
	is := func(k nodeKind) bool { return l.kind == k || r.kind == k }
	switch {
	case is(nodeFunc), is(nodeMetric) && (is(nodeSpanset) || is(nodeScalar)):
		return "put each metrics query into parentheses: ({ } | rate()) / ({ } | rate())"
	case is(nodeMetric):
		return "series know + - * /"
	case is(nodeScalar):
		return "compare the scalar first: ({ } | count() > 1) " + op.String() + " { }"
	}
	return "numbers stand in comparisons, like count() > 2"
}

func other(l, r node) node {
	if l.kind == nodeCompared {
		return r
	}
	return l
}

func (n node) asScalar() Scalar {
	if n.kind == nodeNumber {
		return n.number
	}
	return n.scalar
}

func (n node) asMetric() MetricExpr {
	if n.kind == nodeNumber {
		return n.number
	}
	return n.metric
}

// fold computes arithmetic on number literals.
func (p *parser) fold(l node, op Op, pos int, r node) (node, *Error) {
	a, b := l.number.Value, r.number.Value
	if op.Comparison() {
		return node{}, p.errorf(pos, "compare an aggregate, like count() > 3", "two numbers are compared with each other")
	}
	if op < OpAdd || op > OpDiv {
		return node{}, p.errorf(pos, "numbers know + - * / here", "%q cannot combine numbers here", op)
	}
	if a.Type == TypeDuration || b.Type == TypeDuration {
		return node{}, p.errorf(pos, "write the resulting duration", "there is no arithmetic on duration literals here")
	}
	if op == OpDiv && b.AsFloat() == 0 {
		return node{}, p.errorf(pos, "nothing can be divided by 0", "division by zero")
	}
	v := Static{Type: TypeFloat}
	if a.Type == TypeInt && b.Type == TypeInt {
		n, ok := IntArithmetic(op, a.Int, b.Int)
		if !ok {
			return node{}, p.errorf(pos, "", "the result does not fit into 64 bits")
		}
		v = Static{Type: TypeInt, Int: n}
	} else {
		v.Float = FloatArithmetic(op, a.AsFloat(), b.AsFloat())
		if math.IsInf(v.Float, 0) || math.IsNaN(v.Float) {
			return node{}, p.errorf(pos, "", "the result is not a finite number")
		}
	}
	return node{kind: nodeNumber, pos: l.pos, number: &Number{Pos: l.pos, Value: v}}, nil
}

// operand reads one operand outside of braces.
func (p *parser) operand() (node, *Error) {
	if err := p.enter(); err != nil {
		return node{}, err
	}
	defer p.leave()
	if err := p.countOperand(); err != nil {
		return node{}, err
	}
	t := p.tok
	switch {
	case t.is("{"):
		f, err := p.filter()
		return node{kind: nodeSpanset, pos: t.pos, stage: f}, err
	case t.is("("):
		return p.parenthesis()
	case t.kind == tokLit && t.lit.Type.Numeric():
		return node{kind: nodeNumber, pos: t.pos, number: &Number{Pos: t.pos, Value: t.lit}}, p.advance()
	case t.kind == tokOp && t.op == OpSub:
		return p.negative()
	case t.kind == tokWord:
		return p.call()
	}
	s := "for example { .a = 1 } or count() > 2"
	if t.kind == tokAttr || t.kind == tokIntrinsic || t.kind == tokLit {
		s = "conditions on spans go into braces: { " + clip(t.text) + " … }"
	}
	return node{}, p.errorf(t.pos, s, "unexpected %s, expected a spanset or a function", t.describe())
}

func (p *parser) negative() (node, *Error) {
	pos := p.tok.pos
	if err := p.advance(); err != nil {
		return node{}, err
	}
	n, err := p.operand()
	if err != nil {
		return node{}, err
	}
	if n.kind != nodeNumber {
		return node{}, p.errorf(pos, "write 0 - …", "only a number can be negated here")
	}
	n.pos, n.number = pos, &Number{Pos: pos, Value: negate(n.number.Value)}
	return n, nil
}

func negate(s Static) Static {
	s.Int, s.Float = -s.Int, -s.Float
	return s
}

// parenthesis reads ( … ): a spanset, a pipeline, a scalar, a number or a metrics expression.
func (p *parser) parenthesis() (node, *Error) {
	pos := p.tok.pos
	if err := p.advance(); err != nil {
		return node{}, err
	}
	n, err := p.pipeline()
	if err != nil {
		return node{}, err
	}
	if err := p.expect(")", "a bracket is not closed"); err != nil {
		return node{}, err
	}
	n.pos, n.paren = pos, true
	return n, nil
}

func (p *parser) filter() (*Filter, *Error) {
	f := &Filter{Pos: p.tok.pos}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.is("}") {
		return f, p.advance()
	}
	var err *Error
	if f.Expr, err = p.field(0); err != nil {
		return nil, err
	}
	return f, p.closeFilter()
}

func (p *parser) closeFilter() *Error {
	s := "combine conditions with && or ||"
	switch t := p.tok; {
	case t.kind == tokWord && (t.text == "in" || t.text == "IN"):
		s = `write .a = 1 || .a = 2, or .a =~ "x|y"`
	case t.is(")"):
		s = "there is no opening bracket for it"
	case t.is("|"):
		s = "write || for or; a pipeline goes on after the }"
	case t.kind == tokWord && (t.text == "and" || t.text == "AND"):
		s = "write && for and"
	case t.kind == tokWord && (t.text == "or" || t.text == "OR"):
		s = "write || for or"
	case t.kind == tokOp && t.op == OpEq:
		s = "equality is a single ="
	case t.kind == tokEnd:
		s = "close the spanset with }"
	}
	return p.expect("}", s)
}

var functionNames = []string{"by", "coalesce", "select", "count", "min", "max", "sum", "avg", "rate", "count_over_time", "min_over_time",
	"max_over_time", "sum_over_time", "avg_over_time", "quantile_over_time", "histogram_over_time", "compare", "topk", "bottomk"}

// call reads a stage, an aggregate or a metrics function.
func (p *parser) call() (node, *Error) {
	t := p.tok
	for f, name := range aggregateNames {
		if t.text == name {
			a, err := p.aggregate(AggregateFunc(f))
			return node{kind: nodeScalar, pos: t.pos, scalar: a}, err
		}
	}
	for f, name := range metricNames {
		if t.text == name {
			m, err := p.metricFunc(MetricFunc(f))
			return node{kind: nodeFunc, pos: t.pos, pipe: m}, err
		}
	}
	var s Stage
	var err *Error
	switch t.text {
	case "by":
		s, err = p.group()
	case "select":
		s, err = p.selectStage()
	case "coalesce":
		if err = p.advance(); err == nil {
			if err = p.expect("(", "write coalesce()"); err == nil {
				s, err = &Coalesce{Pos: t.pos}, p.expect(")", "write coalesce()")
			}
		}
	case "topk", "bottomk":
		return node{}, p.errorf(t.pos, "for example { } | rate() by (name) | "+t.text+"(5)", "%s needs a metrics function before it", t.text)
	default:
		return node{}, p.errorf(t.pos, suggestWord(t.text), "unknown function %q", clip(t.text))
	}
	return node{kind: nodeStage, pos: t.pos, stage: s}, err
}

func suggestWord(word string) string {
	if LookupIntrinsic(word) != NotIntrinsic {
		return "conditions on spans go into braces: { " + word + " … }"
	}
	if c := nearest(word, functionNames); c != "" {
		return "did you mean " + c + "?"
	}
	return "stages are by, coalesce, select, count, min, max, sum, avg and the metrics functions"
}

func (p *parser) group() (*Group, *Error) {
	g := &Group{Pos: p.tok.pos}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("(", "write by(expression)"); err != nil {
		return nil, err
	}
	var err *Error
	if g.Expr, err = p.field(0); err != nil {
		return nil, err
	}
	return g, p.expect(")", "by() takes one expression; one after the other: by(.a) | by(.b)")
}

func (p *parser) selectStage() (*Select, *Error) {
	s := &Select{Pos: p.tok.pos}
	if err := p.advance(); err != nil {
		return nil, err
	}
	var err *Error
	s.Attrs, err = p.attrs("select")
	return s, err
}

// attrs reads ( attr { , attr } ).
func (p *parser) attrs(after string) ([]*Attr, *Error) {
	if err := p.expect("(", "write "+after+"(attribute, …)"); err != nil {
		return nil, err
	}
	var attrs []*Attr
	for {
		a, err := p.attr()
		if err != nil {
			return nil, err
		}
		if attrs = append(attrs, a); len(attrs) > MaxListed {
			return nil, p.errorf(a.Pos, "", "%s() lists more than %d attributes", after, MaxListed)
		}
		if !p.tok.is(",") {
			return attrs, p.expect(")", "give attributes, separated by commas")
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// attr reads one attribute or intrinsic.
func (p *parser) attr() (*Attr, *Error) {
	f, err := p.field(precNot)
	if err != nil {
		return nil, err
	}
	a, ok := f.(*Attr)
	if !ok {
		return nil, p.errorf(p.tok.pos, "give an attribute alone, like duration or .bytes", "expected an attribute, not an expression")
	}
	return a, nil
}

func (p *parser) aggregate(f AggregateFunc) (*Aggregate, *Error) {
	a := &Aggregate{Pos: p.tok.pos, Func: f}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("(", "write "+f.String()+"(…)"); err != nil {
		return nil, err
	}
	if f == Count {
		return a, p.expect(")", "count() takes no argument")
	}
	var err *Error
	if a.Expr, err = p.field(0); err != nil {
		return nil, err
	}
	return a, p.expect(")", f.String()+"() takes one expression")
}
