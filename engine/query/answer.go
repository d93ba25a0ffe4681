package query

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// MetricsAnswer is the finished answer of a metrics query.
type MetricsAnswer struct {
	Start, Step int64    // ns; value i of a series is for (Start+i·Step, Start+(i+1)·Step], its time stamp the end
	Series      []Series // sorted by labels
	Stats       Stats
	Partial     []string // what is missing and why; empty = complete
}

// Stamp is the time of value i in Unix ns.
func (a *MetricsAnswer) Stamp(i int) int64 { return a.Start + int64(i+1)*a.Step }

// Series is one line of the answer.
type Series struct {
	Labels    []Attribute // a missing group value is the string nil
	Values    []float64   // NaN = no point
	Exemplars []Exemplar
}

// Answer finishes a merged result.
func (p *MetricsPlan) Answer(r *MetricsResult) *MetricsAnswer {
	out, err := p.AnswerUntil(context.Background(), r)
	if err != nil {
		return nil // the background does not end
	}
	return out
}

// AnswerUntil is Answer unless ctx ends first; then it is its error.
func (p *MetricsPlan) AnswerUntil(ctx context.Context, r *MetricsResult) (*MetricsAnswer, error) {
	out := &MetricsAnswer{Start: p.v.start, Step: p.v.step, Stats: r.Stats, Partial: append([]string(nil), r.Partial...)}
	if len(r.Legs) != len(p.legs) {
		return out, ctx.Err()
	}
	f := finishing{ctx: ctx, p: p, legs: r.Legs}
	var err error
	if out.Series, err = f.expr(p.query.Metric); err != nil {
		return nil, err
	}
	out.Series = slices.DeleteFunc(out.Series, func(s Series) bool { return !s.hasPoint() })
	if err := sortSeries(ctx, out.Series); err != nil {
		return nil, err
	}
	for i := range out.Series {
		s := &out.Series[i]
		for k := range s.Labels {
			if isNilLabel(s.Labels[k].Value) {
				s.Labels[k].Value = trace.StringValue([]byte("nil"))
			}
		}
	}
	if limit := p.req.MaxSeries; limit > 0 && len(out.Series) > limit {
		out.Partial = append(out.Partial, fmt.Sprintf("%d series, only %d are shown", len(out.Series), limit))
		out.Series = out.Series[:limit]
	}
	return out, nil
}

func sortSeries(ctx context.Context, list []Series) error {
	return sortUntil(ctx, list, func(a, b Series) int { return compareLabels(a.Labels, b.Labels) })
}

// hasPoint reports a series with a value.
func (s *Series) hasPoint() bool {
	for _, v := range s.Values {
		if !math.IsNaN(v) {
			return true
		}
	}
	return false
}

// finishing computes the series of an answer. It looks at the context after each series.
type finishing struct {
	ctx  context.Context
	p    *MetricsPlan
	legs []MetricsLeg // those that were not used yet
}

// expr computes an expression.
func (f *finishing) expr(m traceql.MetricExpr) ([]Series, error) {
	switch m := m.(type) {
	case *traceql.MetricPipe:
		l := &f.legs[0]
		f.legs = f.legs[1:]
		return f.leg(m, l)
	case *traceql.MetricOp:
		return f.arithmetic(m)
	case *traceql.MetricSecond:
		in, err := f.expr(m.Expr)
		if err != nil {
			return nil, err
		}
		if m.Op.Comparison() {
			return in, f.filterValues(in, m)
		}
		return in, f.topK(in, m.N, m.Op == traceql.OpTopK)
	}
	return nil, nil
}

// leg computes the series of one function.
func (f *finishing) leg(m *traceql.MetricPipe, l *MetricsLeg) ([]Series, error) {
	var out []Series
	unit := 1.0 // what a value is divided by
	if m.Attr != nil && m.Attr.Intrinsic.Type() == traceql.TypeDuration {
		unit = 1e9
	}
	for i := range l.Series {
		ps := &l.Series[i]
		if err := f.ctx.Err(); err != nil {
			return nil, err
		}
		switch m.Func {
		case traceql.QuantileOverTime:
			for _, q := range m.Args {
				if err := f.ctx.Err(); err != nil {
					return nil, err
				}
				out = append(out, Series{Labels: with(ps.Labels, Attribute{"p", trace.DoubleValue(q)}), Values: quantiles(ps.Buckets, q, unit, f.p.v.n)})
			}
		case traceql.HistogramOverTime:
			out = append(out, histograms(ps, unit, f.p.v.n)...)
		default:
			out = append(out, Series{Labels: with(ps.Labels), Values: f.p.values(m, ps, unit)})
		}
	}
	if m.Func == traceql.Compare {
		return topCompared(f.ctx, out, m.TopN)
	}
	if err := f.attach(out, l, m, unit); err != nil {
		return nil, err
	}
	for i := range out {
		if len(out[i].Labels) == 0 {
			out[i].Labels = []Attribute{{LabelName, trace.StringValue([]byte(m.Func.String()))}}
		}
	}
	return out, nil
}

