package query

import (
	"encoding"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

func sampleTags() (*TagsResult, *TagValuesResult) {
	stats := Stats{Traces: 1, Spans: 2, Bytes: 3, Reads: 4, Segments: 5, Skipped: 6}
	return &TagsResult{
			Scopes: []ScopeTags{{columnar.ScopeSpan, []string{"a", "b"}}, {columnar.ScopeIntrinsic, []string{"name"}}},
			Cut:    true, Stats: stats, Partial: []string{"block 1: gone"}, Limit: 2, MaxBytes: 1_000_000,
		}, &TagValuesResult{
			Values: []TagValue{{TagString, "x", 0}, {TagInt, "", math.MinInt64}, {TagFloat, "", int64(math.Float64bits(0.5))},
				{TagBool, "", 1}, {TagDuration, "", 1e9}, {TagKeyword, "ok", 0}},
			Next: &TagValue{TagKeyword, "unset", 0}, Cut: true, Stats: stats, Partial: []string{"block 1: gone"}, Limit: 6, MaxBytes: 100,
		}
}

type binaryForm interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

func TestTagResultsTravel(t *testing.T) {
	tags, values := sampleTags()
	for _, want := range []binaryForm{tags, values, &TagsResult{}, &TagValuesResult{}} {
		b, err := want.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface().(binaryForm)
		if err := got.UnmarshalBinary(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
		for n := range b {
			if err := got.UnmarshalBinary(b[:n]); !errors.Is(err, ErrResult) {
				t.Errorf("%T, %d of %d bytes: %v", want, n, len(b), err)
			}
		}
	}
}

func TestTagRequestsTravelAsJSON(t *testing.T) {
	for _, want := range []any{
		&TagsRequest{columnar.ScopeSpan, `{ .a = "ü" }`, 1, 1 << 60, 2, 3, 4, "t"},
		&TagValuesRequest{`span."a b"`, `{ .a = "ü" }`, 1, 1 << 60, 2, 3, 4, "t"},
	} {
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		if err := json.Unmarshal(b, got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %s gives %+v", err, b, got)
		}
	}
}

func FuzzTagResults(f *testing.F) {
	tags, values := sampleTags()
	for i, r := range []binaryForm{tags, values} {
		b, err := r.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i == 1, b)
	}
	f.Fuzz(func(t *testing.T, ofValues bool, b []byte) {
		var r, twice binaryForm = new(TagsResult), new(TagsResult)
		if ofValues {
			r, twice = new(TagValuesResult), new(TagValuesResult)
		}
		if r.UnmarshalBinary(b) != nil {
			return
		}
		again, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := twice.UnmarshalBinary(again); err != nil {
			t.Fatalf("what was read and written again is not readable: %v", err)
		}
		switch r := r.(type) {
		case *TagsResult:
			r.Merge(twice.(*TagsResult))
		case *TagValuesResult:
			r.Merge(twice.(*TagValuesResult))
		}
	})
}

func FuzzLenient(f *testing.F) {
	for _, s := range []string{"", "{", "{ .a = 1 && .b = }", `{ (.a = "x || .b) && (`, "{ .a } }", "{{", "{ name =~ `a` || ((.b", "{ .a = 1 } | rate()", `{ "` + "`" + `" && .c`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q := lenient(t.Context(), text)
		if q == nil {
			return
		}
		if _, err := traceql.Parse(q.String()); err != nil {
			t.Errorf("%q became %s, which cannot be read: %v", text, q, err)
		}
	})
}
