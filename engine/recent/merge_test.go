package recent

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// Merging blocks that share traces and spans gives the block that one head with
// all the spans would have become: same spans, same trees, same summaries.
func TestMergeIsLikeOneHead(t *testing.T) {
	for seed := range uint64(6) {
		g := newGen(seed)
		rng := rand.New(rand.NewPCG(seed, 3))
		var heads []*head
		for range 2 + rng.IntN(4) {
			heads = append(heads, newHead())
		}
		one := newHead()
		want := facts{}
		for range 40 {
			b := g.otlp(15)
			want.add(t, b)
			if _, _, err := one.add(b, 1); err != nil {
				t.Fatal(err)
			}
			first := rng.IntN(len(heads))
			for i := range heads { // some requests arrive several times
				if i == first || rng.IntN(6) == 0 || seed == 1 {
					if _, _, err := heads[i].add(b, 1); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		dir := t.TempDir()
		var inputs []*block.Block
		for _, h := range heads {
			if h.rows > 0 {
				inputs = append(inputs, sealed(t, dir, h.columns(), block.WriterOptions{GroupRows: 60 + rng.IntN(100)}))
			}
		}
		merged := mergeAll(t, dir, inputs, 100+rng.IntN(400))
		got := facts{}
		for _, id := range g.traces {
			otlp, err := merged.Find(t.Context(), trace.ID(id))
			if err != nil {
				t.Fatal(err)
			}
			got.add(t, otlp)
		}
		want.compare(t, got)
		compareBlocks(t, sealed(t, dir, one.columns(), block.WriterOptions{}), merged)
	}
}

func mergeAll(t testing.TB, dir string, inputs []*block.Block, stripe int) *block.Block {
	t.Helper()
	w, err := block.NewWriter(block.WriterOptions{Level: 3, GroupRows: 120, Blooms: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	id, err := block.NewID()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Merge(t.Context(), filepath.Join(dir, "t", id), inputs, block.MergeOptions{Tenant: "t", ID: id, Created: time.Unix(2, 0), StripeRows: stripe}); err != nil {
		t.Fatal(err)
	}
	b, err := block.Open(t.Context(), folder{dir: dir}, "t", id, block.OpenOptions{FewReads: true})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// summary is what is computed for a trace, and for its spans by id and kind.
type summary struct {
	root, service string
	start, end    int64
	left, right   []int64
}

func compareBlocks(t *testing.T, a, b *block.Block) {
	t.Helper()
	want, got := summaries(t, a), summaries(t, b)
	if len(want) != len(got) {
		t.Fatalf("%d traces, want %d", len(got), len(want))
	}
	for id, w := range want {
		g := got[id]
		if g.root != w.root || g.service != w.service || g.start != w.start || g.end != w.end {
			t.Fatalf("trace %s: %+v, want %+v", id, g, w)
		}
		for _, v := range []*[]int64{&g.left, &g.right, &w.left, &w.right} {
			slices.Sort(*v) // spans that start together may swap places
		}
		if !slices.Equal(g.left, w.left) || !slices.Equal(g.right, w.right) {
			t.Fatalf("trace %s: nested sets %v %v, want %v %v", id, g.left, g.right, w.left, w.right)
		}
	}
	if am, bm := a.Meta(), b.Meta(); am.Spans != bm.Spans || am.Traces != bm.Traces || am.Errors != bm.Errors || !am.Start.Equal(bm.Start) || !am.End.Equal(bm.End) || !slices.Equal(am.Fields, bm.Fields) {
		t.Fatalf("meta %+v\nwant %+v", bm, am)
	}
}

// summaries reads the per-trace and nested-set columns of a block.
func summaries(t *testing.T, b *block.Block) map[trace.ID]*summary {
	t.Helper()
	out := map[trace.ID]*summary{}
	for _, s := range b.Segments() {
		traces, err := s.Traces(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		root, service := readText(t, s, columnar.KeyTraceRootName, len(traces.IDs)), readText(t, s, columnar.KeyTraceRootService, len(traces.IDs))
		start, end := readNumbers(t, s, columnar.ScopeTrace, columnar.KeyTraceStart, len(traces.IDs)), readNumbers(t, s, columnar.ScopeTrace, columnar.KeyTraceEnd, len(traces.IDs))
		left := readNumbers(t, s, columnar.ScopeIntrinsic, columnar.KeyNestedLeft, s.Info().Rows)
		right := readNumbers(t, s, columnar.ScopeIntrinsic, columnar.KeyNestedRight, s.Info().Rows)
		for i, id := range traces.IDs {
			from, to := traces.Offsets[i], traces.Offsets[i+1]
			out[id] = &summary{root: root[i], service: service[i], start: start[i], end: end[i], left: left[from:to], right: right[from:to]}
		}
	}
	return out
}

func readNumbers(t *testing.T, s columnar.Segment, scope columnar.Scope, key string, n int) []int64 {
	t.Helper()
	out := make([]int64, n)
	for _, c := range s.Columns(nil, scope, key) {
		var v columnar.Vector
		if err := c.Read(t.Context(), nil, &v); err != nil {
			t.Fatal(err)
		}
		for i := range max(len(v.Codes), len(v.Ints)) {
			row := i
			if v.Rows != nil {
				row = int(v.Rows[i])
			}
			switch {
			case v.Codes == nil:
				out[row] = v.Ints[i]
			case v.Dict == nil:
				out[row] = int64(int32(v.Codes[i]))
			case v.Codes[i] > 0:
				out[row] = v.Dict.Ints[v.Codes[i]-1]
			}
		}
	}
	return out
}

func readText(t *testing.T, s columnar.Segment, key string, n int) []string {
	t.Helper()
	out := make([]string, n)
	for _, c := range s.Columns(nil, columnar.ScopeTrace, key) {
		var v columnar.Vector
		if err := c.Read(t.Context(), nil, &v); err != nil {
			t.Fatal(err)
		}
		for i := range max(len(v.Codes), len(v.Offsets)-1) {
			row := i
			if v.Rows != nil {
				row = int(v.Rows[i])
			}
			switch {
			case v.Codes == nil:
				out[row] = string(v.Arena[v.Offsets[i] : v.Offsets[i+1]-v.Gap])
			case v.Codes[i] > 0:
				out[row] = string(v.Dict.Bytes(int(v.Codes[i] - 1)))
			}
		}
	}
	return out
}
