package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// assembler puts spans together again, a column at a time.
type assembler struct {
	rows     []uint32 // ascending
	spans    []trace.Span
	resource []uint32
	scope    []uint32
	dec      anyDecoder
}

func newAssembler(rows []uint32) *assembler {
	return &assembler{rows: rows, spans: make([]trace.Span, len(rows)), resource: make([]uint32, len(rows)), scope: make([]uint32, len(rows))}
}

// each calls f for each wanted row that has an entry.
func (a *assembler) each(c *Column, f func(span, entry int)) {
	if c.Rows == nil {
		n := c.Len()
		for i, r := range a.rows {
			if int(r) < n {
				f(i, int(r))
			}
		}
		return
	}
	from := 0
	for i, r := range a.rows {
		e, ok := slices.BinarySearch(c.Rows[from:], r)
		from += e
		if ok {
			f(i, from)
		}
	}
}

// number is entry e of a column of integers.
func number(c *Column, e int, dict []int64) int64 {
	switch {
	case c.Codes == nil:
		return c.Ints[e]
	case dict != nil:
		return dict[c.Codes[e]-1]
	}
	return int64(int32(c.Codes[e]))
}

// text is entry e of a column of strings.
func text(c *Column, e int) []byte {
	if k := c.Codes[e]; k != 0 {
		return c.Dict.Entry(int(k - 1))
	}
	return nil
}

// fixed takes the values of a fixed column. Starts must come before durations.
func (a *assembler) fixed(n int, c *Column, dict []int64) {
	num := func(set func(s *trace.Span, v int64)) {
		a.each(c, func(i, e int) { set(&a.spans[i], number(c, e, dict)) })
	}
	str := func(set func(s *trace.Span, v []byte)) {
		a.each(c, func(i, e int) { set(&a.spans[i], text(c, e)) })
	}
	switch n {
	case ColSpanID:
		num(func(s *trace.Span, v int64) { binary.BigEndian.PutUint64(s.SpanID[:], uint64(v)) })
	case ColParentID:
		num(func(s *trace.Span, v int64) { binary.BigEndian.PutUint64(s.ParentID[:], uint64(v)) })
	case ColTraceStart, ColStartOffset:
		num(func(s *trace.Span, v int64) { s.Start += uint64(v) })
	case ColDuration:
		num(func(s *trace.Span, v int64) { s.End = s.Start + uint64(v) })
	case ColName:
		str(func(s *trace.Span, v []byte) { s.Name = v })
	case ColKind:
		num(func(s *trace.Span, v int64) { s.Kind = trace.SpanKind(v) })
	case ColStatus:
		num(func(s *trace.Span, v int64) { s.StatusCode = trace.StatusCode(v) })
	case ColStatusMessage:
		str(func(s *trace.Span, v []byte) { s.StatusMessage = v })
	case ColTraceState:
		str(func(s *trace.Span, v []byte) { s.TraceState = v })
	case ColFlags:
		num(func(s *trace.Span, v int64) { s.Flags = uint32(v) })
	case ColDroppedAttributes:
		num(func(s *trace.Span, v int64) { s.DroppedAttributes = uint32(v) })
	case ColDroppedEvents:
		num(func(s *trace.Span, v int64) { s.DroppedEvents = uint32(v) })
	case ColDroppedLinks:
		num(func(s *trace.Span, v int64) { s.DroppedLinks = uint32(v) })
	case ColEvents:
		str(func(s *trace.Span, v []byte) { s.Events = v })
	case ColLinks:
		str(func(s *trace.Span, v []byte) { s.Links = v })
	case ColExtra:
		str(func(s *trace.Span, v []byte) { s.Unknown = v })
	case ColResource:
		a.each(c, func(i, e int) { a.resource[i] = uint32(number(c, e, dict)) })
	case ColScope:
		a.each(c, func(i, e int) { a.scope[i] = uint32(number(c, e, dict)) })
	}
}

// attr takes the values of an attribute column.
func (a *assembler) attr(at Attr, c *Column, dict []int64) {
	for _, x := range a.list(at, c, dict) {
		a.spans[x.span].Attrs = append(a.spans[x.span].Attrs, x.attr)
	}
}

// listed is an attribute of a span.
type listed struct {
	span int
	attr trace.Attr
}

