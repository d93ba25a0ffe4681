package query

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sort"
	"sync"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// SearchRequest is a question for traces.
type SearchRequest struct {
	Query       string
	Start, End  int64 // Unix ns; traces with a span in [Start, End] count; 0 = open
	Limit       int   // most traces in the answer; 0 = DefaultLimit
	SpansPerSet int   // most spans shown per spanset; 0 = all
	Tenant      string
	Tokens      []TokenRange // only traces with these tokens; nil = all
	IDs         []IDRange    // only traces with these ids; nil = all
	Young       []TokenRange // of sources of SideYoung: traces with these tokens, too
	// SkipServices leaves out the counts per service, which look at all spans of the traces found.
	SkipServices bool
}

// DefaultLimit is the number of traces in an answer when none is asked for.
const DefaultLimit = 20

// maxResults bounds the traces of an answer.
const maxResults = 1 << 18

// SearchResult is an answer, or a part of one.
type SearchResult struct {
	Traces  []TraceResult // newest first
	Stats   Stats
	Partial []string // what is missing and why; empty = complete

	seen map[trace.ID]struct{} // ids of Traces, while merging
	size int64                 // of Traces, while merging
}

// TraceResult is one trace of an answer.
type TraceResult struct {
	ID          trace.ID
	HasRoot     bool
	RootService string
	RootName    string
	Start, End  int64 // Unix ns
	Sets        []SpanSet
	Services    []ServiceStats // sorted by name
}

// SpanSet is one set of matching spans of a trace.
type SpanSet struct {
	Spans   []SpanResult // the first by start, at most as many as asked for
	Matched int          // how many matched
	Attrs   []Attribute  // values of by() and of aggregates
}

// SpanResult is one span of an answer.
type SpanResult struct {
	ID       trace.SpanID
	Name     string
	Start    int64 // Unix ns
	Duration int64 // ns
	Attrs    []Attribute
}

// ServiceStats counts the spans of a service in a trace.
type ServiceStats struct {
	Name          string
	Spans, Errors int
}

// SearchPlan is a compiled search. Safe for concurrent use: units may run on several threads.
type SearchPlan struct {
	req        SearchRequest
	pipe       pipeStage
	cand       *candidates
	shown      []*traceql.Attr
	mostRecent bool
	rare       float64
	scans      sync.Pool
}

// Prepare compiles a search. Errors are a *traceql.Error, an *UnsupportedError or a *LimitError.
func Prepare(req SearchRequest) (*SearchPlan, error) {
	q, err := traceql.Parse(req.Query)
	if err != nil {
		return nil, err
	}
	if q.Pipeline == nil {
		return nil, &UnsupportedError{"a metrics query in a search; ask the metrics API"}
	}
	if req.Limit == 0 {
		req.Limit = DefaultLimit
	}
	if req.Limit < 0 || req.Limit > maxResults {
		return nil, &LimitError{"limit of traces"}
	}
	p := &SearchPlan{req: req, rare: rareShare}
	if p.pipe, err = newPipeline(q.Pipeline); err != nil {
		return nil, err
	}
	if p.cand, err = newCandidates(q.Pipeline); err != nil {
		return nil, err
	}
	if h, ok := q.Hint("most_recent"); ok {
		p.mostRecent = h.Type == traceql.TypeBool && h.Bool()
	}
	p.shown = shownAttrs(q.Pipeline)
	p.scans.New = func() any { return new(scan) }
	return p, nil
}

// Units cuts the search into independent pieces, newest first. What has to be read for that is read through run.
func (p *SearchPlan) Units(ctx context.Context, sources []columnar.Source, run Runner) ([]*Unit, error) {
	c := cutting{run: run, tenant: p.req.Tenant, tokens: newTokenSet(p.req.Tokens), ids: p.req.IDs, young: newTokenSet(p.req.Young), start: p.req.Start, end: p.req.End, join: true, candidates: p.cand, rare: p.rare, newest: p.mostRecent}
	return c.cut(ctx, sources)
}

// Done reports that no unit whose newest span is at end can change the answer any more.
func (p *SearchPlan) Done(r *SearchResult, end int64) bool {
	if len(r.Traces) < p.req.Limit {
		return false
	}
	return !p.mostRecent || r.Traces[len(r.Traces)-1].Start > end
}

