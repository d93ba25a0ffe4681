package recent

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"unicode/utf8"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

const (
	// maxKeys bounds the attribute columns of a head; further keys go to the
	// overflow list, so that hostile keys cost their bytes and no more.
	maxKeys = 4096
	// A column is nearly unique when more than 3 in 5 of its first uniqueSample
	// values are distinct. Its values are then only appended: looking up what is
	// never found is a third of the cost of decoding.
	uniqueSample = 8192
)

// head gathers spans as columns. One writer appends, readers take snapshots:
// slices only grow, and what a snapshot sees never changes. A head is reset, not
// freed, unless a snapshot of it may still be in use.
type head struct {
	rows    int
	trace   []uint32
	ids     []trace.ID
	came    []int64 // first arrival for each trace, Unix ns
	touched []int64 // last arrival
	sizes   []int64 // bytes of the spans of each trace
	largest int64   // of sizes
	slots   []uint32
	seed    uint64

	start, duration, span, parent []int64
	kind, status, resource, scope []uint32
	name                          column
	message, state                column
	flags, droppedA, droppedE     column
	droppedL                      column
	events, links, extra          column

	attrs    [9]map[string]*column // by slot
	order    []*column
	first    column // predicts the first attribute of a span
	list     block.List
	repeated []byte // attributes whose key the span had before
	over     struct {
		rows, lens, keys, values []uint32
		key, value               pq.Interner
		buf                      []byte
	}

	resources, scopes groups

	walker walker
	bytes  int // of values, about
	oldest int64
	newest int64
	known  known
}

// column holds the values of one sparse column, or of a dense one without rows.
type column struct {
	block.Attr
	rows   []uint32
	lens   []uint32 // of a column of arrays: elements of each row's
	codes  []uint32
	ints   []int64
	dict   pq.Interner
	unique bool
	judged bool
	next   *column   // the column that followed this one last time
	others []*column // of the same key and another type
}

// groups interns resources or scopes.
type groups struct {
	list []trace.Group
	dict pq.Interner
	key  []byte
}

func newHead() *head {
	h := &head{seed: rand.Uint64()}
	for t := range h.attrs {
		h.attrs[t] = map[string]*column{}
	}
	h.walker.h = h
	h.message.Type, h.state.Type = columnar.String, columnar.String
	return h
}

// reset empties the head. Columns without a value in the last round are given up.
func (h *head) reset() {
	h.rows, h.bytes, h.known, h.largest = 0, 0, known{}, 0
	h.trace, h.ids, h.came, h.touched, h.sizes = h.trace[:0], h.ids[:0], h.came[:0], h.touched[:0], h.sizes[:0]
	clear(h.slots)
	for _, s := range []*[]int64{&h.start, &h.duration, &h.span, &h.parent} {
		*s = (*s)[:0]
	}
	for _, s := range []*[]uint32{&h.kind, &h.status, &h.resource, &h.scope, &h.over.rows, &h.over.lens, &h.over.keys, &h.over.values} {
		*s = (*s)[:0]
	}
	for _, c := range []*column{&h.name, &h.message, &h.state, &h.flags, &h.droppedA, &h.droppedE, &h.droppedL, &h.events, &h.links, &h.extra} {
		c.reset()
	}
	h.over.key.Reset()
	h.over.value.Reset()
	kept := h.order[:0]
	for _, c := range h.order {
		if len(c.rows) == 0 {
			delete(h.attrs[slot(c.Type)], c.Key)
			continue
		}
		c.reset()
		kept = append(kept, c)
	}
	clear(h.order[len(kept):])
	h.order = kept
	for _, c := range h.order {
		c.next = nil
		c.others = slices.DeleteFunc(c.others, func(o *column) bool { return h.attrs[slot(o.Type)][o.Key] != o })
	}
	h.first.next = nil
	h.resources.reset()
	h.scopes.reset()
}

func (c *column) reset() {
	c.rows, c.lens, c.codes, c.ints = c.rows[:0], c.lens[:0], c.codes[:0], c.ints[:0]
	c.dict.Reset()
}

func (g *groups) reset() {
	g.list = nil // snapshots keep the old one
	g.dict.Reset()
}

// code returns the number of a resource or scope. Equal bytes have equal numbers.
func (g *groups) code(in *trace.Group) uint32 {
	g.key = binary.AppendUvarint(g.key[:0], uint64(len(in.Raw)))
	g.key = append(g.key, in.Raw...)
	g.key = binary.AppendUvarint(g.key, uint64(len(in.SchemaURL)))
	g.key = append(append(g.key, in.SchemaURL...), in.Unknown...)
	c := g.dict.Code(g.key) - 1
	if int(c) == len(g.list) {
		g.list = append(g.list, trace.Group{Raw: append([]byte{}, in.Raw...), SchemaURL: append([]byte{}, in.SchemaURL...), Unknown: append([]byte{}, in.Unknown...)})
	}
	return c
}

