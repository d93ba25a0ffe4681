package query

import (
	"context"
	"slices"

	"github.com/ringctl/ringctl/engine/trace"
)

// Looking for traces that lie in several segments takes a walk over all their ids. When few traces can be in the answer,
// it is cheaper to find those first and to look for each of them in the other segments.

const (
	// rareShare is the estimated share of rows below which this is tried, maxRare the traces at which it is given up.
	rareShare = 0.002
	maxRare   = 2048
)

// share estimates, from dictionaries alone, the share of spans that decide about a trace; 0 means that no trace can be in
// the answer.
func (c *candidates) share(ctx context.Context, pieces []*piece) (float64, error) {
	switch {
	case c.list != nil:
		least, sum := 1.0, 0.0
		for _, x := range c.list {
			f, err := x.share(ctx, pieces)
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
	rows, hits := 0.0, 0.0
	var s scan
	for _, p := range pieces {
		s.begin(ctx, p.seg, nil)
		f, err := c.p.share(&s)
		if err != nil {
			return 0, err
		}
		rows += float64(p.info.Rows)
		hits += f * float64(p.info.Rows)
	}
	return hits / max(1, rows), nil
}

// ids is the traces that can be in the answer; ok is false when there are too many.
func (c *candidates) ids(ctx context.Context, pieces []*piece) (ids map[trace.ID]struct{}, ok bool, err error) {
	if c.list != nil {
		return c.listIDs(ctx, pieces)
	}
	if c.p == nil {
		return nil, false, nil
	}
	ids = make(map[trace.ID]struct{})
	var s scan
	for _, p := range pieces {
		s.begin(ctx, p.seg, p.live)
		if f, err := c.p.share(&s); err != nil || f == 0 {
			if err != nil {
				return nil, false, err
			}
			continue
		}
		hit := s.bitmap()
		if err := c.p.eval(&s, s.rows(), hit); err != nil {
			return nil, false, err
		}
		traces, err := s.tracesOf(hit)
		if err != nil {
			return nil, false, err
		}
		if len(ids)+traces.Count() > maxRare {
			return nil, false, nil
		}
		for t, ok := traces.Next(0); ok; t, ok = traces.Next(t + 1) {
			ids[s.id(t)] = struct{}{}
		}
	}
	return ids, true, nil
}

func (c *candidates) listIDs(ctx context.Context, pieces []*piece) (ids map[trace.ID]struct{}, ok bool, err error) {
	for _, x := range c.list {
		more, known, err := x.ids(ctx, pieces)
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
func (c *candidates) findRare(ctx context.Context, pieces []*piece, rare float64) (joint int, found map[trace.ID]struct{}, err error) {
	share, err := c.share(ctx, pieces)
	if err != nil || share > rare {
		return 0, nil, err
	}
	if share == 0 {
		return 0, map[trace.ID]struct{}{}, nil
	}
	found, ok, err := c.ids(ctx, pieces)
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
