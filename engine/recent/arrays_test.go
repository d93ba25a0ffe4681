package recent

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// arrays tells a story of spans with arrays: in a head that keeps all, and in blocks.
type arrays struct {
	t      *testing.T
	dir    string
	all    *head // since the last scene
	part   *head // since the last seal
	sent   map[trace.SpanID]string
	blocks map[string]*block.Block
	shown  []string // names of the blocks that have all spans together
}

func (w *arrays) scene() {
	w.all, w.part = newHead(), newHead()
	w.sent, w.blocks, w.shown = map[trace.SpanID]string{}, map[string]*block.Block{}, nil
}

func (w *arrays) do(line string) string {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "span":
		number, rest, _ := strings.Cut(rest, " ")
		w.span(number, w.attrs(rest))
		return ""
	case "filler":
		n, err := strconv.Atoi(rest)
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range n {
			w.span(strconv.Itoa(1000+i), nil)
		}
		return ""
	case "seal":
		w.keep(rest, w.write(rest, func(bw *block.Writer, dir string, o block.SealOptions) error {
			_, err := bw.Seal(dir, w.part.columns(), o)
			return err
		}))
		w.part = newHead()
		return w.stored(rest)
	case "merge":
		f := strings.Fields(rest)
		var inputs []*block.Block
		for _, name := range f[1:] {
			inputs = append(inputs, w.blocks[name])
			w.shown = slices.DeleteFunc(w.shown, func(s string) bool { return s == name })
		}
		w.keep(f[0], w.write(f[0], func(bw *block.Writer, dir string, o block.SealOptions) error {
			_, err := bw.Merge(w.t.Context(), dir, inputs, block.MergeOptions{Tenant: o.Tenant, ID: o.ID, Created: o.Created})
			return err
		}))
		return w.stored(f[0])
	case "ask":
		return w.ask(rest)
	}
	w.t.Fatalf("unknown command %q", line)
	return ""
}

// span adds a span to the heads.
func (w *arrays) span(number string, attrs []trace.Attr) {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	s := trace.Span{TraceID: trace.ID{byte(n >> 8), byte(n), 1}, Start: n, End: n + 1, Name: []byte("op"), Attrs: attrs}
	binary.BigEndian.PutUint64(s.SpanID[:], n)
	w.sent[s.SpanID] = attrsText(attrs)
	var b trace.Builder
	b.SetResource(&trace.Group{})
	b.SetScope(&trace.Group{})
	b.AddSpan(&s)
	for _, h := range []*head{w.all, w.part} {
		if _, rejected, err := h.add(b.Append(nil), 1); err != nil || rejected > 0 {
			w.t.Fatal(err, rejected)
		}
	}
}

