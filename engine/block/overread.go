package block

import (
	"context"
	"fmt"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// overflowReader is one key and type out of the overflow list as a columnar.Column.
type overflowReader struct {
	s   *segment
	key string
	t   columnar.Type
}

// Type implements columnar.Column.
func (c *overflowReader) Type() columnar.Type { return c.t }

// Stats implements columnar.Column.
func (c *overflowReader) Stats() columnar.ColumnStats {
	k, v := c.s.chunk(ColOverflowKey), c.s.chunk(ColOverflowValue)
	return columnar.ColumnStats{Bytes: k.End - k.Start + v.End - v.Start}
}

// Dict implements columnar.Column.
func (c *overflowReader) Dict(context.Context) (*columnar.Dict, error) { return nil, nil }

// Excludes implements columnar.Excluder: never, without a read.
func (c *overflowReader) Excludes([]byte) bool { return false }

// Read implements columnar.Column.
func (c *overflowReader) Read(ctx context.Context, _ columnar.Bitmap, dst *columnar.Vector) error {
	dst.Reset()
	list, err := c.s.overflow(ctx)
	if err != nil {
		return err
	}
	return list.Extract([]byte(c.key), c.t, dst)
}

// overflow decodes the overflow list of the row group.
func (s *segment) overflow(ctx context.Context) (*OverflowList, error) {
	var l OverflowList
	for i, n := range []int{ColOverflowKey, ColOverflowValue} {
		err := s.read(ctx, n, nil, func(r *raw) error {
			col := Column{Rows: append([]uint32{}, r.v.Rows...), Lens: append([]uint32{}, r.v.Lens...), Codes: append([]uint32{}, r.v.Codes...), Dict: new(pq.Dict)}
			if r.dict != nil {
				*col.Dict = pq.Dict{Arena: r.dict.Arena, Offsets: r.dict.Offsets, Gap: r.dict.Gap}
			}
			for k := range r.v.Plain.Len() {
				col.Dict.Append(r.v.Plain.Entry(k))
				col.Codes = append(col.Codes, uint32(k+1))
			}
			if i == 0 {
				l.Key = col
			} else {
				l.Value = col
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(l.Key.Codes) != len(l.Value.Codes) {
		return nil, s.b.fault(s.part(ColOverflowValue), fmt.Errorf("%w: %d keys, %d values", pq.ErrDamaged, len(l.Key.Codes), len(l.Value.Codes)))
	}
	return &l, nil
}

// OverflowList holds the attributes of spans that have no column of their own.
type OverflowList struct {
	Key, Value Column
}

// Extract makes a sparse vector of the values of one key and type.
func (l *OverflowList) Extract(key []byte, t columnar.Type, dst *columnar.Vector) error {
	var x extractor
	x.offsets = append(x.offsets, 0)
	var dec anyDecoder
	e := 0
	for i, row := range l.Key.Rows {
		taken := false
		for range l.Key.Lens[i] {
			k, v := l.Key.Codes[e], l.Value.Codes[e]
			e++
			if taken || string(l.Key.Dict.Entry(int(k-1))) != string(key) {
				continue
			}
			var val trace.Value
			if err := dec.decode(l.Value.Dict.Entry(int(v-1)), &val); err != nil {
				return fmt.Errorf("overflow value of %q: %w", key, err)
			}
			if TypeOf(&val) == t {
				taken = true
				x.add(row, t, &val, l.Value.Dict.Entry(int(v-1)))
			}
		}
	}
	x.finish(t, dst)
	return nil
}

// extractor collects the values of a sparse vector.
type extractor struct {
	rows, lists, offsets []uint32
	ints                 []int64
	floats               []float64
	arena                []byte
}

func (x *extractor) add(row uint32, t columnar.Type, v *trace.Value, raw []byte) {
	x.rows = append(x.rows, row)
	switch {
	case t&columnar.Array != 0:
		x.lists = append(x.lists, uint32(x.count(t.Elem())))
		for e, err := range v.Elements() {
			if err == nil {
				x.one(t.Elem(), &e, nil)
			}
		}
	default:
		x.one(t, v, raw)
	}
}

func (x *extractor) count(t columnar.Type) int {
	switch t {
	case columnar.Int, columnar.Bool:
		return len(x.ints)
	case columnar.Float:
		return len(x.floats)
	}
	return len(x.offsets) - 1
}

func (x *extractor) one(t columnar.Type, v *trace.Value, raw []byte) {
	switch t {
	case columnar.Int, columnar.Bool:
		x.ints = append(x.ints, v.Int)
	case columnar.Float:
		x.floats = append(x.floats, v.Float())
	case columnar.Other:
		x.arena = append(x.arena, raw...)
		x.offsets = append(x.offsets, uint32(len(x.arena)))
	default:
		x.arena = append(x.arena, v.Bytes...)
		x.offsets = append(x.offsets, uint32(len(x.arena)))
	}
}

func (x *extractor) finish(t columnar.Type, dst *columnar.Vector) {
	copy(dst.UseRows(len(x.rows)), x.rows)
	switch t.Elem() {
	case columnar.Int, columnar.Bool:
		copy(dst.UseInts(len(x.ints)), x.ints)
	case columnar.Float:
		copy(dst.UseFloats(len(x.floats)), x.floats)
	default:
		arena, offsets := dst.UseStrings(len(x.arena), len(x.offsets))
		copy(arena, x.arena)
		copy(offsets, x.offsets)
	}
	if t&columnar.Array != 0 {
		x.lists = append(x.lists, uint32(x.count(t.Elem())))
		copy(dst.UseLists(len(x.lists)), x.lists)
	}
}
