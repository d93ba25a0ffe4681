package query

import (
	"context"
	"errors"
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// MetricsRequest is a question for time series.
type MetricsRequest struct {
	Query      string
	Start, End int64 // Unix ns, Start < End
	Step       int64 // ns; 0 = DefaultStep
	Instant    bool  // one value per series for the whole range, not aligned
	Exemplars  int   // most exemplars in the answer, unless the query has the hint; at most MaxExemplars
	MaxSeries  int   // most series in the answer; 0 = no bound beside the built-in one
	Tenant     string
	Tokens     []TokenRange // only traces with these tokens; nil = all
	IDs        []IDRange    // only traces with these ids; nil = all
	// Held says that spans of own sources count whatever their tokens, unless a source of SideYoung has them: those
	// alone are shared out by tokens. The query must not look at whole traces.
	Held bool
}

// Bounds of metrics queries.
const (
	MaxExemplars = 100
	MaxIntervals = 10_000
	// maxSeries bounds the groups of one metrics function, maxCells their values: a value takes 8 to 16 bytes.
	maxSeries = 100_000
	maxCells  = 8 << 20
	maxStep   = 1 << 61 // ns, so that no time overflows
)

// DefaultStep is the step for a range: about 240 of them, a multiple of a round time.
func DefaultStep(start, end int64) int64 {
	raw := (end - start) / 240
	if time.Duration(end-start) < time.Minute {
		const unit = int64(50 * time.Millisecond)
		return max(unit, raw/unit*unit)
	}
	for _, unit := range [...]time.Duration{time.Hour, 5 * time.Minute, time.Minute, 15 * time.Second, 5 * time.Second, time.Second} {
		if raw >= int64(unit) {
			return raw / int64(unit) * int64(unit)
		}
	}
	return int64(time.Second)
}

// intervals are the steps of an answer: number i is (start+i·step, start+(i+1)·step], and its time stamp is its end.
type intervals struct {
	start, step int64
	n           int
}

func newIntervals(req MetricsRequest) (intervals, error) {
	if req.Start >= req.End || req.Start < 0 {
		return intervals{}, &LimitError{"start must be before end"}
	}
	if req.Instant {
		return intervals{start: req.Start, step: req.End - req.Start, n: 1}, nil
	}
	step := req.Step
	if step < 0 {
		return intervals{}, &LimitError{"step must be positive"}
	}
	if step == 0 {
		step = DefaultStep(req.Start, req.End)
	}
	if step > maxStep || req.End > math.MaxInt64-2*step {
		return intervals{}, &LimitError{"the step is longer than 70 years, or the end too far away"}
	}
	if (req.End-req.Start)/step > MaxIntervals {
		return intervals{}, &LimitError{"more than 10000 steps; ask for a longer step or a shorter range"}
	}
	start := req.Start/step*step - step
	end := (req.End + step - 1) / step * step
	return intervals{start: start, step: step, n: int((end - start) / step)}, nil
}

// stamp is the time of interval i.
func (v intervals) stamp(i int) int64 { return v.start + int64(i+1)*v.step }

// indexer finds intervals; spans of a trace are close together, so it first tries the last one.
type indexer struct {
	v      intervals
	lo, hi int64 // of the last: (lo, hi]
	last   int
}

// of is the interval of a time, or -1.
func (x *indexer) of(t int64) int {
	if t > x.lo && t <= x.hi {
		return x.last
	}
	if t <= x.v.start || t > x.v.start+int64(x.v.n)*x.v.step {
		return -1
	}
	x.last = int((t - x.v.start - 1) / x.v.step)
	x.lo = x.v.start + int64(x.last)*x.v.step
	x.hi = x.lo + x.v.step
	return x.last
}

// MetricsPlan is a compiled metrics query. Safe for concurrent use: units may run on several threads.
type MetricsPlan struct {
	req       MetricsRequest
	query     *traceql.Query
	v         intervals
	legs      []*leg
	exemplars int
	weighted  bool // the hint extrapolate
	scans     sync.Pool
}

// leg is one metrics function with its pipeline; arithmetic has several.
type leg struct {
	pipe  pipeStage
	m     *traceql.MetricPipe
	whole bool // looks at more than one span at a time
	cmp   *comparing
}

// PrepareMetrics compiles a metrics query. Errors are a *traceql.Error, an *UnsupportedError or a *LimitError.
func PrepareMetrics(req MetricsRequest) (*MetricsPlan, error) {
	q, err := traceql.Parse(req.Query)
	if err != nil {
		return nil, err
	}
	if q.Metric == nil {
		return nil, &UnsupportedError{"a search where a metrics query is needed; add a function, like | rate()"}
	}
	p := &MetricsPlan{req: req, query: q, exemplars: min(max(0, req.Exemplars), MaxExemplars)}
	if p.v, err = newIntervals(req); err != nil {
		return nil, err
	}
	if p.legs, err = legsOf(nil, q.Metric); err != nil {
		return nil, err
	}
	p.hints()
	p.scans.New = func() any { return new(scan) }
	return p, nil
}

// hints reads the hints that change an answer. Sampling hints do not: every span is counted.
func (p *MetricsPlan) hints() {
	if h, ok := p.query.Hint("extrapolate"); ok {
		p.weighted = h.Type == traceql.TypeBool && h.Bool()
	}
	if h, ok := p.query.Hint("exemplars"); ok {
		switch {
		case h.Type == traceql.TypeBool && h.Bool():
			p.exemplars = MaxExemplars
		case h.Type == traceql.TypeBool:
			p.exemplars = 0
		case h.Type == traceql.TypeInt:
			p.exemplars = int(min(max(0, h.Int), MaxExemplars))
		}
	}
}

// legsOf collects the functions of an expression from left to right.
func legsOf(dst []*leg, m traceql.MetricExpr) ([]*leg, error) {
	switch m := m.(type) {
	case *traceql.MetricPipe:
		pipe, err := newPipeline(m.Pipeline)
		if err != nil {
			return nil, err
		}
		l := &leg{pipe: pipe, m: m, whole: needsWhole(m.Pipeline)}
		for _, a := range m.By {
			l.whole = l.whole || beyondSpan(a)
		}
		if m.Attr != nil {
			l.whole = l.whole || beyondSpan(m.Attr)
		}
		if m.Func == traceql.Compare {
			if l.cmp, err = newComparing(m); err != nil {
				return nil, err
			}
			l.whole = true // root names are among what is compared
		}
		return append(dst, l), nil
	case *traceql.MetricOp:
		dst, err := legsOf(dst, m.Left)
		if err != nil {
			return nil, err
		}
		return legsOf(dst, m.Right)
	case *traceql.MetricSecond:
		return legsOf(dst, m.Expr)
	}
	return dst, nil
}

// needsWhole reports a pipeline that looks at more than one span of a trace at a time.
func needsWhole(p *traceql.Pipeline) bool {
	whole := false
	walkPipeline(p, func(a *traceql.Attr) { whole = whole || beyondSpan(a) })
	for _, st := range p.Stages {
		whole = whole || stageNeedsWhole(st)
	}
	return whole
}

func stageNeedsWhole(st traceql.Stage) bool {
	switch st := st.(type) {
	case *traceql.Pipeline:
		return needsWhole(st)
	case *traceql.ScalarFilter:
		return true
	case *traceql.SpansetOp:
		return st.Op != traceql.OpOr || stageNeedsWhole(st.Left) || stageNeedsWhole(st.Right)
	}
	return false
}

// Units cuts the query into independent pieces. What has to be read for that is read through run.
func (p *MetricsPlan) Units(ctx context.Context, sources []columnar.Source, run Runner) ([]*Unit, error) {
	c := cutting{run: run, tenant: p.req.Tenant, tokens: newTokenSet(p.req.Tokens), held: p.req.Held, ids: p.req.IDs, start: p.v.start, end: p.v.stamp(p.v.n - 1), rare: rareShare}
	for _, l := range p.legs {
		c.join = c.join || l.whole
	}
	if len(p.legs) == 1 {
		cand, err := newCandidates(p.legs[0].m.Pipeline)
		if err != nil {
			return nil, err
		}
		c.candidates = cand
	}
	return c.cut(ctx, sources)
}

// Run evaluates one unit.
func (p *MetricsPlan) Run(ctx context.Context, u *Unit) (*MetricsResult, error) {
	meter, outer := &columnar.Meter{}, columnar.MeterFrom(ctx)
	ctx = columnar.WithMeter(ctx, meter)
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
	res := p.Empty()
	res.Stats = Stats{Segments: 1, Traces: int64(s.info.Traces), Spans: int64(s.n), Skipped: 1}
	for i, l := range p.legs {
		share, err := l.pipe.share(s)
		if err != nil {
			return nil, err
		}
		if share == 0 {
			continue
		}
		res.Stats.Skipped = 0
		mark := s.used
		if err := p.runLeg(s, l, &res.Legs[i]); err != nil {
			return nil, err
		}
		s.used = mark
	}
	res.Stats.Bytes, res.Stats.Reads = meter.Total()
	outer.Add(res.Stats.Bytes)
	return res, ctx.Err()
}

// Empty is the answer of a query that found nothing, for merging into.
func (p *MetricsPlan) Empty() *MetricsResult {
	r := &MetricsResult{Start: p.v.start, Step: p.v.step, Steps: p.v.n, Exemplars: p.exemplars, Legs: make([]MetricsLeg, len(p.legs))}
	for i, l := range p.legs {
		r.Legs[i].Func = l.m.Func
	}
	return r
}

func (p *MetricsPlan) runLeg(s *scan, l *leg, out *MetricsLeg) error {
	rows := s.bitmap()
	copy(rows, s.rows())
	st, err := l.pipe.run(s, state{rows: rows})
	if err != nil || st.rows.Empty() {
		return err
	}
	if l.cmp != nil {
		return l.cmp.run(s, p.v, st.rows, p.weighted, out)
	}
	c := &collector{s: s, p: p, l: l, out: out, rows: st.rows}
	return c.run()
}

// collector adds the rows of one unit to the series of a leg.
type collector struct {
	s      *scan
	p      *MetricsPlan
	l      *leg
	out    *MetricsLeg
	rows   columnar.Bitmap
	labels labeler
	start  *columnar.Vector
	number func(row uint32) (float64, bool)
	weight func(row uint32) float64 // nil = 1
}

func (c *collector) run() error {
	var err error
	if c.start, err = c.s.intrinsic(columnar.KeyStart, c.rows); err != nil {
		return err
	}
	if err = c.labels.prepare(c.s, c.l.m.By, c.rows); err != nil {
		return err
	}
	if c.l.m.Attr != nil {
		if c.number, err = c.s.numbers(c.l.m.Attr, c.rows); err != nil {
			return err
		}
	}
	if c.p.weighted {
		if c.weight, err = c.s.weights(c.rows); err != nil {
			return err
		}
	}
	acc, err := newAccumulator(c.s, c.l.m, c.p.v.n, len(c.l.m.By) == 0 && c.weight == nil)
	if err != nil {
		return err
	}
	switch {
	case c.weight != nil:
		err = c.add(acc)
	case c.number == nil && len(c.l.m.By) == 1 && c.plainStart():
		err = c.countByCode(acc)
	case acc.dense != nil && c.plainStart() && c.durations() != nil:
		err = c.bucketDurations(acc, c.durations())
	default:
		err = c.add(acc)
	}
	if err != nil {
		return err
	}
	if err := acc.finish(c.s, c.out, &c.labels); err != nil {
		return err
	}
	return c.pickExemplars()
}

func (c *collector) plainStart() bool {
	return c.start.Ints != nil && c.start.Rows == nil && c.start.Present == nil
}

// countByCode is add for the most common questions: counts by one attribute, whose codes lead to the series at once.
func (c *collector) countByCode(acc *seriesAcc) error {
	col := &c.labels.columns[0]
	series := make([]int32, len(col.number)) // by code; -1 = not seen
	for i := range series {
		series[i] = -1
	}
	at := indexer{v: c.p.v, lo: math.MaxInt64}
	codes, starts := col.codes, c.start.Ints
	for w, word := range c.rows {
		if word != 0 && w&127 == 0 && c.s.ctx.Err() != nil {
			return c.s.ctx.Err()
		}
		for base := uint32(w) << 6; word != 0; word &= word - 1 {
			row := base + uint32(bits.TrailingZeros64(word))
			step := at.last
			if t := starts[row]; t <= at.lo || t > at.hi {
				if step = at.of(t); step < 0 {
					continue
				}
			}
			k := series[codes[row]]
			if k < 0 {
				k = int32(c.labels.of(row))
				series[codes[row]] = k
				if err := acc.grow(max(uint32(k), uint32(max(acc.n, 1)-1))); err != nil {
					return err
				}
			}
			acc.counts[k][step]++
		}
	}
	return nil
}

// durations is the durations of the rows, when they are what is measured and lie in a plain list.
func (c *collector) durations() []int64 {
	if a := c.l.m.Attr; a == nil || a.Intrinsic != traceql.Duration || a.Parent {
		return nil
	}
	v, err := c.s.intrinsic(columnar.KeyDuration, c.rows)
	if err != nil || v.Rows != nil || v.Present != nil {
		return nil
	}
	return v.Ints
}

// bucketDurations is add for quantiles and histograms of all durations.
func (c *collector) bucketDurations(acc *seriesAcc, durations []int64) error {
	at := indexer{v: c.p.v, lo: math.MaxInt64}
	starts, dense := c.start.Ints, acc.dense
	less := uint64(0)
	if acc.fn == traceql.HistogramOverTime {
		less = 1 // see seriesAcc.add
	}
	for w, word := range c.rows {
		if word != 0 && w&127 == 0 && c.s.ctx.Err() != nil {
			return c.s.ctx.Err()
		}
		for base := uint32(w) << 6; word != 0; word &= word - 1 {
			row := base + uint32(bits.TrailingZeros64(word))
			step := at.last
			if t := starts[row]; t <= at.lo || t > at.hi {
				if step = at.of(t); step < 0 {
					continue
				}
			}
			f := math.Float64bits(float64(durations[row])) - less
			if k := int(f>>48) - 1023*subBuckets; uint(k) < denseBuckets {
				dense[step*denseBuckets+k]++
			} else if err := acc.add(0, step, float64(durations[row]), 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// add is the loop over the rows.
func (c *collector) add(acc *seriesAcc) error {
	at := indexer{v: c.p.v, lo: math.MaxInt64}
	single := len(c.l.m.By) == 0
	plain := c.plainStart()
	var series uint32
	weight := 1.0
	for w, word := range c.rows {
		if word != 0 && w&127 == 0 && c.s.ctx.Err() != nil {
			return c.s.ctx.Err()
		}
		for base := uint32(w) << 6; word != 0; word &= word - 1 {
			row := base + uint32(bits.TrailingZeros64(word))
			var t int64
			if plain {
				t = c.start.Ints[row]
			} else {
				t = c.start.Int(row)
			}
			step := at.of(t)
			if step < 0 {
				continue
			}
			if !single {
				series = c.labels.of(row)
			}
			if c.weight != nil {
				weight = c.weight(row)
			}
			var err error
			if c.number == nil {
				err = acc.count(series, step, weight)
			} else if v, ok := c.number(row); ok {
				err = acc.add(series, step, v, weight)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// numbers is a numeric attribute as a float. Durations stay in ns.
func (s *scan) numbers(a *traceql.Attr, within columnar.Bitmap) (func(row uint32) (float64, bool), error) {
	if a.Intrinsic == traceql.Duration && !a.Parent {
		v, err := s.intrinsic(columnar.KeyDuration, within)
		if err != nil {
			return nil, err
		}
		if v.Ints != nil && v.Rows == nil && v.Present == nil {
			ints := v.Ints
			return func(row uint32) (float64, bool) { return float64(ints[row]), true }, nil
		}
	}
	get, err := s.attrGetter(a, within)
	if err != nil {
		return nil, err
	}
	return func(row uint32) (float64, bool) {
		f, ok := get(row).number()
		return f, ok && !math.IsNaN(f) && !math.IsInf(f, 0)
	}, nil
}

// pickExemplars takes some of the rows, spread over the unit.
func (c *collector) pickExemplars() error {
	want := c.p.exemplars
	if want == 0 {
		return nil
	}
	total := c.rows.Count()
	stride := max(1, total/want)
	get, err := c.s.traceRowGetterID()
	if err != nil {
		return err
	}
	at := indexer{v: c.p.v, lo: math.MaxInt64}
	i := 0
	for row, ok := c.rows.Next(0); ok && len(c.out.Exemplars) < want; row, ok = c.rows.Next(row + 1) {
		if i++; (i-1)%stride != 0 {
			continue
		}
		t := c.start.Int(row)
		if at.of(t) < 0 {
			continue
		}
		e := Exemplar{Trace: get(row), Time: t, Value: math.NaN()}
		if len(c.l.m.By) > 0 {
			e.Labels = c.labels.shown(c.labels.of(row))
		}
		if c.number != nil {
			v, ok := c.number(row)
			if !ok {
				continue
			}
			e.Value = v
		}
		c.out.Exemplars = append(c.out.Exemplars, e)
	}
	return nil
}

// traceRowGetterID is the trace id of a row.
func (s *scan) traceRowGetterID() (func(row uint32) trace.ID, error) {
	t, err := s.loadTraces()
	if err != nil {
		return nil, err
	}
	if t.Perm != nil {
		of := s.traceOf(t)
		return func(row uint32) trace.ID { return t.IDs[of[row]] }, nil
	}
	return func(row uint32) trace.ID { return t.IDs[advance(t.Offsets, 0, row)] }, nil
}

// Merge adds another part of the answer.
func (p *MetricsPlan) Merge(into, from *MetricsResult) { into.Merge(from) }

// final reports an error that is about the query and not about one source.
func final(err error) bool {
	var limit *LimitError
	var busy *BusyError
	return errors.As(err, &limit) || errors.As(err, &busy)
}

// Metrics answers on the calling goroutine. A source that fails makes the answer partial; the end of ctx is an error.
func Metrics(ctx context.Context, sources []columnar.Source, req MetricsRequest) (*MetricsResult, error) {
	p, err := PrepareMetrics(req)
	if err != nil {
		return nil, err
	}
	units, err := p.Units(ctx, sources, nil)
	if err != nil {
		return nil, err
	}
	res := p.Empty()
	for _, u := range units {
		part, err := p.Run(ctx, u)
		if err == nil {
			err = res.MergeUntil(ctx, part)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case final(err):
			return nil, err
		case err != nil:
			res.Partial = append(res.Partial, u.Source+": "+err.Error())
		}
	}
	return res, nil
}
