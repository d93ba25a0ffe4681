package recent

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// segment is a snapshot of a head as a columnar.Segment. Nothing of it is copied:
// vectors alias the head's columns, which only grow.
type segment struct {
	cols   *block.Columns
	info   columnar.Info
	strays map[block.Attr]bool // attributes with a column and values in the overflow list

	once   sync.Once
	traces *columnar.Traces

	tables sync.Once
	table  [2]*columnar.Table
	err    error
}

// newSegment makes the segment of a snapshot.
func newSegment(cols *block.Columns, bytes int64, k *known) *segment {
	s := &segment{cols: cols, strays: k.strays}
	s.info = columnar.Info{Rows: cols.Rows, Traces: len(cols.IDs), Bytes: bytes, Fields: k.fields, Start: k.start, End: k.end, MinID: k.low, MaxID: k.high}
	return s
}

// known is what a head has found out about its spans for snapshots; each
// snapshot looks only at what is new.
type known struct {
	rows, ids  int
	start, end int64
	low, high  trace.ID
	set        block.FieldSet
	fields     []columnar.Field
	strays     map[block.Attr]bool
}

// knownOf brings known up to date with a snapshot and returns a copy.
func (h *head) knownOf(cols *block.Columns) *known {
	k := &h.known
	duration := cols.Fixed[block.ColDuration].Ints
	for ; k.rows < cols.Rows; k.rows++ {
		start := cols.Start[k.rows]
		end := start + max(duration[k.rows], 0)
		if k.rows == 0 {
			k.start, k.end = start, end
		}
		k.start, k.end = min(k.start, start), max(k.end, end)
	}
	for ; k.ids < len(cols.IDs); k.ids++ {
		id := cols.IDs[k.ids]
		if k.ids == 0 {
			k.low, k.high = id, id
		}
		if compareIDs(id, k.low) < 0 {
			k.low = id
		}
		if compareIDs(id, k.high) > 0 {
			k.high = id
		}
	}
	k.set.Update(cols)
	out := *k
	out.fields, out.strays = k.set.Fields(), k.set.Strays()
	return &out
}

func compareIDs(a, b trace.ID) int { return bytes.Compare(a[:], b[:]) }

// Info implements columnar.Segment.
func (s *segment) Info() *columnar.Info { return &s.info }

// Columns implements columnar.Segment.
func (s *segment) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	switch scope {
	case columnar.ScopeIntrinsic:
		if c, t := s.intrinsic(key); c != nil && (c.Rows == nil || len(c.Rows) > 0) {
			return append(dst, &vector{col: c, t: t, positive: key == columnar.KeyDuration, rows: s.cols.Rows})
		}
	case columnar.ScopeSpan:
		return s.attributes(dst, key)
	}
	return dst
}

func (s *segment) attributes(dst []columnar.Column, key string) []columnar.Column {
	found := map[columnar.Type]bool{}
	for i := range s.cols.Attrs {
		if a := &s.cols.Attrs[i]; a.Key == key {
			found[a.Type] = true
			dst = append(dst, &vector{col: &a.Column, t: a.Type, rows: s.cols.Rows})
		}
	}
	if len(s.cols.Fixed[block.ColOverflowKey].Codes) == 0 {
		return dst
	}
	for _, f := range s.info.Fields {
		if f.Scope == columnar.ScopeSpan && f.Key == key && (!found[f.Type] || s.strays[block.Attr{Key: key, Type: f.Type}]) {
			dst = append(dst, &overflow{s: s, key: key, t: f.Type})
		}
	}
	return dst
}

