package query_test

import (
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// FuzzQuery evaluates whatever parses: no panic, the twin agrees on searches, and so do the spans spread over several
// sources, each share of the trace ids apart.
func FuzzQuery(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.txt")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, line := range strings.Split(string(data), "\n") {
			if q, ok := strings.CutPrefix(line, "> "); ok {
				f.Add(q)
			}
		}
	}
	otlp := storySpans(f)
	src := []columnar.Source{memory(f, otlp...)}
	apart := spread(f, rand.New(rand.NewSource(7)), otlp)
	twin, err := querytest.NewTwin(otlp)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := traceql.Parse(text)
		if err != nil {
			return
		}
		if q.Metric != nil {
			_, _ = answer(t, src, query.MetricsRequest{Query: text, Start: querytest.Epoch, End: querytest.Epoch + 30e9, Step: 10e9})
			return
		}
		res, err := query.Search(t.Context(), src, query.SearchRequest{Query: text, Limit: 100})
		if err != nil {
			return
		}
		want, err := twin.Search(q)
		if err == nil && want != canonical(res) {
			t.Errorf("%s\nwant\n%s\ngot\n%s", text, want, canonical(res))
		}
		sum := &query.SearchResult{}
		for _, ids := range [...]query.IDRange{{Last: trace.ID{15: 2}}, {First: trace.ID{15: 3}, Last: trace.ID{0: 1}}} {
			part, err := query.Search(t.Context(), apart, query.SearchRequest{Query: text, Limit: 100, IDs: []query.IDRange{ids}})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			sum.Merge(part, 100, 0)
		}
		if err == nil && want != canonical(sum) {
			t.Errorf("%s, apart\nwant\n%s\ngot\n%s", text, want, canonical(sum))
		}
	})
}
