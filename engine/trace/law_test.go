package trace

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	colpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func mustMarshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, b []byte) *tracepb.TracesData {
	t.Helper()
	var d tracepb.TracesData
	if err := proto.Unmarshal(b, &d); err != nil {
		t.Fatalf("google refuses our bytes: %v", err)
	}
	return &d
}

// recoder decodes every part of an export and encodes it again from the pieces.
type recoder struct {
	t     testing.TB
	b     Builder
	dirty bool // a string is not UTF-8
	span  Span
	n     int
}

func (r *recoder) Resource(g *Group) error {
	var res Resource
	if err := DecodeResource(g.Raw, &res); err != nil {
		return err
	}
	out := *g
	if g.Raw != nil {
		out.Raw = append([]byte{}, AppendResource(nil, &res)...)
	}
	r.b.SetResource(&out)
	return nil
}

func (r *recoder) Scope(g *Group) error {
	var s Scope
	if err := DecodeScope(g.Raw, &s); err != nil {
		return err
	}
	out := *g
	if g.Raw != nil {
		out.Raw = append([]byte{}, AppendScope(nil, &s)...)
	}
	r.b.SetScope(&out)
	return nil
}

func (r *recoder) Span(raw []byte) error {
	if err := DecodeSpan(raw, &r.span); err != nil {
		return err
	}
	r.dirty = r.dirty || r.span.NotUTF8
	// Events and links go through their decoded form too.
	var events, links []byte
	for e, err := range EachEvent(r.span.Events) {
		if err != nil {
			return err
		}
		events = AppendEvent(events, e)
	}
	for l, err := range EachLink(r.span.Links) {
		if err != nil {
			return err
		}
		links = AppendLink(links, l)
	}
	r.span.Events, r.span.Links = events, links
	for i := range r.span.Attrs {
		r.rebuild(&r.span.Attrs[i].Value)
	}
	r.b.AddSpan(&r.span)
	r.n++
	return nil
}

// rebuild replaces arrays and maps by what their iterators yield.
func (r *recoder) rebuild(v *Value) {
	out := []byte{}
	switch v.Kind {
	case KindArray:
		for e, err := range v.Elements() {
			if err != nil {
				r.t.Fatal(err)
			}
			r.rebuild(&e)
			out = AppendElement(out, &e)
		}
	case KindMap:
		for a, err := range v.Entries() {
			if err != nil {
				r.t.Fatal(err)
			}
			r.rebuild(&a.Value)
			out = AppendAttr(out, 1, &a)
		}
	default:
		return
	}
	v.Bytes = out
}

// Everything taken apart and put together again is, for google's protobuf, the
// same message: all kinds, unknown fields, resources, scopes.
func TestDecodeAndEncodeAgreeWithGoogle(t *testing.T) {
	for seed := range uint64(60) {
		g := newGen(seed)
		want := g.data(1 + int(seed))
		raw := mustMarshal(t, want)
		r := recoder{t: t}
		if err := Walk(raw, &r); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := mustParse(t, r.b.Append(nil))
		if want = grouped(want); !proto.Equal(got, want) {
			t.Fatalf("seed %d: differs\ngot  %s\nwant %s", seed, protojson.Format(got), protojson.Format(want))
		}
		var b Batch
		if err := b.ResetChecked(raw); err != nil || b.Spans() != r.n || b.Rejected() != 0 {
			t.Fatalf("seed %d: batch has %d spans of %d, %d rejected, %v", seed, b.Spans(), r.n, b.Rejected(), err)
		}
	}
}

// grouped is the dumb twin of Builder: equal resources and scopes are joined,
// empty ones left out.
func grouped(d *tracepb.TracesData) *tracepb.TracesData {
	d = filtered(d, func(*tracepb.Span) bool { return true })
	out := &tracepb.TracesData{}
	for _, rs := range d.ResourceSpans {
		var to *tracepb.ResourceSpans
		for _, have := range out.ResourceSpans {
			if sameHead(have, rs) {
				to = have
			}
		}
		if to == nil {
			to = proto.Clone(rs).(*tracepb.ResourceSpans)
			to.ScopeSpans = nil
			out.ResourceSpans = append(out.ResourceSpans, to)
		}
		for _, ss := range rs.ScopeSpans {
			var at *tracepb.ScopeSpans
			for _, have := range to.ScopeSpans {
				if sameHead(have, ss) {
					at = have
				}
			}
			if at == nil {
				at = proto.Clone(ss).(*tracepb.ScopeSpans)
				at.Spans = nil
				to.ScopeSpans = append(to.ScopeSpans, at)
			}
			at.Spans = append(at.Spans, ss.Spans...)
		}
	}
	return out
}