func (s *segment) intrinsic(key string) (*block.Column, columnar.Type) {
	f := &s.cols.Fixed
	switch key {
	case columnar.KeySpanID:
		return &f[block.ColSpanID], columnar.Int
	case columnar.KeyParentID:
		return &f[block.ColParentID], columnar.Int
	case columnar.KeyStart:
		return &block.Column{Ints: s.cols.Start}, columnar.Int
	case columnar.KeyDuration:
		return &f[block.ColDuration], columnar.Int
	case columnar.KeyName:
		return &f[block.ColName], columnar.String
	case columnar.KeyKind:
		return &f[block.ColKind], columnar.Int
	case columnar.KeyStatus:
		return &f[block.ColStatus], columnar.Int
	case columnar.KeyStatusMessage:
		return &f[block.ColStatusMessage], columnar.String
	case columnar.KeyTraceState:
		return &f[block.ColTraceState], columnar.String
	case columnar.KeyResource:
		return &f[block.ColResource], columnar.Int
	case columnar.KeyScope:
		return &f[block.ColScope], columnar.Int
	case columnar.KeyEvents:
		return &f[block.ColEvents], columnar.Bytes
	case columnar.KeyLinks:
		return &f[block.ColLinks], columnar.Bytes
	}
	return nil, columnar.Nil
}

// Table implements columnar.Segment.
func (s *segment) Table(_ context.Context, scope columnar.Scope) (*columnar.Table, error) {
	s.tables.Do(func() {
		s.table[0], s.err = columnar.NewTable(columnar.ScopeResource, s.cols.Resources)
		if s.err == nil {
			s.table[1], s.err = columnar.NewTable(columnar.ScopeInstrumentation, s.cols.Scopes)
		}
	})
	if s.err != nil {
		return nil, fmt.Errorf("recent spans: %w", s.err)
	}
	if scope == columnar.ScopeInstrumentation {
		return s.table[1], nil
	}
	return s.table[0], nil
}

// Traces implements columnar.Segment: rows arrive in any order, so there is a Perm.
func (s *segment) Traces(context.Context) (*columnar.Traces, error) {
	s.once.Do(func() {
		n := len(s.cols.IDs)
		place := make([]uint32, n)
		order := make([]uint32, n)
		for i := range order {
			order[i] = uint32(i)
		}
		slices.SortFunc(order, func(a, b uint32) int { return compareIDs(s.cols.IDs[a], s.cols.IDs[b]) })
		t := &columnar.Traces{IDs: make([]trace.ID, n), Offsets: make([]uint32, n+1), Perm: make([]uint32, s.cols.Rows)}
		for p, i := range order {
			place[i], t.IDs[p] = uint32(p), s.cols.IDs[i]
		}
		for _, no := range s.cols.Trace {
			t.Offsets[place[no]+1]++
		}
		for i := range n {
			t.Offsets[i+1] += t.Offsets[i]
		}
		next := slices.Clone(t.Offsets)
		for row, no := range s.cols.Trace {
			p := &next[place[no]]
			t.Perm[*p] = uint32(row)
			*p++
		}
		for i := range n { // as a block has them, so that trees get the same numbers
			block.SortByStart(t.Perm[t.Offsets[i]:t.Offsets[i+1]], s.cols.Start)
		}
		s.traces = t
	})
	return s.traces, nil
}

// Find implements columnar.Segment.
func (s *segment) Find(_ context.Context, id trace.ID, dst []uint32) ([]uint32, error) {
	no := slices.Index(s.cols.IDs, id)
	if no < 0 {
		return dst, nil
	}
	for row, n := range s.cols.Trace {
		if int(n) == no {
			dst = append(dst, uint32(row))
		}
	}
	return dst, nil
}

// Spans implements columnar.Segment.
func (s *segment) Spans(_ context.Context, rows []uint32, visit func(columnar.RawSpan) error) error {
	return s.cols.EachSpan(rows, visit)
}

// vector is a column of a snapshot as a columnar.Column.
type vector struct {
	col      *block.Column
	t        columnar.Type
	positive bool
	rows     int
	dict     *columnar.Dict
}

// Type implements columnar.Column.
func (v *vector) Type() columnar.Type { return v.t }

