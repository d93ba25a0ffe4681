package trace

import (
	"fmt"
	"hash/maphash"
	"math"
)

// Reason says why one span of an export cannot be kept.
type Reason uint8

// The reasons for which [Batch] leaves a span out.
const (
	BadTraceID Reason = iota
	BadSpanID
	BadParentID
	TooManyAttributes
	reasons
)

// String returns the label that metrics use, such as "invalid_trace_id".
func (r Reason) String() string {
	switch r {
	case BadTraceID:
		return "invalid_trace_id"
	case BadSpanID:
		return "invalid_span_id"
	case BadParentID:
		return "invalid_parent_span_id"
	case TooManyAttributes:
		return "too_many_attributes"
	}
	return "unknown_error"
}

// Explain returns a sentence for the sender.
func (r Reason) Explain() string {
	switch r {
	case BadTraceID:
		return ErrTraceID.Error()
	case BadSpanID:
		return ErrSpanID.Error()
	case BadParentID:
		return ErrParentID.Error()
	case TooManyAttributes:
		return fmt.Sprintf("a span may have at most %d attributes", MaxAttributes)
	}
	return "unknown reason"
}

// BadSpan names one span that was left out: its place in the export, counted
// from 0, and the offset of its message.
type BadSpan struct {
	Resource, Scope, Span int
	Offset                int
	Reason                Reason
}

// String names the span and the reason.
func (b BadSpan) String() string {
	return fmt.Sprintf("resource_spans[%d].scope_spans[%d].spans[%d]: %s", b.Resource, b.Scope, b.Span, b.Reason.Explain())
}

// maxBadDetails is how many bad spans are described; all are counted.
const maxBadDetails = 8

// Batch is an index over the bytes of one ExportTraceServiceRequest (or
// TracesData, the same encoding): where its spans are and which trace each
// belongs to. It aliases the bytes given to Reset, which must stay as they are
// while the Batch is in use. The zero Batch is empty; reuse one to avoid
// allocations. After Reset it may be read from several goroutines at once.
//
// Reset checks the fields of the export, of resource and scope groups and of
// spans; ResetChecked also what lies inside them.
type Batch struct {
	raw       []byte
	resources []group // ResourceSpans with at least one good span
	scopes    []group // ScopeSpans with at least one good span
	spans     []spanRef
	traces    []traceRef

	rejected [reasons]int
	bad      []BadSpan

	seed  maphash.Seed
	table []uint32 // open addressing over traces, index+1; length a power of two
	path  [3]int   // resource, scope and span being read, for errors
	deep  bool     // check contents too

	largest int // the largest field of a span, resource or scope message
}

// group is one ResourceSpans or ScopeSpans message, and the half-open range of
// its children: scopes of a resource, spans of a scope.
type group struct {
	from, to    uint32 // payload
	first, last uint32
	parent      uint32
	fixed       uint32 // bytes of its fields other than the children
}

// spanRef is one span: its field with the tag, its message, its trace.
type spanRef struct {
	start, from, to uint32
	trace           uint32
}

type traceRef struct {
	id    ID
	hash  uint32
	spans uint32
	bytes uint32
}

// Reset indexes raw. Spans with bad ids are left out and counted (see
// Rejected); bytes that are not protobuf fail the whole with a
// [*MalformedError], and the Batch is then empty.
//
// What lies inside resources, scopes and spans (attributes, events, links) is
// left to [DecodeSpan] and its siblings: bytes that passed ResetChecked once need
// no second look.
func (b *Batch) Reset(raw []byte) error { return b.reset(raw, false) }

// ResetChecked is Reset that also walks everything inside resources, scopes and
// spans. When it returns nil, decoding any part will succeed. It is for the door,
// where the sender can still be told; it takes about twice as long.
func (b *Batch) ResetChecked(raw []byte) error { return b.reset(raw, true) }

func (b *Batch) reset(raw []byte, deep bool) error {
	b.clear()
	b.deep = deep
	if len(raw) > MaxBatchBytes {
		return fmt.Errorf("export of %d bytes is larger than %d", len(raw), MaxBatchBytes)
	}
	b.raw = raw
	if bad := b.readExport(); bad != nil {
		b.clear()
		return bad
	}
	return nil
}

// firstTable is the table length that each Reset starts with, so that one huge
// export does not make the small ones after it slow to clear.
const firstTable = 64

