package block

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
)

// form says how the stored values of a column become those of a query.
type form uint8

const (
	asIs         form = iota
	directForm        // small integers as codes
	durationForm      // never negative
	startForm         // start of the trace + offset
	parentForm        // from the nested set, or the stored id
	traceForm         // one entry per trace
)

// columnReader is a stored column as a columnar.Column.
type columnReader struct {
	s    *segment
	n    int
	t    columnar.Type
	form form
}

// Type implements columnar.Column.
func (c *columnReader) Type() columnar.Type { return c.t }

// Stats implements columnar.Column.
func (c *columnReader) Stats() columnar.ColumnStats {
	ch, leaf := c.s.chunk(c.n), c.s.leaf(c.n)
	st := columnar.ColumnStats{Values: c.s.info.Rows - int(ch.Nulls), Bytes: ch.End - ch.Start}
	switch c.form {
	case asIs, durationForm, directForm:
		if ch.HasDict() {
			st.Distinct = int(ch.Distinct)
		}
		if low, high, ok := ch.Ints(leaf.Kind); ok && c.t.Elem() == columnar.Int {
			st.Min, st.Max, st.Bounded = low, high, true
			if c.form == durationForm {
				st.Min, st.Max = max(low, 0), max(high, 0)
			}
		}
	case startForm, parentForm:
		st.Values = c.s.info.Rows
		if c.form == startForm {
			st.Min, st.Max, st.Bounded = c.s.info.Start, c.s.info.End, true
		}
	case traceForm:
		if c.n == ColTraceStart || c.n == ColTraceDuration {
			st.Values = c.s.info.Traces
		}
	}
	return st
}

// Excludes implements columnar.Excluder.
func (c *columnReader) Excludes(value []byte) bool {
	if c.t.Elem() != columnar.String {
		return false
	}
	l, err := c.s.list(c.n)
	return err == nil && l.bloom != nil && l.bloom.Excludes(value)
}

// Restrict implements columnar.PageBounds.
func (c *columnReader) Restrict(sel columnar.Bitmap, lo, hi int64) {
	if c.form != asIs && c.form != durationForm || c.t != columnar.Int {
		return
	}
	l, err := c.s.list(c.n)
	if err != nil {
		return
	}
	for _, p := range l.pages {
		low, high := p.Low, p.High
		if c.form == durationForm {
			low, high = max(low, 0), max(high, 0)
		}
		if !p.HasBounds || low <= hi && high >= lo {
			continue
		}
		for r := p.First; r < p.First+p.Rows; r++ {
			sel.Unset(uint32(r))
		}
	}
}

// Dict implements columnar.Column.
func (c *columnReader) Dict(ctx context.Context) (*columnar.Dict, error) {
	if c.form != asIs && !(c.form == traceForm && c.t == columnar.String) || !c.s.chunk(c.n).HasDict() {
		return nil, nil
	}
	return c.s.dict(ctx, c.n)
}

// Read implements columnar.Column. A column that is read whole while its pages are
// in the cache is asked for often: it is kept as it was returned.
func (c *columnReader) Read(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) error {
	dst.Reset()
	switch {
	case c.form == parentForm:
		return c.s.readParents(ctx, dst)
	case c.form == traceForm && c.t == columnar.Int:
		return c.s.readPerTrace(ctx, c.n, c.t, dst)
	}
	cache, pages := c.s.b.cache, c.s.pagesKey(c.n)
	key := pages
	key.leaf = c.n + cacheVectors
	if v, ok := cache.get(key).(*columnar.Vector); ok {
		lend(v, dst)
		return nil
	}
	if c.form == traceForm || c.s.worthWhole(c.n, within) {
		within = nil
	}
	again := cache.get(pages) != nil
	whole, err := c.fill(ctx, within, dst)
	if err != nil || !again || !whole {
		return err
	}
	if v, size := cloned(dst); cache.put(key, v, size) {
		cache.take(pages)
	}
	return nil
}

// worthWhole tells whether the other pages of a column should be read too, so
// that it is in the cache for the next question.
func (s *segment) worthWhole(n int, within columnar.Bitmap) bool {
	c := s.chunk(n)
	l, err := s.list(n)
	if err != nil || within == nil || s.b.few || !s.b.cache.keepsPages(c.End-c.Data) {
		return false
	}
	hit := 0
	for i := range l.pages {
		if overlaps(within, &l.pages[i]) {
			hit++
		}
	}
	return 2*hit >= len(l.pages)
}

