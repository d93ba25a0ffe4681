package trace

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
)

// SpanKind is OTLP's Span.SpanKind. Other numbers may occur and are kept.
type SpanKind int32

// The span kinds of OTLP.
const (
	SpanKindUnspecified SpanKind = iota
	SpanKindInternal
	SpanKindServer
	SpanKindClient
	SpanKindProducer
	SpanKindConsumer
)

// StatusCode is OTLP's Status.StatusCode. Other numbers may occur and are kept.
type StatusCode int32

// The status codes of OTLP.
const (
	StatusUnset StatusCode = iota
	StatusOK
	StatusError
)

// Errors of [DecodeSpan] about a span that is well-formed protobuf but not a
// span. [Batch] reports the same as [Reason]s.
var (
	ErrTraceID  = errors.New("trace id must be 16 bytes and not all zero")
	ErrSpanID   = errors.New("span id must be 8 bytes and not all zero")
	ErrParentID = errors.New("parent span id must be 8 bytes or empty")
)

// Span is the decoded view of one span. All slices alias the bytes it was
// decoded from, or buffers of the Span itself; they are valid until the next
// DecodeSpan into it. The zero Span is ready for use, and one Span should be
// reused for many decodes.
type Span struct {
	TraceID  ID
	SpanID   SpanID
	ParentID SpanID // zero for a root
	// Start and End are Unix times in nanoseconds, as sent: End may be before
	// Start.
	Start, End uint64
	Kind       SpanKind
	StatusCode StatusCode
	Flags      uint32

	DroppedAttributes uint32
	DroppedEvents     uint32
	DroppedLinks      uint32

	Name          []byte
	TraceState    []byte
	StatusMessage []byte

	Attrs []Attr
	// Events and Links are the encoded fields 11 and 13, tags included, one
	// after the other: they may be appended to the encoding of another span as
	// they are. See EachEvent and EachLink.
	Events, Links []byte
	// Unknown holds the encoded fields that this package does not know.
	Unknown []byte

	// NotUTF8 is set when a string of the span (name, trace state, status
	// message, a key, a string value, an event, a link) is not valid UTF-8.
	NotUTF8 bool

	spilled uint8 // which of the runs live in buf
	buf     [3][]byte
}

// The three runs of raw fields in a Span.
const (
	runEvents = iota
	runLinks
	runUnknown
)

func (s *Span) reset() {
	*s = Span{Attrs: s.Attrs[:0], buf: s.buf}
}

// DecodeSpan reads one encoded Span message into s. It allocates only when s
// has to grow. The error is a [*MalformedError] when raw is not well-formed to
// its full depth, or wraps [ErrTraceID], [ErrSpanID] or [ErrParentID]; s is
// then partly filled and must not be used.
func DecodeSpan(raw []byte, s *Span) error {
	s.reset()
	bad, idErr := s.decode(raw)
	if bad != nil {
		return bad
	}
	if idErr != nil {
		return idErr
	}
	if s.TraceID.IsZero() {
		return ErrTraceID
	}
	if s.SpanID.IsZero() {
		return ErrSpanID
	}
	return nil
}

// decode is one loop over the fields of a span. Attributes and times, which are
// most of them, are handled here, the others by setBytes and setNumber.
func (s *Span) decode(raw []byte) (bad *MalformedError, idErr error) {
	for i := 0; i < len(raw); {
		start := i
		tag := uint64(raw[i])
		i++
		if tag >= 0x80 {
			if tag, i = varint(raw, start); i < 0 {
				return malformedSpan(raw, start), nil
			}
		}
		if tag&7 != wireBytes {
			if i = s.setNumber(raw, start, i, tag); i < 0 {
				return malformedSpan(raw, start), nil
			}
			continue
		}
		begin, end := i+1, 0
		if i < len(raw) && raw[i] < 0x80 {
			end = begin + int(raw[i])
		} else {
			begin, end = payload(raw, i)
		}
		if uint(end) > uint(len(raw)) || tag < 1<<3 || tag > math.MaxUint32 {
			return malformedSpan(raw, start), nil
		}
		i = end
		if tag == 9<<3|wireBytes {
			if bad := s.addAttr(raw[begin:end]); bad != nil {
				return bad.within("attributes", begin), nil
			}
			continue
		}
		f := field{tag: tag, b: raw[begin:end], from: begin, start: start, end: end}
		if bad, idErr := s.setBytes(raw, &f); bad != nil || idErr != nil {
			return bad, idErr
		}
	}
	return nil, nil
}

