package query

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ringctl/ringctl/engine/trace"
)

// Looking for traces that lie in several segments takes a walk over all their ids. When few traces can be in the answer,
// it is cheaper to find those first and to look for each of them in the other segments.

const (
	// rareShare is the estimated share of rows below which this is tried, maxRare the traces at which it is given up.
	rareShare = 0.002
	maxRare   = 2048
)

// Runner calls f with 0 to n-1, several at once if it likes, and returns an error of theirs. nil is one after the other.
type Runner func(n int, f func(i int) error) error

// inTurn is a Runner without threads.
func inTurn(n int, f func(i int) error) error {
	for i := range n {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// share estimates, from dictionaries alone, the share of spans that decide about a trace; 0 means that no trace can be in
// the answer.
func (c *candidates) share(ctx context.Context, pieces []*piece, run Runner) (float64, error) {
	switch {
	case c.list != nil:
		least, sum := 1.0, 0.0
		for _, x := range c.list {
			f, err := x.share(ctx, pieces, run)
			if err != nil {
				return 0, err
			}
			least, sum = min(least, f), sum+f
		}
		if c.and {
			return least, nil
		}
		return min(1, sum), nil
	case c.p == nil:
		return 1, nil
	}
	shares := make([]float64, len(pieces))
	scans := sync.Pool{New: func() any { return new(scan) }}
	err := run(len(pieces), func(i int) (err error) {
		s := scans.Get().(*scan)
		defer scans.Put(s)
		defer s.end()
		s.begin(ctx, pieces[i].seg, nil)
		shares[i], err = c.p.share(s)
		return err
	})
	rows, hits := 0.0, 0.0
	for i, p := range pieces {
		rows += float64(p.info.Rows)
		hits += shares[i] * float64(p.info.Rows)
	}
	return hits / max(1, rows), err
}

// ids is the traces that can be in the answer; ok is false when there are too many.
func (c *candidates) ids(ctx context.Context, pieces []*piece, run Runner) (ids map[trace.ID]struct{}, ok bool, err error) {
	if c.list != nil {
		return c.listIDs(ctx, pieces, run)
	}
	if c.p == nil {
		return nil, false, nil
	}
	found := make([][]trace.ID, len(pieces))
	scans := sync.Pool{New: func() any { return new(scan) }}
	var count atomic.Int64
	err = run(len(pieces), func(i int) (err error) {
		if count.Load() > maxRare {
			return nil
		}
		s := scans.Get().(*scan)
		defer scans.Put(s)
		defer s.end()
		s.begin(ctx, pieces[i].seg, pieces[i].live)
		found[i], err = c.idsOf(s)
		count.Add(int64(len(found[i])))
		return err
	})
	if err != nil || count.Load() > maxRare {
		return nil, false, err
	}
	ids = make(map[trace.ID]struct{})
	for _, list := range found {
		for _, id := range list {
			ids[id] = struct{}{}
		}
	}
	return ids, true, nil
}

// idsOf is ids of one segment.
func (c *candidates) idsOf(s *scan) ([]trace.ID, error) {
	if f, err := c.p.share(s); err != nil || f == 0 {
		return nil, err
	}
	hit := s.bitmap()
	if err := c.p.eval(s, s.rows(), hit); err != nil {
		return nil, err
	}
	traces, err := s.tracesOf(hit)
	if err != nil {
		return nil, err
	}
	var ids []trace.ID
	for t, ok := traces.Next(0); ok && len(ids) <= maxRare; t, ok = traces.Next(t + 1) {
		ids = append(ids, s.id(t))
	}
	return ids, nil
}

func (c *candidates) listIDs(ctx context.Context, pieces []*piece, run Runner) (ids map[trace.ID]struct{}, ok bool, err error) {
	for _, x := range c.list {
		more, known, err := x.ids(ctx, pieces, run)
		switch {
		case err != nil:
			return nil, false, err
		case !known && c.and:
			continue // the other sides decide
		case !known:
			return nil, false, nil
		case ids == nil:
			ids = more
		case c.and:
			for id := range ids {
				if _, both := more[id]; !both {
					delete(ids, id)
				}
			}
		default:
			for id := range more {
				ids[id] = struct{}{}
			}
		}
	}
	return ids, ids != nil, nil
}

// findRare is findSplit for the traces that can be in the answer, which it gives as well; nil when they are too many.
func (c *candidates) findRare(ctx context.Context, pieces []*piece, rare float64, run Runner) (joint int, found map[trace.ID]struct{}, err error) {
	share, err := c.share(ctx, pieces, run)
	if err != nil || share > rare {
		return 0, nil, err
	}
	if share == 0 {
		return 0, map[trace.ID]struct{}{}, nil
	}
	found, ok, err := c.ids(ctx, pieces, run)
	if err != nil || !ok || len(found) > maxRare {
		return 0, nil, err
	}
	var places []place
	for id := range found {
		for order, p := range pieces {
			if compareIDs(id, p.info.MinID) < 0 || compareIDs(id, p.info.MaxID) > 0 {
				continue
			}
			t, err := p.load(ctx)
			if err != nil {
				return 0, nil, err
			}
			if i, ok := slices.BinarySearchFunc(t.IDs, id, compareIDs); ok {
				places = append(places, place{id, p, order, uint32(i)})
				p.found = true
			}
		}
	}
	joint, err = numberShared(ctx, places, 0)
	return joint, found, err
}
