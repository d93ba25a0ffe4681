package query

import (
	"errors"
	"reflect"
	"testing"

	"github.com/ringctl/ringctl/engine/trace"
)

func sampleResult() *SearchResult {
	return &SearchResult{
		Stats: Stats{Traces: 1, Spans: 2, Bytes: 3, Reads: 4, Segments: 5, Skipped: 6}, Partial: []string{"block 1: gone"},
		Traces: []TraceResult{{
			ID: trace.ID{1, 15: 2}, HasRoot: true, RootService: "cart", RootName: "GET /", Start: -5, End: 1 << 60,
			Sets: []SpanSet{{Matched: 7, Attrs: []Attribute{{"by", trace.IntValue(-3)}}, Spans: []SpanResult{
				{ID: trace.SpanID{9}, Name: "x", Start: 1, Duration: 2, Attrs: []Attribute{{"k", trace.StringValue([]byte("v"))}, {"f", trace.DoubleValue(0.5)}}}}}},
			Services: []ServiceStats{{"cart", 3, 1}},
		}, {ID: trace.ID{2}}},
	}
}

func TestSearchResultTravels(t *testing.T) {
	want := sampleResult()
	b, err := want.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var got SearchResult
	if err := got.UnmarshalBinary(b); err != nil || !reflect.DeepEqual(&got, want) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, &got, want)
	}
	for n := range b {
		if err := new(SearchResult).UnmarshalBinary(b[:n]); !errors.Is(err, ErrResult) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if err := got.UnmarshalBinary([]byte{9}); !errors.Is(err, ErrResult) {
		t.Errorf("unknown version: %v", err)
	}
}

func FuzzSearchResult(f *testing.F) {
	b, err := sampleResult().MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var r SearchResult
		if r.UnmarshalBinary(b) != nil {
			return
		}
		again, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var twice SearchResult
		if err := twice.UnmarshalBinary(again); err != nil {
			t.Fatalf("what was read and written again is not readable: %v", err)
		}
	})
}

func BenchmarkSearchResult(b *testing.B) {
	r := &SearchResult{}
	for i := range 8192 {
		t := sampleResult().Traces[0]
		t.ID[3], t.ID[4] = byte(i), byte(i>>8)
		r.Traces = append(r.Traces, t)
	}
	wire, err := r.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("marshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.MarshalBinary(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := new(SearchResult).UnmarshalBinary(wire); err != nil {
				b.Fatal(err)
			}
		}
	})
}
