package traceql

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Type is the static type of an expression.
type Type uint8

// The types. TypeAttr is the type of an attribute: known only when a span is looked at.
const (
	TypeNil Type = iota
	TypeInt
	TypeFloat
	TypeDuration
	TypeString
	TypeBool
	TypeStatus
	TypeKind
	TypeAttr
)

var typeNames = [...]string{"nil", "int", "float", "duration", "string", "bool", "status", "kind", "attribute"}

// String is a word for messages.
func (t Type) String() string { return typeNames[t] }

// Numeric reports that values of the type can be compared and mixed with other numbers.
func (t Type) Numeric() bool { return t == TypeInt || t == TypeFloat || t == TypeDuration }

// Static is a literal value. Int holds ints, durations (ns), status and kind (OTLP numbers) and bools (0, 1).
type Static struct {
	Type  Type
	Int   int64
	Float float64
	Str   string
}

// AsFloat is the value of a number; durations in ns.
func (s Static) AsFloat() float64 {
	if s.Type == TypeFloat {
		return s.Float
	}
	return float64(s.Int)
}

// Bool is the value of a TypeBool literal.
func (s Static) Bool() bool { return s.Int != 0 }

var statusNames = [...]string{"unset", "ok", "error"}
var kindNames = [...]string{"unspecified", "internal", "server", "client", "producer", "consumer"}

// StatusName is the word for an OTLP status code.
func StatusName(code int64) string { return nameOf(statusNames[:], code) }

// KindName is the word for an OTLP span kind.
func KindName(kind int64) string { return nameOf(kindNames[:], kind) }

func nameOf(names []string, i int64) string {
	if i >= 0 && i < int64(len(names)) {
		return names[i]
	}
	return strconv.FormatInt(i, 10)
}

// String is the literal in TraceQL.
func (s Static) String() string {
	switch s.Type {
	case TypeInt:
		switch s.Int {
		case math.MinInt64:
			return "minInt"
		case math.MaxInt64:
			return "maxInt"
		}
		return strconv.FormatInt(s.Int, 10)
	case TypeFloat:
		return floatText(s.Float)
	case TypeDuration:
		return durationText(s.Int)
	case TypeString:
		return strconv.Quote(s.Str)
	case TypeBool:
		return strconv.FormatBool(s.Bool())
	case TypeStatus:
		return StatusName(s.Int)
	case TypeKind:
		return KindName(s.Int)
	}
	return "nil"
}

// floatText always has a point or an exponent, so that it is read as a float again.
func floatText(f float64) string {
	t := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(t, ".eE") {
		t += ".0"
	}
	return t
}

// durationText writes the largest units first, without fractions: 1h30m, 1s500ms.
func durationText(ns int64) string {
	if ns == 0 {
		return "0s"
	}
	var b strings.Builder
	left := uint64(ns)
	if ns < 0 {
		b.WriteByte('-')
		left = -left
	}
	for _, u := range durationUnits {
		if u.canonical && left >= uint64(u.ns) {
			b.WriteString(strconv.FormatUint(left/uint64(u.ns), 10))
			b.WriteString(u.name)
			left %= uint64(u.ns)
		}
	}
	return b.String()
}

// durationUnits is ordered from large to small; only canonical ones are printed.
var durationUnits = [...]struct {
	name      string
	ns        int64
	canonical bool
}{
	{"y", 365 * 24 * int64(time.Hour), false},
	{"w", 7 * 24 * int64(time.Hour), false},
	{"d", 24 * int64(time.Hour), false},
	{"h", int64(time.Hour), true},
	{"m", int64(time.Minute), true},
	{"s", int64(time.Second), true},
	{"ms", int64(time.Millisecond), true},
	{"us", int64(time.Microsecond), true},
	{"µs", int64(time.Microsecond), false},
	{"μs", int64(time.Microsecond), false},
	{"ns", 1, true},
}

// parseDuration reads numbers with units: 1h30m, 1.5s, 2d.
func parseDuration(s string) (ns int64, ok bool) {
	if s == "" {
		return 0, false
	}
	total := 0.0
	exact := int64(0)
	for s != "" {
		n := 0
		for n < len(s) && (s[n] == '.' || s[n] >= '0' && s[n] <= '9') {
			n++
		}
		num := s[:n]
		s = s[n:]
		unit, name := int64(0), ""
		for _, u := range durationUnits {
			if strings.HasPrefix(s, u.name) && len(u.name) > len(name) {
				unit, name = u.ns, u.name
			}
		}
		if unit == 0 || num == "" {
			return 0, false
		}
		s = s[len(name):]
		f, err := strconv.ParseFloat(num, 64)
		if err != nil {
			return 0, false
		}
		total += f * float64(unit)
		if total >= math.MaxInt64 {
			return 0, false
		}
		if i, err := strconv.ParseInt(num, 10, 64); err == nil {
			exact += i * unit
		} else {
			exact += int64(math.Round(f * float64(unit)))
		}
	}
	return exact, exact >= 0
}
