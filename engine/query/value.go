package query

import (
	"bytes"
	"encoding/hex"
	"math"
	"time"

	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// value is what an expression is for one span. The zero value is nil: the attribute is not there, or an operator got
// operands it is not defined for.
type value struct {
	typ  traceql.Type // TypeNil with set: a value that can only be tested for existence
	set  bool
	list bool // several values: an array, or one per event or link
	n    int64
	f    float64
	s    []byte
	elem []value // of lists
	raw  []byte  // of values that cannot be compared: the encoded AnyValue
}

func intValue(typ traceql.Type, n int64) value { return value{typ: typ, set: true, n: n} }
func floatValue(f float64) value               { return value{typ: traceql.TypeFloat, set: true, f: f} }
func stringValue(s []byte) value               { return value{typ: traceql.TypeString, set: true, s: s} }
func listValue(elem []value) value             { return value{set: true, list: true, elem: elem} }

func boolValue(b bool) value {
	v := value{typ: traceql.TypeBool, set: true}
	if b {
		v.n = 1
	}
	return v
}

// staticValue is a literal of the query.
func staticValue(s traceql.Static) value {
	if s.Type == traceql.TypeNil {
		return value{}
	}
	return value{typ: s.Type, set: true, n: s.Int, f: s.Float, s: []byte(s.Str)}
}

// valueOf is an attribute value as received. The empty value counts as not there.
func valueOf(v *trace.Value) value {
	switch v.Kind {
	case trace.KindString:
		return stringValue(v.Bytes)
	case trace.KindInt:
		return intValue(traceql.TypeInt, v.Int)
	case trace.KindDouble:
		return floatValue(v.Float())
	case trace.KindBool:
		return intValue(traceql.TypeBool, v.Int)
	case trace.KindEmpty:
		return value{}
	case trace.KindArray:
		if elem, ok := elements(v); ok {
			return listValue(elem)
		}
	}
	return value{set: true, raw: trace.AppendValue(nil, v)}
}

// elements are the values of an array of one comparable type; an empty one has no type.
func elements(v *trace.Value) (elem []value, ok bool) {
	for e, err := range v.Elements() {
		if err != nil {
			return nil, false
		}
		x := valueOf(&e)
		if !x.set || x.list || x.raw != nil || len(elem) > 0 && x.typ != elem[0].typ {
			return nil, false
		}
		elem = append(elem, x)
	}
	return elem, len(elem) > 0
}

// attribute is the value as it is shown in an answer: a duration, like status and kind, as text.
func (v value) attribute() trace.Value {
	switch {
	case v.list:
		out := trace.Value{Kind: trace.KindArray}
		for _, e := range v.elem {
			x := e.attribute()
			out.Bytes = trace.AppendElement(out.Bytes, &x)
		}
		return out
	case v.raw != nil:
		return trace.Value{Kind: trace.KindUnknown, Bytes: v.raw}
	}
	switch v.typ {
	case traceql.TypeString:
		return trace.StringValue(v.s)
	case traceql.TypeInt:
		return trace.IntValue(v.n)
	case traceql.TypeDuration:
		return trace.StringValue([]byte(time.Duration(v.n).String()))
	case traceql.TypeFloat:
		return trace.DoubleValue(v.f)
	case traceql.TypeBool:
		return trace.BoolValue(v.n != 0)
	case traceql.TypeStatus:
		return trace.StringValue([]byte(traceql.StatusName(v.n)))
	case traceql.TypeKind:
		return trace.StringValue([]byte(traceql.KindName(v.n)))
	}
	return trace.Value{}
}

// number is a numeric value as a float; ok is false for anything else.
func (v value) number() (f float64, ok bool) {
	switch {
	case v.list || !v.set || !v.typ.Numeric():
		return 0, false
	case v.typ == traceql.TypeFloat:
		return v.f, true
	}
	return float64(v.n), true
}

// truth is the value of a condition: true for true, and for a list with a true in it.
func (v value) truth() bool {
	if v.list {
		return compareValues(traceql.OpEq, v, boolValue(true))
	}
	return v.typ == traceql.TypeBool && v.n != 0
}

// compareValues is a op b for a comparison. Lists: = < > and so on hold when they do for any element, != when it does for all.
func compareValues(op traceql.Op, a, b value) bool {
	switch {
	case a.list:
		return overList(op, a.elem, func(x value) bool { return compareValues(op, x, b) })
	case b.list:
		return overList(op, b.elem, func(x value) bool { return compareValues(op, a, x) })
	case !a.set || !b.set:
		return false
	case op != traceql.OpEq && op != traceql.OpNe && !a.typ.Numeric() && a.typ != traceql.TypeString:
		return false // equal or not, but without an order
	}
	return holds(op, order(a, b))
}

func overList(op traceql.Op, elem []value, test func(value) bool) bool {
	all := op == traceql.OpNe || op == traceql.OpNotMatch
	for _, e := range elem {
		if test(e) != all {
			return !all
		}
	}
	return all
}

// Results of order beside -1, 0, 1.
const (
	unordered    = 2 // comparable but neither smaller, equal nor greater: NaN
	incomparable = 3
)

// order compares two single values.
func order(a, b value) int {
	switch {
	case a.typ.Numeric() && b.typ.Numeric():
		return orderNumbers(a, b)
	case a.typ != b.typ:
		return incomparable
	case a.typ == traceql.TypeString:
		return bytes.Compare(a.s, b.s)
	case a.typ == traceql.TypeBool || a.typ == traceql.TypeStatus || a.typ == traceql.TypeKind:
		return orderInts(a.n, b.n)
	}
	return incomparable
}

func orderNumbers(a, b value) int {
	switch {
	case a.typ == traceql.TypeFloat && b.typ == traceql.TypeFloat:
		return orderFloats(a.f, b.f)
	case a.typ == traceql.TypeFloat:
		if o := orderIntFloat(b.n, a.f); o != unordered {
			return -o
		}
		return unordered
	case b.typ == traceql.TypeFloat:
		return orderIntFloat(a.n, b.f)
	}
	return orderInts(a.n, b.n)
}

func orderInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func orderFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	return unordered
}

