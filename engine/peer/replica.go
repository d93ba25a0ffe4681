package peer

import (
	"slices"

	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// mergeReplica adds the answer of a keeper that holds copies of the spans that
// r was made from. A trace that both found is in both with the same spans, save
// those that one of the two missed: the spans shown are the union, and the larger
// count stands, unless more spans than that are shown.
func mergeReplica(r, o *query.SearchResult, req *query.SearchRequest) {
	other := make(map[trace.ID]bool, len(o.Traces))
	for i := range o.Traces {
		other[o.Traces[i].ID] = true
	}
	had := map[trace.ID]query.TraceResult{}
	for i := range r.Traces {
		if t := &r.Traces[i]; other[t.ID] {
			had[t.ID] = query.TraceResult{Sets: slices.Clone(t.Sets), Services: slices.Clone(t.Services)}
		}
	}
	r.Merge(o, req.Limit, req.SpansPerSet)
	for i := range r.Traces {
		t := &r.Traces[i]
		a, both := had[t.ID]
		if !both {
			continue
		}
		for s := range t.Sets {
			if sum := t.Sets[s].Matched; s < len(a.Sets) {
				before := a.Sets[s].Matched
				t.Sets[s].Matched = max(before, sum-before, len(t.Sets[s].Spans))
			}
		}
		for s := range t.Services {
			onceOnly(&t.Services[s], a.Services)
		}
	}
}

// onceOnly takes the sum of two copies back to the larger one.
func onceOnly(sum *query.ServiceStats, before []query.ServiceStats) {
	for _, b := range before {
		if b.Name == sum.Name {
			sum.Spans = max(b.Spans, sum.Spans-b.Spans)
			sum.Errors = max(b.Errors, sum.Errors-b.Errors)
			return
		}
	}
}