// fill reads the column into dst; whole tells whether no page was left out.
func (c *columnReader) fill(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) (whole bool, err error) {
	switch c.form {
	case startForm:
		return c.s.readStart(ctx, within, dst)
	case traceForm:
		return true, c.s.readPerTrace(ctx, c.n, c.t, dst)
	case asIs, directForm, durationForm, parentForm: // page by page
	}
	err = c.s.read(ctx, c.n, within, func(r *raw) error {
		whole = !r.partial
		switch {
		case c.form == directForm:
			return r.direct(dst)
		case c.form == durationForm:
			r.ints(dst)
			for i, v := range dst.Ints {
				dst.Ints[i] = max(v, 0)
			}
			return nil
		}
		r.vector(c.t, dst)
		return nil
	})
	return whole, err
}

// lend makes dst show what v holds.
func lend(v, dst *columnar.Vector) {
	dst.Dict, dst.Codes, dst.Ints, dst.Floats = v.Dict, v.Codes, v.Ints, v.Floats
	dst.Arena, dst.Offsets, dst.Gap, dst.Rows, dst.Lists = v.Arena, v.Offsets, v.Gap, v.Rows, v.Lists
}

// cloned is a copy of what a column returned, and its size.
func cloned(v *columnar.Vector) (*columnar.Vector, int64) {
	out := &columnar.Vector{Dict: v.Dict, Codes: slices.Clone(v.Codes), Ints: slices.Clone(v.Ints), Floats: slices.Clone(v.Floats),
		Arena: bytes.Clone(v.Arena), Offsets: slices.Clone(v.Offsets), Gap: v.Gap, Rows: slices.Clone(v.Rows), Lists: slices.Clone(v.Lists)}
	return out, int64(4*(len(v.Codes)+len(v.Offsets)+len(v.Rows)+len(v.Lists)) + 8*(len(v.Ints)+len(v.Floats)) + len(v.Arena))
}

// dict returns the dictionary of a column, decoded once while the cache has room.
func (s *segment) dict(ctx context.Context, n int) (*columnar.Dict, error) {
	key := cacheKey{s.b.meta.ID, s.group, n}
	if d, ok := s.b.cache.get(key).(*columnar.Dict); ok {
		return d, nil
	}
	return s.readDict(ctx, n, nil)
}

func (s *segment) readDict(ctx context.Context, n int, near *regions) (*columnar.Dict, error) {
	ch := s.chunk(n)
	buf := make([]byte, ch.Data-ch.Start)
	if err := near.readAt(ctx, s.b, buf, ch.Start); err != nil {
		return nil, s.b.fault(s.part(n), err)
	}
	return s.decodeDict(n, buf)
}

// decodeDict decodes the dictionary page in buf and keeps it.
func (s *segment) decodeDict(n int, buf []byte) (*columnar.Dict, error) {
	sc, err := s.b.cache.borrow()
	if err != nil {
		return nil, err
	}
	defer s.b.cache.giveBack(sc)
	ch, leaf := s.chunk(n), s.leaf(n)
	d := new(columnar.Dict)
	size := 0
	if leaf.Kind.IsInt() {
		ints, err := sc.dec.IntDict(leaf.Kind, ch, buf)
		if err != nil {
			return nil, s.b.fault(s.part(n), err)
		}
		size = 8 * len(ints)
		if leaf.Kind == pq.Double {
			d.Floats = make([]float64, len(ints))
			for i, v := range ints {
				d.Floats[i] = pq.Float(v)
			}
		} else {
			d.Ints = ints
		}
	} else {
		p, err := sc.dec.Dict(leaf.Kind, ch, buf)
		if err != nil {
			return nil, s.b.fault(s.part(n), err)
		}
		d.Arena, d.Offsets, d.Gap = p.Arena, p.Offsets, p.Gap
		d.Sorted = n == ColTraceID
		size = len(p.Arena) + 4*len(p.Offsets)
	}
	s.b.cache.put(cacheKey{s.b.meta.ID, s.group, n}, d, int64(size))
	return d, nil
}

// raw is a column as it was decoded.
type raw struct {
	rows    int // of the segment
	leaf    *pq.Leaf
	v       *pq.Values
	dict    *columnar.Dict
	sparse  bool // v.Rows lists the rows that have a value; otherwise all have
	partial bool // v lacks pages, or rows of them
	narrow  bool // v has few rows of its pages
}

// read decodes the pages of a column that have a row in within (nil: all) and
// hands them to use; what it is given is valid until it returns.
func (s *segment) read(ctx context.Context, n int, within columnar.Bitmap, use func(*raw) error) error {
	return s.readNear(ctx, n, within, nil, use)
}

