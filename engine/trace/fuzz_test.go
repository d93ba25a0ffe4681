package trace

import (
	"bytes"
	"errors"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func FuzzBatch(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(newGen(seed).request(1 + int(seed)))
	}
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add(bytes.Repeat([]byte{0x0b}, 100))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16 {
			return
		}
		whole := agree(t, raw)
		r := recoder{t: t}
		err := Walk(raw, &r)
		if whole && err != nil && !idErrorBefore(err) && r.n == 0 {
			var b Batch
			if _ = b.Reset(raw); b.Rejected() == 0 {
				t.Fatalf("batch accepts, walk refuses: %v", err)
			}
		}
		if text, err := AppendJSON(nil, raw, JSONOptions{}); err == nil {
			back, err := FromJSON(nil, text)
			if err != nil {
				t.Fatalf("own JSON refused: %v\n%s", err, text)
			}
			again, err := AppendJSON(nil, back, JSONOptions{})
			if err != nil || !bytes.Equal(again, text) {
				t.Fatalf("JSON is not stable: %v\n%s\n%s", err, text, again)
			}
		} else if whole {
			t.Fatalf("batch accepts, JSON refuses: %v", err)
		}
	})
}

func FuzzDecodeSpan(f *testing.F) {
	for seed := range uint64(8) {
		b, err := proto.Marshal(newGen(seed).span())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s, again Span
		if err := DecodeSpan(raw, &s); err != nil {
			return
		}
		out := AppendSpan(nil, &s)
		if err := DecodeSpan(out, &again); err != nil {
			t.Fatalf("own encoding refused: %v", err)
		}
		if !bytes.Equal(AppendSpan(nil, &again), out) {
			t.Fatal("encoding is not stable")
		}
		var want, got tracepb.Span
		if proto.Unmarshal(raw, &want) == nil {
			if err := proto.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if got.Name != want.Name || len(got.Attributes) != len(want.Attributes) || len(got.Events) != len(want.Events) {
				t.Fatal("google reads something else")
			}
		}
	})
}

func FuzzFromJSON(f *testing.F) {
	for seed := range uint64(4) {
		text, err := AppendJSON(nil, newGen(seed).request(2), JSONOptions{EnumNames: seed%2 == 0})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"resourceSpans":[{"x":[1,{"y":null}],"scope_spans":[{"spans":[{"traceId":"\u0041B","kind":1e0}]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		raw, err := FromJSON(nil, text)
		if err != nil {
			var bad *JSONError
			if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(text) {
				t.Fatalf("bad error %v", err)
			}
			return
		}
		if len(raw) > 4*len(text)+16 {
			t.Fatalf("%d bytes of JSON became %d", len(text), len(raw))
		}
		var b Batch
		if err := b.ResetChecked(raw); err != nil {
			t.Fatalf("own protobuf refused: %v", err)
		}
		if err := proto.Unmarshal(raw, &tracepb.TracesData{}); err != nil {
			t.Fatalf("google refuses it: %v", err)
		}
		out, err := AppendJSON(nil, raw, JSONOptions{})
		if err != nil {
			t.Fatal(err)
		}
		back, err := FromJSON(nil, out)
		if err != nil || !bytes.Equal(mustCanonical(t, back), mustCanonical(t, raw)) {
			t.Fatalf("differs after a second trip: %v", err)
		}
	})
}

// mustCanonical is google's deterministic encoding.
func mustCanonical(t *testing.T, raw []byte) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(mustParse(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