// Run evaluates one unit. The result is complete in itself; add it to others with Merge.
func (p *SearchPlan) Run(ctx context.Context, u *Unit) (*SearchResult, error) {
	meter := &columnar.Meter{}
	outer := columnar.MeterFrom(ctx)
	ctx = columnar.WithMeter(ctx, meter)
	res := &SearchResult{Stats: Stats{Segments: 1}}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	seg, err := u.segment(ctx)
	if err != nil {
		return nil, err
	}
	s := p.scans.Get().(*scan)
	defer p.scans.Put(s)
	defer s.end()
	s.begin(ctx, seg, u.live)
	if err := s.take(sizeRow * int64(s.n)); err != nil {
		return nil, err
	}
	share, err := p.pipe.share(s)
	if err == nil && share > 0 {
		err = p.evaluate(s, res)
	}
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return nil, err
	}
	if share == 0 {
		res.Stats.Skipped = 1
	}
	res.Stats.Traces, res.Stats.Spans = int64(s.info.Traces), int64(s.n)
	res.Stats.Bytes, res.Stats.Reads = meter.Total()
	outer.Add(res.Stats.Bytes)
	return res, nil
}

func (p *SearchPlan) evaluate(s *scan, res *SearchResult) error {
	rows := s.bitmap()
	copy(rows, s.rows())
	out, err := p.pipe.run(s, state{rows: rows})
	if err != nil || out.rows.Empty() {
		return err
	}
	found, sum, err := p.choose(s, out)
	if err != nil || len(found) == 0 {
		return err
	}
	return p.describe(s, found, sum, res)
}

// foundTrace is a trace of the answer on its way.
type foundTrace struct {
	number     uint32
	start, end int64
	sets       []spanset
	matched    []int // spans of each set, also those not shown
}

func newestFirst(a, b foundTrace) int {
	if a.start != b.start {
		return cmp.Compare(b.start, a.start)
	}
	return cmp.Compare(a.number, b.number)
}

// choose picks the newest traces of the state, as many as asked for; sum is about them.
func (p *SearchPlan) choose(s *scan, in state) ([]foundTrace, *summary, error) {
	traces, err := s.tracesOf(in.rows)
	if err != nil {
		return nil, nil, err
	}
	sum, err := s.summaries(traces)
	if err != nil {
		return nil, nil, err
	}
	found := make([]foundTrace, 0, traces.Count())
	for t, ok := traces.Next(0); ok; t, ok = traces.Next(t + 1) {
		f := foundTrace{number: t, start: sum.start(t), end: sum.end(t)}
		if p.req.Start != 0 && f.end < p.req.Start || p.req.End != 0 && f.start > p.req.End {
			continue
		}
		found = append(found, f)
	}
	if len(found) > p.req.Limit {
		slices.SortFunc(found, newestFirst)
		found = found[:p.req.Limit]
		slices.SortFunc(found, func(a, b foundTrace) int { return cmp.Compare(a.number, b.number) })
	}
	if !in.group {
		sets, rows := make([]spanset, len(found)), make([]uint32, 0, len(found))
		for i := range found {
			f := &found[i]
			from := len(rows)
			rows = s.traceRows(f.number, in.rows, rows)
			sets[i] = spanset{f.number, rows[from:len(rows):len(rows)], in.attrs[f.number]}
			f.sets = sets[i : i+1 : i+1]
		}
		return found, sum, nil
	}
	at := 0
	for i := range found {
		f := &found[i]
		for at < len(in.sets) && in.sets[at].trace < f.number {
			at++
		}
		for at < len(in.sets) && in.sets[at].trace == f.number {
			f.sets = append(f.sets, in.sets[at])
			at++
		}
	}
	return found, sum, nil
}

// Merge adds another part of the answer. limit and spansPerSet are those of the request.
func (p *SearchPlan) Merge(into, from *SearchResult) {
	into.Merge(from, p.req.Limit, p.req.SpansPerSet)
}

// Merge adds another part of the answer: traces in both become one. Then only the newest limit traces are kept.
func (r *SearchResult) Merge(o *SearchResult, limit, spansPerSet int) {
	r.Stats.add(o.Stats)
	r.Partial = append(r.Partial, o.Partial...)
	if len(o.Traces) == 0 {
		return
	}
	if r.seen == nil || len(r.seen) != len(r.Traces) {
		r.seen = make(map[trace.ID]struct{}, len(r.Traces)+len(o.Traces))
		r.see(r.Traces)
		r.size = sizeOf(r.Traces)
	}
	r.size += sizeOf(o.Traces)
	if r.disjoint(o) {
		r.Traces = mergeSorted(r.Traces, o.Traces)
	} else {
		r.join(o, spansPerSet)
	}
	r.see(o.Traces)
	if limit > 0 && len(r.Traces) > limit {
		for i := limit; i < len(r.Traces); i++ {
			delete(r.seen, r.Traces[i].ID)
			r.size -= r.Traces[i].size()
		}
		r.Traces = r.Traces[:limit]
	}
}

func (r *SearchResult) see(list []TraceResult) {
	for i := range list {
		r.seen[list[i].ID] = struct{}{}
	}
}

