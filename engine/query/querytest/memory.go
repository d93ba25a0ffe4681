package querytest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// Memory is a [columnar.Segment] built from OTLP bytes, for small sets of spans. Its rows are sorted by trace, then by start.
type Memory struct {
	info    columnar.Info
	traces  columnar.Traces
	columns map[columnKey][]columnar.Column
	tables  [2]*columnar.Table
	spans   []memorySpan
}

// columnKey names the columns of an attribute or intrinsic.
type columnKey struct {
	scope columnar.Scope
	key   string
}

type memorySpan struct {
	id              trace.ID
	span, parent    uint64
	start           int64
	kind            trace.SpanKind
	resource, scope uint32
	raw             []byte
}

// MemoryBuilder collects spans for a [Memory]. Spans with the same trace id, span id and kind count once. It is a
// [trace.Visitor]: give it to [trace.Walk]. The bytes are copied. The zero value is ready; not safe for concurrent use.
type MemoryBuilder struct {
	spans   []memorySpan
	seen    map[spanKey]struct{}
	entries [2][]columnar.Entry
	index   [2]map[string]uint32
	at      [2]uint32
	bytes   int
}

type spanKey struct {
	id   trace.ID
	span uint64
	kind trace.SpanKind
}

// Resource chooses the resource of the spans that follow.
func (b *MemoryBuilder) Resource(g *trace.Group) error {
	b.at[0] = b.entry(0, g)
	b.at[1] = b.entry(1, &trace.Group{})
	return nil
}

// Scope chooses the instrumentation scope of the spans that follow.
func (b *MemoryBuilder) Scope(g *trace.Group) error {
	b.at[1] = b.entry(1, g)
	return nil
}

func (b *MemoryBuilder) entry(kind int, g *trace.Group) uint32 {
	if b.index[kind] == nil {
		b.index[kind] = make(map[string]uint32)
	}
	key := fmt.Sprintf("%d %d %s%s%s", len(g.Raw), len(g.SchemaURL), g.Raw, g.SchemaURL, g.Unknown)
	if i, ok := b.index[kind][key]; ok {
		return i
	}
	i := uint32(len(b.entries[kind]))
	b.index[kind][key] = i
	b.entries[kind] = append(b.entries[kind], columnar.Entry{Raw: bytes.Clone(g.Raw), SchemaURL: bytes.Clone(g.SchemaURL), Unknown: bytes.Clone(g.Unknown)})
	b.bytes += len(key) + 100
	return i
}

// Span adds one encoded span.
func (b *MemoryBuilder) Span(raw []byte) error {
	var s trace.Span
	if err := trace.DecodeSpan(raw, &s); err != nil {
		return err
	}
	key := spanKey{s.TraceID, binary.BigEndian.Uint64(s.SpanID[:]), s.Kind}
	if _, dup := b.seen[key]; dup {
		return nil
	}
	if b.seen == nil {
		b.seen = make(map[spanKey]struct{})
	}
	if len(b.entries[0]) == 0 {
		if err := b.Resource(&trace.Group{}); err != nil {
			return err
		}
	}
	b.seen[key] = struct{}{}
	b.bytes += len(raw) + 150
	b.spans = append(b.spans, memorySpan{
		id: s.TraceID, span: key.span, parent: binary.BigEndian.Uint64(s.ParentID[:]), start: clampTime(s.Start), kind: s.Kind,
		resource: b.at[0], scope: b.at[1], raw: bytes.Clone(raw),
	})
	return nil
}

func clampTime(t uint64) int64 { return int64(min(t, math.MaxInt64)) }

// Len is the number of spans so far.
func (b *MemoryBuilder) Len() int { return len(b.spans) }

// Build makes the segment; the builder must not be used afterwards.
func (b *MemoryBuilder) Build() (*Memory, error) {
	sort.SliceStable(b.spans, func(i, j int) bool {
		x, y := &b.spans[i], &b.spans[j]
		if c := bytes.Compare(x.id[:], y.id[:]); c != 0 {
			return c < 0
		}
		return x.start < y.start
	})
	m := &Memory{spans: b.spans, columns: make(map[columnKey][]columnar.Column)}
	var err error
	if m.tables[0], err = columnar.NewTable(columnar.ScopeResource, b.entries[0]); err != nil {
		return nil, err
	}
	if m.tables[1], err = columnar.NewTable(columnar.ScopeInstrumentation, b.entries[1]); err != nil {
		return nil, err
	}
	m.group()
	w := memoryWriter{m: m, byKey: make(map[columnar.Field]*memoryColumn), fields: make(map[columnar.Field]struct{})}
	if err := w.write(); err != nil {
		return nil, err
	}
	m.info.Bytes = int64(b.bytes)
	return m, nil
}