// readNear is read with some of the bytes in memory already.
func (s *segment) readNear(ctx context.Context, n int, within columnar.Bitmap, near *regions, use func(*raw) error) error {
	l, err := s.list(n)
	if err != nil {
		return err
	}
	sc, err := s.b.cache.borrow()
	if err != nil {
		return err
	}
	defer s.b.cache.giveBack(sc)
	ch, leaf := s.chunk(n), s.leaf(n)
	r := raw{rows: s.info.Rows, leaf: leaf, v: &sc.vals}
	first, last, all := wanted(l.pages, within)
	r.narrow = within != nil && leaf.List == "" && narrow(within, l.pages)
	r.partial = !all || r.narrow
	r.sparse = r.partial || leaf.List != "" || leaf.Optional && ch.Nulls > 0
	if first < 0 {
		return use(&r)
	}
	if bodies, ok := s.b.cache.get(s.pagesKey(n)).([]pq.Body); ok && near == nil {
		if ch.HasDict() {
			if r.dict, err = s.dict(ctx, n); err != nil {
				return err
			}
		}
		return s.decode(sc, &r, n, l.pages, within, func(i int) (*pq.Body, error) { return &bodies[i], nil }, use)
	}
	from, to := l.pages[first].At, l.pages[last].At+int64(l.pages[last].Size)
	var d any
	if ch.HasDict() {
		if d = s.b.cache.get(cacheKey{s.b.meta.ID, s.group, n}); d == nil && first == 0 && near == nil {
			from = ch.Start // one read for dictionary and pages
		}
	}
	buf := near.view(from, to)
	if buf == nil {
		sc.buf = sized(sc.buf, int(to-from))
		buf = sc.buf
		if err := s.b.readAt(ctx, DataName, buf, from); err != nil {
			return s.b.fault(s.part(n), err)
		}
	}
	if ch.HasDict() {
		switch {
		case d != nil:
			r.dict, _ = d.(*columnar.Dict)
		case from == ch.Start:
			r.dict, err = s.decodeDict(n, buf)
		default:
			r.dict, err = s.readDict(ctx, n, near)
		}
		if err != nil {
			return err
		}
	}
	var keep []pq.Body
	if !r.partial && near == nil && s.b.cache.keepsPages(to-from) {
		keep = make([]pq.Body, len(l.pages))
	}
	err = s.decode(sc, &r, n, l.pages, within, func(i int) (*pq.Body, error) {
		p := &l.pages[i]
		if keep == nil {
			return sc.dec.Lend(ch, *p, buf[p.At-from:])
		}
		var err error
		keep[i], err = sc.dec.Body(ch, *p, buf[p.At-from:])
		return &keep[i], err
	}, use)
	if err == nil && keep != nil {
		size := 0
		for i := range keep {
			size += keep[i].Size() + 64
		}
		s.b.cache.put(s.pagesKey(n), keep, int64(size))
	}
	return err
}

func (s *segment) pagesKey(n int) cacheKey { return cacheKey{s.b.meta.ID, s.group, n + cachePages} }

// decode decodes the pages with a row in within and hands the values to use. Of
// columns without nulls the rows are noted too once pages are left out.
func (s *segment) decode(sc *scratch, r *raw, n int, pages []pq.PageInfo, within columnar.Bitmap, body func(i int) (*pq.Body, error), use func(*raw) error) error {
	ch, entries := s.chunk(n), 0
	if r.dict != nil {
		entries = r.dict.Len()
	}
	for i := range pages {
		p := &pages[i]
		if within != nil && !overlaps(within, p) {
			continue
		}
		from, to := p.First, p.First+p.Rows
		if r.narrow {
			from, to = window(within, p)
		}
		b, err := body(i)
		if err == nil {
			err = sc.dec.DecodeRows(r.v, r.leaf, ch, *p, b, entries, from, to)
		}
		if err != nil {
			return s.b.fault(s.part(n), err)
		}
		if r.sparse && r.leaf.List == "" && (!r.leaf.Optional || ch.Nulls == 0) {
			for k := from; k < to; k++ {
				r.v.Rows = append(r.v.Rows, uint32(k))
			}
		}
	}
	return use(r)
}

