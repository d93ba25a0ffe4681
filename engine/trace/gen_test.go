package trace

import (
	"fmt"
	"math"
	"math/rand/v2"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// gen makes OTLP messages of every shape from a seed.
type gen struct {
	*rand.Rand
	ids    []ID
	plain  bool // only what every peer agrees on: no unknown fields
	serial uint64
}

func newGen(seed uint64) *gen {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, 7))}
	for range 40 {
		g.ids = append(g.ids, ID(g.bytes(16)))
	}
	return g
}

func (g *gen) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	b[0] |= 1
	return b
}

func (g *gen) text() string {
	words := []string{"", "GET /api", "checkout", "grüße", "日本語", "a\"quote\\", "line\nbreak", "\u2028", "http.status_code", "x"}
	s := words[g.IntN(len(words))]
	if g.IntN(10) == 0 {
		for range g.IntN(200) {
			s += "y"
		}
	}
	return s
}

func (g *gen) any(depth int) *commonpb.AnyValue {
	n := 9
	if depth > 4 {
		n = 5
	}
	switch g.IntN(n) {
	case 0, 1:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: g.text()}}
	case 2:
		ints := []int64{0, 1, -1, 200, math.MaxInt64, math.MinInt64, 1 << 53}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: ints[g.IntN(len(ints))]}}
	case 3:
		doubles := []float64{0, 1.5, -1e300, math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1), 1e-7, 123456789}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: doubles[g.IntN(len(doubles))]}}
	case 4:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: g.IntN(2) == 0}}
	case 5:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: g.bytes(1 + g.IntN(20))}}
	case 6:
		arr := &commonpb.ArrayValue{}
		for range g.IntN(4) {
			arr.Values = append(arr.Values, g.any(depth+1))
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: arr}}
	case 7:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: g.attrs(3, depth+1)}}}
	}
	if g.plain {
		return &commonpb.AnyValue{}
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValueStrindex{StringValueStrindex: int32(g.IntN(100))}}
}

func (g *gen) attrs(limit, depth int) []*commonpb.KeyValue {
	var out []*commonpb.KeyValue
	for range g.IntN(limit + 1) {
		out = append(out, &commonpb.KeyValue{Key: fmt.Sprintf("key.%d", g.IntN(30)), Value: g.any(depth)})
	}
	return out
}

// unknown sometimes adds fields that no version of the protocol has.
func (g *gen) unknown(m proto.Message) {
	if g.plain || g.IntN(4) != 0 {
		return
	}
	var raw []byte
	raw = appendVarint(raw, 100+g.IntN(10), 1+g.Uint64())
	raw = appendBytes(raw, 200, []byte("future"))
	raw = appendFixed64(raw, 300, 1+g.Uint64())
	raw = append(appendTag(raw, 50, wireGroup), appendTag(appendVarint(nil, 1, 5), 50, wireEnd)...)
	m.ProtoReflect().SetUnknown(raw)
}

func (g *gen) span() *tracepb.Span {
	g.serial++
	id := g.ids[g.IntN(len(g.ids))]
	s := &tracepb.Span{
		TraceId: id[:], SpanId: g.bytes(8), Name: g.text(), Kind: tracepb.Span_SpanKind(g.IntN(6)),
		TraceState: g.text(), Flags: uint32(g.IntN(1000)), StartTimeUnixNano: g.Uint64(), EndTimeUnixNano: g.Uint64(),
		Attributes: g.attrs(12, 0), DroppedAttributesCount: uint32(g.IntN(3)), DroppedEventsCount: uint32(g.IntN(3)), DroppedLinksCount: uint32(g.IntN(3)),
	}
	if g.IntN(3) > 0 {
		s.ParentSpanId = g.bytes(8)
	}
	for range g.IntN(3) {
		e := &tracepb.Span_Event{TimeUnixNano: g.Uint64(), Name: g.text(), Attributes: g.attrs(3, 0), DroppedAttributesCount: uint32(g.IntN(2))}
		g.unknown(e)
		s.Events = append(s.Events, e)
	}
	for range g.IntN(3) {
		l := &tracepb.Span_Link{TraceId: g.bytes(16), SpanId: g.bytes(8), TraceState: g.text(), Attributes: g.attrs(3, 0), Flags: uint32(g.IntN(3)), DroppedAttributesCount: uint32(g.IntN(2))}
		g.unknown(l)
		s.Links = append(s.Links, l)
	}
	if g.IntN(2) == 0 {
		s.Status = &tracepb.Status{Message: g.text(), Code: tracepb.Status_StatusCode(1 + g.IntN(2))}
		g.unknown(s.Status)
	}
	g.unknown(s)
	return s
}

func (g *gen) data(spans int) *tracepb.TracesData {
	d := &tracepb.TracesData{}
	for spans > 0 {
		rs := &tracepb.ResourceSpans{SchemaUrl: g.text()}
		if g.IntN(5) > 0 {
			rs.Resource = &resourcepb.Resource{Attributes: g.attrs(6, 0), DroppedAttributesCount: uint32(g.IntN(2))}
			g.unknown(rs.Resource)
		}
		g.unknown(rs)
		for range 1 + g.IntN(3) {
			ss := &tracepb.ScopeSpans{SchemaUrl: g.text()}
			if g.IntN(5) > 0 {
				ss.Scope = &commonpb.InstrumentationScope{Name: g.text(), Version: g.text(), Attributes: g.attrs(2, 0)}
				g.unknown(ss.Scope)
			}
			g.unknown(ss)
			for n := min(spans, 1+g.IntN(40)); n > 0; n-- {
				ss.Spans = append(ss.Spans, g.span())
				spans--
			}
			rs.ScopeSpans = append(rs.ScopeSpans, ss)
		}
		d.ResourceSpans = append(d.ResourceSpans, rs)
	}
	return d
}

func (g *gen) request(spans int) []byte {
	b, err := proto.Marshal(g.data(spans))
	if err != nil {
		return nil
	}
	return b
}
