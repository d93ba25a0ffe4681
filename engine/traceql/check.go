package traceql

import (
	"fmt"
	"regexp/syntax"
	"strconv"
)

// Limits of metrics queries.
const (
	MaxGroupBy           = 5 // attributes after by; one less for quantiles and histograms, whose own label counts
	maxRegexInstructions = 5_000
	// maxAllInstructions is that of all regular expressions of a query together.
	maxAllInstructions = 50_000
)

// Check checks the types of a parsed query; query is its text, for the places in messages. The error is an *Error.
func Check(query string, q *Query) error {
	c := &checker{query: query}
	var err *Error
	if q.Metric != nil {
		err = c.metric(q.Metric)
	} else {
		err = c.pipeline(q.Pipeline)
	}
	if err != nil {
		return err
	}
	return nil
}

type checker struct {
	query        string
	instructions int // of regular expressions so far
}

func (c *checker) errorf(pos int, suggestion, format string, args ...any) *Error {
	return errorAt(c.query, pos, fmt.Sprintf(format, args...), suggestion)
}

func (c *checker) pipeline(p *Pipeline) *Error {
	for _, s := range p.Stages {
		if err := c.stage(s); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) stage(s Stage) *Error {
	switch s := s.(type) {
	case *Filter:
		return c.filter(s)
	case *Pipeline:
		return c.pipeline(s)
	case *SpansetOp:
		if err := c.stage(s.Left); err != nil {
			return err
		}
		return c.stage(s.Right)
	case *ScalarFilter:
		if err := c.scalar(s.Left); err != nil {
			return err
		}
		return c.scalar(s.Right)
	case *Group:
		if _, err := c.field(s.Expr); err != nil {
			return err
		}
		if err := c.parts(s.Expr); err != nil {
			return err
		}
		if !readsSpan(s.Expr) {
			return c.errorf(s.Pos, "group by an attribute, like by(resource.service.name)", "by() needs an expression that looks at the span")
		}
	case *Select:
		return c.attrs(s.Attrs)
	}
	return nil
}

func (c *checker) attrs(attrs []*Attr) *Error {
	for _, a := range attrs {
		if _, err := c.field(a); err != nil {
			return err
		}
		if a.Intrinsic == ParentSpan {
			return c.errorf(a.Pos, "compare it: { parent = nil }", "parent has no value of its own")
		}
	}
	return nil
}

func (c *checker) filter(f *Filter) *Error {
	if f.Expr == nil {
		return nil
	}
	t, err := c.field(f.Expr)
	if err != nil {
		return err
	}
	if t != TypeBool && t != TypeAttr || isParent(f.Expr) {
		return c.errorf(fieldPos(f.Expr), "compare it with something", "a spanset needs a condition that is true or false, not %s", t)
	}
	return c.conditions(f.Expr)
}

// conditions bounds each of the conditions that &&, || and ! combine. How many they are only the length of a query bounds.
func (c *checker) conditions(f Field) *Error {
	switch f := f.(type) {
	case *Unary:
		if f.Op == OpNot {
			return c.conditions(f.Expr)
		}
	case *Binary:
		if f.Op.Boolean() {
			if err := c.conditions(f.Left); err != nil {
				return err
			}
			return c.conditions(f.Right)
		}
	}
	return c.parts(f)
}

// parts bounds an expression that is computed for every span.
func (c *checker) parts(f Field) *Error {
	if countParts(f) > MaxParts {
		return c.errorf(fieldPos(f), "", "one condition has more than %d parts", MaxParts)
	}
	return nil
}

func countParts(f Field) int {
	switch f := f.(type) {
	case *Unary:
		return 1 + countParts(f.Expr)
	case *Binary:
		return 1 + countParts(f.Left) + countParts(f.Right)
	}
	return 1
}

func (c *checker) scalar(s Scalar) *Error {
	switch s := s.(type) {
	case *Aggregate:
		return c.aggregate(s)
	case *ScalarOp:
		if err := c.scalar(s.Left); err != nil {
			return err
		}
		return c.scalar(s.Right)
	case *PipelineScalar:
		if err := c.pipeline(s.Pipeline); err != nil {
			return err
		}
		return c.aggregate(s.Aggregate)
	}
	return nil
}

func (c *checker) aggregate(a *Aggregate) *Error {
	if a.Expr == nil {
		return nil
	}
	t, err := c.field(a.Expr)
	if err != nil {
		return err
	}
	if !t.Numeric() && t != TypeAttr || isParent(a.Expr) {
		return c.errorf(fieldPos(a.Expr), suggestNumber, "%s() needs numbers, not %s", a.Func, t)
	}
	if err := c.parts(a.Expr); err != nil {
		return err
	}
	if !readsSpan(a.Expr) {
		return c.errorf(fieldPos(a.Expr), "for example "+a.Func.String()+"(duration)", "%s() needs an expression that looks at the span", a.Func)
	}
	return nil
}

// field finds the static type of an expression.
func (c *checker) field(f Field) (Type, *Error) {
	switch f := f.(type) {
	case *Lit:
		return f.Value.Type, nil
	case *Attr:
		if f.Intrinsic != NotIntrinsic {
			return f.Intrinsic.Type(), nil
		}
		return TypeAttr, nil
	case *Unary:
		return c.unary(f)
	case *Binary:
		return c.binary(f)
	}
	return TypeNil, nil
}

func (c *checker) unary(u *Unary) (Type, *Error) {
	t, err := c.field(u.Expr)
	if err != nil {
		return t, err
	}
	switch {
	case isParent(u.Expr):
	case u.Op == OpNot && (t == TypeBool || t == TypeAttr):
		return TypeBool, nil
	case u.Op == OpSub && (t.Numeric() || t == TypeAttr):
		return t, nil
	}
	s := "- needs a number"
	if u.Op == OpNot {
		s = "! needs a condition, like !(.a = 1)"
	}
	return t, c.errorf(u.Pos, s, "%q cannot be applied to %s", u.Op, t)
}

func (c *checker) binary(b *Binary) (Type, *Error) {
	l, err := c.field(b.Left)
	if err != nil {
		return l, err
	}
	r, err := c.field(b.Right)
	if err != nil {
		return r, err
	}
	if isNil(b.Left) || isNil(b.Right) {
		return TypeBool, c.existence(b)
	}
	if isParent(b.Left) || isParent(b.Right) {
		return TypeBool, c.errorf(b.Pos, "use parent.name for its attributes", "parent can only be compared with nil")
	}
	if !matching(l, r) {
		return TypeBool, c.errorf(b.Pos, suggestMatch(b, l, r), "%s and %s cannot be used with %q", l, r, b.Op)
	}
	if err := c.operands(b, l, r); err != nil {
		return TypeBool, err
	}
	if !b.Op.Arithmetic() {
		return TypeBool, nil
	}
	return arithmeticType(l, r), nil
}

func suggestMatch(b *Binary, l, r Type) string {
	_, ok := b.Left.(*Attr)
	lit, isLit := b.Right.(*Lit)
	if ok && isLit && r == TypeString && (l == TypeStatus || l == TypeKind) {
		return "write the word without quotes: " + clip(lit.Value.Str)
	}
	lOrR := func(t Type) bool { return l == t || r == t }
	switch {
	case l == TypeDuration && r == TypeString:
		return "durations have no quotes: 100ms"
	case b.Op.Boolean():
		return "both sides are conditions, like .a = 1"
	case b.Op.Arithmetic():
		return "arithmetic needs numbers"
	case b.Op.Regex():
		return "other values are compared with ="
	case lOrR(TypeStatus):
		return "a status is ok, error or unset"
	case lOrR(TypeKind):
		return "a kind is unspecified, internal, server, client, producer or consumer"
	case ok && isLit && l == TypeString:
		return "strings have quotes: " + strconv.Quote(clip(lit.Value.String()))
	case ok && isLit && r == TypeString:
		return "write it without quotes"
	}
	return "compare values of the same type"
}

const (
	suggestNumber = "for example duration, or an attribute like .bytes"
	suggestRegex  = `the syntax is RE2: .* is any text, \. a dot, \( a bracket`
)

// operands checks that the operator is defined for the types.
func (c *checker) operands(b *Binary, l, r Type) *Error {
	ok := true
	switch {
	case b.Op.Arithmetic():
		ok = numberLike(l) && numberLike(r)
	case b.Op == OpLt || b.Op == OpLe || b.Op == OpGt || b.Op == OpGe:
		ok = (numberLike(l) || l == TypeString) && (numberLike(r) || r == TypeString)
	case b.Op.Regex():
		return c.regex(b, l, r)
	case b.Op.Boolean():
		ok = (l == TypeBool || l == TypeAttr) && (r == TypeBool || r == TypeAttr)
	}
	if !ok {
		s := "use = or !="
		if b.Op.Arithmetic() {
			s = "arithmetic needs numbers"
		}
		return c.errorf(b.Pos, s, "%q is not defined for %s and %s", b.Op, l, r)
	}
	return nil
}

func numberLike(t Type) bool { return t.Numeric() || t == TypeAttr }

// matching reports types that can meet in one operator.
func matching(l, r Type) bool {
	return l == r || l == TypeAttr || r == TypeAttr || l.Numeric() && r.Numeric()
}

func arithmeticType(l, r Type) Type {
	switch {
	case l == TypeDuration || r == TypeDuration:
		return TypeDuration
	case l == TypeInt && r == TypeInt:
		return TypeInt
	}
	return TypeFloat // an attribute: some number
}

func (c *checker) regex(b *Binary, l, r Type) *Error {
	lit, ok := b.Right.(*Lit)
	if !ok || lit.Value.Type != TypeString {
		return c.errorf(b.Pos, "for example "+b.Op.String()+` ".*error.*"`, "%q needs a string on its right", b.Op)
	}
	if l != TypeString && l != TypeAttr {
		return c.errorf(b.Pos, "other values are compared with =", "%q needs a string on its left, not %s", b.Op, l)
	}
	if len(lit.Value.Str) > MaxRegexBytes {
		return c.errorf(lit.Pos, "", "regular expression has %d bytes, at most %d are allowed", len(lit.Value.Str), MaxRegexBytes)
	}
	re, err := syntax.Parse(lit.Value.Str, syntax.Perl)
	if err != nil {
		return c.errorf(lit.Pos, suggestRegex, "invalid regular expression: %v", err)
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return c.errorf(lit.Pos, suggestRegex, "invalid regular expression: %v", err)
	}
	if len(prog.Inst) > maxRegexInstructions {
		return c.errorf(lit.Pos, "repeat less: {n,m} counts n to m times", "regular expression is too complex: %d instructions, at most %d are allowed", len(prog.Inst), maxRegexInstructions)
	}
	if c.instructions += len(prog.Inst); c.instructions > maxAllInstructions {
		return c.errorf(lit.Pos, "join them with |, or ask several questions", "the regular expressions of the query are too complex together: more than %d instructions", maxAllInstructions)
	}
	return nil
}

// existence checks a comparison with nil.
func (c *checker) existence(b *Binary) *Error {
	if b.Op != OpEq && b.Op != OpNe {
		return c.errorf(b.Pos, "use = nil or != nil", "nil cannot be used with %q", b.Op)
	}
	x := b.Left
	if isNil(x) {
		x = b.Right
	}
	if isNil(x) {
		return c.errorf(b.Pos, "compare an attribute with nil", "nil is compared with nil")
	}
	a, ok := x.(*Attr)
	if !ok || b.Op == OpNe || a.Parent {
		return nil
	}
	if a.Intrinsic.always() {
		return c.errorf(b.Pos, "every span has it", "%s is never nil", a.Intrinsic)
	}
	if a.Scope == ScopeResource && a.Name == "service.name" {
		return c.errorf(b.Pos, "every resource has it", "resource.service.name is never nil")
	}
	return nil
}

// always reports intrinsics that every span has.
func (i Intrinsic) always() bool {
	switch i {
	case NotIntrinsic, ParentSpan, EventName, EventTimeSinceStart, LinkTraceID, LinkSpanID, InstrumentationName, InstrumentationVersion:
		return false
	}
	return true
}

func (c *checker) metric(m MetricExpr) *Error {
	switch m := m.(type) {
	case *MetricPipe:
		return c.metricPipe(m)
	case *MetricOp:
		for _, x := range [...]MetricExpr{m.Left, m.Right} {
			if hasCompare(x) {
				return c.errorf(m.Pos, "ask for it alone", "compare() cannot be part of arithmetic")
			}
			if err := c.metric(x); err != nil {
				return err
			}
		}
	case *MetricSecond:
		if hasCompare(m.Expr) && m.Op.Comparison() {
			return c.errorf(m.Pos, "its second argument says how many values are shown", "the series of compare() cannot be filtered by value")
		}
		return c.metric(m.Expr)
	}
	return nil
}

func hasCompare(m MetricExpr) bool {
	switch m := m.(type) {
	case *MetricPipe:
		return m.Func == Compare
	case *MetricOp:
		return hasCompare(m.Left) || hasCompare(m.Right)
	case *MetricSecond:
		return hasCompare(m.Expr)
	}
	return false
}

func (c *checker) metricPipe(m *MetricPipe) *Error {
	if err := c.pipeline(m.Pipeline); err != nil {
		return err
	}
	if m.Attr != nil {
		t, err := c.field(m.Attr)
		if err != nil {
			return err
		}
		if !t.Numeric() && t != TypeAttr || isParent(m.Attr) {
			return c.errorf(m.Attr.Pos, suggestNumber, "%s() needs numbers, not %s", m.Func, t)
		}
	}
	limit := MaxGroupBy
	if m.Func == QuantileOverTime || m.Func == HistogramOverTime {
		limit--
	}
	if len(m.By) > limit {
		return c.errorf(m.By[limit].Pos, "leave some out, or ask twice", "%s() groups by at most %d attributes", m.Func, limit)
	}
	if m.Selection != nil {
		if err := c.filter(m.Selection); err != nil {
			return err
		}
	}
	return c.attrs(m.By)
}

func isNil(f Field) bool {
	l, ok := f.(*Lit)
	return ok && l.Value.Type == TypeNil
}

func isParent(f Field) bool {
	a, ok := f.(*Attr)
	return ok && a.Intrinsic == ParentSpan
}

// readsSpan reports an expression with an attribute or intrinsic in it.
func readsSpan(f Field) bool {
	switch f := f.(type) {
	case *Attr:
		return true
	case *Unary:
		return readsSpan(f.Expr)
	case *Binary:
		return readsSpan(f.Left) || readsSpan(f.Right)
	}
	return false
}

func fieldPos(f Field) int {
	switch f := f.(type) {
	case *Attr:
		return f.Pos
	case *Lit:
		return f.Pos
	case *Unary:
		return f.Pos
	case *Binary:
		return f.Pos
	}
	return 0
}
