package query

import (
	"encoding/binary"
	"slices"
	"sort"

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
		if seen[k] || beyondSpan(a) {
			return
		}
		switch a.Intrinsic {
		case traceql.Duration, traceql.Name, traceql.TraceID, traceql.SpanID:
			return
		}
		seen[k] = true
		out = append(out, a)
	})
	return out
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

// shownName is the key of an attribute in an answer: without its scope, as the API has it.
func shownName(a *traceql.Attr) string {
	if a.Intrinsic != traceql.NotIntrinsic {
		return a.Intrinsic.String()
	}
	return a.Name
}

// describer reads what an answer shows of spans.
type describer struct {
	s                   *scan
	id, start, dur, nam *Vector
	attrs               []getter
	names               []string
	text                map[uint32]string // span names by code
}

// describe makes the results of the traces found.
func (p *SearchPlan) describe(s *scan, found []foundTrace, sum *summary, res *SearchResult) error {
	show := s.bitmap()
	if err := p.trim(s, found, show); err != nil {
		return err
	}
	d := describer{s: s, text: map[uint32]string{}}
	var err error
	for _, part := range [...]struct {
		key string
		dst **Vector
	}{{KeySpanID, &d.id}, {KeyStart, &d.start}, {KeyDuration, &d.dur}, {KeyName, &d.nam}} {
		if *part.dst, err = s.intrinsic(part.key, show); err != nil {
			return err
		}
	}
	for _, a := range p.shown {
		get, err := s.attrGetter(a, show)
		if err != nil {
			return err
		}
		d.attrs = append(d.attrs, get)
		d.names = append(d.names, shownName(a))
	}
	res.Traces = make([]TraceResult, len(found))
	place := newestOrder(found)
	for i := range found {
		if err := s.step(); err != nil {
			return err
		}
		t := &res.Traces[place[i]]
		*t = d.trace(&found[i], sum)
		if err := s.mem.Take(t.size()); err != nil {
			return err
		}
	}
	if !p.req.SkipServices {
		return s.serviceStats(found, place, res.Traces)
	}
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
func (p *SearchPlan) trim(s *scan, found []foundTrace, show Bitmap) error {
	t, err := s.loadTraces()
	if err != nil {
		return err
	}
	var start *Vector
	if t.Perm != nil { // rows of a trace are not in order of start
		all := s.bitmap()
		for i := range found {
			for _, set := range found[i].sets {
				for _, row := range set.rows {
					all.Set(row)
				}
			}
		}
		if start, err = s.intrinsic(KeyStart, all); err != nil {
			return err
		}
	}
	for i := range found {
		f := &found[i]
		f.matched = make([]int, len(f.sets))
		for k := range f.sets {
			rows := f.sets[k].rows
			f.matched[k] = len(rows)
			if start != nil {
				sort.SliceStable(rows, func(a, b int) bool { return start.at(rows[a]) < start.at(rows[b]) })
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

func (d *describer) trace(f *foundTrace, sum *summary) TraceResult {
	t := TraceResult{ID: d.s.id(f.number), Start: f.start, End: f.end, Sets: make([]SpanSet, len(f.sets))}
	name, service := sum.rootName(f.number), sum.rootService(f.number)
	t.HasRoot, t.RootName, t.RootService = name != nil || service != nil, string(name), string(service)
	for i, set := range f.sets {
		out := SpanSet{Matched: f.matched[i], Attrs: set.attrs, Spans: make([]SpanResult, len(set.rows))}
		for k, row := range set.rows {
			out.Spans[k] = d.span(row)
		}
		t.Sets[i] = out
	}
	return t
}

func (d *describer) span(row uint32) SpanResult {
	sp := SpanResult{Start: d.start.at(row), Duration: d.dur.at(row), Name: d.name(row)}
	binary.BigEndian.PutUint64(sp.ID[:], uint64(d.id.at(row)))
	for i, get := range d.attrs {
		if v := get(row); v.set {
			sp.Attrs = append(sp.Attrs, Attribute{d.names[i], v.shown()})
		}
	}
	return sp
}

// name makes one string per distinct name of a dictionary.
func (d *describer) name(row uint32) string {
	if d.nam.Dict == nil || d.nam.Rows != nil {
		return string(d.nam.text(row))
	}
	code := d.nam.Codes[row]
	name, ok := d.text[code]
	if !ok {
		name = string(d.nam.text(row))
		d.text[code] = name
	}
	return name
}

// serviceStats counts the live spans and errors per service of the traces found.
func (s *scan) serviceStats(found []foundTrace, place []int, out []TraceResult) error {
	traces := s.bitmapOf(len(s.traces.IDs))
	for i := range found {
		traces.Set(found[i].number)
	}
	rows, err := s.rowsOf(traces)
	if err != nil {
		return err
	}
	resource, err := s.intrinsic(KeyResource, rows)
	if err != nil {
		return err
	}
	status, err := s.intrinsic(KeyStatus, rows)
	if err != nil {
		return err
	}
	services, err := s.serviceNames()
	if err != nil {
		return err
	}
	names := make([]string, len(services))
	for i, b := range services {
		names[i] = string(b)
	}
	var list []uint32
	for i := range found {
		if err := s.step(); err != nil {
			return err
		}
		list = s.traceRows(found[i].number, rows, list[:0])
		var st []ServiceStats
		for _, row := range list {
			st = count(st, names[resource.Codes[row]], status.at(row) == int64(trace.StatusError))
		}
		sort.Slice(st, func(a, b int) bool { return st[a].Name < st[b].Name })
		out[place[i]].Services = st
	}
	return nil
}

// count adds a span; a trace has few services, so a list is faster than a map.
func count(st []ServiceStats, name string, failed bool) []ServiceStats {
	i := 0
	for i < len(st) && st[i].Name != name {
		i++
	}
	if i == len(st) {
		st = append(st, ServiceStats{Name: name})
	}
	st[i].Spans++
	if failed {
		st[i].Errors++
	}
	return st
}