func sameHead(a, b proto.Message) bool {
	a, b = proto.Clone(a), proto.Clone(b)
	for _, m := range []proto.Message{a, b} {
		switch m := m.(type) {
		case *tracepb.ResourceSpans:
			m.ScopeSpans = nil
		case *tracepb.ScopeSpans:
			m.Spans = nil
		}
	}
	return proto.Equal(a, b)
}

// AppendSubset is what google's message is after the other spans are deleted.
func TestSubsetAgreesWithFilter(t *testing.T) {
	for seed := range uint64(60) {
		g := newGen(seed)
		d := g.data(80)
		raw := mustMarshal(t, d)
		var b Batch
		if err := b.Reset(raw); err != nil {
			t.Fatal(err)
		}
		keep := map[ID]bool{}
		for i := range b.Traces() {
			keep[b.TraceID(i)] = g.IntN(3) == 0
		}
		sub := b.AppendSubset([]byte("x"), func(t int) bool { return keep[b.TraceID(t)] })
		want := filtered(d, func(s *tracepb.Span) bool { return keep[ID(s.TraceId)] })
		if got := mustParse(t, sub[1:]); !proto.Equal(got, want) {
			t.Fatalf("seed %d: subset differs", seed)
		}
		if all := b.AppendSubset(nil, func(int) bool { return true }); !proto.Equal(mustParse(t, all), filtered(d, func(*tracepb.Span) bool { return true })) {
			t.Fatalf("seed %d: the whole differs", seed)
		}
		checkCounts(t, &b, d)
	}
}

func filtered(d *tracepb.TracesData, keep func(*tracepb.Span) bool) *tracepb.TracesData {
	out := &tracepb.TracesData{}
	for _, rs := range d.ResourceSpans {
		r := proto.Clone(rs).(*tracepb.ResourceSpans)
		r.ScopeSpans = nil
		for _, ss := range rs.ScopeSpans {
			s := proto.Clone(ss).(*tracepb.ScopeSpans)
			s.Spans = nil
			for _, sp := range ss.Spans {
				if keep(sp) {
					s.Spans = append(s.Spans, sp)
				}
			}
			if len(s.Spans) > 0 {
				r.ScopeSpans = append(r.ScopeSpans, s)
			}
		}
		if len(r.ScopeSpans) > 0 {
			out.ResourceSpans = append(out.ResourceSpans, r)
		}
	}
	return out
}

// checkCounts compares the index with a count over google's message.
func checkCounts(t *testing.T, b *Batch, d *tracepb.TracesData) {
	t.Helper()
	spans := map[ID]int{}
	i := 0
	for _, rs := range d.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				id := ID(s.TraceId)
				spans[id]++
				if b.TraceID(b.TraceOf(i)) != id {
					t.Fatalf("span %d has the wrong trace", i)
				}
				var got Span
				if err := DecodeSpan(b.Span(i), &got); err != nil || !bytes.Equal(got.SpanID[:], s.SpanId) {
					t.Fatalf("span %d: %v", i, err)
				}
				i++
			}
		}
	}
	if b.Spans() != i || b.Traces() != len(spans) {
		t.Fatalf("%d spans of %d, %d traces of %d", b.Spans(), i, b.Traces(), len(spans))
	}
	for tr := range b.Traces() {
		if b.TraceSpans(tr) != spans[b.TraceID(tr)] || b.TraceBytes(tr) <= 0 {
			t.Fatalf("trace %d: %d spans, want %d", tr, b.TraceSpans(tr), spans[b.TraceID(tr)])
		}
	}
}

// Bytes broken at random are refused or taken as google's protobuf does.
func TestMutatedInputAgreesWithGoogle(t *testing.T) {
	accepted, refused := 0, 0
	for seed := range uint64(3000) {
		g := newGen(seed)
		raw := mustMarshal(t, g.data(1+g.IntN(3)))
		for range 1 + g.IntN(3) {
			switch g.IntN(3) {
			case 0:
				raw[g.IntN(len(raw))] = byte(g.Uint32())
			case 1:
				raw = raw[:1+g.IntN(len(raw))]
			case 2:
				i := g.IntN(len(raw))
				raw = append(raw[:i:i], append(g.bytes(1+g.IntN(3)), raw[i:]...)...)
			}
		}
		if agree(t, raw) {
			accepted++
		} else {
			refused++
		}
	}
	if accepted < 100 || refused < 100 {
		t.Fatalf("%d accepted, %d refused: the mutations test too little", accepted, refused)
	}
}

