package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// memberlist's messages are msgpack maps with Go field names as keys, strings and bytes both in the old raw form. This
// reader understands exactly that, reads no byte ahead of what it needs, and allocates nothing before it has checked
// the announced length against what may still come.

var errMsgpack = errors.New("malformed msgpack")

// mpReader reads msgpack from r, at most left bytes in total.
type mpReader struct {
	r    io.Reader
	left int
	buf  [8]byte
}

func (m *mpReader) take(n int) ([]byte, error) {
	if n <= len(m.buf) {
		if n > m.left {
			return nil, errTooLong
		}
		b := m.buf[:n]
		if _, err := io.ReadFull(m.r, b); err != nil {
			return nil, noEOF(err)
		}
		m.left -= n
		return b, nil
	}
	return m.takeInto(nil, n)
}

var errTooLong = fmt.Errorf("%w: message is longer than the limit", errMsgpack)

// takeInto reads n bytes into the memory of b where it is large enough. Otherwise it grows with the data, so that an
// announced length alone costs little: what has arrived is worth sixteen times as much.
func (m *mpReader) takeInto(b []byte, n int) ([]byte, error) {
	if n > m.left {
		return nil, errTooLong
	}
	b = b[:0]
	for len(b) < n {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(n, max(64<<10, 16*cap(b)))-len(b))
		}
		at := len(b)
		b = b[:min(n, cap(b))]
		if _, err := io.ReadFull(m.r, b[at:]); err != nil {
			return nil, noEOF(err)
		}
	}
	m.left -= n
	return b, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (m *mpReader) number(n int) (uint64, error) {
	b, err := m.take(n)
	if err != nil {
		return 0, err
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, nil
}

// mapLen reads a map header.
func (m *mpReader) mapLen() (int, error) {
	c, err := m.number(1)
	if err != nil {
		return 0, err
	}
	var n uint64
	switch {
	case c>>4 == 0x8:
		return int(c & 0x0f), nil
	case c == 0xde:
		n, err = m.number(2)
	case c == 0xdf:
		n, err = m.number(4)
	default:
		return 0, fmt.Errorf("%w: 0x%02x where a map is due", errMsgpack, c)
	}
	if err == nil && n > 64 {
		err = fmt.Errorf("%w: map of %d fields", errMsgpack, n)
	}
	return int(n), err
}

// value reads one scalar: nil, bool, int64, uint64, float64 or []byte (which also holds strings).
func (m *mpReader) value() (any, error) {
	h, err := m.number(1)
	if err != nil {
		return nil, err
	}
	c := byte(h)
	switch {
	case c < 0x80:
		return int64(c), nil
	case c >= 0xe0:
		return int64(int8(c)), nil
	case c>>5 == 0x5:
		return m.bytes(uint64(c & 0x1f))
	}
	switch c {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return c == 0xc3, nil
	case 0xc4, 0xd9, 0xc5, 0xda, 0xc6, 0xdb:
		return m.lenBytes(c)
	case 0xca, 0xcb:
		return m.float(c)
	case 0xcc, 0xcd, 0xce, 0xcf:
		return m.number(1 << (c - 0xcc))
	case 0xd0, 0xd1, 0xd2, 0xd3:
		bits := 8 << (c - 0xd0)
		v, err := m.number(bits / 8)
		return int64(v<<(64-bits)) >> (64 - bits), err
	}
	if c>>4 == 0x9 || c == 0xdc {
		return m.byteArray(c)
	}
	return nil, fmt.Errorf("%w: 0x%02x where a scalar is due", errMsgpack, c)
}

func (m *mpReader) lenBytes(c byte) (any, error) {
	width := map[byte]int{0xc4: 1, 0xd9: 1, 0xc5: 2, 0xda: 2, 0xc6: 4, 0xdb: 4}[c]
	n, err := m.number(width)
	if err != nil {
		return nil, err
	}
	return m.bytes(n)
}

func (m *mpReader) bytes(n uint64) ([]byte, error) {
	if n > math.MaxInt32 {
		return nil, fmt.Errorf("%w: string of %d bytes", errMsgpack, n)
	}
	b, err := m.take(int(n))
	if err != nil {
		return nil, err
	}
	return append([]byte{}, b...), nil
}

func (m *mpReader) float(c byte) (any, error) {
	if c == 0xca {
		v, err := m.number(4)
		return float64(math.Float32frombits(uint32(v))), err
	}
	v, err := m.number(8)
	return math.Float64frombits(v), err
}

// byteArray reads a list of small numbers as bytes: some encoders write version arrays that way.
func (m *mpReader) byteArray(c byte) (any, error) {
	n := uint64(c & 0x0f)
	if c == 0xdc {
		var err error
		if n, err = m.number(2); err != nil {
			return nil, err
		}
	}
	out := make([]byte, 0, min(n, 64))
	for range n {
		c, err := m.number(1)
		if err != nil {
			return nil, err
		}
		if c == 0xcc {
			if c, err = m.number(1); err != nil {
				return nil, err
			}
		} else if c >= 0x80 {
			return nil, fmt.Errorf("%w: 0x%02x in a byte list", errMsgpack, c)
		}
		out = append(out, byte(c))
	}
	return out, nil
}

// fields reads a map of scalars and calls f for each of them.
func (m *mpReader) fields(f func(name string, v any)) error {
	n, err := m.mapLen()
	if err != nil {
		return err
	}
	for range n {
		name, err := m.value()
		if err != nil {
			return err
		}
		key, ok := name.([]byte)
		if !ok {
			return fmt.Errorf("%w: field name is a %T", errMsgpack, name)
		}
		v, err := m.value()
		if err != nil {
			return fmt.Errorf("field %q: %w", key, err)
		}
		f(string(key), v)
	}
	return nil
}

func mpInt(v any) int {
	switch v := v.(type) {
	case int64:
		return int(v)
	case uint64:
		return int(min(v, math.MaxInt64))
	}
	return 0
}

func mpBytes(v any) []byte {
	b, _ := v.([]byte)
	return b
}

func appendMapHeader(b []byte, n int) []byte { return append(b, 0x80|byte(n)) }

func appendRaw(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<16:
		b = append(b, 0xda, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

func appendInt(b []byte, v int) []byte {
	switch {
	case v < 0:
		return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
	case v < 128:
		return append(b, byte(v))
	case v < 1<<16:
		return append(b, 0xcd, byte(v>>8), byte(v))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}