// malformedSpan finds out what is wrong with the field at raw[at:].
func malformedSpan(raw []byte, at int) *MalformedError {
	bad := malformed(raw, at)
	tag, next := varint(raw, at)
	if info := lookup(msgSpan, int(min(tag>>3, 1<<20))); next > 0 && info != nil {
		bad = bad.within(info.name, 0)
	}
	return bad
}

func (s *Span) addAttr(b []byte) *MalformedError {
	n := len(s.Attrs)
	if n >= MaxAttributes {
		return &MalformedError{Problem: problemCount}
	}
	if n < cap(s.Attrs) {
		s.Attrs = s.Attrs[:n+1]
		s.Attrs[n] = Attr{}
	} else {
		s.Attrs = append(s.Attrs, Attr{})
	}
	ok, bad := decodeAttr(b, &s.Attrs[n], 1)
	if !ok {
		s.NotUTF8 = true
	}
	return bad
}

// setBytes takes a length-delimited field other than an attribute. Ids are
// checked for their length here; a wrong one is an error although a later field
// could replace it.
func (s *Span) setBytes(raw []byte, f *field) (bad *MalformedError, idErr error) {
	switch f.tag >> 3 {
	case 1:
		if len(f.b) != len(s.TraceID) {
			return nil, ErrTraceID
		}
		s.TraceID = ID(f.b)
	case 2:
		if len(f.b) != len(s.SpanID) {
			return nil, ErrSpanID
		}
		s.SpanID = SpanID(f.b)
	case 3:
		s.TraceState = s.text(f.b)
	case 4:
		switch len(f.b) {
		case 0:
			s.ParentID = SpanID{}
		case len(s.ParentID):
			s.ParentID = SpanID(f.b)
		default:
			return nil, ErrParentID
		}
	case 5:
		s.Name = s.text(f.b)
	case 11:
		s.extend(&s.Events, runEvents, raw, f.start, f.end)
		return s.inspect(f, msgEvent, "events"), nil
	case 13:
		s.extend(&s.Links, runLinks, raw, f.start, f.end)
		return s.inspect(f, msgLink, "links"), nil
	case 15:
		if bad := s.setStatus(f.b); bad != nil {
			return bad.within("status", f.from), nil
		}
	default:
		s.extend(&s.Unknown, runUnknown, raw, f.start, f.end)
	}
	return nil, nil
}

// setNumber takes the field at raw[start:], whose tag ended at i and which is
// not length-delimited. It returns where the field ends, -1 when it is malformed.
func (s *Span) setNumber(raw []byte, start, i int, tag uint64) int {
	end := i + 8
	if tag&7 != wireFixed64 || end > len(raw) {
		if end = skip(raw, i, tag, 0); end < 0 {
			return -1
		}
	}
	switch tag {
	case 7<<3 | wireFixed64:
		s.Start = binary.LittleEndian.Uint64(raw[i:])
	case 8<<3 | wireFixed64:
		s.End = binary.LittleEndian.Uint64(raw[i:])
	case 16<<3 | wireFixed32:
		s.Flags = binary.LittleEndian.Uint32(raw[i:])
	case 6 << 3, 10 << 3, 12 << 3, 14 << 3:
		v, _ := varint(raw, i)
		switch tag >> 3 {
		case 6:
			s.Kind = SpanKind(v)
		case 10:
			s.DroppedAttributes = uint32(v)
		case 12:
			s.DroppedEvents = uint32(v)
		case 14:
			s.DroppedLinks = uint32(v)
		}
	default:
		if tag>>3 == 0 || tag > math.MaxUint32 {
			return -1
		}
		s.extend(&s.Unknown, runUnknown, raw, start, end)
	}
	return end
}

func (s *Span) text(b []byte) []byte {
	if !valid(b) {
		s.NotUTF8 = true
	}
	return b
}

func (s *Span) inspect(f *field, m msgID, name string) *MalformedError {
	ok, bad := check(f.b, m, 0)
	if bad != nil {
		return bad.within(name, f.from)
	}
	s.NotUTF8 = s.NotUTF8 || !ok
	return nil
}

