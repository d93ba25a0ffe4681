package trace

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// JSONError says that bytes are not OTLP/JSON. Offset counts from their start,
// Path names the field as in the JSON, such as "resourceSpans[0].scopeSpans".
type JSONError struct {
	Offset  int
	Path    string
	Problem string
}

// Error implements error.
func (e *JSONError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("malformed OTLP/JSON at byte %d: %s", e.Offset, e.Problem)
	}
	return fmt.Sprintf("malformed OTLP/JSON at byte %d, %s: %s", e.Offset, e.Path, e.Problem)
}

func (e *JSONError) within(name string) *JSONError {
	if e.Path != "" && e.Path[0] != '[' {
		name += "."
	}
	return &JSONError{Offset: e.Offset, Path: name + e.Path, Problem: e.Problem}
}

// maxJSONDepth bounds the nesting of objects and lists. One level of attribute
// values takes four, so MaxDepth is reached first by known fields.
const maxJSONDepth = 4*MaxDepth + 32

// FromJSON reads an ExportTraceServiceRequest in OTLP/JSON and appends its
// protobuf encoding to dst. Keys may be in lowerCamelCase or as in the .proto
// file; ids are hex in either case, bytes base64 in any alphabet; 64-bit
// integers may be numbers or strings, enums numbers or names. Unknown keys are
// skipped and null counts as absent. The error is a [*JSONError]; ids of a
// wrong length are left for [Batch] to judge.
func FromJSON(dst, src []byte) ([]byte, error) {
	if len(src) > MaxBatchBytes {
		return dst, &JSONError{Problem: fmt.Sprintf("%d bytes, the limit is %d", len(src), MaxBatchBytes)}
	}
	r := jsonReader{src: src, out: dst}
	if bad := r.message(msgTracesData, 0, 0); bad != nil {
		return dst, bad
	}
	if r.space(); r.pos < len(src) {
		return dst, r.problem("data after the end of the object")
	}
	return r.out, nil
}

type jsonReader struct {
	src  []byte
	pos  int
	out  []byte
	text []byte // the last string, unescaped
}

func (r *jsonReader) problem(format string, args ...any) *JSONError {
	return &JSONError{Offset: r.pos, Problem: fmt.Sprintf(format, args...)}
}

