package recent

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// uncached opens a block once more, with too little memory to keep what it reads: only the pages that are needed are read.
func uncached(t *testing.T, dir string, b *block.Block) columnar.Source {
	t.Helper()
	again, err := block.Open(t.Context(), folder{dir: dir}, "t", b.Meta().ID, block.OpenOptions{Cache: block.NewCache(1 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// What an answer shows of few spans does not depend on what else is read of their columns: of parents all rows are.
func TestFewSpansAreShownWithTheirParents(t *testing.T) {
	g := newGen(7)
	var b querytest.MemoryBuilder
	h := newHead()
	for range 40 {
		m := g.otlp(50)
		if err := trace.Walk(m, &b); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.add(m, 1); err != nil {
			t.Fatal(err)
		}
	}
	mem, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whole := sealed(t, dir, h.columns(), block.WriterOptions{GroupRows: 2000})
	places := map[string]columnar.Source{"head": one{newSegment(h.columns(), 1, h.knownOf(h.columns()))}, "block": whole, "uncached": uncached(t, dir, whole)}
	all, err := query.Search(t.Context(), []columnar.Source{mem}, query.SearchRequest{Query: "{ span:parentID != nil }", Limit: 1000, SpansPerSet: 100})
	if err != nil || len(all.Traces) < 20 {
		t.Fatal(len(all.Traces), err)
	}
	shown := 0
	for _, tr := range all.Traces {
		sp := tr.Sets[0].Spans[len(tr.Sets[0].Spans)-1]
		for _, list := range []string{"parent.name", "parent.duration", "span:childCount", "nestedSetParent, name", "kind, parent.kind, status", "span:parentID, event:name"} {
			req := query.SearchRequest{Query: fmt.Sprintf(`{ span:id = "%x" } | select(%s)`, sp.ID[:], list), Limit: 10}
			want, err := query.Search(t.Context(), []columnar.Source{mem}, req)
			if err != nil {
				t.Fatal(req.Query, err)
			}
			for place, src := range places {
				got, err := query.Search(t.Context(), []columnar.Source{src}, req)
				if err != nil || len(got.Partial) > 0 {
					t.Fatalf("%s in %s: %v %v", req.Query, place, err, got)
				}
				if !reflect.DeepEqual(got.Traces, want.Traces) {
					t.Fatalf("%s in %s:\n%s\nwant\n%s", req.Query, place, querytest.Show(got.Traces), querytest.Show(want.Traces))
				}
				shown += len(got.Traces)
			}
		}
	}
	if shown < 100 {
		t.Error(shown)
	}
}