// list lists the values of an attribute column.
func (a *assembler) list(at Attr, c *Column, dict []int64) (out []listed) {
	key := []byte(at.Key)
	if at.Type&columnar.Array != 0 {
		return a.arrays(key, at.Type, c, dict)
	}
	a.each(c, func(i, e int) {
		if c.Codes != nil && c.Codes[e] == 0 {
			return
		}
		out = append(out, listed{i, trace.Attr{Key: key, Value: valueAt(at.Type, c, e, dict)}})
	})
	return out
}

// arrays is list for a column of arrays.
func (a *assembler) arrays(key []byte, t columnar.Type, c *Column, dict []int64) (out []listed) {
	first := ends(c.Lens)
	rows := Column{Rows: notNil(c.Rows), Codes: c.Lens}
	a.each(&rows, func(i, e int) {
		v := trace.Value{Kind: trace.KindArray, Bytes: appendList(nil, t, c, int(first[e]), int(first[e+1]), dict)}
		out = append(out, listed{i, trace.Attr{Key: key, Value: v}})
	})
	return out
}

// put takes lists of attributes, column by column.
func (a *assembler) put(cols [][]listed) {
	counts, all := make([]int, len(a.spans)), 0
	for _, col := range cols {
		for i := range col {
			counts[col[i].span]++
		}
		all += len(col)
	}
	memory := make([]trace.Attr, all)
	for i, n := range counts {
		a.spans[i].Attrs, memory = memory[:0:n], memory[n:]
	}
	for _, col := range cols {
		for i := range col {
			s := &a.spans[col[i].span]
			s.Attrs = append(s.Attrs, col[i].attr)
		}
	}
}

// overflow takes the attributes without a column.
func (a *assembler) overflow(l *OverflowList) error {
	first := ends(l.Key.Lens)
	var bad error
	list := Column{Rows: notNil(l.Key.Rows), Codes: l.Key.Lens}
	a.each(&list, func(i, at int) {
		for e := int(first[at]); e < int(first[at+1]); e++ {
			attr := trace.Attr{Key: text(&l.Key, e)}
			if err := a.dec.decode(text(&l.Value, e), &attr.Value); err != nil {
				bad = fmt.Errorf("overflow value of %q: %w", attr.Key, err)
			}
			a.spans[i].Attrs = append(a.spans[i].Attrs, attr)
		}
	})
	return bad
}

// visit hands out the spans.
func (a *assembler) visit(f func(columnar.RawSpan) error) error {
	var buf []byte
	for i := range a.spans {
		buf = trace.AppendSpan(buf[:0], &a.spans[i])
		if err := f(columnar.RawSpan{Row: a.rows[i], Resource: a.resource[i], Scope: a.scope[i], Span: buf}); err != nil {
			return err
		}
	}
	return nil
}

// EachSpan puts the spans of the rows (ascending) together as OTLP Span messages;
// see columnar.Segment.Spans.
func (c *Columns) EachSpan(rows []uint32, visit func(columnar.RawSpan) error) error {
	a := newAssembler(rows)
	for i, r := range rows {
		a.spans[i].TraceID = c.IDs[c.Trace[r]]
		a.spans[i].Start = uint64(c.Start[r])
	}
	for n := range ColOverflowKey {
		if n != ColTraceStart && n != ColStartOffset {
			a.fixed(n, &c.Fixed[n], nil)
		}
	}
	for i := range c.Attrs {
		a.attr(c.Attrs[i].Attr, &c.Attrs[i].Column, nil)
	}
	if err := a.overflow(&OverflowList{c.Fixed[ColOverflowKey], c.Fixed[ColOverflowValue]}); err != nil {
		return err
	}
	return a.visit(visit)
}