func (r *SearchResult) disjoint(o *SearchResult) bool {
	for i := range o.Traces {
		if _, ok := r.seen[o.Traces[i].ID]; ok || i > 0 && o.Traces[i].compare(&o.Traces[i-1]) < 0 {
			return false
		}
	}
	return true
}

// join is the slow way, for parts with traces in common.
func (r *SearchResult) join(o *SearchResult, spansPerSet int) {
	at := make(map[trace.ID]int, len(r.Traces))
	for i := range r.Traces {
		at[r.Traces[i].ID] = i
	}
	for i := range o.Traces {
		if k, ok := at[o.Traces[i].ID]; ok {
			r.Traces[k].merge(&o.Traces[i], spansPerSet)
		} else {
			at[o.Traces[i].ID] = len(r.Traces)
			r.Traces = append(r.Traces, o.Traces[i])
		}
	}
	sort.Slice(r.Traces, func(i, j int) bool { return r.Traces[i].compare(&r.Traces[j]) < 0 })
}

// compare orders traces: the newest first.
func (t *TraceResult) compare(o *TraceResult) int {
	if t.Start != o.Start {
		return cmp.Compare(o.Start, t.Start)
	}
	return bytes.Compare(t.ID[:], o.ID[:])
}

// mergeSorted merges b into a from the end, so that only what has to move is moved.
func mergeSorted(a, b []TraceResult) []TraceResult {
	i, j := len(a)-1, len(b)-1
	a = append(a, b...)
	for k := len(a) - 1; j >= 0 && i >= 0; k-- {
		if a[i].compare(&b[j]) > 0 {
			a[k] = a[i]
			i--
		} else {
			a[k] = b[j]
			j--
		}
	}
	copy(a, b[:j+1])
	return a
}

func (t *TraceResult) merge(o *TraceResult, spansPerSet int) {
	if o.HasRoot && (!t.HasRoot || o.Start < t.Start) {
		t.HasRoot, t.RootService, t.RootName = true, o.RootService, o.RootName
	}
	t.Start, t.End = min(t.Start, o.Start), max(t.End, o.End)
	for _, set := range o.Sets {
		k := t.setLike(set.Attrs)
		if k < 0 {
			t.Sets = append(t.Sets, set)
			continue
		}
		t.Sets[k].merge(&set, spansPerSet)
	}
	for _, sv := range o.Services {
		i := sort.Search(len(t.Services), func(i int) bool { return t.Services[i].Name >= sv.Name })
		if i < len(t.Services) && t.Services[i].Name == sv.Name {
			t.Services[i].Spans += sv.Spans
			t.Services[i].Errors += sv.Errors
			continue
		}
		t.Services = append(t.Services, ServiceStats{})
		copy(t.Services[i+1:], t.Services[i:])
		t.Services[i] = sv
	}
}

// setLike is the set with equal attributes, or -1.
func (t *TraceResult) setLike(attrs []Attribute) int {
	for i := range t.Sets {
		if sameAttributes(t.Sets[i].Attrs, attrs) {
			return i
		}
	}
	return -1
}

func sameAttributes(a, b []Attribute) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key != b[i].Key || a[i].Value.Kind != b[i].Value.Kind || a[i].Value.Int != b[i].Value.Int ||
			!bytes.Equal(a[i].Value.Bytes, b[i].Value.Bytes) {
			return false
		}
	}
	return true
}

func (x *SpanSet) merge(o *SpanSet, spansPerSet int) {
	x.Matched += o.Matched
	for _, sp := range o.Spans {
		dup := false
		for i := range x.Spans {
			dup = dup || x.Spans[i].ID == sp.ID && x.Spans[i].Start == sp.Start && x.Spans[i].Name == sp.Name
		}
		if !dup {
			x.Spans = append(x.Spans, sp)
		}
	}
	sort.SliceStable(x.Spans, func(i, j int) bool { return x.Spans[i].Start < x.Spans[j].Start })
	if spansPerSet > 0 && len(x.Spans) > spansPerSet {
		x.Spans = x.Spans[:spansPerSet]
	}
}

// Search answers on the calling goroutine. A source that fails makes the answer partial; the end of ctx is an error.
func Search(ctx context.Context, sources []columnar.Source, req SearchRequest) (*SearchResult, error) {
	p, err := Prepare(req)
	if err != nil {
		return nil, err
	}
	units, err := p.Units(ctx, sources, nil)
	if err != nil {
		return nil, err
	}
	res := &SearchResult{}
	for _, u := range units {
		if p.Done(res, u.Info().End) {
			break
		}
		part, err := p.Run(ctx, u)
		if err != nil {
			var limit *LimitError
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case errors.As(err, &limit):
				return nil, limit
			}
			part = &SearchResult{Partial: []string{u.Source + ": " + err.Error()}}
		}
		p.Merge(res, part)
	}
	return res, nil
}
