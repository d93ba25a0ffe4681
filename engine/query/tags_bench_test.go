package query_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
)

// wide is a segment of 131,072 spans with 300 attributes and dictionaries of 2,000 values, without data pages.
type wide struct {
	columnar.Segment
	info  columnar.Info
	dict  columnar.Dict
	table *columnar.Table
}

func (w *wide) Name() string                 { return "wide" }
func (w *wide) Segments() []columnar.Segment { return []columnar.Segment{w} }
func (w *wide) Info() *columnar.Info         { return &w.info }
func (w *wide) Table(context.Context, columnar.Scope) (*columnar.Table, error) {
	return w.table, nil
}
func (w *wide) Columns(dst []columnar.Column, scope columnar.Scope, _ string) []columnar.Column {
	if scope == columnar.ScopeSpan {
		dst = append(dst, w)
	}
	return dst
}
func (w *wide) Type() columnar.Type                          { return columnar.String }
func (w *wide) Stats() columnar.ColumnStats                  { return columnar.ColumnStats{} }
func (w *wide) Dict(context.Context) (*columnar.Dict, error) { return &w.dict, nil }
func (w *wide) Read(context.Context, columnar.Bitmap, *columnar.Vector) error {
	return errors.New("data page read")
}

func newWide(b *testing.B, n int) []columnar.Source {
	table, err := columnar.NewTable(columnar.ScopeResource, nil)
	if err != nil {
		b.Fatal(err)
	}
	var out []columnar.Source
	for range n {
		w := &wide{table: table, info: columnar.Info{Rows: 1 << 17}, dict: columnar.Dict{Offsets: []uint32{0}}}
		for i := range 300 {
			w.info.Fields = append(w.info.Fields, columnar.Field{Scope: columnar.ScopeSpan, Key: fmt.Sprintf("attribute.%d", i), Type: columnar.String})
		}
		for i := range 2000 {
			w.dict.Arena = fmt.Appendf(w.dict.Arena, "some value %d", i)
			w.dict.Offsets = append(w.dict.Offsets, uint32(len(w.dict.Arena)))
		}
		out = append(out, w)
	}
	return out
}

// BenchmarkTags lists what 2 million spans have.
func BenchmarkTags(b *testing.B) {
	sources := newWide(b, 16)
	b.Run("tags", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if res, err := query.Tags(context.Background(), sources, query.TagsRequest{Query: "{}", MaxBytes: 1_000_000}); err != nil || len(res.Scopes[0].Tags) != 300 {
				b.Fatal(res, err)
			}
		}
	})
	b.Run("values", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			req := query.TagValuesRequest{Tag: "span.attribute.7", MaxBytes: 1_000_000}
			if res, err := query.TagValues(context.Background(), sources, req); err != nil || len(res.Values) != 2000 {
				b.Fatal(res, err)
			}
		}
	})
}