// Spans implements columnar.Segment.
func (s *segment) Spans(ctx context.Context, rows []uint32, visit func(columnar.RawSpan) error) error {
	if len(rows) == 0 {
		return nil
	}
	if int(rows[len(rows)-1]) >= s.info.Rows {
		return fmt.Errorf("block %s: row %d of %d", s.b.meta.ID, rows[len(rows)-1], s.info.Rows)
	}
	traces, err := s.Traces(ctx)
	if err != nil {
		return err
	}
	a := newAssembler(rows)
	sel, family := columnar.NewBitmap(s.info.Rows), columnar.NewBitmap(s.info.Rows)
	t := 0
	for i, r := range rows {
		for traces.Offsets[t+1] <= r {
			t++
		}
		a.spans[i].TraceID = traces.IDs[t]
		sel.Set(r)
		family.SetRange(traces.Offsets[t], traces.Offsets[t+1])
	}
	within := func(leaf int) columnar.Bitmap {
		switch leaf {
		case ColTraceID, ColNestedRight, ColTraceDuration, ColRootName, ColRootService, ColTraceSpans, ColTraceErrors:
			return nil
		case ColSpanID, ColNestedLeft, ColNestedParent:
			return family
		}
		return sel
	}
	near, err := s.fetch(ctx, within)
	if err != nil {
		return err
	}
	defer near.giveBack(s.b.cache)
	if err := s.assemble(ctx, a, traces, within, near); err != nil {
		return err
	}
	return a.visit(visit)
}

// assemble reads all columns of the spans. Two goroutines share the work: one
// reads attributes, the other one the fixed columns, which fill different fields
// of the spans, and then attributes too.
func (s *segment) assemble(ctx context.Context, a *assembler, traces *columnar.Traces, within func(int) columnar.Bitmap, near *regions) error {
	cols := make([][]listed, len(s.b.file.Leaves))
	var next atomic.Int64
	next.Store(FixedColumns)
	attrs := func() error {
		for n := int(next.Add(1)) - 1; n < len(cols); n = int(next.Add(1)) - 1 {
			attr, ok := attrOf(s.leaf(n))
			if !ok {
				continue
			}
			if err := s.column(ctx, n, within, near, func(c *Column, ints []int64) { cols[n] = a.list(attr, c, ints) }); err != nil {
				next.Store(int64(len(cols)))
				return err
			}
		}
		return nil
	}
	other := make(chan error, 1)
	go func() { other <- attrs() }()
	var list OverflowList
	err := s.assembleFixed(ctx, a, &list, traces, within, near)
	if err == nil {
		err = attrs()
	}
	next.Store(int64(len(cols)))
	if also := <-other; err == nil {
		err = also
	}
	if err != nil {
		return err
	}
	a.put(cols)
	if len(list.Key.Codes) != len(list.Value.Codes) {
		return s.b.fault(s.part(ColOverflowValue), fmt.Errorf("%w: %d keys, %d values", pq.ErrDamaged, len(list.Key.Codes), len(list.Value.Codes)))
	}
	if err := a.overflow(&list); err != nil {
		return s.b.fault(s.part(ColOverflowValue), fmt.Errorf("%w: %w", pq.ErrDamaged, err))
	}
	return s.checkTables(ctx, a)
}

