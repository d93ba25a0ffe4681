package query

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Budget bounds the memory of a query, of a part of one, or of all queries of a process: what is taken from a part is
// taken from the whole too. Estimates count what grows with the data: groups, series and their values, spans of answers
// and their text. Safe for concurrent use; a nil Budget has no bound.
type Budget struct {
	whole *Budget
	max   int64  // 0 = only that of the whole
	hint  string // for the error: whose bound this is and what to do
	busy  bool   // the bound is shared with other queries
	used  atomic.Int64
}

// BusyError says that the process has no memory left for a query now: ask again later, HTTP 429.
type BusyError struct{ What string }

// Error implements error.
func (e *BusyError) Error() string { return "too busy: " + e.What }

// NewBudget makes the budget of all queries of a process, in bytes; 0 is no bound. key is its name in the configuration.
func NewBudget(max int64, key string) *Budget {
	return &Budget{max: max, busy: true, hint: fmt.Sprintf("all queries together need more than %s (%s); ask again later, or for less", mebibytes(max), key)}
}

// Query makes the budget of one query; 0 is no bound of its own. The caller gives it back with Release.
func (b *Budget) Query(max int64, key string) *Budget {
	return &Budget{whole: b, max: max, hint: fmt.Sprintf("it needs more than %s of memory (%s); lower the limit, filter more, group by less, or ask for a longer step or a shorter range", mebibytes(max), key)}
}

// Part makes the budget of a part, whose memory is given back together with Release.
func (b *Budget) Part() *Budget { return &Budget{whole: b} }

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
	if used := b.used.Add(n); n > 0 && b.max > 0 && used > b.max {
		b.used.Add(-n)
		if b.busy {
			return &BusyError{b.hint}
		}
		return &LimitError{b.hint}
	}
	if err := b.whole.Take(n); err != nil {
		b.used.Add(-n)
		return err
	}
	return nil
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

// Release gives everything back.
func (b *Budget) Release() {
	if b == nil {
		return
	}
	n := b.used.Swap(0)
	b.whole.giveBack(n)
}

func (b *Budget) giveBack(n int64) {
	for ; b != nil; b = b.whole {
		b.used.Add(-n)
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
	sizeRow       = 48  // columns and sets of rows of a unit that is evaluated
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
		for k := range r.Legs[i].Series {
			n += r.Legs[i].Series[k].size()
		}
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

// Bounds is the memory of the queries of a process.
type Bounds struct {
	All   *Budget // of all queries together; nil = no bound
	Query int64   // bytes of one query; 0 = no bound
	Key   string  // name of Query in the configuration
}

// Begin gives ctx the budget of one query. The caller releases it when the query is over.
func (b Bounds) Begin(ctx context.Context) (context.Context, *Budget) {
	own := b.All.Query(b.Query, b.Key)
	return WithBudget(ctx, own), own
}