func (b *Batch) clear() {
	b.raw = nil
	b.resources, b.scopes, b.spans = b.resources[:0], b.scopes[:0], b.spans[:0]
	b.traces, b.bad = b.traces[:0], b.bad[:0]
	b.rejected = [reasons]int{}
	b.largest = 0
	if b.table == nil {
		b.seed = maphash.MakeSeed()
		b.table = make([]uint32, firstTable)
	}
	b.table = b.table[:firstTable]
	clear(b.table)
}

func (b *Batch) readExport() *MalformedError {
	var f field
	b.path[0] = -1
	for i := 0; i < len(b.raw); {
		next, bad := f.next(b.raw, i)
		if bad != nil {
			return bad
		}
		i = next
		if f.tag != 1<<3|wireBytes {
			continue
		}
		b.path[0]++
		if bad := b.readResource(f.from, f.end); bad != nil {
			return bad
		}
	}
	return nil
}

func (b *Batch) readResource(from, to int) *MalformedError {
	raw := b.raw[:to]
	g := group{from: uint32(from), to: uint32(to), first: uint32(len(b.scopes)), parent: uint32(len(b.resources))}
	var f field
	b.path[1] = -1
	for i := from; i < to; {
		next, bad := f.next(raw, i)
		if bad != nil {
			return b.within(bad, 1)
		}
		i = next
		if f.tag != 2<<3|wireBytes {
			if bad := b.inspect(&f, 1, msgResource, "resource"); bad != nil {
				return b.within(bad, 1)
			}
			g.fixed += uint32(f.end - f.start)
			continue
		}
		b.path[1]++
		if bad := b.readScope(f.from, f.end); bad != nil {
			return bad
		}
	}
	if g.last = uint32(len(b.scopes)); g.last > g.first {
		b.resources = append(b.resources, g)
	}
	return nil
}

func (b *Batch) readScope(from, to int) *MalformedError {
	raw := b.raw[:to]
	g := group{from: uint32(from), to: uint32(to), first: uint32(len(b.spans)), parent: uint32(len(b.resources))}
	b.path[2] = -1
	var f field
	for i := from; i < to; {
		if raw[i] == 2<<3|wireBytes {
			begin, end := payload(raw, i+1)
			if end >= 0 {
				b.path[2]++
				if bad := b.readSpan(i, begin, end); bad != nil {
					return bad
				}
				i = end
				continue
			}
		}
		next, bad := f.next(raw, i)
		if bad != nil {
			return b.within(bad, 2)
		}
		if bad := b.inspect(&f, 1, msgScope, "scope"); bad != nil {
			return b.within(bad, 2)
		}
		g.fixed += uint32(f.end - f.start)
		i = next
	}
	if g.last = uint32(len(b.spans)); g.last > g.first {
		b.scopes = append(b.scopes, g)
	}
	return nil
}