// space passes over white space and returns the next byte, 0 at the end.
func (r *jsonReader) space() byte {
	for r.pos < len(r.src) {
		switch c := r.src[r.pos]; c {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) expect(c byte) *JSONError {
	if r.space() != c {
		return r.unexpected(fmt.Sprintf("%q", c))
	}
	r.pos++
	return nil
}

func (r *jsonReader) unexpected(want string) *JSONError {
	if r.pos >= len(r.src) {
		return r.problem("want %s, found the end", want)
	}
	return r.problem("want %s, found %q", want, r.src[r.pos])
}

// literal passes over a word such as null if it comes next.
func (r *jsonReader) literal(word string) bool {
	if r.space() != word[0] || len(r.src)-r.pos < len(word) || string(r.src[r.pos:r.pos+len(word)]) != word {
		return false
	}
	r.pos += len(word)
	return true
}

// message reads an object and appends the fields of message m. depth counts
// objects and lists, values the AnyValues around it.
func (r *jsonReader) message(m msgID, depth, values int) *JSONError {
	if m == msgAnyValue {
		if values++; values > MaxDepth {
			return r.problem("%s", problemDepth)
		}
	}
	var seen uint32
	return r.object(depth, func(key []byte) *JSONError {
		k := jsonIndex(m, key)
		if k < 0 {
			return r.skip(depth + 1)
		}
		info := &schema[m][k]
		bit := uint32(1) << k
		if m == msgAnyValue {
			bit = 1 // its members exclude each other
		}
		if r.literal("null") {
			return nil
		}
		if seen&bit != 0 {
			return r.problem("given twice").within(info.json)
		}
		seen |= bit
		if bad := r.field(info, depth+1, values); bad != nil {
			return bad.within(info.json)
		}
		return nil
	})
}

// object reads {…} and calls member after each key and colon.
func (r *jsonReader) object(depth int, member func(key []byte) *JSONError) *JSONError {
	if depth > maxJSONDepth {
		return r.problem("%s", problemDepth)
	}
	if bad := r.expect('{'); bad != nil {
		return bad
	}
	if r.space() == '}' {
		r.pos++
		return nil
	}
	for {
		if r.space() != '"' {
			return r.unexpected("a key")
		}
		key, bad := r.string()
		if bad != nil {
			return bad
		}
		if bad := r.expect(':'); bad != nil {
			return bad
		}
		if bad := member(key); bad != nil {
			return bad
		}
		if more, bad := r.more('}'); bad != nil || !more {
			return bad
		}
	}
}

// more passes over a comma or the closing bracket.
func (r *jsonReader) more(closing byte) (bool, *JSONError) {
	switch r.space() {
	case ',':
		r.pos++
		return true, nil
	case closing:
		r.pos++
		return false, nil
	}
	return false, r.unexpected(fmt.Sprintf("',' or %q", closing))
}

// list reads […] and calls element before each element.
func (r *jsonReader) list(depth int, element func() *JSONError) *JSONError {
	if depth > maxJSONDepth {
		return r.problem("%s", problemDepth)
	}
	if bad := r.expect('['); bad != nil {
		return bad
	}
	if r.space() == ']' {
		r.pos++
		return nil
	}
	for i := 0; ; i++ {
		if bad := element(); bad != nil {
			return bad.within(fmt.Sprintf("[%d]", i))
		}
		if more, bad := r.more(']'); bad != nil || !more {
			return bad
		}
	}
}

func jsonIndex(m msgID, key []byte) int {
	for k := range schema[m] {
		if string(key) == schema[m][k].json || string(key) == schema[m][k].name {
			return k
		}
	}
	return -1
}

func (r *jsonReader) field(info *fieldInfo, depth, values int) *JSONError {
	if !info.repeated {
		return r.one(info, depth, values)
	}
	return r.list(depth, func() *JSONError {
		if info.sub == msgAnyValue && r.literal("null") {
			r.out = appendBytes(r.out, info.num, nil)
			return nil
		}
		return r.one(info, depth+1, values)
	})
}

// one reads one value of a field and appends it with its tag.
func (r *jsonReader) one(info *fieldInfo, depth, values int) *JSONError {
	if info.typ == typeMessage {
		r.out = appendTag(r.out, info.num, wireBytes)
		body := len(r.out)
		if bad := r.message(info.sub, depth, values); bad != nil {
			return bad
		}
		r.out = closeMessage(r.out, body)
		return nil
	}
	at := r.pos
	v, b, bad := r.scalar(info.typ)
	if bad != nil {
		if bad.Offset == 0 {
			bad.Offset = at
		}
		return bad
	}
	always := info.oneof || info.repeated
	switch info.typ.wire() {
	case wireBytes:
		if len(b) > 0 || always {
			r.out = appendBytes(r.out, info.num, b)
		}
	case wireFixed64:
		if v != 0 || always {
			r.out = binary.LittleEndian.AppendUint64(appendTag(r.out, info.num, wireFixed64), v)
		}
	case wireFixed32:
		r.out = appendFixed32(r.out, info.num, uint32(v))
	default:
		if v != 0 || always {
			r.out = binary.AppendUvarint(appendTag(r.out, info.num, wireVarint), v)
		}
	}
	return nil
}

// scalar reads one value: numbers as their 64 bits, all else as bytes, which
// are valid until the next string is read.
func (r *jsonReader) scalar(t fieldType) (v uint64, b []byte, bad *JSONError) {
	switch t {
	case typeString:
		b, bad = r.stringValue()
		return 0, b, bad
	case typeTraceID, typeSpanID:
		b, bad = r.stringValue()
		if bad != nil {
			return 0, nil, bad
		}
		n, err := hex.Decode(b, b)
		if err != nil {
			return 0, nil, r.problem("id is not hex: %v", err)
		}
		return 0, b[:n], nil
	case typeBytes:
		b, bad = r.base64()
		return 0, b, bad
	case typeBool:
		switch {
		case r.literal("true"):
			return 1, nil, nil
		case r.literal("false"):
			return 0, nil, nil
		}
		return 0, nil, r.unexpected("true or false")
	}
	word, quoted, bad := r.number()
	if bad != nil {
		return 0, nil, bad
	}
	v, err := parseNumber(t, word, quoted)
	if err != nil {
		return 0, nil, r.problem("%v", err)
	}
	return v, nil, nil
}

func (r *jsonReader) stringValue() ([]byte, *JSONError) {
	if r.space() != '"' {
		return nil, r.unexpected("a string")
	}
	b, bad := r.string()
	if bad != nil {
		return nil, bad
	}
	// Decoders work in place, which the input must not see.
	r.text = append(r.text[:0], b...)
	return r.text, nil
}

func (r *jsonReader) base64() ([]byte, *JSONError) {
	b, bad := r.stringValue()
	if bad != nil {
		return nil, bad
	}
	for len(b) > 0 && b[len(b)-1] == '=' {
		b = b[:len(b)-1]
	}
	for i, c := range b {
		switch c {
		case '-':
			b[i] = '+'
		case '_':
			b[i] = '/'
		}
	}
	n, err := base64.RawStdEncoding.Decode(b, b)
	if err != nil {
		return nil, r.problem("bytes are not base64: %v", err)
	}
	return b[:n], nil
}

// number reads a number, or a string that should hold one or name an enum.
func (r *jsonReader) number() (word string, quoted bool, bad *JSONError) {
	if r.space() == '"' {
		b, bad := r.string()
		return string(b), true, bad
	}
	from := r.pos
	if bad := r.skipNumber(); bad != nil {
		return "", false, bad
	}
	return string(r.src[from:r.pos]), false, nil
}

func parseNumber(t fieldType, word string, quoted bool) (uint64, error) {
	switch t {
	case typeDouble:
		f, err := parseDouble(word, quoted)
		return math.Float64bits(f), err
	case typeFixed64:
		return parseInteger(word, 64, false)
	case typeUint32, typeFixed32:
		return parseInteger(word, 32, false)
	case typeInt64:
		return parseInteger(word, 64, true)
	case typeSpanKind, typeStatusCode:
		if quoted {
			for i, name := range enumNames(t) {
				if name == word {
					return uint64(i), nil
				}
			}
		}
	}
	return parseInteger(word, 32, true)
}

func parseDouble(word string, quoted bool) (float64, error) {
	if quoted {
		switch word {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	}
	f, err := strconv.ParseFloat(word, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(word, "xX_") {
		return 0, fmt.Errorf("%q is not a double", clip(word))
	}
	return f, nil
}

// parseInteger also takes forms such as 1e3 and 5.0, which are integers in JSON.
func parseInteger(word string, bits int, signed bool) (uint64, error) {
	if signed {
		if i, err := strconv.ParseInt(word, 10, bits); err == nil {
			return uint64(i), nil
		}
	} else if u, err := strconv.ParseUint(word, 10, bits); err == nil {
		return u, nil
	}
	f, err := strconv.ParseFloat(word, 64)
	lowest, limit := 0.0, math.Ldexp(1, bits)
	if signed {
		lowest, limit = -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1)
	}
	exact := strings.ContainsAny(word, ".eE") && !strings.ContainsAny(word, "xX_pP")
	if err != nil || !exact || f != math.Trunc(f) || f < lowest || f >= limit {
		kind := map[bool]string{true: "a signed", false: "an unsigned"}[signed]
		return 0, fmt.Errorf("%q is not %s integer of %d bits", clip(word), kind, bits)
	}
	if signed {
		return uint64(int64(f)), nil
	}
	return uint64(f), nil
}

// skip passes over any value.
func (r *jsonReader) skip(depth int) *JSONError {
	switch c := r.space(); {
	case c == '{':
		return r.object(depth, func([]byte) *JSONError { return r.skip(depth + 1) })
	case c == '[':
		return r.list(depth, func() *JSONError { return r.skip(depth + 1) })
	case c == '"':
		_, bad := r.string()
		return bad
	case c == '-' || '0' <= c && c <= '9':
		return r.skipNumber()
	}
	if r.literal("true") || r.literal("false") || r.literal("null") {
		return nil
	}
	return r.unexpected("a value")
}

// skipNumber passes over a JSON number.
func (r *jsonReader) skipNumber() *JSONError {
	i := r.pos
	digits := func() bool {
		from := i
		for i < len(r.src) && '0' <= r.src[i] && r.src[i] <= '9' {
			i++
		}
		return i > from
	}
	at := func(set string) bool { return i < len(r.src) && strings.IndexByte(set, r.src[i]) >= 0 }
	if at("-") {
		i++
	}
	zero := at("0")
	first := i
	if !digits() || zero && i > first+1 {
		return r.unexpected("a number")
	}
	if at(".") {
		if i++; !digits() {
			return r.unexpected("a number")
		}
	}
	if at("eE") {
		if i++; at("+-") {
			i++
		}
		if !digits() {
			return r.unexpected("a number")
		}
	}
	r.pos = i
	return nil
}

// string reads a JSON string. Without escapes the result aliases the input,
// else it is valid until the next string is read.
func (r *jsonReader) string() ([]byte, *JSONError) {
	r.pos++ // the opening quote
	from := r.pos
	for i := from; i < len(r.src); i++ {
		switch c := r.src[i]; {
		case c == '"':
			if !valid(r.src[from:i]) {
				return nil, r.problem("string is not UTF-8")
			}
			r.pos = i + 1
			return r.src[from:i], nil
		case c == '\\':
			return r.escaped(from, i)
		case c < 0x20:
			r.pos = i
			return nil, r.problem("control character in a string")
		}
	}
	r.pos = len(r.src)
	return nil, r.problem("string has no end")
}

// escaped reads a string from from on, whose first escape is at i.
func (r *jsonReader) escaped(from, i int) ([]byte, *JSONError) {
	out := append(r.text[:0], r.src[from:i]...)
	for i < len(r.src) {
		c := r.src[i]
		switch {
		case c == '"':
			r.text, r.pos = out, i+1
			if !utf8.Valid(out) {
				return nil, r.problem("string is not UTF-8")
			}
			return out, nil
		case c < 0x20:
			r.pos = i
			return nil, r.problem("control character in a string")
		case c != '\\':
			out = append(out, c)
			i++
			continue
		}
		var n int
		if out, n = unescape(out, r.src[i:]); n == 0 {
			r.pos = i
			return nil, r.problem("bad escape in a string")
		}
		i += n
	}
	r.pos = len(r.src)
	return nil, r.problem("string has no end")
}

// unescape decodes the escape at the start of s and returns its length, 0 when
// it is none. Half a surrogate pair becomes a replacement character.
func unescape(dst, s []byte) ([]byte, int) {
	if len(s) < 2 {
		return dst, 0
	}
	if i := strings.IndexByte(`"\/bfnrt`, s[1]); i >= 0 {
		return append(dst, "\"\\/\b\f\n\r\t"[i]), 2
	}
	r, ok := codeUnit(s)
	if !ok {
		return dst, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := codeUnit(s[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return utf8.AppendRune(dst, pair), 12
			}
		}
	}
	return utf8.AppendRune(dst, r), 6
}

// codeUnit reads \uXXXX.
func codeUnit(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s[2:6] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}
