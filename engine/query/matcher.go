package query

import (
	"bytes"
	"math"
	"regexp"
	"regexp/syntax"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// matcher is "x op literal", made ready for being asked often.
type matcher struct {
	op      traceql.Op
	lit     value
	re      *watched
	literal []byte // every string that matches re contains it
	// For integers: matches are those in [lo, hi], or outside when invert.
	lo, hi int64
	invert bool
}

// newMatcher makes the matcher; the regular expression was checked by the parser.
func newMatcher(op traceql.Op, s traceql.Static) (*matcher, error) {
	m := &matcher{op: op, lit: staticValue(s)}
	if op.Regex() {
		re, err := compile(s.Str)
		if err != nil {
			return nil, err
		}
		m.re, m.literal = newWatched(re), requiredLiteral(s.Str)
	}
	if m.lit.typ != traceql.TypeString {
		m.lo, m.hi, m.invert = intRange(op, m.lit)
	}
	return m, nil
}

// compile makes an expression that has to match the whole text. ".*" at an end is cut off together with the anchor there,
// which is what many expressions have and what would make the machine try every place.
func compile(expr string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(expr, syntax.Perl|syntax.DotNL)
	if err != nil {
		return nil, err
	}
	first, last := "^", "$"
	if tree.Op == syntax.OpConcat {
		subs := tree.Sub
		if anything(subs[0]) {
			subs, first = subs[1:], ""
		}
		if len(subs) > 0 && anything(subs[len(subs)-1]) {
			subs, last = subs[:len(subs)-1], ""
		}
		tree.Sub = subs
	}
	return regexp.Compile(first + "(?:" + tree.String() + ")" + last)
}

// anything reports ".*".
func anything(re *syntax.Regexp) bool {
	return re.Op == syntax.OpStar && re.Sub[0].Op == syntax.OpAnyChar
}

// flip turns "literal op x" into "x op literal".
func flip(op traceql.Op) traceql.Op {
	switch op {
	case traceql.OpLt:
		return traceql.OpGt
	case traceql.OpLe:
		return traceql.OpGe
	case traceql.OpGt:
		return traceql.OpLt
	case traceql.OpGe:
		return traceql.OpLe
	}
	return op
}

// negative reports the operators that need all elements of a list.
func (m *matcher) negative() bool { return m.op == traceql.OpNe || m.op == traceql.OpNotMatch }

// accepts reports whether values of a column type can match at all.
func (m *matcher) accepts(t columnar.Type) bool {
	switch t.Elem() {
	case columnar.String:
		return m.lit.typ == traceql.TypeString
	case columnar.Int, columnar.Float:
		return m.lit.typ.Numeric()
	case columnar.Bool:
		return m.lit.typ == traceql.TypeBool && !m.op.Regex()
	}
	return false
}

func (m *matcher) str(s []byte) bool {
	switch m.op {
	case traceql.OpMatch:
		return m.regex(s)
	case traceql.OpNotMatch:
		return !m.regex(s)
	case traceql.OpEq:
		return bytes.Equal(s, m.lit.s)
	case traceql.OpNe:
		return !bytes.Equal(s, m.lit.s)
	}
	return holds(m.op, bytes.Compare(s, m.lit.s))
}

func (m *matcher) regex(s []byte) bool {
	return (len(m.literal) == 0 || bytes.Contains(s, m.literal)) && m.re.match(s)
}

func (m *matcher) int(n int64) bool { return (n >= m.lo && n <= m.hi) != m.invert }

func (m *matcher) float(f float64) bool {
	return holds(m.op, order(floatValue(f), m.lit))
}

// value is the general form.
func (m *matcher) value(v value) bool {
	if !m.op.Regex() {
		return compareValues(m.op, v, m.lit)
	}
	if v.list {
		return overList(m.op, v.elem, m.value)
	}
	return v.set && v.typ == traceql.TypeString && m.str(v.s)
}

// intRange is the range of integers n with "n op lit".
func intRange(op traceql.Op, lit value) (lo, hi int64, invert bool) {
	const none = 1 // lo > hi
	if lit.typ == traceql.TypeFloat {
		return floatRange(op, lit.f)
	}
	n := lit.n
	switch op {
	case traceql.OpEq, traceql.OpNe:
		return n, n, op == traceql.OpNe
	case traceql.OpLt:
		if n == math.MinInt64 {
			return none, 0, false
		}
		return math.MinInt64, n - 1, false
	case traceql.OpLe:
		return math.MinInt64, n, false
	case traceql.OpGt:
		if n == math.MaxInt64 {
			return none, 0, false
		}
		return n + 1, math.MaxInt64, false
	case traceql.OpGe:
		return n, math.MaxInt64, false
	}
	return none, 0, false
}

// floatRange is intRange for a float literal.
func floatRange(op traceql.Op, f float64) (lo, hi int64, invert bool) {
	whole := f == math.Trunc(f) && f >= -1<<63 && f < 1<<63
	switch {
	case math.IsNaN(f):
		return 1, 0, op == traceql.OpNe
	case whole:
		return intRange(op, intValue(traceql.TypeInt, int64(f)))
	case op == traceql.OpEq, op == traceql.OpNe:
		return 1, 0, op == traceql.OpNe
	}
	up := op == traceql.OpGt || op == traceql.OpGe
	switch {
	case f >= 1<<63:
		if up {
			return 1, 0, false
		}
		return math.MinInt64, math.MaxInt64, false
	case f < -1<<63:
		if up {
			return math.MinInt64, math.MaxInt64, false
		}
		return 1, 0, false
	case up:
		return int64(math.Floor(f)) + 1, math.MaxInt64, false
	}
	return math.MinInt64, int64(math.Floor(f)), false
}

// requiredLiteral is the longest text that every match of the expression must contain, or nil.
func requiredLiteral(expr string) []byte {
	re, err := syntax.Parse(expr, syntax.Perl|syntax.DotNL)
	if err != nil {
		return nil
	}
	return literalOf(re.Simplify())
}

func literalOf(re *syntax.Regexp) []byte {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []byte(string(re.Rune))
		}
	case syntax.OpCapture, syntax.OpPlus:
		return literalOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literalOf(re.Sub[0])
		}
	case syntax.OpConcat:
		var best, run []byte
		for _, sub := range re.Sub {
			l := literalOf(sub)
			if sub.Op == syntax.OpLiteral && l != nil {
				run = append(run, l...) // neighbours join
			} else {
				run = nil
			}
			if len(run) > len(best) {
				best = run
			}
			if len(l) > len(best) {
				best = l
			}
		}
		return best
	}
	return nil
}
