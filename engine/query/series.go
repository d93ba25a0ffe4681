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

// MetricsResult is an answer before its last steps, or a part of one: parts can be merged, then [MetricsResult.Answer]
// computes averages, quantiles, arithmetic and filters.
type MetricsResult struct {
	Start, Step int64 // ns; interval i is (Start+i·Step, Start+(i+1)·Step]
	Steps       int
	Exemplars   int // most exemplars of a leg
	Legs        []MetricsLeg
	Stats       Stats
	Partial     []string // what is missing and why; empty = complete
}

// MetricsLeg is one metrics function of the query; arithmetic has several, from left to right.
type MetricsLeg struct {
	Func      traceql.MetricFunc
	Series    []PartialSeries
	Exemplars []Exemplar

	index *seriesIndex // while merging
}

// PartialSeries is one group. Values are parallel to the steps; which ones are in use depends on the function:
//
//	rate, count, compare   Counts
//	min, max               Values, where Counts is not 0
//	sum, avg               Values, Counts
//	quantile, histogram    Buckets
type PartialSeries struct {
	Labels  []Attribute // in the order of by(…)
	Counts  []float64
	Values  []float64
	Buckets []Bucket // sorted by step, then bucket
}

// Bucket counts the values of a step that fall into one bucket; see bucketOf.
type Bucket struct {
	Step   uint32
	Bucket uint16
	Count  uint64
}

// Exemplar is one span behind a series.
type Exemplar struct {
	Labels []Attribute // of its series
	Trace  trace.ID
	Time   int64   // Unix ns
	Value  float64 // NaN: that of the series at this time
}

// Buckets are a sixteenth of a power of two wide, so a quantile is off by at most a few percent. Bucket zeroBucket holds
// 0, the ones above positive numbers, the ones below negative numbers.
const (
	subBuckets = 16
	minExp     = -32 // smaller magnitudes share the first bucket
	maxExp     = 64
	zeroBucket = subBuckets * (maxExp - minExp)
	numBuckets = 2*zeroBucket + 1
)

// bucketOf is the bucket of a finite number.
func bucketOf(f float64) uint16 {
	if f == 0 {
		return zeroBucket
	}
	b := math.Float64bits(math.Abs(f))
	k := int(b>>48) - (1023+minExp)*subBuckets // exponent and four bits of the fraction
	k = min(max(k, 0), zeroBucket-1)
	if f < 0 {
		return uint16(zeroBucket - 1 - k)
	}
	return uint16(zeroBucket + 1 + k)
}

// bucketRange is the range of a bucket, the bound that is nearer to 0 first.
func bucketRange(b uint16) (from, to float64) {
	if b == zeroBucket {
		return 0, 0
	}
	k, sign := int(b)-zeroBucket-1, 1.0
	if b < zeroBucket {
		k, sign = zeroBucket-1-int(b), -1.0
	}
	edge := func(k int) float64 {
		return math.Float64frombits(uint64(k+(1023+minExp)*subBuckets) << 48)
	}
	return sign * edge(k), sign * edge(k+1)
}

// seriesAcc collects the values of one unit by series and step.
type seriesAcc struct {
	ctx     context.Context
	fn      traceql.MetricFunc
	steps   int
	n       int // series so far
	mem     *Budget
	counts  [][]float64       // by series and step
	values  [][]float64       // the same
	room    []float64         // for the next ones
	dense   []uint32          // counts by step and bucket, of a single series; see denseFrom
	buckets map[uint64]uint64 // by series, step and bucket
	rest    float64           // of weights, what was not yet put into a bucket
}

// A single series has its counters for values from 1 to 2⁶⁴, which durations in ns are, in a plain list; maxDense bounds
// it. The first counter of a step is bucket denseFrom.
const (
	denseFrom    = zeroBucket + 1 - minExp*subBuckets
	denseBuckets = maxExp * subBuckets
	maxDense     = 4 << 20
)

func newAccumulator(s *scan, m *traceql.MetricPipe, steps int, single bool) (*seriesAcc, error) {
	a := &seriesAcc{ctx: s.ctx, fn: m.Func, steps: steps, mem: s.mem}
	if !a.histogram() {
		return a, nil
	}
	a.buckets = make(map[uint64]uint64)
	if single && steps*denseBuckets <= maxDense {
		if err := a.mem.Take(4 * denseBuckets * int64(steps)); err != nil {
			return nil, err
		}
		a.dense, a.n = make([]uint32, steps*denseBuckets), 1
	}
	return a, nil
}

func (a *seriesAcc) histogram() bool {
	return a.fn == traceql.QuantileOverTime || a.fn == traceql.HistogramOverTime
}