// agree compares with google's protobuf on one input and reports whether both
// accept it.
func agree(t testing.TB, raw []byte) bool {
	var b Batch
	err := b.ResetChecked(raw)
	var d colpb.ExportTraceServiceRequest
	gerr := proto.Unmarshal(raw, &d)
	if gerr != nil && strings.Contains(gerr.Error(), "UTF-8") {
		return false // ours keeps the span and marks it
	}
	if (err == nil) != (gerr == nil) {
		t.Fatalf("ours: %v\ngoogle: %v\n%x", err, gerr, raw)
	}
	if err != nil {
		var bad *MalformedError
		if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(raw) || bad.Problem == "" {
			t.Fatalf("bad error %v", err)
		}
		return false
	}
	want := filtered(&tracepb.TracesData{ResourceSpans: d.ResourceSpans}, func(s *tracepb.Span) bool {
		parent := len(s.ParentSpanId) == 0 || len(s.ParentSpanId) == 8
		return len(s.TraceId) == 16 && !ID(s.TraceId).IsZero() && len(s.SpanId) == 8 && !SpanID(s.SpanId).IsZero() && parent
	})
	got := mustParse(t, b.AppendSubset(nil, func(int) bool { return true }))
	if !proto.Equal(got, want) {
		t.Fatalf("kept spans differ\n%x", raw)
	}
	for i := range b.Spans() {
		var s Span
		if err := DecodeSpan(b.Span(i), &s); err != nil && !idErrorBefore(err) {
			t.Fatalf("span %d of an accepted batch: %v\n%x", i, err, raw)
		}
	}
	return true
}

// idErrorBefore: DecodeSpan refuses a wrong id even when a right one follows.
func idErrorBefore(err error) bool {
	return errors.Is(err, ErrTraceID) || errors.Is(err, ErrSpanID) || errors.Is(err, ErrParentID)
}

// Merging parts with copies gives each span once, wherever it was.
func TestMergeDropsCopies(t *testing.T) {
	for seed := range uint64(30) {
		g := newGen(seed)
		raw := mustMarshal(t, g.data(60))
		var b Batch
		if err := b.Reset(raw); err != nil {
			t.Fatal(err)
		}
		var parts [][]byte
		for part := range 3 { // each trace is in two of three parts
			parts = append(parts, b.AppendSubset(nil, func(t int) bool { return t%3 != part }))
		}
		all, err := Merge(parts...)
		if err != nil {
			t.Fatal(err)
		}
		var m Batch
		if err := m.Reset(all); err != nil || m.Spans() != b.Spans() || m.Traces() != b.Traces() {
			t.Fatalf("seed %d: %d spans of %d, %v", seed, m.Spans(), b.Spans(), err)
		}
		again, err := Merge(all, all)
		if err != nil || !bytes.Equal(again, all) {
			t.Fatalf("seed %d: merging again changes something: %v", seed, err)
		}
	}
	if _, err := Merge([]byte{0xff}); err == nil {
		t.Fatal("malformed part merged")
	}
}

// Fields out of order, split messages and groups in pieces are the same message.
func TestFieldsInAnyOrder(t *testing.T) {
	for seed := range uint64(40) {
		g := newGen(seed)
		d := g.data(6)
		raw := g.shuffleFields(mustMarshal(t, d), msgTracesData)
		if !proto.Equal(mustParse(t, raw), d) {
			t.Fatalf("seed %d: the test shuffles wrongly", seed)
		}
		r := recoder{t: t}
		if err := Walk(raw, &r); err != nil {
			t.Fatal(err)
		}
		if got := mustParse(t, r.b.Append(nil)); !proto.Equal(got, grouped(d)) {
			t.Fatalf("seed %d: differs", seed)
		}
		if !agree(t, raw) {
			t.Fatalf("seed %d: refused", seed)
		}
	}
}

