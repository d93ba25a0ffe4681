package query

import (
	"context"
	"fmt"
	"slices"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// scan is the state of evaluating one query on one segment: the rows that count and what was read so far. It is reused
// from segment to segment for its memory. Not safe for concurrent use.
type scan struct {
	ctx  context.Context
	mem  *Budget
	took int64 // from mem
	seg  columnar.Segment
	info *columnar.Info
	n    int
	memo *memo // of the segment; nil = nothing is remembered

	given columnar.Bitmap // the rows that count, nil = all
	live  columnar.Bitmap // the same, when asked for
	own   columnar.Bitmap // memory of live

	traces   *columnar.Traces
	of       []uint32 // row → trace, when asked for
	tables   [2]*columnar.Table
	cols     map[colKey]*colSet
	leaves   map[*leaf]*leafState
	nested   *nestedSet
	sum      *summary
	services [][]byte // service.name per resource
	// tableSets outlives the segment: the segments of a block share their tables.
	tableSets map[tableKey]*codeSet
	steps     int

	free    []*columnar.Vector
	bitmaps []columnar.Bitmap
	used    int // bitmaps handed out
}

type colKey struct {
	scope columnar.Scope
	key   string
}

// colSet is the columns of one key and what was read of them.
type colSet struct {
	cols  []columnar.Column
	reads []columnRead
}

type columnRead struct {
	vec  *columnar.Vector
	have columnar.Bitmap // rows asked for so far; nil with a vec = all
	all  bool
}

// take takes memory from the budget until the scan ends.
func (s *scan) take(n int64) error {
	err := s.mem.Take(n)
	if err == nil {
		s.took += n
	}
	return err
}

// end gives back what the scan took. The memory itself stays for the next segment.
func (s *scan) end() {
	s.mem.giveBack(s.took)
	s.took = 0
}

// begin makes the scan ready for a segment. live is the rows that count, nil = all.
func (s *scan) begin(ctx context.Context, seg columnar.Segment, live columnar.Bitmap) {
	s.end()
	for _, c := range s.cols {
		for _, r := range c.reads {
			if r.vec != nil {
				r.vec.Reset()
				s.free = append(s.free, r.vec)
			}
		}
	}
	clear(s.cols)
	clear(s.leaves)
	if s.cols == nil {
		s.cols, s.leaves = make(map[colKey]*colSet), make(map[*leaf]*leafState)
		s.tableSets = make(map[tableKey]*codeSet)
	}
	s.mem, s.memo = BudgetFrom(ctx), nil
	if r, ok := seg.(remembering); ok {
		seg, s.memo = r.Segment, r.memo
	}
	s.ctx, s.seg, s.info, s.n = ctx, seg, seg.Info(), seg.Info().Rows
	s.traces, s.nested, s.sum, s.services, s.used = nil, nil, nil, nil, 0
	s.of = s.of[:0]
	s.tables = [2]*columnar.Table{}
	s.given, s.live = live, nil
}

// rows is the rows that count; the caller does not change it. Most segments of a search for something rare are never
// asked for them.
func (s *scan) rows() columnar.Bitmap {
	if s.live == nil {
		s.own = sizedBitmap(s.own, s.n)
		s.live = s.own
		if s.given == nil {
			s.live.Fill(s.n)
		} else {
			copy(s.live, s.given)
		}
	}
	return s.live
}

// sizedBitmap is b for n rows, with any content and never nil.
func sizedBitmap(b columnar.Bitmap, n int) columnar.Bitmap {
	if words := (n + 63) / 64; b != nil && words <= cap(b) {
		return b[:words]
	}
	return columnar.NewBitmap(n)
}

// bitmap is an empty set of rows that is valid until the next begin.
func (s *scan) bitmap() columnar.Bitmap { return s.bitmapOf(s.n) }

func (s *scan) bitmapOf(n int) columnar.Bitmap {
	if s.used == len(s.bitmaps) {
		s.bitmaps = append(s.bitmaps, nil)
	}
	b := sizedBitmap(s.bitmaps[s.used], n)
	s.bitmaps[s.used] = b
	s.used++
	clear(b)
	return b
}

// step is called in loops that work on single rows; it notices the end of the context.
func (s *scan) step() error {
	if s.steps++; s.steps&255 != 0 {
		return nil
	}
	return s.ctx.Err()
}

func (s *scan) columns(scope columnar.Scope, key string) *colSet {
	k := colKey{scope, key}
	if c, ok := s.cols[k]; ok {
		return c
	}
	c := &colSet{cols: s.seg.Columns(nil, scope, key)}
	c.reads = make([]columnRead, len(c.cols))
	s.cols[k] = c
	return c
}

// read gives column i of the set with at least the entries of within (nil = all) filled.
func (s *scan) read(c *colSet, i int, within columnar.Bitmap) (*columnar.Vector, error) {
	r := &c.reads[i]
	if r.vec != nil && (r.all || within != nil && subset(within, r.have)) {
		return r.vec, nil
	}
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	known := int64(0)
	if r.vec == nil {
		r.vec = s.vector()
	} else {
		known = r.vec.Size()
		if within != nil {
			within = union(within, r.have)
		}
	}
	r.vec.Reset()
	if err := c.cols[i].Read(s.ctx, within, r.vec); err != nil {
		return nil, fmt.Errorf("read column: %w", err)
	}
	if err := s.take(r.vec.Size() - known); err != nil {
		return nil, err
	}
	r.all = within == nil
	r.have = append(r.have[:0], within...)
	return r.vec, nil
}

func (s *scan) vector() *columnar.Vector {
	if n := len(s.free); n > 0 {
		v := s.free[n-1]
		s.free = s.free[:n-1]
		return v
	}
	return &columnar.Vector{}
}

func subset(a, b columnar.Bitmap) bool {
	if len(b) < len(a) {
		return false
	}
	for i := range a {
		if a[i]&^b[i] != 0 {
			return false
		}
	}
	return true
}

func union(a, b columnar.Bitmap) columnar.Bitmap {
	u := a.Clone()
	if len(b) == len(a) {
		u.Or(b)
	}
	return u
}

// intrinsic reads a fixed column that every segment has.
func (s *scan) intrinsic(key string, within columnar.Bitmap) (*columnar.Vector, error) {
	c := s.columns(columnar.ScopeIntrinsic, key)
	if len(c.cols) == 0 {
		return nil, fmt.Errorf("segment has no column %s", key)
	}
	return s.read(c, 0, within)
}

// optional reads a fixed column that may be missing: nil then.
func (s *scan) optional(key string, within columnar.Bitmap) (*columnar.Vector, error) {
	c := s.columns(columnar.ScopeIntrinsic, key)
	if len(c.cols) == 0 {
		return nil, nil
	}
	return s.read(c, 0, within)
}

func (s *scan) table(scope columnar.Scope) (*columnar.Table, error) {
	i := 0
	if scope == columnar.ScopeInstrumentation {
		i = 1
	}
	if s.tables[i] == nil {
		t, err := s.seg.Table(s.ctx, scope)
		if err != nil {
			return nil, err
		}
		s.tables[i] = t
	}
	return s.tables[i], nil
}

func (s *scan) loadTraces() (*columnar.Traces, error) {
	if s.traces == nil {
		t, err := s.seg.Traces(s.ctx)
		if err != nil {
			return nil, err
		}
		s.traces = t
	}
	return s.traces, nil
}

// traceOf is the trace number of every row of a segment with a permutation.
func (s *scan) traceOf(t *columnar.Traces) []uint32 {
	if len(s.of) == s.n {
		return s.of
	}
	s.of = slices.Grow(s.of[:0], s.n)[:s.n]
	for i := range t.IDs {
		for _, row := range t.Perm[t.Offsets[i]:t.Offsets[i+1]] {
			s.of[row] = uint32(i)
		}
	}
	return s.of
}

// tracesOf is the set of the traces that have a row in rows.
func (s *scan) tracesOf(rows columnar.Bitmap) (columnar.Bitmap, error) {
	t, err := s.loadTraces()
	if err != nil {
		return nil, err
	}
	out := s.bitmapOf(len(t.IDs))
	if t.Perm != nil {
		of := s.traceOf(t)
		for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
			out.Set(of[row])
		}
		return out, nil
	}
	at := 0
	for row, ok := rows.Next(0); ok; row, ok = rows.Next(t.Offsets[at]) {
		at = advance(t.Offsets, at, row)
		out.Set(uint32(at))
		at++
		if at >= len(t.IDs) {
			break
		}
	}
	return out, nil
}