// walker appends what it visits to the head.
type walker struct {
	h        *head
	span     trace.Span
	now      int64
	rejected int
	resource uint32
	scope    uint32
	last     trace.ID
	lastNo   uint32
}

// Resource implements trace.Visitor.
func (w *walker) Resource(g *trace.Group) error {
	w.resource = w.h.resources.code(g)
	return nil
}

// Scope implements trace.Visitor.
func (w *walker) Scope(g *trace.Group) error {
	w.scope = w.h.scopes.code(g)
	return nil
}

// Span implements trace.Visitor. A span that cannot be decoded is left out and
// counted; the same bytes always leave out the same spans.
func (w *walker) Span(raw []byte) error {
	if trace.DecodeSpan(raw, &w.span) != nil {
		w.rejected++
		return nil
	}
	w.h.append(w, &w.span)
	size := w.h.sizes[w.lastNo] + framed(len(raw))
	w.h.sizes[w.lastNo], w.h.largest = size, max(w.h.largest, size)
	return nil
}

// framed is the size of a span message with its tag and length.
func framed(n int) int64 { return int64(n + 1 + (bits.Len(uint(n)|1)+6)/7) }

// add appends all spans of OTLP bytes, which arrived at now, and returns how
// many and how many were left out.
func (h *head) add(otlp []byte, now int64) (spans, rejected int, err error) {
	before := h.rows
	h.walker.now, h.walker.rejected, h.walker.last = now, 0, trace.ID{}
	err = trace.Walk(otlp, &h.walker)
	if before == 0 && h.rows > 0 {
		h.oldest = now
	}
	h.newest = now
	h.bytes += len(otlp)
	return h.rows - before, h.walker.rejected, err
}

func (h *head) append(w *walker, s *trace.Span) {
	row := uint32(h.rows)
	if s.TraceID != w.last {
		w.last, w.lastNo = s.TraceID, h.traceNo(s.TraceID, w.now)
	}
	h.touched[w.lastNo] = w.now
	h.trace = append(h.trace, w.lastNo)
	h.span = append(h.span, int64(binary.BigEndian.Uint64(s.SpanID[:])))
	h.parent = append(h.parent, int64(binary.BigEndian.Uint64(s.ParentID[:])))
	h.start = append(h.start, int64(s.Start))
	h.duration = append(h.duration, int64(s.End-s.Start))
	h.kind, h.status = append(h.kind, uint32(s.Kind)), append(h.status, uint32(s.StatusCode))
	h.resource, h.scope = append(h.resource, w.resource), append(h.scope, w.scope)
	if s.NotUTF8 {
		h.repair(s)
	}
	h.name.codes = append(h.name.codes, h.name.dict.Code(s.Name))
	h.message.text(row, s.StatusMessage)
	h.state.text(row, s.TraceState)
	h.flags.number(row, s.Flags)
	h.droppedA.number(row, s.DroppedAttributes)
	h.droppedE.number(row, s.DroppedEvents)
	h.droppedL.number(row, s.DroppedLinks)
	h.events.blob(row, s.Events)
	h.links.blob(row, s.Links)
	h.repeated = h.repeated[:0]
	h.attributes(row, s.Attrs)
	if len(h.repeated) > 0 {
		s.Unknown = append(slices.Clone(s.Unknown), h.repeated...)
	}
	h.extra.blob(row, s.Unknown)
	h.rows++
}

func (c *column) text(row uint32, v []byte) {
	if len(v) > 0 {
		c.rows, c.codes = append(c.rows, row), append(c.codes, c.dict.Code(v))
	}
}

func (c *column) blob(row uint32, v []byte) {
	if len(v) > 0 {
		c.rows, c.codes = append(c.rows, row), append(c.codes, c.dict.Add(v))
	}
}

func (c *column) number(row, v uint32) {
	if v != 0 {
		c.rows, c.ints = append(c.rows, row), append(c.ints, int64(int32(v)))
	}
}

// traceNo returns the number of a trace, which may come now.
func (h *head) traceNo(id trace.ID, now int64) uint32 {
	if 2*len(h.ids) >= len(h.slots) {
		h.growTraces()
	}
	mask := uint64(len(h.slots) - 1)
	for at := h.hash(id) & mask; ; at = (at + 1) & mask {
		n := h.slots[at]
		if n == 0 {
			h.ids = append(h.ids, id)
			h.came, h.touched, h.sizes = append(h.came, now), append(h.touched, now), append(h.sizes, 0)
			h.slots[at] = uint32(len(h.ids))
			return uint32(len(h.ids) - 1)
		}
		if h.ids[n-1] == id {
			return n - 1
		}
	}
}

