package traceql

import (
	"fmt"
)

// Limits of a query. They bound the work of parsing and of each step of the evaluation, not what can sensibly be asked.
const (
	MaxQueryBytes = 128 << 10
	MaxDepth      = 100     // of parentheses, braces and unary operators
	MaxOperands   = 128     // spansets, functions and numbers outside of braces: each costs a walk over all spans
	MaxParts      = 256     // attributes, values and operators of one condition: they are computed for every span
	MaxListed     = 100     // attributes of select(…), quantiles of quantile_over_time(…)
	MaxRegexBytes = 4 << 10 // of one regular expression
)

// Parse reads and checks a query. The error is an *Error.
func Parse(query string) (*Query, error) {
	q, err := ParseUnchecked(query)
	if err != nil {
		return nil, err
	}
	if err := Check(query, q); err != nil {
		return nil, err
	}
	return q, nil
}

// ParseUnchecked reads a query without checking types. The error is an *Error.
func ParseUnchecked(query string) (*Query, error) {
	if len(query) > MaxQueryBytes {
		return nil, errorAt(query[:0], 0, fmt.Sprintf("query has %d bytes, at most %d are allowed", len(query), MaxQueryBytes), "")
	}
	p := &parser{lex: lexer{query: query}}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	return q, nil
}

type parser struct {
	lex      lexer
	tok      token
	depth    int
	operands int
}

// The kinds of things a part of a query can be.
type nodeKind uint8

const (
	nodeSpanset  nodeKind = iota // Filter, SpansetOp, Pipeline
	nodeNumber                   // Number
	nodeScalar                   // Aggregate, ScalarOp, PipelineScalar
	nodeCompared                 // ScalarFilter
	nodeStage                    // Group, Select, Coalesce
	nodeFunc                     // a metrics function, not yet with its pipeline
	nodeMetric                   // MetricExpr
)

var nodeNames = [...]string{"a spanset", "a number", "a scalar", "a scalar filter", "a stage", "a metrics function", "a metrics expression"}

// node is a parsed part together with what it is.
type node struct {
	kind   nodeKind
	pos    int
	stage  Stage // spanset, compared, stage
	scalar Scalar
	number *Number
	pipe   *MetricPipe // of nodeFunc
	metric MetricExpr
	paren  bool
}

func (p *parser) advance() *Error {
	t, err := p.lex.next()
	p.tok = t
	return err
}

func (p *parser) errorf(pos int, suggestion, format string, args ...any) *Error {
	return p.lex.errorf(pos, suggestion, format, args...)
}

func (p *parser) expect(punct, suggestion string) *Error {
	if !p.tok.is(punct) {
		return p.errorf(p.tok.pos, suggestion, "expected %q, found %s", punct, p.tok.describe())
	}
	return p.advance()
}