// setStatus merges a Status message. What it does not know goes to Unknown as a
// status of its own, which merges again when the span is encoded.
func (s *Span) setStatus(b []byte) *MalformedError {
	var f field
	for i := 0; i < len(b); {
		next, bad := f.next(b, i)
		if bad != nil {
			return bad
		}
		i = next
		switch f.tag {
		case 2<<3 | wireBytes:
			s.StatusMessage = s.text(f.b)
		case 3 << 3:
			s.StatusCode = StatusCode(f.v)
		default:
			s.spill(&s.Unknown, runUnknown)
			s.buf[runUnknown] = appendBytes(s.buf[runUnknown], 15, b[f.start:f.end])
			s.Unknown = s.buf[runUnknown]
		}
	}
	return nil
}

// extend adds the field raw[start:end] to a run: by widening the slice while the
// fields follow each other in raw, else by copying into the run's buffer.
func (s *Span) extend(run *[]byte, which int, raw []byte, start, end int) {
	if s.spilled&(1<<which) == 0 {
		if len(*run) == 0 {
			*run = raw[start:end]
			return
		}
		begin := cap(raw) - cap(*run)
		if begin+len(*run) == start {
			*run = raw[begin:end]
			return
		}
	}
	s.spill(run, which)
	s.buf[which] = append(s.buf[which], raw[start:end]...)
	*run = s.buf[which]
}

// spill moves a run into its buffer, once.
func (s *Span) spill(run *[]byte, which int) {
	if s.spilled&(1<<which) != 0 {
		return
	}
	s.spilled |= 1 << which
	s.buf[which] = append(s.buf[which][:0], *run...)
}

// AppendSpan appends the Span message of s, without a length, in the order of
// the field numbers and with the unknown fields at the end.
func AppendSpan(dst []byte, s *Span) []byte {
	dst = appendBytes(dst, 1, s.TraceID[:])
	dst = appendBytes(dst, 2, s.SpanID[:])
	dst = appendText(dst, 3, s.TraceState)
	if !s.ParentID.IsZero() {
		dst = appendBytes(dst, 4, s.ParentID[:])
	}
	dst = appendText(dst, 5, s.Name)
	dst = appendVarint(dst, 6, uint64(s.Kind))
	dst = appendFixed64(dst, 7, s.Start)
	dst = appendFixed64(dst, 8, s.End)
	for i := range s.Attrs {
		dst = AppendAttr(dst, 9, &s.Attrs[i])
	}
	dst = appendVarint(dst, 10, uint64(s.DroppedAttributes))
	dst = append(dst, s.Events...)
	dst = appendVarint(dst, 12, uint64(s.DroppedEvents))
	dst = append(dst, s.Links...)
	dst = appendVarint(dst, 14, uint64(s.DroppedLinks))
	if len(s.StatusMessage) > 0 || s.StatusCode != 0 {
		dst = appendTag(dst, 15, wireBytes)
		body := len(dst)
		dst = appendText(dst, 2, s.StatusMessage)
		dst = appendVarint(dst, 3, uint64(s.StatusCode))
		dst = closeMessage(dst, body)
	}
	dst = appendFixed32(dst, 16, s.Flags)
	return append(dst, s.Unknown...)
}

// Event is one decoded span event.
type Event struct {
	Time              uint64 // Unix nanoseconds
	Name              []byte
	Attrs             []Attr
	DroppedAttributes uint32
	Unknown           []byte
}

// Link is one decoded span link. Its ids are as sent and may be zero.
type Link struct {
	TraceID           ID
	SpanID            SpanID
	TraceState        []byte
	Attrs             []Attr
	DroppedAttributes uint32
	Flags             uint32
	Unknown           []byte
}

// EachEvent yields the events in Span.Events (or any such run of fields). The
// yielded Event is reused from step to step.
func EachEvent(events []byte) iter.Seq2[*Event, error] { return each(events, 11, (*Event).decode) }

// EachLink yields the links in Span.Links (or any such run of fields). The
// yielded Link is reused from step to step.
func EachLink(links []byte) iter.Seq2[*Link, error] { return each(links, 13, (*Link).decode) }

