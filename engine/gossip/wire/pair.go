package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Pair is one key and its value as it travels: the protobuf message KeyValuePair of the dskit family
// (1 key, 2 value, 3 codec, 4 deleted, 5 update_time_millis).
type Pair struct {
	Key   string
	Value []byte // in the form of Codec, usually a snappy block of a protobuf
	Codec string
	// Deleted marks the whole key as deleted. UpdateTimeMillis (Unix milliseconds) orders deletions and is 0 otherwise.
	Deleted          bool
	UpdateTimeMillis int64
}

// ErrBadPair reports bytes that are no key-value pair.
var ErrBadPair = errors.New("not a key-value pair")

// AppendBinary appends the protobuf form of p to b. It never fails.
func (p Pair) AppendBinary(b []byte) ([]byte, error) {
	b = appendBytesField(b, 1, []byte(p.Key))
	b = appendBytesField(b, 2, p.Value)
	b = appendBytesField(b, 3, []byte(p.Codec))
	if p.Deleted {
		b = protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), 1)
	}
	if p.UpdateTimeMillis != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 5, protowire.VarintType), uint64(p.UpdateTimeMillis))
	}
	return b, nil
}

// MarshalBinary returns the protobuf form of p. It never fails.
func (p Pair) MarshalBinary() ([]byte, error) {
	return p.AppendBinary(make([]byte, 0, len(p.Key)+len(p.Value)+len(p.Codec)+32))
}

func appendBytesField(b []byte, n protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

// UnmarshalBinary reads the protobuf form. Unknown fields are skipped; Value does not alias b.
func (p *Pair) UnmarshalBinary(b []byte) error {
	var out Pair
	if err := out.UnmarshalInPlace(b); err != nil {
		return err
	}
	out.Value = append([]byte(nil), out.Value...)
	*p = out
	return nil
}

// UnmarshalInPlace is [Pair.UnmarshalBinary] without a copy: Value aliases b.
func (p *Pair) UnmarshalInPlace(b []byte) error {
	var out Pair
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrBadPair, protowire.ParseError(n))
		}
		b = b[n:]
		n, err := out.field(num, typ, b)
		if err != nil {
			return fmt.Errorf("%w: field %d: %w", ErrBadPair, num, err)
		}
		b = b[n:]
	}
	*p = out
	return nil
}

func (p *Pair) field(num protowire.Number, typ protowire.Type, b []byte) (int, error) {
	switch num {
	case 1, 2, 3:
		if typ != protowire.BytesType {
			return 0, fmt.Errorf("wire type %d, want bytes", typ)
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		switch num {
		case 1:
			p.Key = string(v)
		case 2:
			p.Value = v
		case 3:
			p.Codec = string(v)
		}
		return n, nil
	case 4, 5:
		if typ != protowire.VarintType {
			return 0, fmt.Errorf("wire type %d, want varint", typ)
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		if num == 4 {
			p.Deleted = v != 0
		} else {
			p.UpdateTimeMillis = int64(v)
		}
		return n, nil
	}
	n := protowire.ConsumeFieldValue(num, typ, b)
	if n < 0 {
		return 0, protowire.ParseError(n)
	}
	return n, nil
}

// AppendState appends pairs to b in the form of a push/pull user state: for each pair a 4-byte big-endian length and
// its protobuf bytes.
func AppendState(b []byte, pairs ...Pair) []byte {
	size := 0
	for _, p := range pairs {
		size += len(p.Key) + len(p.Value) + len(p.Codec) + 40
	}
	b = slices.Grow(b, size)
	for _, p := range pairs {
		at := len(b)
		b, _ = p.AppendBinary(append(b, 0, 0, 0, 0))
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return b
}

// DecodeState reads a push/pull user state. A broken length or pair ends the reading: the pairs before it are returned
// together with the error. Their values do not alias b.
func DecodeState(b []byte) ([]Pair, error) {
	pairs, err := DecodeStateInPlace(b)
	for i := range pairs {
		pairs[i].Value = append([]byte(nil), pairs[i].Value...)
	}
	return pairs, err
}

// DecodeStateInPlace is [DecodeState] without copies: the values alias b.
func DecodeStateInPlace(b []byte) ([]Pair, error) {
	var pairs []Pair
	for len(b) > 0 {
		if len(b) < 4 {
			return pairs, fmt.Errorf("state: %d bytes left, want a 4-byte length", len(b))
		}
		n := binary.BigEndian.Uint32(b)
		b = b[4:]
		if uint64(n) > uint64(len(b)) {
			return pairs, fmt.Errorf("state: pair of %d bytes, %d left", n, len(b))
		}
		var p Pair
		if err := p.UnmarshalInPlace(b[:n]); err != nil {
			return pairs, fmt.Errorf("state: pair %d: %w", len(pairs), err)
		}
		pairs = append(pairs, p)
		b = b[n:]
	}
	return pairs, nil
}
