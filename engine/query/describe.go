package query

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// shownAttrs is the attributes that a query mentions, without those every answer has anyway.
func shownAttrs(p *traceql.Pipeline) []*traceql.Attr {
	seen := map[traceql.Attr]bool{}
	var out []*traceql.Attr
	walkPipeline(p, func(a *traceql.Attr) {
		k := *a
		k.Pos = 0
		if seen[k] || !a.Parent && inResult(a.Intrinsic) {
			return
		}
		seen[k] = true
		out = append(out, a)
	})
	return out
}

// inResult reports intrinsics that an answer has anyway, or that have no value to show.
func inResult(i traceql.Intrinsic) bool {
	switch i {
	case traceql.Duration, traceql.Name, traceql.SpanID, traceql.TraceID, traceql.TraceDuration, traceql.TraceRootName,
		traceql.TraceRootService, traceql.ParentSpan:
		return true
	}
	return false
}

// walkPipeline calls f for every attribute of a pipeline.
func walkPipeline(p *traceql.Pipeline, f func(*traceql.Attr)) {
	for _, x := range p.Stages {
		walkStage(x, f)
	}
}

func walkStage(x traceql.Stage, f func(*traceql.Attr)) {
	switch x := x.(type) {
	case *traceql.Filter:
		walkField(x.Expr, f)
	case *traceql.Pipeline:
		walkPipeline(x, f)
	case *traceql.SpansetOp:
		walkStage(x.Left, f)
		walkStage(x.Right, f)
	case *traceql.Group:
		walkField(x.Expr, f)
	case *traceql.Select:
		for _, a := range x.Attrs {
			f(a)
		}
	case *traceql.ScalarFilter:
		walkScalar(x.Left, f)
		walkScalar(x.Right, f)
	}
}

func walkScalar(x traceql.Scalar, f func(*traceql.Attr)) {
	switch x := x.(type) {
	case *traceql.Aggregate:
		walkField(x.Expr, f)
	case *traceql.ScalarOp:
		walkScalar(x.Left, f)
		walkScalar(x.Right, f)
	case *traceql.PipelineScalar:
		walkPipeline(x.Pipeline, f)
		walkField(x.Aggregate.Expr, f)
	}
}

func walkField(x traceql.Field, f func(*traceql.Attr)) {
	switch x := x.(type) {
	case *traceql.Attr:
		f(x)
	case *traceql.Unary:
		walkField(x.Expr, f)
	case *traceql.Binary:
		walkField(x.Left, f)
		walkField(x.Right, f)
	}
}

// shownName is the key of an attribute in an answer: without its scope, as the API has it, save for those of the parent.
func shownName(a *traceql.Attr) string {
	if a.Parent {
		return a.String()
	}
	if a.Intrinsic != traceql.NotIntrinsic {
		return a.Intrinsic.String()
	}
	return a.Name
}

// describer reads what an answer shows of spans. What the answer is made of comes
// in few allocations.
type describer struct {
	s              *scan
	id, start, dur cursor
	name           texts
	root, service  texts // of traces, when they are stored
	attrs          []getter
	keys           []string
	names          interner

	sets     arena[SpanSet]
	spans    arena[SpanResult]
	shown    arena[Attribute]
	text     arena[byte]
	services arena[ServiceStats]
}

// arena hands out slices of common allocations. They cannot grow into each other.
type arena[T any] struct {
	free []T
	next int // size of the next allocation
}

const maxArena = 1024

// expect says how much will be taken, more or less.
func (a *arena[T]) expect(n int) { a.next = min(n, maxArena) }

func (a *arena[T]) take(n int) []T {
	if n > len(a.free) {
		a.free = make([]T, max(n, a.next))
	}
	out := a.free[:n:n]
	a.free = a.free[n:]
	return out
}

// interner makes one string of equal ones, while they are few.
type interner map[string]string

const maxInterned = 1 << 12