// readSpan walks the fields of one span: ids are noted, all others only passed
// over. This loop is the price of placement, so it is spelled out.
func (b *Batch) readSpan(start, from, to int) *MalformedError {
	raw := b.raw[:to]
	var traceAt, spanAt, attrs, largest int
	var traceLen, spanLen, parentLen int
	i := from
	for i < len(raw) {
		field := i
		tag := uint64(raw[i])
		i++
		if tag >= 0x80 {
			if tag, i = varint(raw, field); i < 0 {
				return b.spanError(raw, field)
			}
		}
		if tag&7 != wireBytes {
			if tag == 7<<3|wireFixed64 || tag == 8<<3|wireFixed64 {
				if i += 8; i <= len(raw) {
					continue
				}
				return b.spanError(raw, field)
			}
			if i = skip(raw, i, tag, 0); i < 0 {
				return b.spanError(raw, field)
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
			return b.spanError(raw, field)
		}
		i = end
		largest = max(largest, end-begin)
		switch tag {
		case 9<<3 | wireBytes:
			attrs++
			if b.deep && !plainAttr(raw[begin:end]) {
				if bad := b.inspectSpan(raw, tag, begin, end); bad != nil {
					return bad
				}
			}
		case 1<<3 | wireBytes:
			traceAt, traceLen = begin, end-begin
		case 2<<3 | wireBytes:
			spanAt, spanLen = begin, end-begin
		case 4<<3 | wireBytes:
			parentLen = end - begin
		case 11<<3 | wireBytes, 13<<3 | wireBytes, 15<<3 | wireBytes:
			if b.deep {
				if bad := b.inspectSpan(raw, tag, begin, end); bad != nil {
					return bad
				}
			}
		}
	}
	b.largest = max(b.largest, largest)
	switch {
	case traceLen != 16 || ID(raw[traceAt:traceAt+16]).IsZero():
		b.reject(from, BadTraceID)
	case spanLen != 8 || SpanID(raw[spanAt:spanAt+8]).IsZero():
		b.reject(from, BadSpanID)
	case parentLen != 0 && parentLen != 8:
		b.reject(from, BadParentID)
	case attrs > MaxAttributes:
		b.reject(from, TooManyAttributes)
	default:
		t := b.traceIndex(ID(raw[traceAt : traceAt+16]))
		b.traces[t].spans++
		b.traces[t].bytes += uint32(to - start)
		b.spans = append(b.spans, spanRef{uint32(start), uint32(from), uint32(to), t})
	}
	return nil
}

// inspect measures the field f and, when it is the message num, checks its
// contents.
func (b *Batch) inspect(f *field, num uint64, m msgID, name string) *MalformedError {
	b.largest = max(b.largest, f.end-f.from)
	if !b.deep || f.tag != num<<3|wireBytes {
		return nil
	}
	if _, bad := check(f.b, m, 0); bad != nil {
		return bad.within(name, f.from)
	}
	return nil
}

func (b *Batch) inspectSpan(raw []byte, tag uint64, begin, end int) *MalformedError {
	info := lookup(msgSpan, int(tag>>3))
	if _, bad := check(raw[begin:end], info.sub, 0); bad != nil {
		return b.within(bad.within(info.name, begin), 3)
	}
	return nil
}

func (b *Batch) spanError(raw []byte, at int) *MalformedError {
	return b.within(malformedSpan(raw, at), 3)
}

// within names the group or span being read, to the given depth.
func (b *Batch) within(bad *MalformedError, depth int) *MalformedError {
	path := ""
	for i, name := range []string{"resource_spans", "scope_spans", "spans"}[:depth] {
		path += fmt.Sprintf(".%s[%d]", name, b.path[i])
	}
	return bad.within(path[1:], 0)
}

func (b *Batch) reject(offset int, r Reason) {
	b.rejected[r]++
	if len(b.bad) < maxBadDetails {
		b.bad = append(b.bad, BadSpan{b.path[0], b.path[1], b.path[2], offset, r})
	}
}

// traceIndex returns the index of the trace, adding it when it is new.
func (b *Batch) traceIndex(id ID) uint32 {
	if n := len(b.spans); n > 0 {
		if last := b.spans[n-1].trace; b.traces[last].id == id {
			return last
		}
	}
	h := uint32(maphash.Bytes(b.seed, id[:]))
	mask := uint32(len(b.table) - 1)
	slot := h & mask
	for ; b.table[slot] != 0; slot = (slot + 1) & mask {
		if t := b.table[slot] - 1; b.traces[t].id == id {
			return t
		}
	}
	t := uint32(len(b.traces))
	b.traces = append(b.traces, traceRef{id: id, hash: h})
	b.table[slot] = t + 1
	if len(b.traces)*2 > len(b.table) {
		b.growTable()
	}
	return t
}

func (b *Batch) growTable() {
	n := 2 * len(b.table)
	if n <= cap(b.table) {
		b.table = b.table[:n]
		clear(b.table)
	} else {
		b.table = make([]uint32, n)
	}
	mask := uint32(n - 1)
	for i := range b.traces {
		slot := b.traces[i].hash & mask
		for b.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		b.table[slot] = uint32(i) + 1
	}
}

// Raw returns the bytes given to Reset.
func (b *Batch) Raw() []byte { return b.raw }

// Spans is the number of spans, those left out not counted.
func (b *Batch) Spans() int { return len(b.spans) }

// Span returns the encoded Span message i, for [DecodeSpan].
func (b *Batch) Span(i int) []byte { return b.raw[b.spans[i].from:b.spans[i].to] }

// TraceOf returns the index of the trace of span i.
func (b *Batch) TraceOf(i int) int { return int(b.spans[i].trace) }

// Traces is the number of distinct traces, in the order of their first span.
func (b *Batch) Traces() int { return len(b.traces) }

// TraceID returns the id of trace t.
func (b *Batch) TraceID(t int) ID { return b.traces[t].id }

// TraceSpans is the number of spans of trace t.
func (b *Batch) TraceSpans(t int) int { return int(b.traces[t].spans) }

// TraceBytes is the encoded size of the spans of trace t, without the resource
// and scope messages around them.
func (b *Batch) TraceBytes(t int) int { return int(b.traces[t].bytes) }

// LargestField bounds the length of every string in the export: none is longer.
// It is the size of the largest attribute, event, link, name, resource or scope
// message. While it is within a limit, [Truncate] has nothing to do.
func (b *Batch) LargestField() int { return b.largest }

// Rejected is how many spans were left out, for any reason.
func (b *Batch) Rejected() int {
	n := 0
	for _, c := range b.rejected {
		n += c
	}
	return n
}

// RejectedFor is how many spans were left out for that reason.
func (b *Batch) RejectedFor(r Reason) int {
	if r >= reasons {
		return 0
	}
	return b.rejected[r]
}

// Bad describes the first few spans that were left out. It is valid until the
// next Reset.
func (b *Batch) Bad() []BadSpan { return b.bad }

// AppendSubset appends the OTLP bytes (TracesData) of the spans whose trace
// keep accepts, with their resources, scopes, schema URLs and all fields not
// known here; groups that become empty are left out, and so are rejected spans.
// keep is called once per trace. Safe for concurrent use.
func (b *Batch) AppendSubset(dst []byte, keep func(t int) bool) []byte {
	var small [512]bool
	kept := small[:0]
	if len(b.traces) > len(small) {
		kept = make([]bool, 0, len(b.traces))
	}
	for t := range b.traces {
		kept = append(kept, keep(t))
	}
	for r := range b.resources {
		dst = b.appendResource(dst, &b.resources[r], kept)
	}
	return dst
}

// AppendTrace is AppendSubset for trace t alone.
func (b *Batch) AppendTrace(dst []byte, t int) []byte {
	return b.AppendSubset(dst, func(i int) bool { return i == t })
}

func (b *Batch) appendResource(dst []byte, g *group, kept []bool) []byte {
	n := 0
	for s := g.first; s < g.last; s++ {
		if k := b.keptSize(&b.scopes[s], kept); k > 0 {
			n += 1 + sizeVarint(uint64(k)) + k
		}
	}
	if n == 0 {
		return dst
	}
	dst = appendHeader(dst, 1, n+int(g.fixed))
	dst = b.appendOthers(dst, g)
	for s := g.first; s < g.last; s++ {
		dst = b.appendScope(dst, &b.scopes[s], kept)
	}
	return dst
}

func (b *Batch) appendScope(dst []byte, g *group, kept []bool) []byte {
	n := b.keptSize(g, kept)
	if n == 0 {
		return dst
	}
	dst = appendHeader(dst, 2, n)
	dst = b.appendOthers(dst, g)
	// Neighbours that stay together are copied together.
	spans := b.spans[g.first:g.last]
	for i := 0; i < len(spans); i++ {
		if !kept[spans[i].trace] {
			continue
		}
		j := i
		for j+1 < len(spans) && kept[spans[j+1].trace] && spans[j+1].start == spans[j].to {
			j++
		}
		dst = append(dst, b.raw[spans[i].start:spans[j].to]...)
		i = j
	}
	return dst
}

// keptSize is the length of the ScopeSpans message with the kept spans only, 0
// when there are none.
func (b *Batch) keptSize(g *group, kept []bool) int {
	n := 0
	for _, s := range b.spans[g.first:g.last] {
		if kept[s.trace] {
			n += int(s.to - s.start)
		}
	}
	if n > 0 {
		n += int(g.fixed)
	}
	return n
}

// appendOthers copies the fields of a group except its children (field 2 of
// both messages). Reset has walked them, so errors cannot occur.
func (b *Batch) appendOthers(dst []byte, g *group) []byte {
	left := int(g.fixed)
	var f field
	for i := int(g.from); i < int(g.to) && left > 0; {
		next, bad := f.next(b.raw[:g.to], i)
		if bad != nil {
			return dst
		}
		i = next
		if f.tag != 2<<3|wireBytes {
			dst = append(dst, b.raw[f.start:f.end]...)
			left -= f.end - f.start
		}
	}
	return dst
}

func appendHeader(dst []byte, num, n int) []byte {
	dst = appendTag(dst, num, wireBytes)
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}
