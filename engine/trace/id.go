package trace

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// ID is a trace id: 16 bytes, shown as 32 hex digits. The zero ID is invalid.
type ID [16]byte

// SpanID is a span id: 8 bytes, shown as 16 hex digits. The zero SpanID is invalid
// and stands for "no parent".
type SpanID [8]byte

// ErrID is wrapped by every error of [ParseID] and [ParseSpanID].
var ErrID = errors.New("invalid id")

// ParseID reads 1 to 32 hex digits in either case. Shorter ids are padded with
// zeros on the left, as 64-bit ids of older tracers are written.
func ParseID(s string) (ID, error) {
	var id ID
	if err := parseHex(id[:], s); err != nil {
		return ID{}, fmt.Errorf("trace id %q: %w", clip(s), err)
	}
	return id, nil
}

// ParseSpanID reads 1 to 16 hex digits, padded with zeros on the left.
func ParseSpanID(s string) (SpanID, error) {
	var id SpanID
	if err := parseHex(id[:], s); err != nil {
		return SpanID{}, fmt.Errorf("span id %q: %w", clip(s), err)
	}
	return id, nil
}

func parseHex(dst []byte, s string) error {
	if len(s) == 0 || len(s) > 2*len(dst) {
		return fmt.Errorf("%w: want 1 to %d hex digits, got %d characters", ErrID, 2*len(dst), len(s))
	}
	at := 2*len(dst) - len(s) // position in half bytes
	for i := range len(s) {
		d, ok := hexDigit(s[i])
		if !ok {
			return fmt.Errorf("%w: %q is not a hex digit", ErrID, s[i:i+1])
		}
		if at%2 == 0 {
			d <<= 4
		}
		dst[at/2] |= d
		at++
	}
	return nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// clip keeps foreign text in an error message short.
func clip(s string) string {
	if len(s) > 48 {
		return s[:48] + "…"
	}
	return s
}

// String returns 32 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether all bytes are zero.
func (id ID) IsZero() bool { return id == ID{} }

// String returns 16 lower-case hex digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether all bytes are zero.
func (id SpanID) IsZero() bool { return id == SpanID{} }

const (
	fnvOffset = 2166136261
	fnvPrime  = 16777619
)

// Token is the place of a trace on the rings: FNV-1, 32 bits, over the bytes of
// the tenant and then the 16 bytes of the id. Tempo computes the same number.
func Token(tenant string, id ID) uint32 {
	h := uint32(fnvOffset)
	for i := range len(tenant) {
		h = h*fnvPrime ^ uint32(tenant[i])
	}
	for _, c := range id {
		h = h*fnvPrime ^ uint32(c)
	}
	return h
}
