package trace

import (
	"encoding/binary"
	"iter"
	"math"
	"unicode/utf8"
)

// ValueKind is the type of an attribute value.
type ValueKind uint8

// The kinds of OTLP's AnyValue. KindUnknown is a value of a kind that this
// package does not know, such as an index into the string table of a profile;
// its Bytes are the whole encoded AnyValue. A known member beside an unknown one
// wins.
const (
	KindEmpty ValueKind = iota
	KindString
	KindBool
	KindInt
	KindDouble
	KindBytes
	KindArray
	KindMap
	KindUnknown
)

// String returns a lower-case name.
func (k ValueKind) String() string {
	names := [...]string{"empty", "string", "bool", "int", "double", "bytes", "array", "map", "unknown"}
	if int(k) < len(names) {
		return names[k]
	}
	return "invalid"
}

// Value is one attribute value. Which fields mean something depends on Kind:
//
//	KindString, KindBytes  Bytes
//	KindInt                Int
//	KindBool               Int, 0 or 1
//	KindDouble             Int holds the IEEE 754 bits, see Float
//	KindArray, KindMap     Bytes is the encoded ArrayValue or KeyValueList
//	KindUnknown            Bytes is the encoded AnyValue
//
// Bytes aliases the input.
type Value struct {
	Bytes []byte
	Int   int64
	Kind  ValueKind
}

// Attr is one attribute. Key aliases the input. It fills one cache line.
type Attr struct {
	Key   []byte
	Value Value
}

// Bool is the value of KindBool.
func (v *Value) Bool() bool { return v.Int != 0 }

// Float is the value of KindDouble.
func (v *Value) Float() float64 { return math.Float64frombits(uint64(v.Int)) }

// StringValue, BoolValue, IntValue, DoubleValue and BytesValue build values for
// encoding.
func StringValue(s []byte) Value { return Value{Kind: KindString, Bytes: s} }

// BoolValue builds a KindBool value.
func BoolValue(b bool) Value {
	v := Value{Kind: KindBool}
	if b {
		v.Int = 1
	}
	return v
}

// IntValue builds a KindInt value.
func IntValue(i int64) Value { return Value{Kind: KindInt, Int: i} }

// DoubleValue builds a KindDouble value.
func DoubleValue(f float64) Value { return Value{Kind: KindDouble, Int: int64(math.Float64bits(f))} }

// BytesValue builds a KindBytes value.
func BytesValue(b []byte) Value { return Value{Kind: KindBytes, Bytes: b} }