// group finds the traces in the sorted spans.
func (m *Memory) group() {
	for i := range m.spans {
		if i == 0 || m.spans[i].id != m.spans[i-1].id {
			m.traces.IDs = append(m.traces.IDs, m.spans[i].id)
			m.traces.Offsets = append(m.traces.Offsets, uint32(i))
		}
	}
	m.traces.Offsets = append(m.traces.Offsets, uint32(len(m.spans)))
	m.info = columnar.Info{Rows: len(m.spans), Traces: len(m.traces.IDs), Unique: true}
	if n := len(m.traces.IDs); n > 0 {
		m.info.MinID, m.info.MaxID = m.traces.IDs[0], m.traces.IDs[n-1]
	}
}

// Info implements [columnar.Segment].
func (m *Memory) Info() *columnar.Info { return &m.info }

// Columns implements [columnar.Segment].
func (m *Memory) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	return append(dst, m.columns[columnKey{scope, key}]...)
}

// Table implements [columnar.Segment].
func (m *Memory) Table(_ context.Context, scope columnar.Scope) (*columnar.Table, error) {
	if scope == columnar.ScopeInstrumentation {
		return m.tables[1], nil
	}
	return m.tables[0], nil
}

// Traces implements [columnar.Segment].
func (m *Memory) Traces(context.Context) (*columnar.Traces, error) { return &m.traces, nil }

// Find implements [columnar.Segment].
func (m *Memory) Find(_ context.Context, id trace.ID, dst []uint32) ([]uint32, error) {
	i, ok := slices.BinarySearchFunc(m.traces.IDs, id, func(a, b trace.ID) int { return bytes.Compare(a[:], b[:]) })
	if ok {
		for row := m.traces.Offsets[i]; row < m.traces.Offsets[i+1]; row++ {
			dst = append(dst, row)
		}
	}
	return dst, nil
}

// Spans implements [columnar.Segment].
func (m *Memory) Spans(ctx context.Context, rows []uint32, visit func(columnar.RawSpan) error) error {
	for i, row := range rows {
		if i&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s := &m.spans[row]
		if err := visit(columnar.RawSpan{Row: row, Resource: s.resource, Scope: s.scope, Span: s.raw}); err != nil {
			return err
		}
	}
	return nil
}

// Segments makes a Memory a [columnar.Source] of its own.
func (m *Memory) Segments() []columnar.Segment { return []columnar.Segment{m} }

// Name implements [columnar.Source].
func (m *Memory) Name() string { return "memory" }

// memoryColumn is a column of a Memory, while it is filled (sparse) and afterwards.
type memoryColumn struct {
	typ   columnar.Type
	vec   columnar.Vector
	dict  *columnar.Dict
	index map[string]uint32
	count int
}

// Type implements [columnar.Column].
func (c *memoryColumn) Type() columnar.Type { return c.typ }

// Stats implements [columnar.Column].
func (c *memoryColumn) Stats() columnar.ColumnStats {
	st := columnar.ColumnStats{Values: c.count}
	if c.dict != nil {
		st.Distinct = c.dict.Len()
	}
	return st
}

// Dict implements [columnar.Column].
func (c *memoryColumn) Dict(context.Context) (*columnar.Dict, error) { return c.dict, nil }

// Read implements [columnar.Column].
func (c *memoryColumn) Read(ctx context.Context, _ columnar.Bitmap, dst *columnar.Vector) error {
	dst.Reset()
	v := &c.vec
	dst.Dict, dst.Codes, dst.Ints, dst.Floats = v.Dict, v.Codes, v.Ints, v.Floats
	dst.Present, dst.Rows, dst.Lists = v.Present, v.Rows, v.Lists
	return ctx.Err()
}

// memoryWriter fills the columns, row by row.
type memoryWriter struct {
	m      *Memory
	byKey  map[columnar.Field]*memoryColumn
	fields map[columnar.Field]struct{}
	row    uint32
}