// enter counts nesting; every enter has a leave.
func (p *parser) enter() *Error {
	if p.depth++; p.depth > MaxDepth {
		return p.errorf(p.tok.pos, "", "the query is nested deeper than %d", MaxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// countOperand counts what stands outside of braces, parentheses aside.
func (p *parser) countOperand() *Error {
	if p.tok.is("(") {
		return nil
	}
	if p.operands++; p.operands > MaxOperands {
		return p.errorf(p.tok.pos, "conditions combined inside of one spanset do not count: { … || … }", "more than %d spansets and functions", MaxOperands)
	}
	return nil
}

func (p *parser) query() (*Query, *Error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == tokEnd {
		return nil, p.errorf(0, "{ } matches every span", "the query is empty")
	}
	n, err := p.pipeline()
	if err != nil {
		return nil, err
	}
	q := &Query{}
	for p.tok.kind == tokWord && p.tok.text == "with" {
		more, err := p.hints()
		if err != nil {
			return nil, err
		}
		q.Hints = append(q.Hints, more...)
	}
	if p.tok.kind != tokEnd {
		return nil, p.trailing()
	}
	switch n.kind {
	case nodeMetric:
		q.Metric = n.metric
	case nodeSpanset:
		q.Pipeline = asPipeline(n.stage)
	case nodeNumber:
		return nil, p.errorf(n.pos, "a query starts with a spanset, like { .a = 1 }", "a number alone is not a query")
	default:
		return nil, p.errorf(n.pos, "compare it with a number, like | count() > 0", "the pipeline ends with an aggregate that is not compared")
	}
	return q, nil
}

// trailing is the error for a token after the end of the query.
func (p *parser) trailing() *Error {
	t := p.tok
	s := ""
	switch {
	case t.is("}") || t.is(")"):
		s = "there is no opening bracket for it"
	case t.kind == tokWord && (t.text == "and" || t.text == "AND"):
		s = "write && for and"
	case t.kind == tokWord && (t.text == "or" || t.text == "OR"):
		s = "write || for or"
	case t.is("{"):
		s = "combine spansets with &&, ||, >, >> or ~"
	case t.kind == tokWord:
		s = "stages stand after a |"
	}
	return p.errorf(t.pos, s, "unexpected %s", t.describe())
}

func asPipeline(s Stage) *Pipeline {
	if p, ok := s.(*Pipeline); ok {
		return p
	}
	return &Pipeline{Stages: []Stage{s}}
}

// pipeline reads stages up to ")" or the end. It returns a spanset (as a *Pipeline when it has several stages or one that
// is not a spanset), a scalar (the pipeline ends with an aggregate), a number, or a metrics expression.
func (p *parser) pipeline() (node, *Error) {
	pos := p.tok.pos
	first, err := p.expression(0)
	if err != nil {
		return node{}, err
	}
	if first.kind == nodeMetric {
		return p.seconds(first)
	}
	if first.kind == nodeFunc {
		return node{}, p.errorf(first.pos, "start with a spanset: { } | "+first.pipe.Func.String(), "a metrics function needs spans to work on")
	}
	if _, ok := first.stage.(*Coalesce); ok && first.kind == nodeStage {
		return node{}, p.errorf(first.pos, "start with a spanset, like { }", "a pipeline cannot start with coalesce()")
	}
	if !p.tok.is("|") && (first.kind == nodeSpanset || first.kind == nodeNumber || first.kind == nodeScalar) {
		return first, nil
	}
	return p.stages(pos, first)
}

// stages reads "| stage" until something ends the pipeline.
func (p *parser) stages(pos int, at node) (node, *Error) {
	pipe := &Pipeline{Pos: pos}
	for {
		switch at.kind {
		case nodeSpanset, nodeCompared, nodeStage:
			pipe.Stages = append(pipe.Stages, at.stage)
		case nodeScalar:
			return p.closeScalar(pipe, at)
		case nodeFunc:
			at.pipe.Pipeline = pipe
			return p.seconds(node{kind: nodeMetric, pos: at.pos, metric: at.pipe})
		default:
			return node{}, p.errorf(at.pos, "compare an aggregate with it, like count() > 2", "%s cannot be a stage of a pipeline", nodeNames[at.kind])
		}
		if !p.tok.is("|") {
			return node{kind: nodeSpanset, pos: pos, stage: pipe}, nil
		}
		if err := p.advance(); err != nil {
			return node{}, err
		}
		var err *Error
		if at, err = p.expression(0); err != nil {
			return node{}, err
		}
	}
}

// closeScalar makes the scalar of a pipeline that ends with an aggregate.
func (p *parser) closeScalar(pipe *Pipeline, at node) (node, *Error) {
	agg, ok := at.scalar.(*Aggregate)
	if !ok || p.tok.is("|") || at.paren {
		return node{}, p.errorf(at.pos, "compare it with a number, like | count() > 0", "a scalar is not compared")
	}
	if len(pipe.Stages) == 0 {
		return at, nil
	}
	return node{kind: nodeScalar, pos: pipe.Pos, scalar: &PipelineScalar{Pos: pipe.Pos, Pipeline: pipe, Aggregate: agg}}, nil
}

// seconds reads topk, bottomk and comparisons after a metrics expression.
func (p *parser) seconds(n node) (node, *Error) {
	for {
		switch {
		case p.tok.is("|"):
			if err := p.advance(); err != nil {
				return n, err
			}
			second, err := p.topK()
			if err != nil {
				return n, err
			}
			second.Expr = n.metric
			n.metric = second
		case p.tok.kind == tokOp && p.tok.op.Comparison():
			op, pos := p.tok.op, p.tok.pos
			if err := p.advance(); err != nil {
				return n, err
			}
			value, err := p.expression(precAdd)
			if err != nil {
				return n, err
			}
			if value.kind != nodeNumber {
				return n, p.errorf(value.pos, "divide series: ({ } | rate()) / ({ } | rate()) > 2", "series are compared with a number, not with %s", nodeNames[value.kind])
			}
			n.metric = &MetricSecond{Pos: pos, Expr: n.metric, Op: op, Value: value.number}
		default:
			return n, nil
		}
	}
}

func (p *parser) topK() (*MetricSecond, *Error) {
	if err := p.countOperand(); err != nil {
		return nil, err
	}
	s := &MetricSecond{Pos: p.tok.pos}
	switch {
	case p.tok.kind == tokWord && p.tok.text == "topk":
		s.Op = OpTopK
	case p.tok.kind == tokWord && p.tok.text == "bottomk":
		s.Op = OpBottomK
	default:
		return nil, p.errorf(p.tok.pos, "only topk(n), bottomk(n) or a comparison", "unexpected %s after a metrics function", p.tok.describe())
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("(", "write "+s.Op.String()+"(5)"); err != nil {
		return nil, err
	}
	n, err := p.integer(1, 1<<20)
	if err != nil {
		return nil, err
	}
	s.N = int(n)
	return s, p.expect(")", s.Op.String()+"() takes one number")
}

func (p *parser) integer(lo, hi int64) (int64, *Error) {
	t := p.tok
	if t.kind != tokLit || t.lit.Type != TypeInt || t.lit.Int < lo || t.lit.Int > hi {
		return 0, p.errorf(t.pos, "for example 5", "expected a whole number from %d to %d, found %s", lo, hi, t.describe())
	}
	return t.lit.Int, p.advance()
}

const suggestHint = "hints are written with (name = value)"

func (p *parser) hints() ([]Hint, *Error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("(", suggestHint); err != nil {
		return nil, err
	}
	var hints []Hint
	for {
		if p.tok.kind != tokWord {
			return nil, p.errorf(p.tok.pos, suggestHint, "expected the name of a hint, found %s", p.tok.describe())
		}
		h := Hint{Name: p.tok.text}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokOp || p.tok.op != OpEq {
			return nil, p.errorf(p.tok.pos, suggestHint, "expected = after the hint %s, found %s", clip(h.Name), p.tok.describe())
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		f, err := p.field(precAdd)
		if err != nil {
			return nil, err
		}
		lit, ok := f.(*Lit)
		if !ok {
			return nil, p.errorf(p.tok.pos, suggestHint, "the value of the hint %s is not a literal", clip(h.Name))
		}
		h.Value = lit.Value
		hints = append(hints, h)
		if !p.tok.is(",") {
			return hints, p.expect(")", suggestHint)
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// ParseAttr reads one attribute or intrinsic, like resource.service.name, .x or span:name. The error is an *Error.
func ParseAttr(text string) (*Attr, error) {
	if len(text) > MaxQueryBytes {
		return nil, errorAt("", 0, "the name is too long", "")
	}
	p := &parser{lex: lexer{query: text}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	a, err := p.attr()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.trailing()
	}
	return a, nil
}
