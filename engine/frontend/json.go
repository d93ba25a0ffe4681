package frontend

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// Answers are written by hand: for a search with thousands of traces the
// standard encoder costs more than the search.

// unavailable is the error of an answer from which everything is missing.
func unavailable(missing []string) error {
	return status.Error(codes.Unavailable, "could not be asked: "+strings.Join(missing, "; "))
}

// traceJSON is a TraceByIDResponse.
func traceJSON(a *peer.Answer) ([]byte, error) {
	b := append([]byte(nil), `{"trace":`...)
	var err error
	if b, err = trace.AppendJSON(b, a.Trace, trace.JSONOptions{Base64IDs: true, EnumNames: true}); err != nil {
		return nil, err
	}
	b = append(b, `,"metrics":{}`...)
	return append(appendPartial(b, a.Missing), '}'), nil
}

// traceResponse is a TraceByIDResponse in protobuf: trace = 1, metrics = 2,
// status = 3 (1 = partial), message = 4.
func traceResponse(a *peer.Answer) []byte {
	b := protowire.AppendTag(make([]byte, 0, len(a.Trace)+64), 1, protowire.BytesType)
	b = protowire.AppendBytes(b, a.Trace)
	if len(a.Missing) > 0 {
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
		b = protowire.AppendTag(b, 4, protowire.BytesType)
		b = protowire.AppendString(b, strings.Join(a.Missing, "; "))
	}
	return b
}

// appendPartial adds the fields that say what is missing.
func appendPartial(b []byte, missing []string) []byte {
	if len(missing) == 0 {
		return b
	}
	b = append(b, `,"status":"PARTIAL","message":`...)
	return appendString(b, strings.Join(missing, "; "))
}

// noRoot is shown for a trace whose root span has not arrived.
const noRoot = "<root span not yet received>"

// searchJSON makes a SearchResponse.
func searchJSON(out *text, r *query.SearchResult, missing []string) error {
	b := append(out.begin(), `{"traces":[`...)
	for i := range r.Traces {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = out.more(appendTrace(b, &r.Traces[i], out.padIDs)); err != nil {
			return err
		}
	}
	b = strconv.AppendInt(append(b, `],"metrics":{"inspectedTraces":`...), r.Stats.Traces, 10)
	b = appendNumber(b, `,"inspectedBytes":"`, r.Stats.Bytes)
	b = appendNumber(b, `,"inspectedSpans":"`, r.Stats.Spans)
	b = strconv.AppendInt(append(b, `,"completedJobs":`...), r.Stats.Segments, 10)
	b = strconv.AppendInt(append(b, `,"totalJobs":`...), r.Stats.Segments, 10)
	b = appendNumber(b, `,"backendReads":"`, r.Stats.Reads)
	b = append(b, '}')
	return out.end(append(appendPartial(b, missing), '}'))
}

func appendTrace(b []byte, t *query.TraceResult, padID bool) []byte {
	b = append(b, `{"traceID":"`...)
	if padID {
		b = hex.AppendEncode(b, t.ID[:])
	} else {
		b = appendShortHex(b, t.ID[:])
	}
	service, name := t.RootService, t.RootName
	if !t.HasRoot {
		service, name = noRoot, ""
	}
	b = appendString(append(b, `","rootServiceName":`...), service)
	if name != "" {
		b = appendString(append(b, `,"rootTraceName":`...), name)
	}
	b = appendNumber(b, `,"startTimeUnixNano":"`, t.Start)
	if ms := (t.End - t.Start) / 1e6; ms > 0 {
		b = strconv.AppendInt(append(b, `,"durationMs":`...), ms, 10)
	}
	if len(t.Sets) > 0 {
		b = append(b, `,"spanSet":`...)
		from := len(b)
		b = appendSet(b, &t.Sets[0])
		to := len(b)
		b = append(b, `,"spanSets":[`...)
		b = append(b, b[from:to]...) // the first set again, for newer clients
		for i := 1; i < len(t.Sets); i++ {
			b = appendSet(append(b, ','), &t.Sets[i])
		}
		b = append(b, ']')
	}
	return append(appendServices(b, t.Services), '}')
}

