package query

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Budget bounds the memory of a query, of a part of one, of the queries of a tenant, or of all queries of a process: what
// is taken from a part is taken from its wholes too. Estimates count what grows with the data: groups, series and their
// values, spans of answers and their text. Safe for concurrent use; a nil Budget has no bound.
type Budget struct {
	wholes []*Budget
	max    atomic.Int64           // 0 = only those of the wholes
	over   func(most int64) error // the error for more than that
	count  *atomic.Int64          // of those errors; may be nil
	end    func()                 // called once by Release
	used   atomic.Int64
}

// BusyError says that the process, or the tenant, has no memory left for a query now: ask again later, HTTP 429.
type BusyError struct{ What string }

// Error implements error.
func (e *BusyError) Error() string { return "too busy: " + e.What }

func newBudget(most int64, over func(most int64) error, wholes ...*Budget) *Budget {
	b := &Budget{wholes: wholes, over: over}
	b.max.Store(most)
	return b
}

// NewBudget makes the budget of all queries of a process, in bytes; 0 is no bound. key is its name in the configuration.
func NewBudget(most int64, key string) *Budget {
	b := newBudget(most, func(most int64) error {
		return &BusyError{fmt.Sprintf("all queries together need more than %s (%s); ask again later, or for less", mebibytes(most), key)}
	})
	b.count = new(atomic.Int64)
	return b
}

// Query makes the budget of one query; 0 is no bound of its own. The caller gives it back with Release.
func (b *Budget) Query(most int64, key string) *Budget {
	return newBudget(most, func(most int64) error { return tooLarge(most, key) }, b)
}

func tooLarge(most int64, whose string) error {
	return &LimitError{fmt.Sprintf("it needs more than %s of memory (%s); lower the limit, filter more, group by less, or ask for a longer step or a shorter range", mebibytes(most), whose)}
}

// Part makes the budget of a part, whose memory is given back together with Release.
func (b *Budget) Part() *Budget { return newBudget(0, nil, b) }

func mebibytes(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// Take takes n bytes; n below 0 gives some back. The error, a *LimitError or a *BusyError, says that nothing was taken.
func (b *Budget) Take(n int64) error {
	if b == nil {
		return nil
	}
	if err := b.takeHere(n); err != nil {
		return err
	}
	for i, whole := range b.wholes {
		if err := whole.Take(n); err != nil {
			b.used.Add(-n)
			for _, w := range b.wholes[:i] {
				w.giveBack(n)
			}
			return err
		}
	}
	return nil
}

// takeHere never goes over the bound, not even for a moment: others take at the same time.
func (b *Budget) takeHere(n int64) error {
	for {
		used, most := b.used.Load(), b.max.Load()
		if n > 0 && most > 0 && used+n > most {
			if b.count != nil {
				b.count.Add(1)
			}
			return b.over(most)
		}
		if b.used.CompareAndSwap(used, used+n) {
			return nil
		}
	}
}

// Set takes or gives back until n bytes are taken. Not for concurrent use.
func (b *Budget) Set(n int64) error { return b.Take(n - b.Used()) }

// Used is what is taken.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Most is the bound; 0 is none.
func (b *Budget) Most() int64 {
	if b == nil {
		return 0
	}
	return b.max.Load()
}

// Refused is how often this bound was the reason for an error, of the budget of all queries of a process.
func (b *Budget) Refused() int64 {
	if b == nil || b.count == nil {
		return 0
	}
	return b.count.Load()
}

// Release gives everything back. Not for concurrent use with itself.
func (b *Budget) Release() {
	if b == nil {
		return
	}
	n := b.used.Swap(0)
	for _, w := range b.wholes {
		w.giveBack(n)
	}
	if b.end != nil {
		b.end()
		b.end = nil
	}
}

func (b *Budget) giveBack(n int64) {
	if b == nil {
		return
	}
	b.used.Add(-n)
	for _, w := range b.wholes {
		w.giveBack(n)
	}
}

type budgetKey struct{}

// WithBudget is a context whose queries take their memory from b.
func WithBudget(ctx context.Context, b *Budget) context.Context {
	return context.WithValue(ctx, budgetKey{}, b)
}

// BudgetFrom is the budget of ctx, or nil.
func BudgetFrom(ctx context.Context) *Budget {
	b, _ := ctx.Value(budgetKey{}).(*Budget)
	return b
}

// Sizes of what results are made of: the structs and what they point to beside text.
const (
	sizeTrace     = 200
	sizeSet       = 100
	sizeSpan      = 80
	sizeAttribute = 72
	sizeService   = 40
	sizeSeries    = 160
	sizeBucket    = 16
	sizeValue     = 260 // a distinct value of by(), and its place in a map
	sizeTagValue  = 40
	sizeCode      = 128 // a value that stands for a dictionary code
	sizeRow       = 24  // sets and trees of rows of a unit that is evaluated; its columns count by themselves
	sizeSplit     = 24  // what is known of a span whose trace lies in several segments
	sizeMemo      = 128 // codes of a dictionary that a condition matches
	sizeJoined    = 128 // a span of several parts of a trace that are put together
)

func attributesSize(list []Attribute) int64 {
	n := int64(0)
	for i := range list {
		n += sizeAttribute + int64(len(list[i].Value.Bytes))
	}
	return n
}

// size is about the memory of a trace in an answer.
func (t *TraceResult) size() int64 {
	n := int64(sizeTrace + len(t.Services)*sizeService)
	for i := range t.Sets {
		set := &t.Sets[i]
		n += sizeSet + attributesSize(set.Attrs)
		for k := range set.Spans {
			n += sizeSpan + attributesSize(set.Spans[k].Attrs)
		}
	}
	return n
}

// Size is about the memory of the answer, in bytes.
func (r *SearchResult) Size() int64 {
	if len(r.seen) == len(r.Traces) {
		return r.size
	}
	return sizeOf(r.Traces)
}

func sizeOf(traces []TraceResult) int64 {
	n := int64(0)
	for i := range traces {
		n += traces[i].size()
	}
	return n
}

// Size is about the memory of the answer, in bytes.
func (r *MetricsResult) Size() int64 {
	n := int64(0)
	for i := range r.Legs {
		n += r.Legs[i].size()
	}
	return n
}

func (p *PartialSeries) size() int64 {
	return sizeSeries + attributesSize(p.Labels) + int64(8*(len(p.Counts)+len(p.Values))+sizeBucket*len(p.Buckets))
}

// AnswerSize is about the memory of what [MetricsPlan.Answer] makes of a result, in bytes.
func (p *MetricsPlan) AnswerSize(r *MetricsResult) int64 {
	n := int64(0)
	for i := range min(len(r.Legs), len(p.legs)) {
		for k := range r.Legs[i].Series {
			ps := &r.Legs[i].Series[k]
			n += int64(p.legs[i].lines(ps)) * (sizeSeries + sizeAttribute + attributesSize(ps.Labels) + int64(8*p.v.n))
		}
	}
	return n
}

// lines is the most series of the answer that one group becomes.
func (l *leg) lines(ps *PartialSeries) int {
	switch {
	case len(l.m.Args) > 0:
		return len(l.m.Args)
	case len(ps.Buckets) == 0:
		return 1
	}
	var seen [numBuckets/subBuckets + 2]bool
	n := 1
	for i := range ps.Buckets {
		if k := int(ps.Buckets[i].Bucket) / subBuckets; k < len(seen) && !seen[k] {
			seen[k] = true
			n++
		}
	}
	return n
}
