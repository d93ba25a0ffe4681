package querytest

import (
	"context"
	"math/rand"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// Vary is a segment with the rows of another in a random order, and its columns in other codings: dense or sparse, with
// or without a dictionary, with or without unread pages. What the evaluation may not rely on has arbitrary values.
func Vary(seg columnar.Segment, seed int64) (columnar.Segment, error) {
	ctx := context.Background()
	r := rand.New(rand.NewSource(seed))
	v := &varied{Segment: seg, seed: seed, info: *seg.Info()}
	v.info.Unique = r.Intn(2) == 0
	t, err := seg.Traces(ctx)
	if err != nil {
		return nil, err
	}
	v.traces = *t
	if r.Intn(3) == 0 {
		return v, nil
	}
	v.to = make([]uint32, v.info.Rows) // old row → new row
	for i, p := range r.Perm(v.info.Rows) {
		v.to[i] = uint32(p)
	}
	v.from = make([]uint32, v.info.Rows)
	for old, now := range v.to {
		v.from[now] = uint32(old)
	}
	for i := range v.info.Rows {
		v.traces.Perm = append(v.traces.Perm, v.to[i])
	}
	return v, nil
}

type varied struct {
	columnar.Segment
	seed     int64
	info     columnar.Info
	traces   columnar.Traces
	to, from []uint32 // nil = rows as they were
}

// Info implements columnar.Segment.
func (v *varied) Info() *columnar.Info { return &v.info }

// Traces implements columnar.Segment.
func (v *varied) Traces(context.Context) (*columnar.Traces, error) { return &v.traces, nil }

// Segments makes it a source.
func (v *varied) Segments() []columnar.Segment { return []columnar.Segment{v} }

// Name implements columnar.Source.
func (v *varied) Name() string { return "varied" }

// Find implements columnar.Segment.
func (v *varied) Find(ctx context.Context, id trace.ID, dst []uint32) ([]uint32, error) {
	rows, err := v.Segment.Find(ctx, id, dst)
	if v.to != nil {
		for i := range rows {
			rows[i] = v.to[rows[i]]
		}
	}
	return rows, err
}

// Spans implements columnar.Segment.
func (v *varied) Spans(ctx context.Context, rows []uint32, visit func(columnar.RawSpan) error) error {
	for _, row := range rows {
		old := row
		if v.from != nil {
			old = v.from[row]
		}
		err := v.Segment.Spans(ctx, []uint32{old}, func(s columnar.RawSpan) error {
			s.Row = row
			return visit(s)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Columns implements columnar.Segment.
func (v *varied) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	from := len(dst)
	dst = v.Segment.Columns(dst, scope, key)
	for i := from; i < len(dst); i++ {
		h := v.seed
		for _, c := range key {
			h = h*31 + int64(c)
		}
		dst[i] = &variedColumn{Column: dst[i], v: v, r: rand.New(rand.NewSource(h)).Intn(4)}
	}
	return dst
}

type variedColumn struct {
	columnar.Column
	v *varied
	r int
}

// Dict implements columnar.Column.
func (c *variedColumn) Dict(ctx context.Context) (*columnar.Dict, error) {
	if c.r == 0 {
		return nil, nil
	}
	return c.Column.Dict(ctx)
}

// Read implements columnar.Column.
func (c *variedColumn) Read(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) error {
	var in columnar.Vector
	if err := c.Column.Read(ctx, nil, &in); err != nil {
		return err
	}
	n := c.v.info.Rows
	direct := in.Dict == nil && in.Codes != nil
	old := func(row int) (entry int, ok bool) {
		if c.v.from != nil {
			row = int(c.v.from[row])
		}
		if in.Rows != nil {
			for i, r := range in.Rows {
				if int(r) == row {
					return i, true
				}
			}
			return 0, false
		}
		if in.Present != nil && !in.Present.Has(uint32(row)) {
			return 0, false
		}
		return row, in.Dict == nil || in.Lists != nil || in.Codes[row] != 0
	}
	var entries []int
	var rows []uint32
	for row := range n {
		e, ok := old(row)
		switch {
		case !ok && !direct:
			entries = append(entries, -1)
		case within != nil && !within.Has(uint32(row)) && c.r == 1 && !direct:
			entries = append(entries, -1) // not asked for: left out
		default:
			entries = append(entries, e)
			rows = append(rows, uint32(row))
		}
	}
	if c.r >= 2 && !direct { // sparse
		list := dst.UseRows(len(rows))
		copy(list, rows)
		kept := entries[:0]
		for _, e := range entries {
			if e >= 0 {
				kept = append(kept, e)
			}
		}
		entries = kept
	}
	c.fill(&in, dst, entries)
	return nil
}

// fill writes the entries; -1 is null.
func (c *variedColumn) fill(in, dst *columnar.Vector, entries []int) {
	if dst.Rows == nil && !(in.Dict != nil && c.r != 0 && in.Lists == nil) && !(in.Dict == nil && in.Codes != nil) {
		present := dst.UsePresent(len(entries))
		for i, e := range entries {
			if e >= 0 {
				present.Set(uint32(i))
			}
		}
	}
	if in.Lists != nil {
		lists := dst.UseLists(len(entries) + 1)
		lists[0] = 0
		var values []int
		for i, e := range entries {
			if e >= 0 {
				for k := in.Lists[e]; k < in.Lists[e+1]; k++ {
					values = append(values, int(k))
				}
			}
			lists[i+1] = uint32(len(values))
		}
		entries = values
	}
	switch {
	case in.Ints != nil:
		out := dst.UseInts(len(entries))
		for i, e := range entries {
			out[i] = 77
			if e >= 0 {
				out[i] = in.Ints[e]
			}
		}
	case in.Floats != nil:
		out := dst.UseFloats(len(entries))
		for i, e := range entries {
			out[i] = 77
			if e >= 0 {
				out[i] = in.Floats[e]
			}
		}
	case in.Dict == nil || c.r != 0:
		dst.Dict = in.Dict
		out := dst.UseCodes(len(entries))
		for i, e := range entries {
			out[i] = 0
			if e >= 0 {
				out[i] = in.Codes[e]
			}
		}
	default: // plain strings
		var arena []byte
		offsets := []uint32{0}
		for _, e := range entries {
			if e >= 0 {
				arena = append(arena, in.Dict.Bytes(int(in.Codes[e])-1)...)
			}
			arena = append(arena, "gap!"...)
			offsets = append(offsets, uint32(len(arena)))
		}
		a, o := dst.UseStrings(len(arena), len(offsets))
		copy(a, arena)
		copy(o, offsets)
		dst.Gap = 4
	}
}