// grow makes room for a new series.
func (a *seriesAcc) grow(series uint32) error {
	more := int64(int(series) + 1 - a.n)
	a.n = int(series) + 1
	if a.n > maxSeries || a.n*a.steps > maxCells {
		return &LimitError{fmt.Sprintf("the groups of by() give more than %d series or %d values; group by less, filter more, or ask for a longer step", maxSeries, maxCells)}
	}
	cell := int64(0)
	switch {
	case a.histogram():
	case a.fn == traceql.Rate || a.fn == traceql.CountOverTime:
		cell = 8
	default:
		cell = 16
	}
	if err := a.mem.Take(more * (sizeSeries + cell*int64(a.steps))); err != nil || a.histogram() {
		return err
	}
	for len(a.counts) < a.n {
		if err := a.ctx.Err(); err != nil { // a series may have thousands of values
			return err
		}
		a.counts = append(a.counts, a.cells())
		if a.fn != traceql.Rate && a.fn != traceql.CountOverTime {
			a.values = append(a.values, a.cells())
		}
	}
	return nil
}

// cellsAtOnce is how many values room is made for, at least.
const cellsAtOnce = 1 << 13

// cells is room for the values of a series.
func (a *seriesAcc) cells() []float64 {
	if len(a.room) < a.steps {
		a.room = make([]float64, max(1, min(cellsAtOnce/a.steps, a.n))*a.steps)
	}
	out := a.room[:a.steps:a.steps]
	a.room = a.room[a.steps:]
	return out
}

func (a *seriesAcc) count(series uint32, step int, weight float64) error {
	if int(series) >= a.n {
		if err := a.grow(series); err != nil {
			return err
		}
	}
	a.counts[series][step] += weight
	return nil
}

// whole is the weight as a whole number; what is cut off is added to the next one.
func (a *seriesAcc) whole(weight float64) uint64 {
	n := math.Floor(weight + a.rest)
	a.rest += weight - n
	return uint64(n)
}

func (a *seriesAcc) add(series uint32, step int, v, weight float64) error {
	if a.fn == traceql.HistogramOverTime && v != 0 {
		// The bounds of the answer are upper bounds: a power of two belongs to the bucket below.
		v = math.Float64frombits(math.Float64bits(v) - 1)
	}
	if a.dense != nil {
		if k := int(bucketOf(v)) - denseFrom; uint(k) < denseBuckets {
			a.dense[step*denseBuckets+k]++
			return nil
		}
	}
	if int(series) >= a.n {
		if err := a.grow(series); err != nil {
			return err
		}
	}
	if a.buckets != nil {
		known := len(a.buckets)
		a.buckets[(uint64(series)*uint64(a.steps)+uint64(step))*numBuckets+uint64(bucketOf(v))] += a.whole(weight)
		if len(a.buckets) == known {
			return nil
		}
		if err := a.mem.Take(3 * sizeBucket); err != nil {
			return err
		}
		if len(a.buckets) > maxCells {
			return &LimitError{"the groups of by() give too many histograms; group by less or ask for a longer step"}
		}
		return nil
	}
	count, value := &a.counts[series][step], &a.values[series][step]
	first := *count == 0
	*count += weight
	switch {
	case a.fn == traceql.SumOverTime || a.fn == traceql.AvgOverTime:
		*value += v * weight
	case first || a.fn == traceql.MinOverTime && v < *value || a.fn == traceql.MaxOverTime && v > *value:
		*value = v
	}
	return nil
}

// finish makes the series.
func (a *seriesAcc) finish(s *scan, out *MetricsLeg, labels *labeler) error {
	out.Series = make([]PartialSeries, a.n)
	for i := range out.Series {
		if err := s.step(); err != nil {
			return err
		}
		p := &out.Series[i]
		p.Labels = labels.shown(uint32(i))
		if a.counts != nil {
			p.Counts = a.counts[i]
		}
		if a.values != nil {
			p.Values = a.values[i]
		}
	}
	filled := 0
	for _, n := range a.dense {
		if n > 0 {
			filled++
		}
	}
	if filled > 0 {
		out.Series[0].Buckets = make([]Bucket, 0, filled)
	}
	for i, n := range a.dense {
		if n > 0 {
			out.Series[0].Buckets = append(out.Series[0].Buckets, Bucket{uint32(i / denseBuckets), uint16(denseFrom + i%denseBuckets), uint64(n)})
		}
	}
	for k, n := range a.buckets {
		if err := s.step(); err != nil {
			return err
		}
		cell := k / numBuckets
		p := &out.Series[cell/uint64(a.steps)]
		p.Buckets = append(p.Buckets, Bucket{uint32(cell % uint64(a.steps)), uint16(k % numBuckets), n})
	}
	if len(a.buckets) > 0 {
		for i := range out.Series {
			if err := sortUntil(s.ctx, out.Series[i].Buckets, Bucket.compare); err != nil {
				return err
			}
		}
	}
	out.Series = slices.DeleteFunc(out.Series, func(p PartialSeries) bool { return p.empty() })
	return s.ctx.Err()
}

// empty reports a group whose spans have no value.
func (p *PartialSeries) empty() bool {
	for _, n := range p.Counts {
		if n != 0 {
			return false
		}
	}
	return len(p.Buckets) == 0
}

// key orders buckets by step, then by bucket.
func (b Bucket) key() uint64 { return uint64(b.Step)<<16 | uint64(b.Bucket) }

func (b Bucket) compare(o Bucket) int { return cmp.Compare(b.key(), o.key()) }
