package query_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
)

// stored is a segment whose columns are copied into the memory of the reader, as those of a block are.
type stored struct{ *querytest.Memory }

func (s stored) Segments() []columnar.Segment { return []columnar.Segment{s} }

func (s stored) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	for _, c := range s.Memory.Columns(nil, scope, key) {
		dst = append(dst, storedColumn{c})
	}
	return dst
}

type storedColumn struct{ columnar.Column }

func (c storedColumn) Read(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) error {
	var v columnar.Vector
	if err := c.Column.Read(ctx, within, &v); err != nil {
		return err
	}
	dst.Reset()
	dst.Dict, dst.Rows, dst.Present, dst.Lists = v.Dict, v.Rows, v.Present, v.Lists
	if v.Codes != nil {
		copy(dst.UseCodes(len(v.Codes)), v.Codes)
	}
	if v.Ints != nil {
		copy(dst.UseInts(len(v.Ints)), v.Ints)
	}
	dst.Floats = v.Floats
	return nil
}

// Every column that a query reads counts, and is given back after each segment.
func TestColumnsTakeTheirMemory(t *testing.T) {
	m := shop(t)
	src := []columnar.Source{stored{m}, stored{m}, memory(t, querytest.Random(1, 50)...)}
	need := map[string]int64{}
	for _, q := range []string{
		"{ duration > 1ns }", "{ duration > 1ns && span:childCount >= 0 && name != `x` && kind != server && status != error }",
		"{ duration > 1ns } >> { name != `x` }", "{ } | count() > 2",
	} {
		plan, err := query.Prepare(query.SearchRequest{Query: q, Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		own := (*query.Budget)(nil).Query(0, "key")
		ctx := query.WithBudget(t.Context(), own)
		units, err := plan.Units(ctx, src, nil)
		if err != nil || len(units) == 0 {
			t.Fatal(q, units, err)
		}
		cut := own.Used()
		for _, u := range units {
			part := own.Part()
			if _, err := plan.Run(query.WithBudget(t.Context(), part), u); err != nil {
				t.Fatal(q, err)
			}
			need[q] = max(need[q], int64(u.Info().Rows))
			if part.Release(); own.Used() != cut {
				t.Errorf("%s: %d bytes after cutting, %d after a unit", q, cut, own.Used())
			}
		}
		if cut > 1<<16 {
			t.Errorf("%s: %d bytes are kept after cutting", q, cut)
		}
		for _, u := range units {
			if u.Info().Rows != int(need[q]) { // the largest unit
				continue
			}
			little := (*query.Budget)(nil).Query(24*need[q]+4*need[q], "key") // no room for a column of numbers
			_, err := plan.Run(query.WithBudget(t.Context(), little), u)
			var limit *query.LimitError
			if !errors.As(err, &limit) {
				t.Errorf("%s: with %d bytes for %d rows: %v", q, little.Most(), need[q], err)
			}
		}
	}
}