func (h *head) findTrace(id trace.ID) (uint32, bool) {
	if len(h.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(h.slots) - 1)
	for at := h.hash(id) & mask; h.slots[at] != 0; at = (at + 1) & mask {
		if n := h.slots[at] - 1; h.ids[n] == id {
			return n, true
		}
	}
	return 0, false
}

// hash mixes both halves with a secret, since ids come from outside.
func (h *head) hash(id trace.ID) uint64 {
	a, b := binary.LittleEndian.Uint64(id[:8])^h.seed, binary.LittleEndian.Uint64(id[8:])
	a = (a ^ a>>32) * 0x9E3779B97F4A7C15
	b = (b ^ a ^ b>>29) * 0xBF58476D1CE4E5B9
	return b ^ b>>31
}

func (h *head) growTraces() {
	n := max(2*len(h.slots), 1024)
	h.slots = make([]uint32, n)
	mask := uint64(n - 1)
	for i, id := range h.ids {
		at := h.hash(id) & mask
		for h.slots[at] != 0 {
			at = (at + 1) & mask
		}
		h.slots[at] = uint32(i + 1)
	}
}

// attributes appends the attributes of a span. Of several with one key the first
// counts; the others are kept beside the columns, where no question finds them.
func (h *head) attributes(row uint32, attrs []trace.Attr) {
	prev := &h.first
	for i := range attrs {
		a := &attrs[i]
		t := h.columnType(&a.Value)
		var c *column
		if t != columnar.Nil {
			if c = prev.next; c == nil || c.Type != t || c.Key != string(a.Key) {
				c = h.column(t, a.Key)
			}
		}
		switch {
		case h.again(row, c, a.Key):
			h.repeated = trace.AppendAttr(h.repeated, fieldAttributes, a)
			continue
		case c == nil:
			h.overflow(row, a)
			continue
		}
		prev.next, prev = c, c
		c.rows = append(c.rows, row)
		switch {
		case t&columnar.Array != 0:
			c.addList(&h.list)
		case t == columnar.String:
			c.addString(a.Value.Bytes)
		default:
			c.ints = append(c.ints, a.Value.Int)
		}
	}
}

// columnType is the type of the column for a value, Nil for none. The elements of
// an array are in h.list then.
func (h *head) columnType(v *trace.Value) columnar.Type {
	switch v.Kind {
	case trace.KindArray:
		return h.list.Read(v)
	case trace.KindString:
		return columnar.String
	case trace.KindInt:
		return columnar.Int
	case trace.KindDouble:
		return columnar.Float
	case trace.KindBool:
		return columnar.Bool
	}
	return columnar.Nil
}

// slot numbers the types of columns.
func slot(t columnar.Type) int {
	if t&columnar.Array != 0 {
		return int(t.Elem()) + 4
	}
	return int(t)
}

// again tells whether the row has an attribute with this key already. c is the
// key's column, nil when it has none.
func (h *head) again(row uint32, c *column, key []byte) bool {
	if c != nil {
		if c.has(row) || slices.ContainsFunc(c.others, func(o *column) bool { return o.has(row) }) {
			return true
		}
	} else {
		for t := range h.attrs {
			if o := h.attrs[t][string(key)]; o != nil && o.has(row) {
				return true
			}
		}
	}
	o := &h.over
	n := len(o.rows)
	if n == 0 || o.rows[n-1] != row {
		return false
	}
	code := o.key.Find(key)
	return code != 0 && slices.Contains(o.keys[len(o.keys)-int(o.lens[n-1]):], code)
}

func (c *column) has(row uint32) bool { return len(c.rows) > 0 && c.rows[len(c.rows)-1] == row }

func (c *column) addString(v []byte) {
	if c.unique {
		c.codes = append(c.codes, c.dict.Add(v))
		return
	}
	c.codes = append(c.codes, c.dict.Code(v))
	if len(c.codes) == uniqueSample && !c.judged {
		c.judged = true
		c.unique = c.dict.Len()*5 > uniqueSample*3
	}
}

func (c *column) addList(l *block.List) {
	c.lens = append(c.lens, uint32(len(l.Ints)+len(l.Texts)))
	c.ints = append(c.ints, l.Ints...)
	for _, v := range l.Texts {
		c.addString(v)
	}
}

// column returns the column of a key; nil when there are too many.
func (h *head) column(t columnar.Type, key []byte) *column {
	c := h.attrs[slot(t)][string(key)]
	if c == nil && len(h.order) < maxKeys {
		c = &column{Attr: block.Attr{Key: string(key), Type: t}}
		for o := range h.attrs {
			if other := h.attrs[o][c.Key]; other != nil {
				c.others, other.others = append(c.others, other), append(other.others, c)
			}
		}
		h.attrs[slot(t)][c.Key] = c
		h.order = append(h.order, c)
	}
	return c
}