// assembleFixed reads the fixed columns, and into list the attributes that have no
// column.
func (s *segment) assembleFixed(ctx context.Context, a *assembler, list *OverflowList, traces *columnar.Traces, within func(int) columnar.Bitmap, near *regions) error {
	if err := s.parentsOf(ctx, a, traces, within(ColSpanID), near); err != nil {
		return err
	}
	for n := range FixedColumns {
		if n == ColSpanID || n == ColNestedLeft || n == ColNestedParent {
			continue // parentsOf has read them
		}
		err := s.column(ctx, n, within, near, func(c *Column, ints []int64) {
			switch n {
			case ColOverflowKey:
				list.Key = own(c)
			case ColOverflowValue:
				list.Value = own(c)
			default:
				a.fixed(n, c, ints)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// column reads a column for those who put spans together, unless it is empty or
// not wanted.
func (s *segment) column(ctx context.Context, n int, within func(int) columnar.Bitmap, near *regions, use func(*Column, []int64)) error {
	c, sel := s.chunk(n), within(n)
	if sel == nil || c.Nulls == c.Values {
		return nil
	}
	return s.readNear(ctx, n, sel, near, func(r *raw) error {
		use(r.column())
		return nil
	})
}

// checkTables makes sure that every span points into the tables.
func (s *segment) checkTables(ctx context.Context, a *assembler) error {
	resources, _, err := s.b.groups(ctx, 0)
	if err != nil {
		return err
	}
	scopes, _, err := s.b.groups(ctx, 1)
	if err != nil {
		return err
	}
	for i := range a.rows {
		if int(a.resource[i]) >= len(resources) || int(a.scope[i]) >= len(scopes) {
			return s.b.fault(ResourcesName, fmt.Errorf("%w: resource %d of %d, scope %d of %d", pq.ErrDamaged, a.resource[i], len(resources), a.scope[i], len(scopes)))
		}
	}
	return nil
}

// column is view with strings that survive the read.
func (r *raw) column() (*Column, []int64) {
	c, ints := r.view()
	if r.dict == nil && c.Dict != nil {
		c.Dict = &pq.Dict{Arena: bytes.Clone(c.Dict.Arena), Offsets: slices.Clone(c.Dict.Offsets)}
	}
	return c, ints
}

// view is the raw column as a Column, with the integers that its codes stand for,
// if they do. It is valid as long as the read.
func (r *raw) view() (*Column, []int64) {
	c := &Column{Ints: r.v.Ints, Codes: r.v.Codes, Lens: r.v.Lens}
	if r.sparse {
		c.Rows = notNil(r.v.Rows)
	}
	if r.leaf.Kind.IsInt() {
		if r.dict == nil {
			c.Codes = nil
			return c, nil
		}
		ints := r.dict.Ints
		if r.dict.Floats != nil {
			ints = floatBits(r.dict.Floats)
		}
		return c, ints
	}
	if r.dict != nil {
		c.Dict = &pq.Dict{Arena: r.dict.Arena, Offsets: r.dict.Offsets, Gap: r.dict.Gap}
		return c, nil
	}
	c.Dict = &r.v.Plain
	r.v.Codes = sized(r.v.Codes, c.Dict.Len())
	for i := range r.v.Codes {
		r.v.Codes[i] = uint32(i + 1)
	}
	c.Codes = r.v.Codes
	return c, nil
}

// own copies what belongs to the read.
func own(c *Column) Column {
	return Column{Rows: slices.Clone(c.Rows), Lens: slices.Clone(c.Lens), Codes: slices.Clone(c.Codes), Ints: slices.Clone(c.Ints), Dict: c.Dict}
}

// parentsOf sets the ids, and the parents that the nested set knows.
func (s *segment) parentsOf(ctx context.Context, a *assembler, traces *columnar.Traces, family columnar.Bitmap, near *regions) error {
	rows := make([]uint32, 0, family.Count())
	for r, ok := family.Next(0); ok; r, ok = family.Next(r + 1) {
		rows = append(rows, r)
	}
	var cols [3][]int64 // of the rows: id, left, parent
	for i, n := range [...]int{ColSpanID, ColNestedLeft, ColNestedParent} {
		cols[i] = make([]int64, len(rows))
		err := s.readNear(ctx, n, family, near, func(r *raw) error { return s.b.fault(s.part(n), r.pick(rows, cols[i])) })
		if err != nil {
			return err
		}
	}
	ids, left, parent := cols[0], cols[1], cols[2]
	at := map[int64]int{} // left number → entry, of one trace
	t, first := 0, 0
	var from, to uint32 // rows of the trace, whose entries start with first
	for i, r := range a.rows {
		if r >= to {
			for traces.Offsets[t+1] <= r {
				t++
			}
			from, to = traces.Offsets[t], traces.Offsets[t+1]
			first, _ = slices.BinarySearch(rows, from)
			clear(at)
			for e := first; e < first+int(to-from); e++ {
				at[left[e]] = e
			}
		}
		k := first + int(r-from)
		binary.BigEndian.PutUint64(a.spans[i].SpanID[:], uint64(ids[k]))
		if p := parent[k]; p > 0 {
			if e, ok := at[p]; ok {
				binary.BigEndian.PutUint64(a.spans[i].ParentID[:], uint64(ids[e]))
			}
		}
	}
	return nil
}

// pick sets out to the integers of some rows, which ascend. Rows without a value
// are left alone.
func (r *raw) pick(rows []uint32, out []int64) error {
	if r.dict != nil && r.dict.Ints == nil {
		return fmt.Errorf("%w: column %s", pq.ErrDamaged, r.leaf.Name)
	}
	value := func(i int) int64 {
		if r.dict != nil {
			return r.dict.Ints[r.v.Codes[i]-1]
		}
		return r.v.Ints[i]
	}
	if !r.sparse {
		for k, row := range rows {
			out[k] = value(int(row))
		}
		return nil
	}
	k := 0
	for i, row := range r.v.Rows {
		for k < len(rows) && rows[k] < row {
			k++
		}
		if k == len(rows) {
			break
		}
		if rows[k] == row {
			out[k] = value(i)
		}
	}
	return nil
}