// orderIntFloat compares exactly, also where a float has no room for all digits of an int.
func orderIntFloat(n int64, f float64) int {
	switch {
	case math.IsNaN(f):
		return unordered
	case f >= 1<<63:
		return -1
	case f < -1<<63:
		return 1
	}
	whole := math.Trunc(f)
	if o := orderInts(n, int64(whole)); o != 0 {
		return o
	}
	return orderFloats(whole, f)
}

// holds says whether a comparison is true for the result of order.
func holds(op traceql.Op, o int) bool {
	switch op {
	case traceql.OpEq:
		return o == 0
	case traceql.OpNe:
		return o != 0 && o != incomparable
	case traceql.OpLt:
		return o == -1
	case traceql.OpLe:
		return o == -1 || o == 0
	case traceql.OpGt:
		return o == 1
	case traceql.OpGe:
		return o == 1 || o == 0
	}
	return false
}

// arithmetic is a op b for numbers; anything else, also a division of whole numbers by zero, is nil.
func arithmetic(op traceql.Op, a, b value) value {
	if a.list || b.list || !a.set || !b.set || !a.typ.Numeric() || !b.typ.Numeric() {
		return value{}
	}
	typ := traceql.TypeInt
	if a.typ == traceql.TypeDuration || b.typ == traceql.TypeDuration {
		typ = traceql.TypeDuration
	}
	if a.typ != traceql.TypeFloat && b.typ != traceql.TypeFloat {
		if n, ok := traceql.IntArithmetic(op, a.n, b.n); ok {
			return intValue(typ, n)
		}
		if b.n == 0 {
			return value{}
		}
	}
	x, _ := a.number()
	y, _ := b.number()
	f := traceql.FloatArithmetic(op, x, y)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return value{}
	}
	return floatValue(f)
}

// hexValue is a span id in hex; no id is the empty string.
func hexValue(id uint64) value {
	if id == 0 {
		return stringValue(nil)
	}
	var b [8]byte
	for i := range b {
		b[i] = byte(id >> (56 - 8*i))
	}
	return stringValue(hex.AppendEncode(nil, b[:]))
}
