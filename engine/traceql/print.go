package traceql

import (
	"strconv"
	"strings"
)

// String is the canonical text of the query: parsing it gives an equal query.
func (q *Query) String() string {
	p := &printer{}
	if q.Metric != nil {
		p.metric(q.Metric, true)
	} else {
		p.pipeline(q.Pipeline)
	}
	for i, h := range q.Hints {
		p.WriteString([...]string{" with (", ", "}[min(i, 1)])
		p.WriteString(h.Name + " = " + h.Value.String())
	}
	if len(q.Hints) > 0 {
		p.WriteByte(')')
	}
	return p.String()
}

// String is the attribute in TraceQL, with quotes where its name needs them.
func (a *Attr) String() string {
	switch {
	case a.Intrinsic != NotIntrinsic && a.Parent:
		return "parent." + a.Intrinsic.String()
	case a.Intrinsic != NotIntrinsic:
		return a.Intrinsic.String()
	case !a.Parent:
		return a.Scope.String() + "." + quoteName(a.Name)
	case a.Scope != ScopeNone:
		return "parent." + a.Scope.String() + "." + quoteName(a.Name)
	case LookupIntrinsic(a.Name) != NotIntrinsic:
		return `parent."` + a.Name + `"`
	}
	return "parent." + quoteName(a.Name)
}

