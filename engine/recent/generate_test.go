package recent

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// gen makes OTLP requests with everything an SDK may send, by seed.
type gen struct {
	*rand.Rand
	traces [][]byte
	spans  uint64
}

func newGen(seed uint64) *gen { return &gen{Rand: rand.New(rand.NewPCG(seed, 7))} }

func (g *gen) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.IntN(255)) + 1
	}
	return b
}

func (g *gen) value(depth int) *commonpb.AnyValue {
	switch k := g.IntN(10); {
	case k < 4:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: fmt.Sprintf("v%d", g.IntN(40))}}
	case k == 4:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: []int64{0, 7, -1, math.MaxInt64, math.MinInt64}[g.IntN(5)]}}
	case k == 5:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: []float64{0, 1.5, math.Inf(1), -2}[g.IntN(4)]}}
	case k == 6:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: g.IntN(2) == 0}}
	case k == 7:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: g.bytes(g.IntN(5))}}
	case k == 8 && depth < 3:
		a := &commonpb.ArrayValue{}
		for range g.IntN(4) {
			a.Values = append(a.Values, g.value(depth+1))
		}
		if g.IntN(3) > 0 { // values of one type
			a.Values = g.alike()
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: a}}
	case k == 9 && depth < 3:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: g.attrs(3, depth+1)}}}
	}
	return &commonpb.AnyValue{}
}

// alike makes values of one basic type, some with a field from the future.
func (g *gen) alike() (out []*commonpb.AnyValue) {
	first := &commonpb.AnyValue{}
	for first.Value == nil || first.GetBytesValue() != nil {
		first = g.value(9)
	}
	for n := 1 + g.IntN(4); len(out) < n; {
		if v := g.value(9); reflect.TypeOf(v.Value) == reflect.TypeOf(first.Value) {
			out = append(out, v)
		}
	}
	if g.IntN(10) == 0 {
		out[0].ProtoReflect().SetUnknown(g.unknown())
	}
	return out
}

func (g *gen) attrs(n, depth int) []*commonpb.KeyValue {
	var out []*commonpb.KeyValue
	seen := map[string]bool{}
	for range g.IntN(n + 1) {
		k := fmt.Sprintf("key.%d", g.IntN(12))
		if g.IntN(30) == 0 {
			k = fmt.Sprintf("rare.%d#int", g.IntN(1000))
		}
		if !seen[k] {
			out = append(out, &commonpb.KeyValue{Key: k, Value: g.value(depth)})
		}
		seen[k] = true
	}
	return out
}

func (g *gen) unknown() []byte {
	if g.IntN(20) > 0 {
		return nil
	}
	return protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "from the future")
}

func (g *gen) traceID() []byte {
	if len(g.traces) == 0 || g.IntN(4) == 0 {
		g.traces = append(g.traces, g.bytes(16))
	}
	return g.traces[g.IntN(len(g.traces))]
}

func (g *gen) span(parents map[string][]byte) *tracepb.Span {
	id := g.traceID()
	g.spans++
	s := &tracepb.Span{TraceId: id, SpanId: g.bytes(8), Name: fmt.Sprintf("op %d", g.IntN(9)), Kind: tracepb.Span_SpanKind(g.IntN(7)),
		StartTimeUnixNano: 1_700_000_000_000_000_000 + uint64(g.IntN(1000))<<20 + g.spans, Attributes: g.attrs(9, 0)}
	s.EndTimeUnixNano = s.StartTimeUnixNano + uint64(g.IntN(1_000_000))
	if g.IntN(30) == 0 {
		s.EndTimeUnixNano = 0
	}
	if p := parents[string(id)]; p != nil && g.IntN(5) > 0 {
		s.ParentSpanId = p
	} else if g.IntN(4) == 0 {
		s.ParentSpanId = g.bytes(8) // an orphan
	}
	parents[string(id)] = s.SpanId
	if g.IntN(8) == 0 {
		s.TraceState, s.Flags = "a=b", g.Uint32()
		s.DroppedAttributesCount, s.DroppedEventsCount, s.DroppedLinksCount = g.Uint32(), 2, uint32(g.IntN(2))
	}
	if g.IntN(3) == 0 {
		s.Status = &tracepb.Status{Code: tracepb.Status_StatusCode(g.IntN(4)), Message: []string{"", "broken"}[g.IntN(2)]}
	}
	for range g.IntN(3) {
		s.Events = append(s.Events, &tracepb.Span_Event{TimeUnixNano: g.Uint64(), Name: "e", Attributes: g.attrs(3, 0), DroppedAttributesCount: uint32(g.IntN(2))})
	}
	if g.IntN(6) == 0 {
		s.Links = append(s.Links, &tracepb.Span_Link{TraceId: g.bytes(16), SpanId: g.bytes(8), TraceState: "x=y", Attributes: g.attrs(2, 0), Flags: 3})
	}
	s.ProtoReflect().SetUnknown(g.unknown())
	return s
}

// request makes one request of about n spans.
func (g *gen) request(n int) *tracepb.TracesData {
	td := &tracepb.TracesData{}
	parents := map[string][]byte{}
	for n > 0 {
		rs := &tracepb.ResourceSpans{SchemaUrl: []string{"", "https://schema"}[g.IntN(2)]}
		rs.Resource = &resourcepb.Resource{DroppedAttributesCount: uint32(g.IntN(2)), Attributes: append(g.attrs(3, 0),
			&commonpb.KeyValue{Key: "service.name", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: fmt.Sprintf("svc-%d", g.IntN(3))}}})}
		rs.ProtoReflect().SetUnknown(g.unknown())
		for range 1 + g.IntN(2) {
			ss := &tracepb.ScopeSpans{Scope: &commonpb.InstrumentationScope{Name: fmt.Sprintf("lib%d", g.IntN(2)), Version: "1", Attributes: g.attrs(2, 0)}}
			for range 1 + g.IntN(8) {
				ss.Spans = append(ss.Spans, g.span(parents))
				n--
			}
			rs.ScopeSpans = append(rs.ScopeSpans, ss)
		}
		td.ResourceSpans = append(td.ResourceSpans, rs)
	}
	return td
}

// otlp is a request as bytes.
func (g *gen) otlp(n int) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(g.request(n))
	if err != nil {
		panic(err)
	}
	return b
}