// shuffleFields moves the fields of a message, keeping the order of equal
// numbers, and sends single sub-messages in two pieces.
func (g *gen) shuffleFields(b []byte, m msgID) []byte {
	var runs [][][]byte
	at := map[int]int{}
	var f field
	for i := 0; i < len(b); {
		next, _ := f.next(b, i)
		raw := b[f.start:f.end]
		info := lookup(m, f.num())
		if info != nil && info.typ == typeMessage && m != msgAnyValue {
			raw = appendBytes(nil, f.num(), g.shuffleFields(f.b, info.sub))
			if !info.repeated && info.sub != msgAnyValue {
				raw = appendBytes(raw, f.num(), nil)
			}
		}
		num := f.num()
		if info == nil {
			num = 1000 // unknown fields keep their order
		}
		k, ok := at[num]
		if !ok {
			k = len(runs)
			at[num] = k
			runs = append(runs, nil)
		}
		runs[k] = append(runs[k], raw)
		i = next
	}
	var out []byte
	for len(runs) > 0 {
		k := g.IntN(len(runs))
		out = append(out, runs[k][0]...)
		if runs[k] = runs[k][1:]; len(runs[k]) == 0 {
			runs = append(runs[:k], runs[k+1:]...)
		}
	}
	return out
}

// Our JSON with base64 ids is what google's JSON reader takes for the message,
// and both forms read back to the same bytes.
func TestJSONAgreesWithGoogle(t *testing.T) {
	for seed := range uint64(60) {
		g := newGen(seed)
		g.plain = true
		d := g.data(20)
		raw := mustMarshal(t, d)
		for _, o := range []JSONOptions{{Base64IDs: true}, {Base64IDs: true, EnumNames: true}} {
			text, err := AppendJSON(nil, raw, o)
			if err != nil {
				t.Fatal(err)
			}
			var got tracepb.TracesData
			if err := protojson.Unmarshal(text, &got); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, text)
			}
			if !proto.Equal(&got, d) {
				t.Fatalf("seed %d: differs\n%s", seed, text)
			}
		}
		for _, o := range []JSONOptions{{}, {EnumNames: true}} {
			text, err := AppendJSON(nil, raw, o)
			if err != nil {
				t.Fatal(err)
			}
			back, err := FromJSON(nil, text)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !proto.Equal(mustParse(t, back), d) {
				t.Fatalf("seed %d: differs after JSON", seed)
			}
		}
	}
}

func TestNothingAllocatesInSteadyState(t *testing.T) {
	reqs, _ := load(t)
	var b Batch
	var s Span
	var buf []byte
	work := func() {
		for _, r := range reqs[:5] {
			if err := b.Reset(r); err != nil {
				t.Fatal(err)
			}
			for i := range b.Spans() {
				if err := DecodeSpan(b.Span(i), &s); err != nil {
					t.Fatal(err)
				}
			}
			buf = b.AppendSubset(buf[:0], func(t int) bool { return t%2 == 0 })
		}
	}
	work()
	if n := testing.AllocsPerRun(3, work); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestTokenIsFNV1(t *testing.T) {
	// Computed with hash/fnv's New32 over the same bytes.
	id, err := ParseID("00112233445566778899aabbccddeeff")
	if err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[string]uint32{"": token("", id), "single-tenant": token("single-tenant", id)} {
		if got := Token(tenant, id); got != want {
			t.Errorf("%q: %d, want %d", tenant, got, want)
		}
	}
}

// The deepest allowed value passes everywhere, one level more nowhere.
func TestDepthLimitIsTheSameEverywhere(t *testing.T) {
	for levels := MaxDepth - 1; levels <= MaxDepth+1; levels++ {
		v := DoubleValue(1)
		for i := range levels - 1 {
			if i%2 == 0 {
				v = Value{Kind: KindArray, Bytes: AppendElement(nil, &v)}
			} else {
				v = Value{Kind: KindMap, Bytes: AppendAttr(nil, 1, &Attr{Key: []byte("k"), Value: v})}
			}
		}
		s := Span{TraceID: ID{1}, SpanID: SpanID{1}, Attrs: []Attr{{Value: v}}}
		s.Events = AppendEvent(nil, &Event{Attrs: s.Attrs})
		var b Builder
		b.AddSpan(&s)
		raw := b.Append(nil)

		var batch Batch
		checked := batch.ResetChecked(raw)
		decoded := DecodeSpan(AppendSpan(nil, &s), &Span{})
		text, written := AppendJSON(nil, raw, JSONOptions{})
		_, _, truncated := Truncate(nil, raw, 1)
		errs := []error{checked, decoded, written, truncated}
		if written == nil {
			_, read := FromJSON(nil, text)
			errs = append(errs, read)
		}
		for i, err := range errs {
			if (err == nil) != (levels <= MaxDepth) {
				t.Errorf("%d levels, way %d: %v", levels, i, err)
			}
		}
	}
}
