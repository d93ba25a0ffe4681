package querytest

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/traceql"
)

func isNumber(v any) bool {
	switch v.(type) {
	case int64, float64, duration:
		return true
	}
	return false
}

func toFloat(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case duration:
		return float64(v)
	case float64:
		return v
	}
	return math.NaN()
}

// compare: lists hold for any element, with != and !~ for all.
func compare(op traceql.Op, l, r any) bool {
	all := op == traceql.OpNe || op == traceql.OpNotMatch
	for side, v := range [...]any{l, r} {
		list, ok := v.([]any)
		if !ok {
			continue
		}
		for _, e := range list {
			a, b := e, r
			if side == 1 {
				a, b = l, e
			}
			if compare(op, a, b) != all {
				return !all
			}
		}
		return all
	}
	if op.Regex() {
		a, ok := l.(string)
		b, ok2 := r.(string)
		return ok && ok2 && regexp.MustCompile("^(?s:"+b+")$").MatchString(a) == (op == traceql.OpMatch)
	}
	c, ok := order(l, r)
	if _, text := l.(string); !text && !isNumber(l) && op != traceql.OpEq && op != traceql.OpNe {
		return false // bool, status and kind have no order
	}
	if !ok {
		return false
	}
	switch op {
	case traceql.OpEq:
		return c == 0
	case traceql.OpNe:
		return c != 0
	case traceql.OpLt:
		return c < 0
	case traceql.OpLe:
		return c <= 0
	case traceql.OpGt:
		return c > 0
	}
	return c >= 0
}

func order(l, r any) (int, bool) {
	if isNumber(l) && isNumber(r) {
		return exact(l).Cmp(exact(r)), true
	}
	switch a := l.(type) {
	case string:
		b, ok := r.(string)
		return strings.Compare(a, b), ok
	case bool:
		b, ok := r.(bool)
		if a == b {
			return 0, ok
		}
		return 1, ok
	case status:
		b, ok := r.(status)
		return int(a - b), ok
	case kind:
		b, ok := r.(kind)
		return int(a - b), ok
	}
	return 0, false
}

func exact(v any) *big.Float {
	switch v := v.(type) {
	case int64:
		return new(big.Float).SetInt64(v)
	case duration:
		return new(big.Float).SetInt64(int64(v))
	}
	return big.NewFloat(v.(float64))
}

// calculate: whole numbers stay whole while they fit; everything undefined is nil.
func calculate(op traceql.Op, l, r any) any {
	if !isNumber(l) || !isNumber(r) {
		return nil
	}
	_, lf := l.(float64)
	_, rf := r.(float64)
	if !lf && !rf {
		a, b := big.NewInt(toInt(l)), big.NewInt(toInt(r))
		z, ok := wholeResult(op, a, b)
		if ok && z.IsInt64() {
			_, ld := l.(duration)
			_, rd := r.(duration)
			if ld || rd {
				return duration(z.Int64())
			}
			return z.Int64()
		}
		if b.Sign() == 0 {
			return nil
		}
	}
	x, y := toFloat(l), toFloat(r)
	var f float64
	switch op {
	case traceql.OpAdd:
		f = x + y
	case traceql.OpSub:
		f = x - y
	case traceql.OpMul:
		f = x * y
	case traceql.OpDiv:
		f = x / y
	case traceql.OpMod:
		f = math.Mod(x, y)
	case traceql.OpPow:
		f = math.Pow(x, y)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

func toInt(v any) int64 {
	if d, ok := v.(duration); ok {
		return int64(d)
	}
	return v.(int64)
}

func wholeResult(op traceql.Op, a, b *big.Int) (*big.Int, bool) {
	z := new(big.Int)
	switch op {
	case traceql.OpAdd:
		return z.Add(a, b), true
	case traceql.OpSub:
		return z.Sub(a, b), true
	case traceql.OpMul:
		return z.Mul(a, b), true
	case traceql.OpDiv:
		if b.Sign() == 0 {
			return nil, false
		}
		return z.Quo(a, b), true
	case traceql.OpMod:
		if b.Sign() == 0 {
			return nil, false
		}
		return z.Rem(a, b), true
	}
	if b.Sign() < 0 || b.Cmp(big.NewInt(10000)) > 0 && a.CmpAbs(big.NewInt(1)) > 0 {
		return nil, false
	}
	if a.CmpAbs(big.NewInt(1)) <= 0 && b.BitLen() > 1 {
		b = new(big.Int).SetInt64(2 + int64(b.Bit(0)))
	}
	return z.Exp(a, b, nil), true
}

// Show is a value in the lines of an answer.
func Show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return v
	case status:
		return traceql.StatusName(int64(v))
	case kind:
		return traceql.KindName(int64(v))
	case duration:
		return time.Duration(v).String()
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, Show(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case opaque:
		return "?"
	}
	return fmt.Sprint(v)
}