func (in interner) of(b []byte) string {
	if s, ok := in[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(in) < maxInterned {
		in[s] = s
	}
	return s
}

// cursor reads a column in about ascending order of rows: in a sparse one it looks on from where it was. It is of no use
// once more of the column is read.
type cursor struct {
	all   *columnar.Vector
	dense columnar.Vector // all without its rows
	at    int
}

func newCursor(v *columnar.Vector) cursor {
	c := cursor{all: v, dense: *v}
	c.dense.Rows = nil
	return c
}

// entry is the place of a row in the column; ok is false when it is not there.
func (c *cursor) entry(row uint32) (i uint32, ok bool) {
	rows := c.all.Rows
	if rows == nil {
		return row, true
	}
	for range 8 {
		if c.at >= len(rows) || rows[c.at] >= row {
			break
		}
		c.at++
	}
	if c.at >= len(rows) || rows[c.at] != row {
		c.at, ok = slices.BinarySearch(rows, row)
		return uint32(c.at), ok
	}
	return uint32(c.at), true
}

func (c *cursor) number(row uint32) int64 {
	if i, ok := c.entry(row); ok {
		return c.dense.Int(i)
	}
	return 0
}

// texts reads a column of strings and makes one string for each entry of its dictionary.
type texts struct {
	cursor
	byCode []string // of small dictionaries
}

func newTexts(v *columnar.Vector) texts {
	t := texts{cursor: newCursor(v)}
	if v.Dict != nil && v.Present == nil && v.Dict.Len() < maxInterned {
		t.byCode = make([]string, v.Dict.Len()+1)
	}
	return t
}

// text is the string of a row; ok is false when it is null.
func (t *texts) text(row uint32, names interner) (s string, ok bool) {
	i, ok := t.entry(row)
	if !ok {
		return "", false
	}
	if t.byCode == nil {
		b := t.dense.Text(i)
		return names.of(b), b != nil
	}
	code := t.dense.Codes[i]
	if code == 0 {
		return "", false
	}
	if t.byCode[code] == "" {
		t.byCode[code] = string(t.dense.Dict.Bytes(int(code - 1)))
	}
	return t.byCode[code], true
}

// describe makes the results of the traces found.
func (p *SearchPlan) describe(s *scan, found []foundTrace, sum *summary, res *SearchResult) error {
	show := s.bitmap()
	if err := p.trim(s, found, show); err != nil {
		return err
	}
	d := describer{s: s, names: interner{}}
	if err := d.open(p.shown, show); err != nil {
		return err
	}
	if sum.serviceCol != nil {
		d.root, d.service = newTexts(sum.nameCol), newTexts(sum.serviceCol)
	}
	spans := show.Count()
	d.sets.expect(len(found))
	d.spans.expect(spans)
	d.shown.expect(spans * len(d.attrs))
	d.text.next = min(16*spans, 16<<10)
	res.Traces = make([]TraceResult, len(found))
	place := newestOrder(found)
	for i := range found {
		if err := s.step(); err != nil {
			return err
		}
		t := &res.Traces[place[i]]
		d.trace(t, &found[i], sum)
		if err := s.mem.Take(t.size()); err != nil {
			return err
		}
	}
	if !p.req.SkipServices {
		return d.serviceStats(found, place, res.Traces)
	}
	return nil
}

// open reads the columns for the rows that are shown. What is asked for comes first: it may need more rows of the same
// columns, and a cursor is over what was read before it.
func (d *describer) open(shown []*traceql.Attr, show columnar.Bitmap) error {
	for _, a := range shown {
		get, err := d.s.attrGetter(a, show)
		if err != nil {
			return err
		}
		d.attrs = append(d.attrs, get)
		d.keys = append(d.keys, shownName(a))
	}
	for _, part := range [...]struct {
		key string
		dst *cursor
	}{{columnar.KeySpanID, &d.id}, {columnar.KeyStart, &d.start}, {columnar.KeyDuration, &d.dur}} {
		v, err := d.s.intrinsic(part.key, show)
		if err != nil {
			return err
		}
		*part.dst = newCursor(v)
	}
	v, err := d.s.intrinsic(columnar.KeyName, show)
	if err != nil {
		return err
	}
	d.name = newTexts(v)
	return nil
}

// newestOrder is the place of each trace in the answer.
func newestOrder(found []foundTrace) []int {
	order, place := make([]int, len(found)), make([]int, len(found))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return newestFirst(found[a], found[b]) })
	for k, i := range order {
		place[i] = k
	}
	return place
}

// trim leaves the spans of each set that are shown, the first by start, and collects their rows in show. matched
// keeps the full counts.
func (p *SearchPlan) trim(s *scan, found []foundTrace, show columnar.Bitmap) error {
	t, err := s.loadTraces()
	if err != nil {
		return err
	}
	var start *columnar.Vector
	if t.Perm != nil { // rows of a trace are not in order of start
		all := s.bitmap()
		for i := range found {
			for _, set := range found[i].sets {
				for _, row := range set.rows {
					all.Set(row)
				}
			}
		}
		if start, err = s.intrinsic(columnar.KeyStart, all); err != nil {
			return err
		}
	}
	var counts arena[int]
	counts.expect(len(found))
	for i := range found {
		f := &found[i]
		f.matched = counts.take(len(f.sets))
		for k := range f.sets {
			rows := f.sets[k].rows
			f.matched[k] = len(rows)
			if start != nil {
				sort.SliceStable(rows, func(a, b int) bool { return start.Int(rows[a]) < start.Int(rows[b]) })
			}
			if p.req.SpansPerSet > 0 && len(rows) > p.req.SpansPerSet {
				rows = rows[:p.req.SpansPerSet]
			}
			f.sets[k].rows = rows
			for _, row := range rows {
				show.Set(row)
			}
		}
	}
	return nil
}

