package query

import (
	"context"
	"fmt"
	"sort"

	"github.com/ringctl/ringctl/engine/traceql"
)

// Merge adds another part of the answer to the same request. Series over the bound are left out and the answer is
// marked as partial.
func (r *MetricsResult) Merge(o *MetricsResult) {
	_ = r.MergeUntil(context.Background(), o) // which does not end
}

// MergeUntil is Merge unless ctx ends first; then it is its error, and only a part was added.
func (r *MetricsResult) MergeUntil(ctx context.Context, o *MetricsResult) error {
	r.Stats.add(o.Stats)
	r.Partial = append(r.Partial, o.Partial...)
	if len(o.Legs) == 0 {
		return ctx.Err()
	}
	if len(r.Legs) == 0 {
		r.Start, r.Step, r.Steps, r.Exemplars, r.Legs = o.Start, o.Step, o.Steps, o.Exemplars, o.Legs
		return ctx.Err()
	}
	if r.Start != o.Start || r.Step != o.Step || r.Steps != o.Steps || len(r.Legs) != len(o.Legs) {
		r.Partial = append(r.Partial, "a part of the answer is for other steps")
		return ctx.Err()
	}
	for i := range r.Legs {
		complete, err := r.Legs[i].merge(ctx, &o.Legs[i], r.Steps, r.Exemplars)
		if err != nil {
			return err
		}
		if !complete {
			r.Partial = append(r.Partial, fmt.Sprintf("more than %d series: some are left out", maxSeries))
		}
	}
	return nil
}

// seriesIndex finds the series of a leg by their labels. It stays with the leg, so that each part costs only its own
// series.
type seriesIndex struct {
	at   map[string]int
	size int64 // of the series
}

// indexed is the leg's index, made when it is not there or not of these series.
func (l *MetricsLeg) indexed(ctx context.Context) (*seriesIndex, error) {
	if x := l.index; x != nil && len(x.at) == len(l.Series) {
		return x, nil
	}
	x := &seriesIndex{at: make(map[string]int, len(l.Series))}
	var key []byte
	for i := range l.Series {
		if i&(often-1) == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		key = labelsKey(key[:0], l.Series[i].Labels)
		x.at[string(key)] = i
		x.size += l.Series[i].size()
	}
	l.index = x
	return x, nil
}

// size is about the memory of the series.
func (l *MetricsLeg) size() int64 {
	if x := l.index; x != nil && len(x.at) == len(l.Series) {
		return x.size
	}
	n := int64(0)
	for i := range l.Series {
		n += l.Series[i].size()
	}
	return n
}

// merge reports false when series were left out.
func (l *MetricsLeg) merge(ctx context.Context, o *MetricsLeg, steps, exemplars int) (complete bool, err error) {
	x, err := l.indexed(ctx)
	if err != nil {
		return false, err
	}
	complete = true
	var key []byte
	for i := range o.Series {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		key = labelsKey(key[:0], o.Series[i].Labels)
		if k, ok := x.at[string(key)]; ok {
			p := &l.Series[k]
			x.size -= int64(sizeBucket * len(p.Buckets))
			err := p.merge(ctx, &o.Series[i], l.Func)
			x.size += int64(sizeBucket * len(p.Buckets))
			if err != nil {
				return false, err
			}
			continue
		}
		if len(l.Series) >= maxSeries || (len(l.Series)+1)*steps > 2*maxCells {
			complete = false
			continue
		}
		x.at[string(key)] = len(l.Series)
		x.size += o.Series[i].size()
		l.Series = append(l.Series, o.Series[i])
	}
	l.Exemplars = append(l.Exemplars, o.Exemplars...)
	if len(l.Exemplars) > exemplars { // keep some of all parts
		kept := make([]Exemplar, exemplars)
		for i := range kept {
			kept[i] = l.Exemplars[i*len(l.Exemplars)/exemplars]
		}
		l.Exemplars = kept
	}
	return complete, nil
}

func (p *PartialSeries) merge(ctx context.Context, o *PartialSeries, fn traceql.MetricFunc) (err error) {
	for i := range p.Values {
		if i >= len(o.Values) || o.Counts[i] == 0 {
			continue
		}
		switch {
		case fn == traceql.SumOverTime || fn == traceql.AvgOverTime:
			p.Values[i] += o.Values[i]
		case p.Counts[i] == 0 || fn == traceql.MinOverTime && o.Values[i] < p.Values[i] || fn == traceql.MaxOverTime && o.Values[i] > p.Values[i]:
			p.Values[i] = o.Values[i]
		}
	}
	for i := range p.Counts {
		if i < len(o.Counts) {
			p.Counts[i] += o.Counts[i]
		}
	}
	p.Buckets, err = mergeBuckets(ctx, p.Buckets, o.Buckets)
	return err
}

// mergeBuckets adds up the buckets of two sorted lists; a is changed. Most buckets of b are in a.
func mergeBuckets(ctx context.Context, a, b []Bucket) ([]Bucket, error) {
	if len(a) == 0 {
		return b, nil
	}
	var more []Bucket // of b alone
	at := 0
	for i, x := range b {
		if i&(often-1) == 0 && ctx.Err() != nil {
			return a, ctx.Err()
		}
		for at < len(a) && a[at].key() < x.key() {
			at++
		}
		if at < len(a) && a[at].key() == x.key() {
			a[at].Count += x.Count
			continue
		}
		more = append(more, x)
	}
	if len(more) == 0 {
		return a, nil
	}
	out := make([]Bucket, 0, len(a)+len(more))
	for _, x := range more {
		n := sort.Search(len(a), func(i int) bool { return a[i].key() > x.key() })
		out = append(append(out, a[:n]...), x)
		a = a[n:]
	}
	return append(out, a...), ctx.Err()
}
