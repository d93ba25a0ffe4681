package peer

import (
	"testing"

	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// TestMergeReplicaCounts merges two answers about one trace: span k of the trace
// is known to the first, to the second, or to both.
func TestMergeReplicaCounts(t *testing.T) {
	answer := func(shown int, ids ...byte) *query.SearchResult {
		set := query.SpanSet{Matched: len(ids)}
		for _, id := range ids[:min(shown, len(ids))] {
			set.Spans = append(set.Spans, query.SpanResult{ID: trace.SpanID{7: id}, Start: int64(id)})
		}
		return &query.SearchResult{Traces: []query.TraceResult{{ID: trace.ID{1}, Sets: []query.SpanSet{set}}}}
	}
	for _, tt := range []struct {
		name string
		a, b []byte
		spss int
		want int
	}{
		{"copies", []byte{1, 2, 3}, []byte{1, 2, 3}, 10, 3},
		{"one missed a span", []byte{1, 2, 3}, []byte{1, 2}, 10, 3},
		{"each missed a span", []byte{1, 2}, []byte{1, 3}, 10, 3},
		{"in two places", []byte{1, 2}, []byte{3}, 10, 3},
		{"no more than are shown", []byte{1, 2, 3}, []byte{4}, 3, 3},
		{"more than are shown", []byte{1, 2, 3, 4}, []byte{1, 2, 3}, 2, 4},
	} {
		a, b := answer(tt.spss, tt.a...), answer(tt.spss, tt.b...)
		mergeReplica(a, b, &query.SearchRequest{Limit: 10, SpansPerSet: tt.spss})
		if got := a.Traces[0].Sets[0]; got.Matched != tt.want || len(got.Spans) > tt.spss {
			t.Errorf("%s: %d matched, %d shown, want %d", tt.name, got.Matched, len(got.Spans), tt.want)
		}
	}
}