// with is a copy of labels with more at the end.
func with(labels []Attribute, more ...Attribute) []Attribute {
	return append(append([]Attribute(nil), labels...), more...)
}

func (p *MetricsPlan) values(m *traceql.MetricPipe, ps *PartialSeries, unit float64) []float64 {
	out := make([]float64, p.v.n)
	for i := range out {
		n := 0.0
		if i < len(ps.Counts) {
			n = ps.Counts[i]
		}
		switch m.Func {
		case traceql.Rate:
			out[i] = n / (float64(p.v.step) / 1e9)
		case traceql.CountOverTime, traceql.Compare:
			out[i] = n
		default:
			if n == 0 || i >= len(ps.Values) {
				out[i] = math.NaN()
				continue
			}
			out[i] = ps.Values[i] / unit
			if m.Func == traceql.AvgOverTime {
				out[i] /= n
			}
		}
	}
	return out
}

// quantiles computes one quantile for every step.
func quantiles(b []Bucket, q, unit float64, steps int) []float64 {
	out := make([]float64, steps)
	for i := range out {
		out[i] = math.NaN()
	}
	for len(b) > 0 {
		n := 1
		for n < len(b) && b[n].Step == b[0].Step {
			n++
		}
		if int(b[0].Step) < steps {
			out[b[0].Step] = quantile(b[:n], q) / unit
		}
		b = b[n:]
	}
	return out
}

// quantile interpolates inside of the bucket that the rank falls into.
func quantile(b []Bucket, q float64) float64 {
	total := 0.0
	for i := range b {
		total += float64(b[i].Count)
	}
	rank := q * total
	for i := range b {
		n := float64(b[i].Count)
		if rank > n && i < len(b)-1 {
			rank -= n
			continue
		}
		lo, hi := bucketRange(b[i].Bucket)
		if lo > hi {
			lo, hi = hi, lo
		}
		return lo + (hi-lo)*min(1, rank/n)
	}
	return math.NaN()
}

// histograms makes one series per power of two.
func histograms(ps *PartialSeries, unit float64, steps int) []Series {
	at := map[float64]int{}
	var out []Series
	for _, b := range ps.Buckets {
		if int(b.Step) >= steps {
			continue
		}
		bound := upperPower(b.Bucket) / unit
		i, ok := at[bound]
		if !ok {
			i = len(out)
			at[bound] = i
			out = append(out, Series{Labels: with(ps.Labels, Attribute{LabelBucket, trace.DoubleValue(bound)}), Values: make([]float64, steps)})
		}
		out[i].Values[b.Step] += float64(b.Count)
	}
	return out
}

// upperPower is the upper bound of the power of two that a bucket lies in.
func upperPower(b uint16) float64 {
	from, to := bucketRange(b)
	if from == 0 {
		return 0
	}
	if from < 0 {
		return -math.Exp2(math.Floor(math.Log2(-from)))
	}
	return math.Exp2(math.Ceil(math.Log2(to)))
}

// attach gives the exemplars to their series.
func (f *finishing) attach(out []Series, l *MetricsLeg, m *traceql.MetricPipe, unit float64) error {
	if len(l.Exemplars) == 0 || len(out) == 0 {
		return nil
	}
	at := map[string]int{}
	for i := len(out) - 1; i >= 0; i-- {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		own := out[i].Labels
		if m.Func == traceql.QuantileOverTime || m.Func == traceql.HistogramOverTime {
			own = own[:len(own)-1]
		}
		at[string(labelsKey(nil, own))] = i
	}
	for _, e := range l.Exemplars {
		i, ok := at[string(labelsKey(nil, e.Labels))]
		x := indexer{v: f.p.v, lo: math.MaxInt64}
		step := x.of(e.Time)
		if !ok || step < 0 {
			continue
		}
		if math.IsNaN(e.Value) {
			e.Value = out[i].Values[step]
		} else {
			e.Value /= unit
		}
		out[i].Exemplars = append(out[i].Exemplars, e)
	}
	return nil
}