func (d *describer) trace(t *TraceResult, f *foundTrace, sum *summary) {
	t.ID, t.Start, t.End, t.Sets = d.s.id(f.number), f.start, f.end, d.sets.take(len(f.sets))
	if sum.serviceCol != nil {
		var named, served bool
		t.RootName, named = d.root.text(f.number, d.names)
		t.RootService, served = d.service.text(f.number, d.names)
		t.HasRoot = named || served
	} else {
		name, service := sum.rootName(f.number), sum.rootService(f.number)
		t.HasRoot, t.RootName, t.RootService = name != nil || service != nil, d.names.of(name), d.names.of(service)
	}
	for i := range f.sets {
		set, out := &f.sets[i], &t.Sets[i]
		out.Matched, out.Attrs, out.Spans = f.matched[i], set.attrs, d.spans.take(len(set.rows))
		for k, row := range set.rows {
			d.span(&out.Spans[k], row)
		}
	}
}

func (d *describer) span(sp *SpanResult, row uint32) {
	sp.Start, sp.Duration = d.start.number(row), d.dur.number(row)
	sp.Name, _ = d.name.text(row, d.names)
	binary.BigEndian.PutUint64(sp.ID[:], uint64(d.id.number(row)))
	list := d.shown.take(len(d.attrs))
	n := 0
	for i, get := range d.attrs {
		if v := get(row); v.set {
			list[n] = Attribute{d.keys[i], d.owned(v.attribute())}
			n++
		}
	}
	if n > 0 {
		sp.Attrs = list[:n:n]
	}
}

// owned is a value that does not point into a column.
func (d *describer) owned(v trace.Value) trace.Value {
	switch {
	case len(v.Bytes) > 0:
		b := d.text.take(len(v.Bytes))
		copy(b, v.Bytes)
		v.Bytes = b
	case v.Bytes != nil:
		v.Bytes = []byte{}
	}
	return v
}

// tally counts the spans of one trace by service.
type tally struct {
	spans, errors []int32         // by number of the service
	met           columnar.Bitmap // the numbers that have spans
}

func newTally(services int) *tally {
	return &tally{spans: make([]int32, services), errors: make([]int32, services), met: columnar.NewBitmap(services)}
}

func (t *tally) add(service uint32, failed bool) {
	t.met.Set(service)
	t.spans[service]++
	if failed {
		t.errors[service]++
	}
}

// serviceStats counts the live spans and errors per service of the traces found.
func (d *describer) serviceStats(found []foundTrace, place []int, out []TraceResult) error {
	s := d.s
	traces := s.bitmapOf(len(s.traces.IDs))
	for i := range found {
		traces.Set(found[i].number)
	}
	rows, err := s.rowsOf(traces)
	if err != nil {
		return err
	}
	resource, err := s.intrinsic(columnar.KeyResource, rows)
	if err != nil {
		return err
	}
	status, err := s.intrinsic(columnar.KeyStatus, rows)
	if err != nil {
		return err
	}
	table, err := s.table(columnar.ScopeResource)
	if err != nil {
		return err
	}
	services := table.Services()
	failed := s.failed(status)
	count := newTally(len(services.Names))
	d.services.expect(4 * len(found))
	for i := range found {
		if err := s.step(); err != nil {
			return err
		}
		lo, hi := s.traces.Offsets[found[i].number], s.traces.Offsets[found[i].number+1]
		for k := lo; k < hi; k++ {
			row := k
			if s.traces.Perm != nil {
				row = s.traces.Perm[k]
			}
			if rows.Has(row) {
				count.add(services.Of[resource.Codes[row]], failed(row))
			}
		}
		out[place[i]].Services = d.tell(count, services.Names)
	}
	return nil
}

// tell makes the answer of a tally and empties it. The numbers are in the order of the names.
func (d *describer) tell(t *tally, names []string) []ServiceStats {
	out := d.services.take(t.met.Count())
	i := 0
	for n, ok := t.met.Next(0); ok; n, ok = t.met.Next(n + 1) {
		out[i] = ServiceStats{names[n], int(t.spans[n]), int(t.errors[n])}
		t.spans[n], t.errors[n] = 0, 0
		i++
	}
	clear(t.met)
	return out
}

// failed tells which spans have the status error. The rows of a sparse column are
// not searched for, but noted once.
func (s *scan) failed(status *columnar.Vector) func(row uint32) bool {
	if status.Rows == nil {
		return func(row uint32) bool { return status.Int(row) == int64(trace.StatusError) }
	}
	in, c := s.bitmap(), newCursor(status)
	for i, row := range status.Rows {
		if c.dense.Int(uint32(i)) == int64(trace.StatusError) {
			in.Set(row)
		}
	}
	return in.Has
}