func (w *memoryWriter) write() error {
	m := w.m
	n := len(m.spans)
	ids, parents, starts := make([]int64, n), make([]int64, n), make([]int64, n)
	durations, kinds, statuses := make([]int64, n), make([]int64, n), make([]int64, n)
	resources, scopes := make([]uint32, n), make([]uint32, n)
	var s trace.Span
	for i := range m.spans {
		w.row = uint32(i)
		x := &m.spans[i]
		if err := trace.DecodeSpan(x.raw, &s); err != nil {
			return err
		}
		ids[i], parents[i], starts[i] = int64(x.span), int64(x.parent), x.start
		durations[i] = max(0, clampTime(s.End)-x.start)
		kinds[i], statuses[i] = int64(s.Kind), int64(s.StatusCode)
		resources[i], scopes[i] = x.resource, x.scope
		if i == 0 || x.start < m.info.Start {
			m.info.Start = x.start
		}
		m.info.End = max(m.info.End, x.start+durations[i])
		w.span(&s)
	}
	fixed := func(key string, c *memoryColumn) {
		m.columns[columnKey{columnar.ScopeIntrinsic, key}] = []columnar.Column{c}
	}
	ints := func(key string, v []int64) {
		fixed(key, &memoryColumn{typ: columnar.Int, vec: columnar.Vector{Ints: v}, count: n})
	}
	ints(columnar.KeySpanID, ids)
	ints(columnar.KeyParentID, parents)
	ints(columnar.KeyStart, starts)
	ints(columnar.KeyDuration, durations)
	ints(columnar.KeyKind, kinds)
	ints(columnar.KeyStatus, statuses)
	fixed(columnar.KeyResource, &memoryColumn{typ: columnar.Int, vec: columnar.Vector{Codes: resources}, count: n})
	fixed(columnar.KeyScope, &memoryColumn{typ: columnar.Int, vec: columnar.Vector{Codes: scopes}, count: n})
	if _, ok := w.byKey[columnar.Field{Scope: columnar.ScopeIntrinsic, Key: columnar.KeyName, Type: columnar.String}]; !ok {
		w.column(columnar.Field{Scope: columnar.ScopeIntrinsic, Key: columnar.KeyName, Type: columnar.String})
	}
	w.close()
	return nil
}

func (w *memoryWriter) span(s *trace.Span) {
	w.text(columnar.KeyName, columnar.String, s.Name)
	if len(s.StatusMessage) > 0 {
		w.text(columnar.KeyStatusMessage, columnar.String, s.StatusMessage)
	}
	if len(s.TraceState) > 0 {
		w.text(columnar.KeyTraceState, columnar.String, s.TraceState)
	}
	for i := range s.Attrs {
		if !slices.ContainsFunc(s.Attrs[:i], func(a trace.Attr) bool { return bytes.Equal(a.Key, s.Attrs[i].Key) }) {
			w.attr(&s.Attrs[i]) // the first of several counts
		}
	}
	if len(s.Events) > 0 {
		w.text(columnar.KeyEvents, columnar.Bytes, s.Events)
		for e, err := range trace.EachEvent(s.Events) {
			if err == nil {
				w.names(columnar.ScopeEvent, e.Attrs)
			}
		}
	}
	if len(s.Links) > 0 {
		w.text(columnar.KeyLinks, columnar.Bytes, s.Links)
		for l, err := range trace.EachLink(s.Links) {
			if err == nil {
				w.names(columnar.ScopeLink, l.Attrs)
			}
		}
	}
}

func (w *memoryWriter) names(scope columnar.Scope, attrs []trace.Attr) {
	for i := range attrs {
		t, _ := typeOf(&attrs[i].Value)
		w.fields[columnar.Field{Scope: scope, Key: string(attrs[i].Key), Type: t}] = struct{}{}
	}
}

// typeOf is the type of the column that holds a value, and its elements: the value itself unless it is an array of one
// comparable type.
func typeOf(v *trace.Value) (columnar.Type, []trace.Value) {
	t := columnar.Other
	switch v.Kind {
	case trace.KindEmpty:
		return columnar.Nil, nil
	case trace.KindString:
		t = columnar.String
	case trace.KindInt:
		t = columnar.Int
	case trace.KindDouble:
		t = columnar.Float
	case trace.KindBool:
		t = columnar.Bool
	case trace.KindArray:
		if t, elem := arrayOf(v); t != columnar.Other {
			return t, elem
		}
	}
	return t, []trace.Value{*v}
}

func arrayOf(v *trace.Value) (columnar.Type, []trace.Value) {
	all, elem := columnar.Nil, []trace.Value(nil)
	for e, err := range v.Elements() {
		if err != nil {
			return columnar.Other, nil
		}
		t, _ := typeOf(&e)
		if t == columnar.Nil || t == columnar.Other || t&columnar.Array != 0 || all != columnar.Nil && t != all {
			return columnar.Other, nil
		}
		all, elem = t, append(elem, e)
	}
	if all == columnar.Nil {
		return columnar.Other, nil
	}
	return all | columnar.Array, elem
}

func (w *memoryWriter) column(f columnar.Field) *memoryColumn {
	c, ok := w.byKey[f]
	if !ok {
		c = &memoryColumn{typ: f.Type, vec: columnar.Vector{Rows: []uint32{}}}
		switch f.Type.Elem() {
		case columnar.String, columnar.Bytes, columnar.Other:
			c.dict, c.index = &columnar.Dict{Offsets: []uint32{0}}, make(map[string]uint32)
			c.vec.Dict, c.vec.Codes = c.dict, []uint32{}
		case columnar.Float:
			c.vec.Floats = []float64{}
		default:
			c.vec.Ints = []int64{}
		}
		if f.Type&columnar.Array != 0 {
			c.vec.Lists = []uint32{0}
		}
		w.byKey[f] = c
	}
	return c
}