// Elements yields the values of a KindArray value, none for other kinds. It
// ends with an error when the bytes are malformed, which cannot happen for
// values that [DecodeSpan] returned.
func (v *Value) Elements() iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		if v.Kind != KindArray {
			return
		}
		var f field
		for i := 0; i < len(v.Bytes); {
			next, bad := f.next(v.Bytes, i)
			if bad != nil {
				yield(Value{}, bad)
				return
			}
			i = next
			if f.tag != 1<<3|wireBytes {
				continue
			}
			var e Value
			if _, bad := decodeAny(f.b, &e, 1); bad != nil {
				yield(Value{}, bad.within("values", f.from))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Entries yields the key/value pairs of a KindMap value, none for other kinds.
// It ends with an error when the bytes are malformed, which cannot happen for
// values that [DecodeSpan] returned.
func (v *Value) Entries() iter.Seq2[Attr, error] {
	return func(yield func(Attr, error) bool) {
		if v.Kind != KindMap {
			return
		}
		var f field
		for i := 0; i < len(v.Bytes); {
			next, bad := f.next(v.Bytes, i)
			if bad != nil {
				yield(Attr{}, bad)
				return
			}
			i = next
			if f.tag != 1<<3|wireBytes {
				continue
			}
			var a Attr
			if _, bad := decodeAttr(f.b, &a, 1); bad != nil {
				yield(Attr{}, bad.within("values", f.from))
				return
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// decodeAttr reads a KeyValue message. a must be zero. utf8ok is false when the
// key or a string value (at any depth) is not valid UTF-8.
func decodeAttr(b []byte, a *Attr, depth int) (utf8ok bool, bad *MalformedError) {
	// The usual form first: a short key, then a short value that ends the message.
	if len(b) > 3 && b[0] == 1<<3|wireBytes && b[1] < 0x80 {
		k := 2 + int(b[1])
		if k+1 < len(b) && b[k] == 2<<3|wireBytes && b[k+1] < 0x80 && k+2+int(b[k+1]) == len(b) {
			a.Key = b[2:k]
			utf8ok, bad = decodeAny(b[k+2:], &a.Value, depth)
			if bad != nil {
				return false, bad.within("value", k+2)
			}
			return utf8ok && valid(a.Key), nil
		}
	}
	return decodeAttrSlow(b, a, depth)
}

func decodeAttrSlow(b []byte, a *Attr, depth int) (utf8ok bool, bad *MalformedError) {
	utf8ok = true
	for i := 0; i < len(b); {
		switch b[i] {
		case 1<<3 | wireBytes:
			from, to := payload(b, i+1)
			if to < 0 {
				return false, malformed(b, i).within("key", 0)
			}
			a.Key = b[from:to]
			utf8ok = utf8ok && valid(a.Key)
			i = to
		case 2<<3 | wireBytes:
			from, to := payload(b, i+1)
			if to < 0 {
				return false, malformed(b, i).within("value", 0)
			}
			ok, bad := decodeAny(b[from:to], &a.Value, depth)
			if bad != nil {
				return false, bad.within("value", from)
			}
			utf8ok = utf8ok && ok
			i = to
		default:
			tag, next := varint(b, i)
			if next < 0 {
				return false, malformed(b, i)
			}
			if next = skip(b, next, tag, 0); next < 0 {
				return false, malformed(b, i)
			}
			i = next
		}
	}
	return utf8ok, nil
}

// plainAttr reports whether b is a well-formed KeyValue of the usual form: a
// short key, then a short string, int, bool or double. Other forms need check.
func plainAttr(b []byte) bool {
	if len(b) < 6 || b[0] != 1<<3|wireBytes || b[1] >= 0x80 {
		return false
	}
	k := 2 + int(b[1])
	if k+3 >= len(b) || b[k] != 2<<3|wireBytes || b[k+1] >= 0x80 || k+2+int(b[k+1]) != len(b) {
		return false
	}
	v := b[k+2:]
	switch v[0] {
	case 1<<3 | wireBytes:
		return v[1] < 0x80 && 2+int(v[1]) == len(v)
	case 2 << 3, 3 << 3:
		_, next := varint(v, 1)
		return next == len(v)
	case 4<<3 | wireFixed64:
		return len(v) == 9
	}
	return false
}

// valid is utf8.Valid with a short way for ASCII, which most strings are.
func valid(b []byte) bool { return ascii(b) || utf8.Valid(b) }

func ascii(b []byte) bool {
	const high = 0x8080808080808080
	if len(b) < 8 {
		var all byte
		for _, c := range b {
			all |= c
		}
		return all < utf8.RuneSelf
	}
	all := binary.LittleEndian.Uint64(b[len(b)-8:])
	for i := 0; i+8 < len(b); i += 8 {
		all |= binary.LittleEndian.Uint64(b[i:])
	}
	return all&high == 0
}

// decodeAny reads an AnyValue message on top of what v already holds: of several
// members the last wins, a repeated array or map is merged. Arrays and maps are
// checked to their full depth.
func decodeAny(b []byte, v *Value, depth int) (utf8ok bool, bad *MalformedError) {
	// Nearly every value is one string or one int that fills the message.
	if len(b) > 1 && b[0] == 1<<3|wireBytes {
		if from, to := payload(b, 1); to == len(b) {
			*v = Value{Kind: KindString, Bytes: b[from:to]}
			return valid(v.Bytes), nil
		}
	}
	if len(b) > 1 && b[0] == 3<<3 {
		if n, next := varint(b, 1); next == len(b) {
			*v = Value{Kind: KindInt, Int: int64(n)}
			return true, nil
		}
	}
	return decodeAnySlow(b, v, depth)
}

func decodeAnySlow(b []byte, v *Value, depth int) (utf8ok bool, bad *MalformedError) {
	if depth > MaxDepth {
		return false, &MalformedError{Problem: problemDepth}
	}
	utf8ok = true
	var f field
	for i := 0; i < len(b); {
		next, bad := f.next(b, i)
		if bad != nil {
			return false, bad
		}
		i = next
		ok, bad := v.setMember(&f, b, depth)
		if bad != nil {
			return false, bad
		}
		utf8ok = utf8ok && ok
	}
	return utf8ok, nil
}

// setMember takes one field of the AnyValue message whole into v.
func (v *Value) setMember(f *field, whole []byte, depth int) (utf8ok bool, bad *MalformedError) {
	switch f.tag {
	case 1<<3 | wireBytes:
		*v = Value{Kind: KindString, Bytes: f.b}
		return valid(f.b), nil
	case 2<<3 | wireVarint:
		*v = BoolValue(f.v != 0)
	case 3<<3 | wireVarint:
		*v = Value{Kind: KindInt, Int: int64(f.v)}
	case 4<<3 | wireFixed64:
		*v = Value{Kind: KindDouble, Int: int64(f.v)}
	case 5<<3 | wireBytes:
		v.merge(KindArray, f.b)
		ok, bad := check(f.b, msgArrayValue, depth)
		if bad != nil {
			return false, bad.within("array_value", f.from)
		}
		return ok, nil
	case 6<<3 | wireBytes:
		v.merge(KindMap, f.b)
		ok, bad := check(f.b, msgKeyValueList, depth)
		if bad != nil {
			return false, bad.within("kvlist_value", f.from)
		}
		return ok, nil
	case 7<<3 | wireBytes:
		*v = Value{Kind: KindBytes, Bytes: f.b}
	default:
		if v.Kind == KindEmpty {
			*v = Value{Kind: KindUnknown, Bytes: whole}
		}
	}
	return true, nil
}

// merge sets a message member; protobuf joins it with an equal member before it.
func (v *Value) merge(k ValueKind, b []byte) {
	if v.Kind == k && len(v.Bytes) > 0 {
		joined := make([]byte, 0, len(v.Bytes)+len(b))
		b = append(append(joined, v.Bytes...), b...)
	}
	*v = Value{Kind: k, Bytes: b}
}

// AppendValue appends the AnyValue message of v, without a length.
func AppendValue(dst []byte, v *Value) []byte {
	switch v.Kind {
	case KindString:
		return appendBytes(dst, 1, v.Bytes)
	case KindBool:
		return binary.AppendUvarint(appendTag(dst, 2, wireVarint), uint64(v.Int))
	case KindInt:
		return binary.AppendUvarint(appendTag(dst, 3, wireVarint), uint64(v.Int))
	case KindDouble:
		return binary.LittleEndian.AppendUint64(appendTag(dst, 4, wireFixed64), uint64(v.Int))
	case KindArray:
		return appendBytes(dst, 5, v.Bytes)
	case KindMap:
		return appendBytes(dst, 6, v.Bytes)
	case KindBytes:
		return appendBytes(dst, 7, v.Bytes)
	case KindUnknown:
		return append(dst, v.Bytes...)
	}
	return dst
}

func sizeValue(v *Value) int {
	switch v.Kind {
	case KindBool:
		return 2
	case KindInt:
		return 1 + sizeVarint(uint64(v.Int))
	case KindDouble:
		return 9
	case KindString, KindArray, KindMap, KindBytes:
		return 1 + sizeVarint(uint64(len(v.Bytes))) + len(v.Bytes)
	case KindUnknown:
		return len(v.Bytes)
	}
	return 0
}

// AppendAttr appends a KeyValue as field num of the message being built, such
// as 9 for a span's attributes or 1 for a resource's.
func AppendAttr(dst []byte, num int, a *Attr) []byte {
	vn := sizeValue(&a.Value)
	n := 1 + sizeVarint(uint64(vn)) + vn
	if len(a.Key) > 0 {
		n += 1 + sizeVarint(uint64(len(a.Key))) + len(a.Key)
	}
	dst = appendTag(dst, num, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = appendText(dst, 1, a.Key)
	dst = appendTag(dst, 2, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(vn))
	return AppendValue(dst, &a.Value)
}

// AppendElement appends v as one element of an encoded ArrayValue.
func AppendElement(dst []byte, v *Value) []byte {
	dst = appendTag(dst, 1, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(sizeValue(v)))
	return AppendValue(dst, v)
}
