package block

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/ringctl/ringctl/engine/columnar"
)

// On a local folder, bytes between two wanted stretches are read along when they
// are fewer than joinGap. On object storage a whole lookup takes manyRegions
// requests at most, whatever is between.
const (
	joinGap     = 64 << 10
	manyRegions = 2
)

// maxGroup is the largest row group that is read whole to find a trace.
const maxGroup = 7 << 19

// tracesForFind is Traces for a lookup, after which spans will be read: on object
// storage the first one reads the row group with one request and leaves it for
// Spans.
func (s *segment) tracesForFind(ctx context.Context) (*columnar.Traces, error) {
	if _, ok := s.b.cache.get(cacheKey{s.b.meta.ID, s.group, cacheTraces}).(*columnar.Traces); ok || !s.b.few {
		return s.Traces(ctx)
	}
	all := region{at: math.MaxInt64}
	for n := range s.b.file.Leaves {
		if c := s.chunk(n); c.Nulls < c.Values {
			all.at, all.end = min(all.at, c.Start), max(all.end, c.End)
		}
	}
	if all.end-all.at > maxGroup {
		return s.Traces(ctx)
	}
	all.buf = make([]byte, all.end-all.at)
	if err := s.b.readAt(ctx, DataName, all.buf, all.at); err != nil {
		return nil, s.b.fault(DataName, err)
	}
	near := &regions{list: []region{all}}
	t, err := s.readTraces(ctx, near)
	if err == nil {
		s.b.cache.put(s.groupKey(), near, all.end-all.at)
	}
	return t, err
}

func (s *segment) groupKey() cacheKey { return cacheKey{s.b.meta.ID, s.group, cacheGroup} }

// regions are stretches of a data file in memory. nil has none.
type regions struct {
	list []region
	lent bool // by the cache
}

// giveBack ends the use of lent memory.
func (r *regions) giveBack(c *Cache) {
	if !r.lent {
		return
	}
	for i := range r.list {
		c.takeBack(r.list[i].buf)
	}
	r.list = nil
}

type region struct {
	at  int64
	end int64
	buf []byte
}

// view is the bytes from at to end if they are in memory, else nil. They are
// read-only.
func (r *regions) view(at, end int64) []byte {
	if r == nil {
		return nil
	}
	for i := range r.list {
		if g := &r.list[i]; at >= g.at && end <= g.end {
			return g.buf[at-g.at : end-g.at]
		}
	}
	return nil
}

// readAt fills p from memory when it is there, else from the bucket.
func (r *regions) readAt(ctx context.Context, b *Block, p []byte, off int64) error {
	if v := r.view(off, off+int64(len(p))); v != nil {
		copy(p, v)
		return nil
	}
	return b.readAt(ctx, DataName, p, off)
}

// fetch reads the pages of all columns that within(leaf) wants, in few reads.
func (s *segment) fetch(ctx context.Context, within func(leaf int) columnar.Bitmap) (*regions, error) {
	if all, ok := s.b.cache.take(s.groupKey()).(*regions); ok {
		return all, nil
	}
	var want []region
	for n := range s.b.file.Leaves {
		c, sel := s.chunk(n), within(n)
		if sel == nil || c.Nulls == c.Values {
			continue
		}
		l, err := s.list(n)
		if err != nil {
			return nil, err
		}
		if c.HasDict() && s.b.cache.get(cacheKey{s.b.meta.ID, s.group, n}) == nil {
			want = append(want, region{at: c.Start, end: c.Data})
		}
		if first, last, _ := wanted(l.pages, sel); first >= 0 {
			want = append(want, region{at: l.pages[first].At, end: l.pages[last].At + int64(l.pages[last].Size)})
		}
	}
	out := &regions{list: join(want, s.b.few), lent: true}
	for i := range out.list {
		g := &out.list[i]
		g.buf = s.b.cache.lend(int(g.end - g.at))
		if err := s.b.readAt(ctx, DataName, g.buf, g.at); err != nil {
			return nil, s.b.fault(DataName, err)
		}
	}
	return out, nil
}

// join merges stretches: close ones, or until there are few, splitting at the
// widest gaps.
func join(want []region, few bool) []region {
	slices.SortFunc(want, func(a, b region) int { return cmp.Compare(a.at, b.at) })
	limit := int64(joinGap)
	if few && len(want) > manyRegions {
		gaps := make([]int64, 0, len(want))
		end := want[0].end
		for _, w := range want[1:] {
			gaps = append(gaps, max(w.at-end, 0))
			end = max(end, w.end)
		}
		slices.Sort(gaps)
		limit = gaps[len(gaps)-manyRegions+1]
		if limit > 0 {
			limit--
		}
	}
	var out []region
	for _, w := range want {
		if n := len(out); n > 0 && w.at-out[n-1].end <= limit {
			out[n-1].end = max(out[n-1].end, w.end)
			continue
		}
		out = append(out, w)
	}
	return out
}