func appendServices(b []byte, services []query.ServiceStats) []byte {
	if len(services) == 0 {
		return b
	}
	b = append(b, `,"serviceStats":{`...)
	for i, s := range services {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, s.Name), `:{"spanCount":`...)
		b = strconv.AppendInt(b, int64(s.Spans), 10)
		if s.Errors > 0 {
			b = strconv.AppendInt(append(b, `,"errorCount":`...), int64(s.Errors), 10)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendSet(b []byte, s *query.SpanSet) []byte {
	b = append(b, `{"spans":[`...)
	for i := range s.Spans {
		if i > 0 {
			b = append(b, ',')
		}
		x := &s.Spans[i]
		b = append(b, `{"spanID":"`...)
		b = hex.AppendEncode(b, x.ID[:])
		b = append(b, '"')
		if x.Name != "" {
			b = appendString(append(b, `,"name":`...), x.Name)
		}
		b = appendNumber(b, `,"startTimeUnixNano":"`, x.Start)
		b = appendNumber(b, `,"durationNanos":"`, x.Duration)
		b = append(appendAttributes(b, x.Attrs), '}')
	}
	b = strconv.AppendInt(append(b, `],"matched":`...), int64(s.Matched), 10)
	return append(appendAttributes(b, s.Attrs), '}')
}

func appendAttributes(b []byte, attrs []query.Attribute) []byte {
	if len(attrs) == 0 {
		return b
	}
	b = append(b, `,"attributes":[`...)
	for i := range attrs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"key":`...), attrs[i].Key)
		b = appendValue(append(b, `,"value":`...), &attrs[i].Value)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendValue writes an AnyValue.
func appendValue(b []byte, v *trace.Value) []byte {
	switch v.Kind {
	case trace.KindString:
		b = appendString(append(b, `{"stringValue":`...), v.Bytes)
	case trace.KindInt:
		b = appendNumber(b, `{"intValue":"`, v.Int)
	case trace.KindBool:
		b = strconv.AppendBool(append(b, `{"boolValue":`...), v.Int != 0)
	case trace.KindDouble:
		b = appendFloat(append(b, `{"doubleValue":`...), v.Float())
	case trace.KindBytes:
		b = append(b, `{"bytesValue":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, v.Bytes), '"')
	case trace.KindArray:
		return appendArray(b, v)
	default:
		return append(b, `{}`...)
	}
	return append(b, '}')
}

func appendArray(b []byte, v *trace.Value) []byte {
	b = append(b, `{"arrayValue":{"values":[`...)
	first := true
	for e, err := range v.Elements() {
		if err != nil {
			break // checked when it came in
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendValue(b, &e)
	}
	return append(b, `]}}`...)
}

// appendFloat writes a number, or the names that protobuf's JSON has for what
// is none.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

// appendQuotedInt writes a 64-bit number as protobuf's JSON does.
func appendQuotedInt(b []byte, n int64) []byte { return appendNumber(b, `"`, n) }

// appendNumber is appendQuotedInt behind a key and the opening quote.
func appendNumber(b []byte, key string, n int64) []byte {
	return append(strconv.AppendInt(append(b, key...), n, 10), '"')
}

// appendShortHex writes an id without its leading zeros.
func appendShortHex(b, id []byte) []byte {
	from := len(b)
	b = hex.AppendEncode(b, id)
	digits := b[from:]
	zeros := 0
	for zeros < len(digits)-1 && digits[zeros] == '0' {
		zeros++
	}
	return append(b[:from], digits[zeros:]...)
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	i := 0
	for len(s)-i >= 8 && plain(s[i:i+8]) {
		i += 8
	}
	from := 0
	for i < len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, s[from:i]...)
		b = appendEscape(b, c)
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// plain tells of 8 bytes at once whether all are ASCII that stands for itself.
func plain[T string | []byte](s T) bool {
	_ = s[7]
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	const ones = 0x0101010101010101
	// The top bit of a byte is set when it is no ASCII or one of the differences is
	// below 0; the lowest such byte borrows from none, so it does not hide.
	return (w|(w-0x20*ones)|(w^'"'*ones-ones)|(w^'\\'*ones-ones))&(0x80*ones) == 0
}

func appendEscape(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\t':
		return append(b, '\\', 't')
	case c < 0x20:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(b, "\ufffd"...)
}