func (f *finishing) filterValues(in []Series, m *traceql.MetricSecond) error {
	bound := m.Value.Value.AsFloat()
	if m.Value.Value.Type == traceql.TypeDuration {
		bound /= 1e9
	}
	for _, s := range in {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		for i, v := range s.Values {
			if math.IsNaN(v) || !holds(m.Op, orderFloats(v, bound)) {
				s.Values[i] = math.NaN()
			}
		}
	}
	return nil
}

// ranked is the value of a series at one step.
type ranked struct {
	value  float64
	series int
}

// topK keeps, at every step, the n series with the largest (or smallest) values; ties go by labels.
func (f *finishing) topK(in []Series, n int, largest bool) error {
	if err := sortSeries(f.ctx, in); err != nil || len(in) <= n {
		return err
	}
	better := func(a, b ranked) int { return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.series, b.series)) }
	if largest {
		better = func(a, b ranked) int { return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.series, b.series)) }
	}
	list := make([]ranked, 0, len(in))
	for step := range f.p.v.n {
		list = list[:0]
		for i := range in {
			if v := in[i].Values[step]; !math.IsNaN(v) {
				list = append(list, ranked{v, i})
			}
		}
		if len(list) > n {
			if err := sortUntil(f.ctx, list, better); err != nil {
				return err
			}
			for _, x := range list[n:] {
				in[x.series].Values[step] = math.NaN()
			}
		}
		if err := f.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// arithmetic joins the series of both sides by their labels. A side with one series without labels goes with all.
func (f *finishing) arithmetic(m *traceql.MetricOp) ([]Series, error) {
	if n, ok := m.Left.(*traceql.Number); ok {
		right, err := f.expr(m.Right)
		if err != nil {
			return nil, err
		}
		return right, f.each(right, func(v float64) float64 { return calculate(m.Op, n.Value.AsFloat(), v) })
	}
	left, err := f.expr(m.Left)
	if err != nil {
		return nil, err
	}
	if n, ok := m.Right.(*traceql.Number); ok {
		return left, f.each(left, func(v float64) float64 { return calculate(m.Op, v, n.Value.AsFloat()) })
	}
	right, err := f.expr(m.Right)
	if err != nil {
		return nil, err
	}
	return f.joined(m.Op, left, right)
}

func (f *finishing) joined(op traceql.Op, left, right []Series) ([]Series, error) {
	one := func(i int) (s Series, a, b []float64) { return left[i], left[i].Values, right[0].Values }
	n := len(left)
	switch {
	case unlabelled(right):
	case unlabelled(left):
		n = len(right)
		one = func(i int) (s Series, a, b []float64) { return right[i], left[0].Values, right[i].Values }
	default:
		at := map[string]int{}
		for i := range right {
			if err := f.ctx.Err(); err != nil {
				return nil, err
			}
			at[string(labelsKey(nil, right[i].Labels))] = i
		}
		one = func(i int) (s Series, a, b []float64) {
			if k, ok := at[string(labelsKey(nil, left[i].Labels))]; ok {
				b = right[k].Values
			}
			return left[i], left[i].Values, b
		}
	}
	var out []Series
	for i := range n {
		if err := f.ctx.Err(); err != nil {
			return nil, err
		}
		if s, a, b := one(i); b != nil {
			out = append(out, join(op, s, a, b))
		}
	}
	return out, nil
}

func unlabelled(list []Series) bool {
	return len(list) == 1 && (len(list[0].Labels) == 0 || len(list[0].Labels) == 1 && list[0].Labels[0].Key == LabelName)
}

// each computes new values of the series.
func (f *finishing) each(list []Series, of func(float64) float64) error {
	for i := range list {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		for k, v := range list[i].Values {
			list[i].Values[k] = of(v)
		}
		list[i].Labels = withoutName(list[i].Labels)
	}
	return nil
}

func join(op traceql.Op, s Series, a, b []float64) Series {
	out := Series{Labels: withoutName(s.Labels), Values: make([]float64, len(a))}
	for i := range a {
		out.Values[i] = calculate(op, a[i], b[i])
	}
	return out
}

// withoutName drops the label of a lone series: what was computed is no longer that function.
func withoutName(labels []Attribute) []Attribute {
	if len(labels) == 1 && labels[0].Key == LabelName {
		return nil
	}
	return labels
}

// calculate has no result for a division by zero.
func calculate(op traceql.Op, a, b float64) float64 {
	f := traceql.FloatArithmetic(op, a, b)
	if math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}
