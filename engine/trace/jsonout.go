package trace

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"
)

// JSONOptions chooses between the JSON forms of OTLP that are in use. The zero
// value is OTLP/JSON as the protocol defines it.
type JSONOptions struct {
	// Base64IDs writes trace and span ids in base64, as generic protobuf
	// libraries and Tempo's first API do, instead of hex.
	Base64IDs bool
	// EnumNames writes kinds and status codes by name instead of by number.
	EnumNames bool
	// Batches calls the top key "batches" instead of "resourceSpans".
	Batches bool
}

// AppendJSON appends the JSON object of OTLP bytes (TracesData) to dst. Fields
// not known here are left out, and so are fields with their default value;
// strings that are not UTF-8 get replacement characters. The error is a
// [*MalformedError].
func AppendJSON(dst, otlp []byte, o JSONOptions) ([]byte, error) {
	w := jsonWriter{out: dst, o: o}
	if bad := w.message(otlp, msgTracesData, 0); bad != nil {
		return dst, bad
	}
	return w.out, nil
}

type jsonWriter struct {
	out []byte
	o   JSONOptions
}

// maxFields is the largest number of fields of a message in the schema.
const maxFields = 16

// place is where the occurrences of one field are.
type place struct{ first, last, count int }

// message writes one message: it finds where each field is, then writes the
// fields in the order of the schema, whatever their order on the wire.
func (w *jsonWriter) message(b []byte, m msgID, depth int) *MalformedError {
	if m == msgAnyValue {
		return w.value(b, depth+1)
	}
	var places [maxFields]place
	var f field
	for i := 0; i < len(b); {
		next, bad := f.next(b, i)
		if bad != nil {
			return bad
		}
		k := fieldIndex(m, f.num())
		if k >= 0 && int(f.tag&7) == schema[m][k].typ.wire() {
			p := &places[k]
			if p.count == 0 {
				p.first = i
			}
			p.last = i
			p.count++
		}
		i = next
	}
	w.out = append(w.out, '{')
	empty := len(w.out)
	for k := range schema[m] {
		if places[k].count == 0 {
			continue
		}
		info := &schema[m][k]
		if bad := w.field(b, info, places[k], empty, depth); bad != nil {
			return bad.within(info.name, 0)
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func fieldIndex(m msgID, num int) int {
	for k := range schema[m] {
		if schema[m][k].num == num {
			return k
		}
	}
	return -1
}

// field writes the key and value of one field. empty is the length of the
// output at which no key has been written yet.
func (w *jsonWriter) field(b []byte, info *fieldInfo, p place, empty, depth int) *MalformedError {
	var f field
	if !info.repeated {
		if _, bad := f.next(b, p.last); bad != nil {
			return bad
		}
		if info.typ != typeMessage {
			if f.v != 0 || len(f.b) > 0 {
				w.key(info, empty)
				w.scalar(info.typ, &f)
			}
			return nil
		}
		w.key(info, empty)
		return w.message(w.merged(b, info, p, &f), info.sub, depth)
	}
	w.key(info, empty)
	w.out = append(w.out, '[')
	for i := p.first; i <= p.last; {
		next, bad := f.next(b, i)
		if bad != nil {
			return bad
		}
		i = next
		if f.num() != info.num || f.b == nil {
			continue
		}
		if f.start != p.first {
			w.out = append(w.out, ',')
		}
		if info.typ == typeString {
			w.text(f.b)
			continue
		}
		if bad := w.message(f.b, info.sub, depth); bad != nil {
			return bad.within("", f.from)
		}
	}
	w.out = append(w.out, ']')
	return nil
}

// merged joins a message that was sent in pieces; nearly always there is one.
func (w *jsonWriter) merged(b []byte, info *fieldInfo, p place, f *field) []byte {
	if p.count == 1 {
		return f.b
	}
	var all []byte
	for i := p.first; i <= p.last; {
		next, bad := f.next(b, i)
		if bad != nil {
			return all // message has walked these bytes before
		}
		i = next
		if f.num() == info.num && f.b != nil {
			all = append(all, f.b...)
		}
	}
	return all
}

func (w *jsonWriter) key(info *fieldInfo, empty int) {
	name := info.json
	if w.o.Batches && info.sub == msgResourceSpans {
		name = "batches"
	}
	w.name(name, empty)
}

func (w *jsonWriter) name(name string, empty int) {
	if len(w.out) > empty {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, name...)
	w.out = append(w.out, '"', ':')
}

// value writes an AnyValue, which has at most one member.
func (w *jsonWriter) value(b []byte, depth int) *MalformedError {
	var v Value
	if _, bad := decodeAny(b, &v, depth); bad != nil {
		return bad
	}
	w.out = append(w.out, '{')
	empty := len(w.out)
	var bad *MalformedError
	switch v.Kind {
	case KindString:
		w.name("stringValue", empty)
		w.text(v.Bytes)
	case KindBool:
		w.name("boolValue", empty)
		w.out = strconv.AppendBool(w.out, v.Bool())
	case KindInt:
		w.name("intValue", empty)
		w.out = append(w.out, '"')
		w.out = strconv.AppendInt(w.out, v.Int, 10)
		w.out = append(w.out, '"')
	case KindDouble:
		w.name("doubleValue", empty)
		w.double(v.Float())
	case KindBytes:
		w.name("bytesValue", empty)
		w.base64(v.Bytes)
	case KindArray:
		w.name("arrayValue", empty)
		bad = w.message(v.Bytes, msgArrayValue, depth)
	case KindMap:
		w.name("kvlistValue", empty)
		bad = w.message(v.Bytes, msgKeyValueList, depth)
	case KindUnknown:
		w.unknownValue(v.Bytes, empty)
	}
	w.out = append(w.out, '}')
	return bad
}

// unknownValue writes the one other member that has a JSON form: an index into
// a string table.
func (w *jsonWriter) unknownValue(b []byte, empty int) {
	const index = 8
	var f field
	for i := 0; i < len(b); {
		next, bad := f.next(b, i)
		if bad != nil {
			return // decodeAny has walked these bytes before
		}
		i = next
		if f.tag == index<<3|wireVarint {
			w.out = w.out[:empty]
			w.name("stringValueStrindex", empty)
			w.out = strconv.AppendInt(w.out, int64(int32(f.v)), 10)
		}
	}
}

func (w *jsonWriter) scalar(t fieldType, f *field) {
	switch t {
	case typeString:
		w.text(f.b)
	case typeBytes:
		w.base64(f.b)
	case typeTraceID, typeSpanID:
		if w.o.Base64IDs {
			w.base64(f.b)
			return
		}
		w.out = append(w.out, '"')
		w.out = hex.AppendEncode(w.out, f.b)
		w.out = append(w.out, '"')
	case typeBool:
		w.out = strconv.AppendBool(w.out, f.v != 0)
	case typeInt64:
		w.out = append(w.out, '"')
		w.out = strconv.AppendInt(w.out, int64(f.v), 10)
		w.out = append(w.out, '"')
	case typeFixed64:
		w.out = append(w.out, '"')
		w.out = strconv.AppendUint(w.out, f.v, 10)
		w.out = append(w.out, '"')
	case typeDouble:
		w.double(math.Float64frombits(f.v))
	case typeUint32, typeFixed32:
		w.out = strconv.AppendUint(w.out, uint64(uint32(f.v)), 10)
	case typeSpanKind, typeStatusCode:
		if names := enumNames(t); w.o.EnumNames && f.v < uint64(len(names)) {
			w.text([]byte(names[f.v]))
			return
		}
		w.out = strconv.AppendInt(w.out, int64(int32(f.v)), 10)
	default:
		w.out = strconv.AppendInt(w.out, int64(int32(f.v)), 10)
	}
}

// enumNames lists the names of an enum by number.
func enumNames(t fieldType) []string {
	if t == typeSpanKind {
		return []string{"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"}
	}
	return []string{"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"}
}

func (w *jsonWriter) base64(b []byte) {
	w.out = append(w.out, '"')
	w.out = base64.StdEncoding.AppendEncode(w.out, b)
	w.out = append(w.out, '"')
}

func (w *jsonWriter) double(f float64) {
	switch {
	case math.IsNaN(f):
		w.out = append(w.out, `"NaN"`...)
	case math.IsInf(f, 1):
		w.out = append(w.out, `"Infinity"`...)
	case math.IsInf(f, -1):
		w.out = append(w.out, `"-Infinity"`...)
	default:
		format := byte('f')
		if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			format = 'e'
		}
		w.out = strconv.AppendFloat(w.out, f, format, -1, 64)
	}
}

// text writes a JSON string. Runs of plain characters are copied at once.
func (w *jsonWriter) text(s []byte) {
	out := append(w.out, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r != utf8.RuneError || n != 1 {
				i += n
				continue
			}
			out = append(append(out, s[from:i]...), "\ufffd"...)
		} else {
			out = appendEscape(append(out, s[from:i]...), c)
		}
		i++
		from = i
	}
	w.out = append(append(out, s[from:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return hex.AppendEncode(append(dst, `\u`...), binary.BigEndian.AppendUint16(nil, uint16(c)))
}