// quoteName quotes a name that would not be read back as it is.
func quoteName(name string) string {
	bare := name != "" && attrRun(name) == name && !(name[0] >= '0' && name[0] <= '9')
	for _, scope := range [...]string{"span.", "resource."} {
		bare = bare && !strings.HasPrefix(name, scope) // after parent. these are scopes
	}
	if bare {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// FieldString is the canonical text of an expression.
func FieldString(f Field) string {
	p := &printer{}
	p.field(f, 0)
	return p.String()
}

type printer struct{ strings.Builder }

func (p *printer) pipeline(x *Pipeline) {
	for i, s := range x.Stages {
		if i > 0 {
			p.WriteString(" | ")
		}
		p.stage(s)
	}
}

func (p *printer) stage(s Stage) {
	switch s := s.(type) {
	case *Filter:
		p.filter(s)
	case *Pipeline:
		p.WriteByte('(')
		p.pipeline(s)
		p.WriteByte(')')
	case *SpansetOp:
		p.operand(s.Left, s.Op.precedence())
		p.WriteString(" " + s.Op.String() + " ")
		p.operand(s.Right, s.Op.precedence()+1)
	case *ScalarFilter:
		p.scalar(s.Left, 0)
		p.WriteString(" " + s.Op.String() + " ")
		p.scalar(s.Right, 0)
	case *Group:
		p.WriteString("by(")
		p.field(s.Expr, 0)
		p.WriteByte(')')
	case *Coalesce:
		p.WriteString("coalesce()")
	case *Select:
		p.WriteString("select")
		p.attrs(s.Attrs)
	}
}

func (p *printer) filter(f *Filter) {
	if f.Expr == nil {
		p.WriteString("{ }")
		return
	}
	p.WriteString("{ ")
	p.field(f.Expr, 0)
	p.WriteString(" }")
}

// operand prints an operand of a spanset operator, in parentheses when it binds weaker than min.
func (p *printer) operand(s Spanset, min int) {
	op, ok := s.(*SpansetOp)
	if !ok || op.Op.precedence() >= min {
		p.stage(s)
		return
	}
	p.WriteByte('(')
	p.stage(s)
	p.WriteByte(')')
}

func (p *printer) scalar(s Scalar, min int) {
	switch s := s.(type) {
	case *Number:
		p.WriteString(s.Value.String())
	case *Aggregate:
		p.aggregate(s)
	case *PipelineScalar:
		p.WriteByte('(')
		p.pipeline(s.Pipeline)
		p.WriteString(" | ")
		p.aggregate(s.Aggregate)
		p.WriteByte(')')
	case *ScalarOp:
		prec := s.Op.precedence()
		p.open(prec < min)
		p.scalar(s.Left, prec)
		p.WriteString(" " + s.Op.String() + " ")
		p.scalar(s.Right, prec+1)
		p.shut(prec < min)
	}
}

func (p *printer) open(yes bool) {
	if yes {
		p.WriteByte('(')
	}
}

func (p *printer) shut(yes bool) {
	if yes {
		p.WriteByte(')')
	}
}

func (p *printer) aggregate(a *Aggregate) {
	p.WriteString(a.Func.String() + "(")
	if a.Expr != nil {
		p.field(a.Expr, 0)
	}
	p.WriteByte(')')
}

func (p *printer) attrs(attrs []*Attr) {
	p.WriteByte('(')
	for i, a := range attrs {
		if i > 0 {
			p.WriteString(", ")
		}
		p.WriteString(a.String())
	}
	p.WriteByte(')')
}

func (p *printer) field(f Field, min int) {
	switch f := f.(type) {
	case *Attr:
		p.WriteString(f.String())
	case *Lit:
		p.WriteString(f.Value.String())
	case *Unary:
		prec := precMinus
		if f.Op == OpNot {
			prec = precNot
		}
		p.open(prec < min)
		p.WriteString(f.Op.String())
		if f.Op == OpNot {
			p.field(f.Expr, precNot+1)
		} else {
			p.negated(f.Expr)
		}
		p.shut(prec < min)
	case *Binary:
		prec := f.Op.precedence()
		left, right := prec, prec+1
		if f.Op == OpPow {
			left, right = prec+1, prec
		}
		p.open(prec < min)
		p.field(f.Left, left)
		p.WriteString(" " + f.Op.String() + " ")
		p.field(f.Right, right)
		p.shut(prec < min)
	}
}

// negated prints the operand of a minus so that it is not read as a negative literal.
func (p *printer) negated(f Field) {
	_, unary := f.(*Unary)
	p.open(unary)
	p.field(f, precMinus)
	p.shut(unary)
}

func (p *printer) metric(m MetricExpr, top bool) {
	switch m := m.(type) {
	case *Number:
		p.WriteString(m.Value.String())
	case *MetricPipe:
		p.open(!top)
		p.pipeline(m.Pipeline)
		p.WriteString(" | ")
		p.metricFunc(m)
		p.shut(!top)
	case *MetricOp:
		p.open(!top)
		p.metric(m.Left, false)
		p.WriteString(" " + m.Op.String() + " ")
		p.metric(m.Right, false)
		p.shut(!top)
	case *MetricSecond:
		p.open(!top)
		p.metric(m.Expr, isSecondable(m.Expr))
		if m.Op.Comparison() {
			p.WriteString(" " + m.Op.String() + " " + m.Value.Value.String())
		} else {
			p.WriteString(" | " + m.Op.String() + "(" + strconv.Itoa(m.N) + ")")
		}
		p.shut(!top)
	}
}

// isSecondable reports expressions that need no parentheses before a second stage.
func isSecondable(m MetricExpr) bool {
	_, number := m.(*Number)
	return !number
}

func (p *printer) metricFunc(m *MetricPipe) {
	p.WriteString(m.Func.String() + "(")
	if m.Attr != nil {
		p.WriteString(m.Attr.String())
	}
	for _, q := range m.Args {
		p.WriteString(", " + floatText(q))
	}
	if m.Selection != nil {
		p.filter(m.Selection)
		p.WriteString(", " + strconv.Itoa(m.TopN))
		if m.End != 0 {
			p.WriteString(", " + strconv.FormatInt(m.Start, 10) + ", " + strconv.FormatInt(m.End, 10))
		}
	}
	p.WriteByte(')')
	if len(m.By) > 0 {
		p.WriteString(" by ")
		p.attrs(m.By)
	}
}