// wanted returns the first and last page with a row in within, -1 for none, and
// whether no page is left out.
func wanted(pages []pq.PageInfo, within columnar.Bitmap) (first, last int, all bool) {
	if within == nil {
		return 0, len(pages) - 1, true
	}
	first, all = -1, true
	for i := range pages {
		if !overlaps(within, &pages[i]) {
			all = false
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
	}
	return first, last, all
}

// narrow tells whether the wanted rows of the pages lie close together.
func narrow(within columnar.Bitmap, pages []pq.PageInfo) bool {
	rows, decoded := 0, 0
	for i := range pages {
		if p := &pages[i]; overlaps(within, p) {
			from, to := window(within, p)
			rows, decoded = rows+p.Rows, decoded+to-from
		}
	}
	return 4*decoded < rows
}

// window is the rows of a page from the first to the last one in within.
func window(within columnar.Bitmap, p *pq.PageInfo) (from, to int) {
	from, to = p.First, p.First+p.Rows
	if r, ok := within.Next(uint32(from)); ok {
		from = min(int(r), to)
	}
	for to > from && to&63 != 0 && !within.Has(uint32(to-1)) {
		to--
	}
	for to-64 >= from && within[(to-1)>>6] == 0 {
		to -= 64
	}
	for to > from && !within.Has(uint32(to-1)) {
		to--
	}
	return from, to
}

func overlaps(within columnar.Bitmap, p *pq.PageInfo) bool {
	return within.AnyIn(uint32(p.First), uint32(p.First+p.Rows))
}

// whole reports that there is a value for every row.
func (r *raw) whole() bool { return !r.sparse || len(r.v.Rows) == r.rows }

// vector turns the raw column into dst.
func (r *raw) vector(t columnar.Type, dst *columnar.Vector) {
	if t&columnar.Array != 0 {
		copy(dst.UseLists(len(r.v.Lens)+1), ends(r.v.Lens))
		t = t.Elem()
	}
	switch {
	case r.dict != nil:
		r.codes(dst)
	case t == columnar.Float:
		out := dst.UseFloats(len(r.v.Ints))
		for i, v := range r.v.Ints {
			out[i] = pq.Float(v)
		}
		r.rowsOf(dst)
	case r.leaf.Kind.IsInt():
		copy(dst.UseInts(len(r.v.Ints)), r.v.Ints)
		r.rowsOf(dst)
	default:
		p := &r.v.Plain
		if len(p.Offsets) == 0 {
			p.Offsets = append(p.Offsets, 0)
		}
		arena, offsets := dst.UseStrings(len(p.Arena), len(p.Offsets))
		copy(arena, p.Arena)
		copy(offsets, p.Offsets)
		r.rowsOf(dst)
	}
}

// rowsOf makes the vector sparse unless every row has a value.
func (r *raw) rowsOf(dst *columnar.Vector) {
	if !r.whole() {
		copy(dst.UseRows(len(r.v.Rows)), r.v.Rows)
	}
}

// codes spreads codes over all rows when they are many.
func (r *raw) codes(dst *columnar.Vector) {
	dst.Dict = r.dict
	switch {
	case r.whole():
		copy(dst.UseCodes(len(r.v.Codes)), r.v.Codes)
	case dst.Lists != nil || len(r.v.Codes)*8 < r.rows:
		copy(dst.UseCodes(len(r.v.Codes)), r.v.Codes)
		copy(dst.UseRows(len(r.v.Rows)), r.v.Rows)
	default:
		out := dst.UseCodes(r.rows)
		clear(out)
		for i, row := range r.v.Rows {
			out[row] = r.v.Codes[i]
		}
	}
}

// ints turns the raw column into plain integers.
func (r *raw) ints(dst *columnar.Vector) {
	out := dst.UseInts(max(len(r.v.Ints), len(r.v.Codes)))
	copy(out, r.v.Ints)
	for i, k := range r.v.Codes {
		out[i] = r.dict.Ints[k-1]
	}
	r.rowsOf(dst)
}

// direct turns a column of small integers without nulls into direct codes.
func (r *raw) direct(dst *columnar.Vector) error {
	if r.dict != nil && r.dict.Ints == nil || r.leaf.Kind != pq.Int32 {
		return fmt.Errorf("%w: column %s", pq.ErrDamaged, r.leaf.Name)
	}
	out := dst.UseCodes(r.rows)
	value := func(i int) uint32 {
		if r.dict != nil {
			return uint32(int32(r.dict.Ints[r.v.Codes[i]-1]))
		}
		return uint32(int32(r.v.Ints[i]))
	}
	if !r.sparse {
		for i := range out {
			out[i] = value(i)
		}
		return nil
	}
	for i, row := range r.v.Rows {
		out[row] = value(i)
	}
	return nil
}

// floatBits is the inverse of pq.Float for a dictionary.
func floatBits(f []float64) []int64 {
	out := make([]int64, len(f))
	for i, v := range f {
		out[i] = int64(math.Float64bits(v))
	}
	return out
}