// advance is the trace of a row, looking from trace at on: first a few steps, then by halving.
func advance(offsets []uint32, at int, row uint32) int {
	step := 1
	hi := at + 1
	for hi < len(offsets)-1 && offsets[hi] <= row {
		at = hi
		hi = min(hi+step, len(offsets)-1)
		step *= 2
	}
	for hi-at > 1 {
		mid := int(uint(at+hi) / 2)
		if offsets[mid] <= row {
			at = mid
		} else {
			hi = mid
		}
	}
	return at
}

// rowsOf is the set of all live rows of the traces.
func (s *scan) rowsOf(traces columnar.Bitmap) (columnar.Bitmap, error) {
	t, err := s.loadTraces()
	if err != nil {
		return nil, err
	}
	out := s.bitmap()
	for i, ok := traces.Next(0); ok; i, ok = traces.Next(i + 1) {
		if t.Perm == nil {
			out.SetRange(t.Offsets[i], t.Offsets[i+1])
			continue
		}
		for _, row := range t.Perm[t.Offsets[i]:t.Offsets[i+1]] {
			out.Set(row)
		}
	}
	out.And(s.rows())
	return out, nil
}

// eachTrace calls f for every trace with a row in rows, with its rows in ascending order (storage order of the trace).
// The slice is reused.
func (s *scan) eachTrace(rows columnar.Bitmap, f func(t uint32, rows []uint32) error) error {
	traces, err := s.tracesOf(rows)
	if err != nil {
		return err
	}
	var list []uint32
	for i, ok := traces.Next(0); ok; i, ok = traces.Next(i + 1) {
		list = s.traceRows(i, rows, list[:0])
		if err := s.step(); err != nil {
			return err
		}
		if err := f(i, list); err != nil {
			return err
		}
	}
	return nil
}

// traceRows appends the rows of one trace that are in rows.
func (s *scan) traceRows(t uint32, rows columnar.Bitmap, dst []uint32) []uint32 {
	lo, hi := s.traces.Offsets[t], s.traces.Offsets[t+1]
	if s.traces.Perm == nil {
		for row, ok := rows.Next(lo); ok && row < hi; row, ok = rows.Next(row + 1) {
			dst = append(dst, row)
		}
		return dst
	}
	for _, row := range s.traces.Perm[lo:hi] {
		if rows.Has(row) {
			dst = append(dst, row)
		}
	}
	return dst
}

// id of a trace number.
func (s *scan) id(t uint32) trace.ID { return s.traces.IDs[t] }