// overflow notes an attribute that has no column: a map, bytes, an unusual array or
// nothing.
func (h *head) overflow(row uint32, a *trace.Attr) {
	o := &h.over
	if n := len(o.rows); n == 0 || o.rows[n-1] != row {
		o.rows, o.lens = append(o.rows, row), append(o.lens, 0)
	}
	o.lens[len(o.lens)-1]++
	o.keys = append(o.keys, o.key.Code(a.Key))
	o.buf = trace.AppendValue(o.buf[:0], &a.Value)
	o.values = append(o.values, o.value.Code(o.buf))
}

// repair makes a span with text that is not UTF-8 fit for columns of text. The
// true bytes go where they are kept and, in an encoding of the span, win: fields
// among the unknown ones, values in the overflow list.
func (h *head) repair(s *trace.Span) {
	extra := append([]byte{}, s.Unknown...)
	fix := func(field int, v *[]byte) {
		if utf8.Valid(*v) {
			return
		}
		if field == fieldStatus {
			body := appendField(nil, 2, *v)
			extra = appendField(extra, fieldStatus, body)
		} else {
			extra = appendField(extra, field, *v)
		}
		*v = bytes.ToValidUTF8(*v, []byte("\uFFFD"))
	}
	fix(fieldTraceState, &s.TraceState)
	fix(fieldName, &s.Name)
	fix(fieldStatus, &s.StatusMessage)
	kept := s.Attrs[:0]
	for _, a := range s.Attrs {
		if !utf8.Valid(a.Key) {
			extra = trace.AppendAttr(extra, fieldAttributes, &a)
			continue
		}
		if a.Value.Kind == trace.KindString && !utf8.Valid(a.Value.Bytes) {
			a.Value = trace.Value{Kind: trace.KindUnknown, Bytes: trace.AppendValue(nil, &a.Value)}
		}
		kept = append(kept, a)
	}
	s.Attrs, s.Unknown = kept, extra
}

// Fields of a Span message.
const (
	fieldTraceState = 3
	fieldName       = 5
	fieldAttributes = 9
	fieldStatus     = 15
)

func appendField(dst []byte, field int, v []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(field)<<3|2)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

// columns is a snapshot: it stays as it is while the head grows, until reset.
func (h *head) columns() *block.Columns {
	c := &block.Columns{Rows: h.rows, Trace: capped(h.trace), IDs: capped(h.ids), Start: capped(h.start),
		Resources: capped(h.resources.list), Scopes: capped(h.scopes.list)}
	f := &c.Fixed
	f[block.ColSpanID].Ints, f[block.ColParentID].Ints = capped(h.span), capped(h.parent)
	f[block.ColDuration].Ints = capped(h.duration)
	f[block.ColKind].Codes, f[block.ColStatus].Codes = capped(h.kind), capped(h.status)
	f[block.ColResource].Codes, f[block.ColScope].Codes = capped(h.resource), capped(h.scope)
	f[block.ColName] = h.name.view()
	f[block.ColName].Rows = nil
	for n, col := range map[int]*column{block.ColStatusMessage: &h.message, block.ColTraceState: &h.state, block.ColFlags: &h.flags,
		block.ColDroppedAttributes: &h.droppedA, block.ColDroppedEvents: &h.droppedE, block.ColDroppedLinks: &h.droppedL,
		block.ColEvents: &h.events, block.ColLinks: &h.links, block.ColExtra: &h.extra} {
		f[n] = col.view()
	}
	o := &h.over
	keys, values := view(&o.key), view(&o.value)
	f[block.ColOverflowKey] = block.Column{Rows: capped(o.rows), Lens: capped(o.lens), Codes: capped(o.keys), Dict: &keys}
	f[block.ColOverflowValue] = block.Column{Rows: capped(o.rows), Lens: capped(o.lens), Codes: capped(o.values), Dict: &values}
	c.Attrs = make([]block.AttrColumn, 0, len(h.order))
	for _, col := range h.order {
		if len(col.rows) > 0 {
			c.Attrs = append(c.Attrs, block.AttrColumn{Attr: col.Attr, Column: col.view()})
		}
	}
	return c
}

func capped[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s[:len(s):len(s)]
}

func view(t *pq.Interner) pq.Dict {
	return pq.Dict{Arena: capped(t.Arena), Offsets: capped(t.Offsets)}
}

func (c *column) view() block.Column {
	d := view(&c.dict)
	out := block.Column{Rows: capped(c.rows), Dict: &d, Plain: c.unique}
	if c.Type&columnar.Array != 0 {
		out.Lens = capped(c.lens)
	}
	if c.ints != nil {
		out.Ints = capped(c.ints)
	} else {
		out.Codes = capped(c.codes)
	}
	return out
}
