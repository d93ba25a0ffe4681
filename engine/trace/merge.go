package trace

import (
	"encoding/binary"
	"fmt"
)

// Builder puts spans of many sources together into one TracesData message.
// Spans of equal resource and scope bytes share one group; a span that was
// added before (same trace id, span id and kind) is dropped, which removes the
// copies made by replication. The zero Builder is empty. Not for concurrent
// use.
type Builder struct {
	resources []buildResource
	byKey     map[string]int // key of resource → index, and of scope within it
	seen      map[spanKey]struct{}
	key       []byte
	bytes     int
	current   *buildScope
	resource  int
}

type buildResource struct {
	head   []byte // its fields other than scope_spans
	scopes []*buildScope
}

type buildScope struct {
	head  []byte // its fields other than spans
	spans []byte // encoded, with tags
}

type spanKey struct {
	trace ID
	span  SpanID
	kind  SpanKind
}

// SetResource chooses the resource of the spans that follow. The bytes are
// copied. SetScope must follow.
func (b *Builder) SetResource(g *Group) {
	if b.byKey == nil {
		b.byKey = make(map[string]int)
		b.seen = make(map[spanKey]struct{})
	}
	head := g.append(nil)
	i, ok := b.byKey[string(head)]
	if !ok {
		i = len(b.resources)
		b.resources = append(b.resources, buildResource{head: head})
		b.byKey[string(head)] = i
		b.bytes += len(head) + 8
	}
	b.resource, b.current = i, nil
}

// SetScope chooses the scope, within the resource, of the spans that follow.
// The bytes are copied.
func (b *Builder) SetScope(g *Group) {
	if len(b.resources) == 0 {
		b.SetResource(&Group{})
	}
	// No resource head equals this key: a head starts with a field tag, never
	// with a zero byte.
	b.key = binary.BigEndian.AppendUint32(append(b.key[:0], 0), uint32(b.resource))
	b.key = g.append(b.key)
	r := &b.resources[b.resource]
	i, ok := b.byKey[string(b.key)]
	if !ok {
		i = len(r.scopes)
		r.scopes = append(r.scopes, &buildScope{head: g.append(nil)})
		b.byKey[string(b.key)] = i
		b.bytes += len(r.scopes[i].head) + 8
	}
	b.current = r.scopes[i]
}

// Add appends the encoded Span message raw to the chosen scope, unless it is
// there already. The bytes are copied. Only the ids and the kind are read; the
// error is a [*MalformedError].
func (b *Builder) Add(raw []byte) (added bool, err error) {
	if b.current == nil {
		b.SetScope(&Group{})
	}
	k, bad := identity(raw)
	if bad != nil {
		return false, bad
	}
	if _, dup := b.seen[k]; dup {
		return false, nil
	}
	b.seen[k] = struct{}{}
	n := len(b.current.spans)
	b.current.spans = appendBytes(b.current.spans, 2, raw)
	b.bytes += len(b.current.spans) - n
	return true, nil
}

// AddSpan is Add for a decoded span.
func (b *Builder) AddSpan(s *Span) (added bool) {
	if b.current == nil {
		b.SetScope(&Group{})
	}
	k := spanKey{s.TraceID, s.SpanID, s.Kind}
	if _, dup := b.seen[k]; dup {
		return false
	}
	b.seen[k] = struct{}{}
	spans := appendTag(b.current.spans, 2, wireBytes)
	body := len(spans)
	spans = closeMessage(AppendSpan(spans, s), body)
	b.bytes += len(spans) - len(b.current.spans)
	b.current.spans = spans
	return true
}

// AddAll adds all spans of OTLP bytes. On error some may have been added.
func (b *Builder) AddAll(otlp []byte) error {
	return Walk(otlp, (*builderVisitor)(b))
}

// Spans is the number of spans added.
func (b *Builder) Spans() int { return len(b.seen) }

// Bytes is about the size of the encoding so far.
func (b *Builder) Bytes() int { return b.bytes }

// Reset empties the Builder.
func (b *Builder) Reset() { *b = Builder{key: b.key[:0]} }

// Append appends the TracesData message: groups in the order in which they were
// first chosen, spans in the order in which they were added. Groups without
// spans are left out.
func (b *Builder) Append(dst []byte) []byte {
	for i := range b.resources {
		r := &b.resources[i]
		n := 0
		for _, s := range r.scopes {
			if len(s.spans) > 0 {
				k := len(s.head) + len(s.spans)
				n += 1 + sizeVarint(uint64(k)) + k
			}
		}
		if n == 0 {
			continue
		}
		dst = append(appendHeader(dst, 1, len(r.head)+n), r.head...)
		for _, s := range r.scopes {
			if len(s.spans) > 0 {
				dst = append(appendHeader(dst, 2, len(s.head)+len(s.spans)), s.head...)
				dst = append(dst, s.spans...)
			}
		}
	}
	return dst
}

// Merge joins several TracesData messages into one without the spans that occur
// more than once. The error names the part that is malformed.
func Merge(parts ...[]byte) ([]byte, error) {
	var b Builder
	for i, p := range parts {
		if err := b.AddAll(p); err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
	}
	return b.Append(nil), nil
}

// append encodes the fields of a group other than its children.
func (g *Group) append(dst []byte) []byte {
	if g.Raw != nil {
		dst = appendBytes(dst, 1, g.Raw)
	}
	dst = appendText(dst, 3, g.SchemaURL)
	return append(dst, g.Unknown...)
}

// identity reads what makes a span the same span: its ids and kind. A server
// and a client may share a span id, as Zipkin's do.
func identity(raw []byte) (spanKey, *MalformedError) {
	var k spanKey
	var f field
	for i := 0; i < len(raw); {
		next, bad := f.next(raw, i)
		if bad != nil {
			return k, bad.within("span", 0)
		}
		i = next
		switch f.tag {
		case 1<<3 | wireBytes:
			k.trace = ID{}
			copy(k.trace[:], f.b)
		case 2<<3 | wireBytes:
			k.span = SpanID{}
			copy(k.span[:], f.b)
		case 6 << 3:
			k.kind = SpanKind(f.v)
		}
	}
	return k, nil
}

type builderVisitor Builder

func (v *builderVisitor) Resource(g *Group) error {
	(*Builder)(v).SetResource(g)
	return nil
}

func (v *builderVisitor) Scope(g *Group) error {
	(*Builder)(v).SetScope(g)
	return nil
}

func (v *builderVisitor) Span(raw []byte) error {
	_, err := (*Builder)(v).Add(raw)
	return err
}
