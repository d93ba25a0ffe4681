package query

import (
	"slices"

	"github.com/ringctl/ringctl/engine/trace"
)

// Collector gathers the parts of an answer. Most traces are in one part only, and then all parts are put in order at
// once, which costs less than a Merge for each. Not safe for concurrent use.
type Collector struct {
	p      *SearchPlan
	sum    SearchResult // what is not traces
	parts  []*SearchResult
	traces int // of all parts
	size   int64
}

// Collect begins an answer.
func (p *SearchPlan) Collect() *Collector { return &Collector{p: p} }

// Add adds a part, which belongs to the collector from then on.
func (c *Collector) Add(part *SearchResult) {
	c.sum.Stats.add(part.Stats)
	c.sum.Partial = append(c.sum.Partial, part.Partial...)
	if n := len(part.Traces); n > 0 {
		c.parts = append(c.parts, part)
		c.traces += n
		c.size += part.Size()
	}
}

// Failed notes what is missing.
func (c *Collector) Failed(what string) { c.sum.Partial = append(c.sum.Partial, what) }

// Size is about the memory of the parts, in bytes.
func (c *Collector) Size() int64 { return c.size }

// Done reports that no unit whose newest span is at end can change the answer any more.
func (c *Collector) Done(end int64) bool {
	if c.traces < c.p.req.Limit {
		return false
	}
	c.fold()
	return len(c.parts) > 0 && c.p.Done(c.parts[0], end)
}

// Result is the answer, the same as that of merging the parts one after the other.
func (c *Collector) Result() *SearchResult {
	c.fold()
	if len(c.parts) > 0 {
		c.sum.Traces = c.parts[0].Traces
	}
	return &c.sum
}

// fold makes one part of all.
func (c *Collector) fold() {
	if len(c.parts) == 0 || len(c.parts) == 1 && c.traces <= c.p.req.Limit {
		return
	}
	into := &SearchResult{}
	if c.disjoint() {
		into.Traces = c.inOrder()
	} else {
		for _, part := range c.parts {
			part.Stats, part.Partial = Stats{}, nil
			c.p.Merge(into, part)
		}
	}
	c.parts, c.traces, c.size = []*SearchResult{into}, len(into.Traces), into.Size()
}

// disjoint reports that no trace is in two parts and every part is in order.
func (c *Collector) disjoint() bool {
	seen := make(map[trace.ID]struct{}, c.traces)
	for _, part := range c.parts {
		for i := range part.Traces {
			seen[part.Traces[i].ID] = struct{}{}
			if i > 0 && part.Traces[i].compare(&part.Traces[i-1]) < 0 {
				return false
			}
		}
	}
	return len(seen) == c.traces
}

// inOrder merges the parts two by two and keeps the newest traces. Only pointers are moved until all is in order.
func (c *Collector) inOrder() []TraceResult {
	runs := make([][]*TraceResult, len(c.parts))
	for i, part := range c.parts {
		for k := range part.Traces {
			runs[i] = append(runs[i], &part.Traces[k])
		}
	}
	for len(runs) > 1 {
		half := (len(runs) + 1) / 2
		for i := range len(runs) / 2 {
			runs[i] = mergeRuns(runs[2*i], runs[2*i+1])
		}
		if len(runs)%2 == 1 {
			runs[half-1] = runs[len(runs)-1]
		}
		runs = runs[:half]
	}
	out := make([]TraceResult, min(len(runs[0]), c.p.req.Limit))
	for i := range out {
		out[i] = *runs[0][i]
	}
	return out
}

func mergeRuns(a, b []*TraceResult) []*TraceResult {
	out := slices.Grow([]*TraceResult(nil), len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].compare(b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
