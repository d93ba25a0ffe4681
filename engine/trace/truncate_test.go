package trace

import (
	"bytes"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Truncate does what a walk over google's message does.
func TestTruncateAgreesWithGoogle(t *testing.T) {
	total := 0
	for seed := range uint64(60) {
		g := newGen(seed)
		d := g.data(20)
		raw := mustMarshal(t, d)
		limit := g.IntN(40)
		out, cuts, err := Truncate([]byte("x"), raw, limit)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		cutAll(d.ProtoReflect(), limit, &n)
		if got := mustParse(t, out[1:]); !proto.Equal(got, d) || cuts.Total() != n {
			t.Fatalf("seed %d limit %d: %d cuts, want %d", seed, limit, cuts.Total(), n)
		}
		var b Batch
		if err := b.Reset(raw); err != nil {
			t.Fatal(err)
		}
		same, none, err := Truncate(nil, raw, b.LargestField())
		if err != nil || none.Total() != 0 || !bytes.Equal(same, raw) {
			t.Fatalf("seed %d: a string is longer than LargestField: %v, %v", seed, none, err)
		}
		total += n
	}
	if total < 100 {
		t.Fatalf("only %d cuts", total)
	}
}

func cutAll(m protoreflect.Message, limit int, n *int) {
	cut := func(s string) string {
		if len(s) <= limit {
			return s
		}
		*n++
		end := 0
		for i, r := range s {
			if i+len(string(r)) > limit {
				break
			}
			end = i + len(string(r))
		}
		return s[:end]
	}
	switch v := m.Interface().(type) {
	case *commonpb.KeyValue:
		v.Key = cut(v.Key)
	case *commonpb.AnyValue:
		if s, ok := v.Value.(*commonpb.AnyValue_StringValue); ok {
			s.StringValue = cut(s.StringValue)
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				cutAll(v.List().Get(i).Message(), limit, n)
			}
		case fd.Message() != nil:
			cutAll(v.Message(), limit, n)
		}
		return true
	})
}

func FuzzTruncate(f *testing.F) {
	f.Add(newGen(1).request(3), 5)
	f.Add([]byte{0x0a, 0x02, 0x12, 0x00}, 0)
	f.Fuzz(func(t *testing.T, raw []byte, limit int) {
		if limit < 0 || len(raw) > 1<<16 {
			return
		}
		out, _, err := Truncate(nil, raw, limit)
		if err != nil {
			return
		}
		again, cuts, err := Truncate(nil, out, limit)
		if err != nil || cuts.Total() != 0 || !bytes.Equal(again, out) {
			t.Fatalf("not stable: %v %v", cuts, err)
		}
	})
}