// attrsText shows attributes to the last bit; their order may change.
func attrsText(attrs []trace.Attr) string {
	var out []string
	for i := range attrs {
		out = append(out, fmt.Sprintf("%x", trace.AppendAttr(nil, 9, &attrs[i])))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (w *arrays) attrs(text string) (out []trace.Attr) {
	for _, f := range strings.Fields(text) {
		k, v, _ := strings.Cut(f, "=")
		out = append(out, trace.Attr{Key: []byte(k), Value: w.value(v)})
	}
	return out
}

// value reads "text", 1, 0.5, true, {}, [value,…], [value*n] or hex: an ArrayValue.
func (w *arrays) value(s string) trace.Value {
	if raw, ok := strings.CutPrefix(s, "hex:"); ok {
		b, err := hex.DecodeString(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		return trace.Value{Kind: trace.KindArray, Bytes: b}
	}
	if list, ok := strings.CutPrefix(s, "["); ok {
		v := trace.Value{Kind: trace.KindArray}
		list = strings.TrimSuffix(list, "]")
		one, times, many := strings.Cut(list, "*")
		parts := strings.Split(list, ",")
		if n, err := strconv.Atoi(times); many && err == nil {
			parts = slices.Repeat([]string{one}, n)
		}
		for _, e := range parts {
			if e != "" {
				x := w.value(e)
				v.Bytes = trace.AppendElement(v.Bytes, &x)
			}
		}
		return v
	}
	if t, err := strconv.Unquote(s); err == nil {
		return trace.StringValue([]byte(t))
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return trace.IntValue(n)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return trace.DoubleValue(f)
	}
	if s == "{}" {
		return trace.Value{Kind: trace.KindMap}
	}
	return trace.BoolValue(s == "true")
}

// write makes a block and opens it.
func (w *arrays) write(name string, make func(*block.Writer, string, block.SealOptions) error) *block.Block {
	bw, err := block.NewWriter(block.WriterOptions{GroupRows: 2000, Blooms: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer bw.Close()
	id, err := block.NewID()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := make(bw, filepath.Join(w.dir, "t", id), block.SealOptions{Tenant: "t", ID: id, Created: time.Unix(1, 0)}); err != nil {
		w.t.Fatal(name, err)
	}
	b, err := block.Open(w.t.Context(), folder{dir: w.dir}, "t", id, block.OpenOptions{})
	if err != nil {
		w.t.Fatal(name, err)
	}
	return b
}

// keep notes a block, whose spans have to be what was sent.
func (w *arrays) keep(name string, b *block.Block) {
	w.blocks[name] = b
	w.shown = append(w.shown, name)
	w.same("head", newSegment(w.all.columns(), 1, w.all.knownOf(w.all.columns())))
	for _, s := range b.Segments() {
		w.same(name, s)
	}
}

func (w *arrays) same(place string, s columnar.Segment) {
	rows := make([]uint32, s.Info().Rows)
	for i := range rows {
		rows[i] = uint32(i)
	}
	err := s.Spans(w.t.Context(), rows, func(r columnar.RawSpan) error {
		var sp trace.Span
		if err := trace.DecodeSpan(r.Span, &sp); err != nil {
			return err
		}
		if got := attrsText(sp.Attrs); got != w.sent[sp.SpanID] {
			w.t.Errorf("in %s span %s has\n%s\nsent were\n%s", place, sp.SpanID, got, w.sent[sp.SpanID])
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(place, err)
	}
}

// stored says where a block keeps attributes.
func (w *arrays) stored(name string) string {
	m := w.blocks[name].Meta()
	raw, err := os.ReadFile(filepath.Join(w.dir, "t", m.ID, block.DataName))
	if err != nil {
		w.t.Fatal(err)
	}
	f, _, err := pq.ParseTail(raw, int64(len(raw)))
	if err != nil {
		w.t.Fatal(err)
	}
	out := []string{fmt.Sprintf("version %d", m.Version)}
	for i := block.FixedColumns; i < len(f.Leaves); i++ {
		rows := int64(0)
		for g := range f.Groups {
			rows += int64(f.Groups[g].Rows) - f.Groups[g].Chunks[i].Nulls
		}
		kind := ""
		if f.Leaves[i].List == pq.Element {
			kind = " list of"
		}
		out = append(out, fmt.Sprintf("%s:%s %s, %d rows", f.Leaves[i].Name, kind, [...]string{pq.Int64: "int64", pq.Double: "double", pq.Bool: "boolean", pq.String: "string"}[f.Leaves[i].Kind], rows))
	}
	rest := 0
	for g := range f.Groups {
		c := &f.Groups[g].Chunks[block.ColOverflowKey]
		rest += int(c.Values - c.Nulls)
	}
	out = append(out, fmt.Sprintf("span_overflow: %d attributes", rest))
	for _, f := range m.Fields {
		if f.Overflow {
			out = append(out, fmt.Sprintf("%s %s stands there too", f.Key, f.Type))
		}
	}
	return strings.Join(out, "\n")
}

// ask lists the spans that match. The head and the blocks have to agree.
func (w *arrays) ask(q string) string {
	blocks := []columnar.Source{}
	for _, name := range w.shown {
		blocks = append(blocks, w.blocks[name])
	}
	cols := w.all.columns()
	answer := ""
	for i, sources := range [][]columnar.Source{{one{newSegment(cols, 1, w.all.knownOf(cols))}}, blocks, blocks} { // the second time from the cache
		res, err := query.Search(w.t.Context(), sources, query.SearchRequest{Query: q, Limit: 100})
		if err != nil || len(res.Partial) > 0 {
			w.t.Fatal(q, err, res)
		}
		var found []string
		for _, tr := range res.Traces {
			found = append(found, strconv.Itoa(int(tr.ID[0])<<8|int(tr.ID[1])))
		}
		slices.Sort(found)
		got := strings.Join(found, " ")
		if i > 0 && got != answer {
			w.t.Errorf("%s: the head has %q, the blocks %q", q, answer, got)
		}
		answer = got
	}
	if answer == "" {
		return "none"
	}
	return answer
}

func TestArrayStory(t *testing.T) {
	name := filepath.Join("testdata", "arrays.txt")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	w := &arrays{t: t, dir: t.TempDir()}
	w.scene()
	var out []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "":
			w.scene()
		case strings.HasPrefix(line, "= "):
			continue
		}
		out = append(out, line)
		if cmd, ok := strings.CutPrefix(line, "> "); ok {
			if said := w.do(cmd); said != "" {
				out = append(out, "= "+strings.ReplaceAll(said, "\n", "\n= "))
			}
		}
	}
	got := strings.Join(out, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(data) {
		t.Errorf("the story goes\n%s", got)
	}
}

// Questions about arrays have one answer, wherever the spans lie.
func TestSameArrays(t *testing.T) {
	found := 0
	for seed := int64(1); seed < 12; seed += 2 {
		at := places(t, seed)
		rng := rand.New(rand.NewPCG(uint64(seed), 5))
		for range 40 {
			value := []string{`"v1"`, `"v7"`, `"v3.*"`, `7`, `-1`, `1.5`, `true`, `false`, `nil`}[rng.IntN(9)]
			ops := []string{"=", "!="}
			switch {
			case strings.Contains(value, "*"):
				ops = []string{"=~", "!~"}
			case value != "true" && value != "false" && value != "nil":
				ops = append(ops, "<", ">=")
			}
			scope := []string{"span.", "."}[rng.IntN(2)]
			req := query.SearchRequest{Query: fmt.Sprintf("{ %skey.%d %s %s }", scope, rng.IntN(12), ops[rng.IntN(len(ops))], value), Limit: 1000}
			want, err := query.Search(t.Context(), at["memory"], req)
			if err != nil {
				t.Fatal(req.Query, err)
			}
			found += len(want.Traces)
			for place, sources := range at {
				got, err := query.Search(t.Context(), sources, req)
				if err != nil || len(got.Partial) > 0 {
					t.Fatalf("seed %d, %s in %s: %v %v", seed, req.Query, place, err, got)
				}
				if !reflect.DeepEqual(got.Traces, want.Traces) {
					t.Fatalf("seed %d, %s in %s:\n%s\nwant\n%s", seed, req.Query, place, querytest.Show(got.Traces), querytest.Show(want.Traces))
				}
			}
		}
	}
	if found < 500 {
		t.Errorf("only %d traces were found", found)
	}
}