func (w *memoryWriter) text(key string, typ columnar.Type, b []byte) {
	c := w.column(columnar.Field{Scope: columnar.ScopeIntrinsic, Key: key, Type: typ})
	c.vec.Rows = append(c.vec.Rows, w.row)
	c.put(&trace.Value{Kind: trace.KindString, Bytes: b})
}

func (w *memoryWriter) attr(a *trace.Attr) {
	typ, values := typeOf(&a.Value)
	if typ == columnar.Nil {
		return
	}
	f := columnar.Field{Scope: columnar.ScopeSpan, Key: string(a.Key), Type: typ}
	w.fields[f] = struct{}{}
	c := w.column(f)
	c.vec.Rows = append(c.vec.Rows, w.row)
	for i := range values {
		c.put(&values[i])
	}
	if c.vec.Lists != nil {
		c.vec.Lists = append(c.vec.Lists, uint32(c.values()))
	}
}

func (c *memoryColumn) values() int {
	return max(len(c.vec.Codes), len(c.vec.Ints), len(c.vec.Floats))
}

// put appends one value.
func (c *memoryColumn) put(v *trace.Value) {
	switch c.typ.Elem() {
	case columnar.String, columnar.Bytes, columnar.Other:
		b := v.Bytes
		if c.typ == columnar.Other {
			b = trace.AppendValue(nil, v)
		}
		code, ok := c.index[string(b)]
		if !ok {
			c.dict.Arena = append(c.dict.Arena, b...)
			c.dict.Offsets = append(c.dict.Offsets, uint32(len(c.dict.Arena)))
			code = uint32(c.dict.Len())
			c.index[string(b)] = code
		}
		c.vec.Codes = append(c.vec.Codes, code)
	case columnar.Float:
		c.vec.Floats = append(c.vec.Floats, v.Float())
	default:
		c.vec.Ints = append(c.vec.Ints, v.Int)
	}
}

// close makes frequent columns dense and publishes all of them.
func (w *memoryWriter) close() {
	n := len(w.m.spans)
	keys := make([]columnar.Field, 0, len(w.byKey))
	for f := range w.byKey {
		keys = append(keys, f)
	}
	sort.Slice(keys, func(i, j int) bool { return fieldLess(keys[i], keys[j]) })
	for _, f := range keys {
		c := w.byKey[f]
		c.index = nil
		c.count = len(c.vec.Rows)
		if c.vec.Lists == nil && c.dict != nil && c.count*8 > n {
			codes := make([]uint32, n)
			for i, row := range c.vec.Rows {
				codes[row] = c.vec.Codes[i]
			}
			c.vec.Codes, c.vec.Rows = codes, nil
		}
		if c.vec.Lists == nil && c.vec.Ints != nil && c.count*8 > n {
			c.densify(n)
		}
		k := columnKey{f.Scope, f.Key}
		w.m.columns[k] = append(w.m.columns[k], c)
	}
	for f := range w.fields {
		w.m.info.Fields = append(w.m.info.Fields, f)
	}
	for i, t := range w.m.tables {
		scope := [...]columnar.Scope{columnar.ScopeResource, columnar.ScopeInstrumentation}[i]
		w.m.info.Fields = appendTableFields(w.m.info.Fields, scope, t)
	}
	sort.Slice(w.m.info.Fields, func(i, j int) bool { return fieldLess(w.m.info.Fields[i], w.m.info.Fields[j]) })
}

// densify gives every row an entry, with Present when some have none.
func (c *memoryColumn) densify(n int) {
	ints := make([]int64, n)
	if c.count < n {
		c.vec.Present = columnar.NewBitmap(n)
	}
	for i, row := range c.vec.Rows {
		ints[row] = c.vec.Ints[i]
		if c.count < n {
			c.vec.Present.Set(row)
		}
	}
	c.vec.Ints, c.vec.Rows = ints, nil
}

func fieldLess(a, b columnar.Field) bool {
	if a.Scope != b.Scope {
		return a.Scope < b.Scope
	}
	if a.Key != b.Key {
		return a.Key < b.Key
	}
	return a.Type < b.Type
}

// appendTableFields lists the attributes that occur in a table, each once.
func appendTableFields(dst []columnar.Field, scope columnar.Scope, t *columnar.Table) []columnar.Field {
	seen := map[columnar.Field]struct{}{}
	for i := range t.Len() {
		for _, a := range t.Attrs(i) {
			typ, _ := typeOf(&a.Value)
			f := columnar.Field{Scope: scope, Key: string(a.Key), Type: typ}
			if _, ok := seen[f]; !ok && typ != columnar.Nil {
				seen[f] = struct{}{}
				dst = append(dst, f)
			}
		}
	}
	return dst
}