// each yields the messages in the fields num of b, up to the first bad one.
func each[T any](b []byte, num int, decode func(*T, []byte) *MalformedError) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		var m T
		eachRaw(b, num, func(b []byte, bad *MalformedError) bool {
			if bad == nil {
				bad = decode(&m, b)
			}
			if bad != nil {
				yield(nil, bad)
				return false
			}
			return yield(&m, nil)
		})
	}
}

// eachRaw calls f with the payload of each field num of b.
func eachRaw(b []byte, num int, f func([]byte, *MalformedError) bool) {
	var fd field
	for i := 0; i < len(b); {
		next, bad := fd.next(b, i)
		if bad != nil {
			f(nil, bad)
			return
		}
		i = next
		if fd.tag == uint64(num)<<3|wireBytes && !f(fd.b, nil) {
			return
		}
	}
}

func (e *Event) decode(b []byte) *MalformedError {
	*e = Event{Attrs: e.Attrs[:0], Unknown: e.Unknown[:0]}
	return decodeFields(b, &e.Attrs, func(f *field) bool {
		switch f.tag {
		case 1<<3 | wireFixed64:
			e.Time = f.v
		case 2<<3 | wireBytes:
			e.Name = f.b
		case 4 << 3:
			e.DroppedAttributes = uint32(f.v)
		default:
			if f.tag == 3<<3|wireBytes {
				return true
			}
			e.Unknown = append(e.Unknown, b[f.start:f.end]...)
		}
		return false
	})
}

func (l *Link) decode(b []byte) *MalformedError {
	*l = Link{Attrs: l.Attrs[:0], Unknown: l.Unknown[:0]}
	return decodeFields(b, &l.Attrs, func(f *field) bool {
		switch f.tag {
		case 1<<3 | wireBytes:
			l.TraceID = ID{}
			copy(l.TraceID[:], f.b)
		case 2<<3 | wireBytes:
			l.SpanID = SpanID{}
			copy(l.SpanID[:], f.b)
		case 3<<3 | wireBytes:
			l.TraceState = f.b
		case 4<<3 | wireBytes:
			return true
		case 5 << 3:
			l.DroppedAttributes = uint32(f.v)
		case 6<<3 | wireFixed32:
			l.Flags = uint32(f.v)
		default:
			l.Unknown = append(l.Unknown, b[f.start:f.end]...)
		}
		return false
	})
}

// decodeFields hands each field of b to set; fields for which it returns true
// are decoded as attributes.
func decodeFields(b []byte, attrs *[]Attr, set func(f *field) (isAttr bool)) *MalformedError {
	var f field
	for i := 0; i < len(b); {
		next, bad := f.next(b, i)
		if bad != nil {
			return bad
		}
		i = next
		if !set(&f) {
			continue
		}
		if len(*attrs) == MaxAttributes {
			return &MalformedError{Offset: f.start, Path: "attributes", Problem: problemCount}
		}
		*attrs = append(*attrs, Attr{})
		if _, bad := decodeAttr(f.b, &(*attrs)[len(*attrs)-1], 1); bad != nil {
			return bad.within("attributes", f.from)
		}
	}
	return nil
}

// AppendEvent appends e as one more field 11 of a span being built.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = appendTag(dst, 11, wireBytes)
	body := len(dst)
	dst = appendFixed64(dst, 1, e.Time)
	dst = appendText(dst, 2, e.Name)
	for i := range e.Attrs {
		dst = AppendAttr(dst, 3, &e.Attrs[i])
	}
	dst = appendVarint(dst, 4, uint64(e.DroppedAttributes))
	return closeMessage(append(dst, e.Unknown...), body)
}

// AppendLink appends l as one more field 13 of a span being built.
func AppendLink(dst []byte, l *Link) []byte {
	dst = appendTag(dst, 13, wireBytes)
	body := len(dst)
	if !l.TraceID.IsZero() {
		dst = appendBytes(dst, 1, l.TraceID[:])
	}
	if !l.SpanID.IsZero() {
		dst = appendBytes(dst, 2, l.SpanID[:])
	}
	dst = appendText(dst, 3, l.TraceState)
	for i := range l.Attrs {
		dst = AppendAttr(dst, 4, &l.Attrs[i])
	}
	dst = appendVarint(dst, 5, uint64(l.DroppedAttributes))
	dst = appendFixed32(dst, 6, l.Flags)
	return closeMessage(append(dst, l.Unknown...), body)
}