// Stats implements columnar.Column.
func (v *vector) Stats() columnar.ColumnStats {
	st := columnar.ColumnStats{Values: v.col.Len()}
	if v.col.Lens != nil {
		st.Values = len(v.col.Lens)
	}
	if v.col.Dict != nil && !v.col.Plain {
		st.Distinct = v.col.Dict.Len()
	}
	return st
}

// Dict implements columnar.Column.
func (v *vector) Dict(context.Context) (*columnar.Dict, error) {
	if v.col.Dict == nil || v.col.Ints != nil || v.plain() {
		return nil, nil
	}
	if v.dict == nil {
		return &columnar.Dict{Arena: v.col.Dict.Arena, Offsets: v.col.Dict.Offsets}, nil
	}
	return v.dict, nil
}

// plain tells whether entries may repeat, so that they are values, not a
// dictionary.
func (v *vector) plain() bool { return v.col.Plain || v.t == columnar.Bytes }

// Read implements columnar.Column.
func (v *vector) Read(ctx context.Context, _ columnar.Bitmap, dst *columnar.Vector) error {
	dst.Reset()
	c := v.col
	if c.Rows != nil && len(c.Rows) < v.rows {
		dst.Rows = c.Rows
	}
	if c.Lens != nil {
		lists, at := dst.UseLists(len(c.Lens)+1), uint32(0)
		for i, n := range c.Lens {
			lists[i] = at
			at += n
		}
		lists[len(c.Lens)] = at
	}
	switch {
	case c.Ints != nil && v.t.Elem() == columnar.Float:
		out := dst.UseFloats(len(c.Ints))
		for i, x := range c.Ints {
			out[i] = math.Float64frombits(uint64(x))
		}
	case c.Ints != nil && v.positive:
		out := dst.UseInts(len(c.Ints))
		for i, x := range c.Ints {
			out[i] = max(x, 0)
		}
	case c.Ints != nil:
		dst.Ints = c.Ints
	case c.Dict == nil || v.t == columnar.Int:
		dst.Codes = c.Codes
	case v.plain():
		v.strings(dst)
	default:
		d, err := v.Dict(ctx)
		if err != nil {
			return err
		}
		dst.Dict, dst.Codes = d, c.Codes
	}
	return nil
}

// strings lists plain values. Codes ascend one by one unless the column stopped
// looking values up halfway.
func (v *vector) strings(dst *columnar.Vector) {
	c := v.col
	if len(c.Codes) == c.Dict.Len() {
		dst.Arena, dst.Offsets = c.Dict.Arena, c.Dict.Offsets
		return
	}
	size := 0
	for _, k := range c.Codes {
		size += len(c.Dict.Entry(int(k - 1)))
	}
	arena, offsets := dst.UseStrings(size, len(c.Codes)+1)
	at := 0
	for i, k := range c.Codes {
		offsets[i] = uint32(at)
		at += copy(arena[at:], c.Dict.Entry(int(k-1)))
	}
	offsets[len(c.Codes)] = uint32(at)
}

// overflow is a key and type of the overflow list as a columnar.Column.
type overflow struct {
	s   *segment
	key string
	t   columnar.Type
}

// Type implements columnar.Column.
func (o *overflow) Type() columnar.Type { return o.t }

// Stats implements columnar.Column.
func (o *overflow) Stats() columnar.ColumnStats { return columnar.ColumnStats{} }

// Dict implements columnar.Column.
func (o *overflow) Dict(context.Context) (*columnar.Dict, error) { return nil, nil }

// Read implements columnar.Column.
func (o *overflow) Read(_ context.Context, _ columnar.Bitmap, dst *columnar.Vector) error {
	dst.Reset()
	f := &o.s.cols.Fixed
	l := block.OverflowList{Key: f[block.ColOverflowKey], Value: f[block.ColOverflowValue]}
	return l.Extract([]byte(o.key), o.t, dst)
}
