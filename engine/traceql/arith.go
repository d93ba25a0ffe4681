package traceql

import (
	"math"
	"math/bits"
)

// IntArithmetic computes a op b; ok is false for a division by zero and when the result is not a 64-bit integer.
func IntArithmetic(op Op, a, b int64) (n int64, ok bool) {
	switch op {
	case OpAdd:
		n = a + b
		return n, (n > a) == (b > 0)
	case OpSub:
		n = a - b
		return n, (n < a) == (b > 0)
	case OpMul:
		hi, lo := bits.Mul64(magnitude(a), magnitude(b))
		negative := (a < 0) != (b < 0)
		if hi != 0 || lo > 1<<63 || lo == 1<<63 && !negative {
			return 0, false
		}
		return a * b, true
	case OpDiv, OpMod:
		if b == 0 || a == math.MinInt64 && b == -1 {
			return 0, false
		}
		if op == OpDiv {
			return a / b, true
		}
		return a % b, true
	case OpPow:
		return intPower(a, b)
	}
	return 0, false
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func intPower(base, exp int64) (n int64, ok bool) {
	if exp < 0 {
		return 0, false
	}
	n = 1
	for ; exp > 0; exp >>= 1 {
		if exp&1 == 1 {
			if n, ok = IntArithmetic(OpMul, n, base); !ok {
				return 0, false
			}
		}
		if exp > 1 {
			if base, ok = IntArithmetic(OpMul, base, base); !ok {
				return 0, false
			}
		}
	}
	return n, true
}

// FloatArithmetic computes a op b by IEEE 754.
func FloatArithmetic(op Op, a, b float64) float64 {
	switch op {
	case OpAdd:
		return a + b
	case OpSub:
		return a - b
	case OpMul:
		return a * b
	case OpDiv:
		return a / b
	case OpMod:
		return math.Mod(a, b)
	case OpPow:
		return math.Pow(a, b)
	}
	return math.NaN()
}
