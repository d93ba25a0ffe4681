package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// Evaluate answers a question from sources in this process, on at most threads
// goroutines, which are gone when it returns. A source that fails makes the
// answer partial. Errors carry gRPC codes: InvalidArgument for a question that
// cannot be answered, ResourceExhausted for one over a bound, Aborted when this
// process is too busy for it, Internal when the evaluation panicked. Memory is
// taken from the [query.Budget] of ctx; of the answer it is the caller that gives
// it back.
func Evaluate(ctx context.Context, q *Question, sources []columnar.Source, threads int) (a *Answer, err error) {
	defer survive(&err)
	a = &Answer{}
	switch {
	case q.Trace != nil:
		a.Trace, a.Missing, err = query.FindTrace(ctx, sources, *q.Trace)
	case q.Search != nil:
		a.Search, err = search(ctx, *q.Search, sources, threads)
	case q.Metrics != nil:
		a.Metrics, err = metrics(ctx, *q.Metrics, sources, threads)
	case q.Tags != nil:
		a.Tags, err = query.Tags(ctx, sources, *q.Tags)
	case q.Values != nil:
		a.Values, err = query.TagValues(ctx, sources, *q.Values)
	default:
		return nil, status.Error(codes.InvalidArgument, "empty question")
	}
	if err != nil {
		return nil, StatusOf(err)
	}
	return a, nil
}

// StatusOf gives an error of package query its code, and one about the text of a
// query the line with a caret below the place.
func StatusOf(err error) error {
	var syntax *traceql.Error
	var unsupported *query.UnsupportedError
	var limit *query.LimitError
	var busy *query.BusyError
	switch {
	case errors.As(err, &busy):
		return status.Error(codes.Aborted, err.Error())
	case errors.As(err, &syntax):
		return status.Error(codes.InvalidArgument, err.Error()+"\n"+place(syntax))
	case errors.As(err, &unsupported):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.As(err, &limit):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return err
}

// place is the line of the query with a caret below it.
func place(e *traceql.Error) string {
	line, rest, _ := strings.Cut(e.Caret(), "\n")
	indent, _, _ := strings.Cut(rest, "^")
	return line + "\n" + indent + "^"
}

func search(ctx context.Context, req query.SearchRequest, sources []columnar.Source, threads int) (*query.SearchResult, error) {
	plan, err := query.Prepare(req)
	if err != nil {
		return nil, err
	}
	units, err := plan.Units(ctx, sources, inParallel(threads))
	if err != nil {
		return nil, err
	}
	res := plan.Collect()
	err = each(ctx, units, threads, work[query.SearchResult]{
		run:    plan.Run,
		merge:  res.Add,
		size:   res.Size,
		done:   func(u *query.Unit) bool { return res.Done(u.Info().End) },
		failed: res.Failed,
	})
	return res.Result(), err
}

func metrics(ctx context.Context, req query.MetricsRequest, sources []columnar.Source, threads int) (*query.MetricsResult, error) {
	plan, err := query.PrepareMetrics(req)
	if err != nil {
		return nil, err
	}
	units, err := plan.Units(ctx, sources, inParallel(threads))
	if err != nil {
		return nil, err
	}
	res := plan.Empty()
	var ended error // of ctx, in the middle of a merge
	err = each(ctx, units, threads, work[query.MetricsResult]{
		run:    plan.Run,
		merge:  func(part *query.MetricsResult) { ended = cmp.Or(ended, res.MergeUntil(ctx, part)) },
		size:   res.Size,
		failed: func(what string) { res.Partial = append(res.Partial, what) },
	})
	return res, cmp.Or(err, ended)
}

// inParallel is a [query.Runner] with up to threads goroutines, which are gone
// when it returns.
func inParallel(threads int) query.Runner {
	return func(n int, f func(i int) error) error {
		var next atomic.Int64
		errs := make([]error, min(threads, n))
		run := func(i int) (err error) {
			defer survive(&err)
			return f(i)
		}
		var wg sync.WaitGroup
		for g := range errs {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < n && errs[g] == nil; i = int(next.Add(1)) - 1 {
					errs[g] = run(i)
				}
			})
		}
		wg.Wait()
		return cmp.Or(errs...)
	}
}

// work is what to do with the units of a query. merge, done and failed are
// called one at a time.
type work[R any] struct {
	run    func(context.Context, *query.Unit) (*R, error)
	merge  func(*R)
	size   func() int64 // bytes of what is merged
	done   func(*query.Unit) bool
	failed func(what string)
}

// each runs the units in order on up to threads goroutines, until all are done
// or none of the rest can change the answer.
func each[R any](ctx context.Context, units []*query.Unit, threads int, w work[R]) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next, stop := 0, false
	var fatal error
	held := query.BudgetFrom(ctx).Part()
	take := func() *query.Unit {
		mu.Lock()
		defer mu.Unlock()
		if stop || next == len(units) || w.done != nil && w.done(units[next]) {
			return nil
		}
		next++
		return units[next-1]
	}
	put := func(u *query.Unit, part *R, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			w.merge(part)
			err = held.Set(w.size())
		}
		var limit *query.LimitError
		var busy *query.BusyError
		switch {
		case err == nil:
		case ctx.Err() != nil:
			fatal, stop = ctx.Err(), true
		case errors.As(err, &limit), errors.As(err, &busy):
			fatal, stop = err, true
		default:
			w.failed(fmt.Sprintf("%s: %v", u.Source, err))
		}
	}
	run := func(ctx context.Context, u *query.Unit) (part *R, err error) {
		defer survive(&err)
		return w.run(ctx, u)
	}
	loop := func() {
		for u := take(); u != nil; u = take() {
			own := query.BudgetFrom(ctx).Part()
			part, err := run(query.WithBudget(ctx, own), u)
			put(u, part, err)
			own.Release()
		}
	}
	for range min(threads, len(units)) - 1 {
		wg.Go(loop)
	}
	loop()
	wg.Wait()
	return fatal
}

// Merge adds another part of the answer to a. With replica, the two parts are
// of keepers that hold copies of the same spans: what both counted is counted
// once.
func (q *Question) Merge(ctx context.Context, a, part *Answer, replica bool) error {
	a.Missing = append(a.Missing, part.Missing...)
	switch {
	case q.Trace != nil:
		return a.mergeTrace(part)
	case q.Search != nil && replica:
		mergeReplica(a.Search, part.Search, q.Search)
	case q.Search != nil:
		a.Search.Merge(part.Search, q.Search.Limit, q.Search.SpansPerSet)
	case q.Metrics != nil:
		return StatusOf(a.Metrics.MergeUntil(ctx, part.Metrics))
	case q.Tags != nil:
		a.Tags.Merge(part.Tags)
	case q.Values != nil:
		return StatusOf(a.Values.MergeUntil(ctx, part.Values))
	}
	return nil
}

func (a *Answer) mergeTrace(part *Answer) error {
	if len(part.Trace) == 0 {
		return nil
	}
	if len(a.Trace) == 0 {
		a.Trace = part.Trace
		return nil
	}
	merged, err := trace.Merge(a.Trace, part.Trace)
	if err != nil {
		return fmt.Errorf("merge the parts of a trace: %w", err)
	}
	a.Trace = merged
	return nil
}
