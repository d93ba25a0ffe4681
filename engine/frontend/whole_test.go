package frontend

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/querier"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

const (
	keepers  = 3
	ancient  = 12 // blocks far from the recent ones
	border   = 5
	young    = 4
	youngFor = time.Hour
)

// scattered is a cluster whose traces lie partly in heads and partly in blocks.
// A keeper has the heads of its own tokens and copies of its neighbour's.
type scattered struct {
	heads  [keepers]*querytest.Memory
	blocks map[string]*querytest.Memory
	list   []Block
	local  bool // the querier has the only keeper in its own process
	down   string
}

func (s *scattered) Overlapping(string, int64, int64) []Block { return s.list }
func (s *scattered) Healthy() []string                        { return []string{"q1", "q2", "q3"} }

func (s *scattered) Open(_ context.Context, _, id string) (columnar.Source, error) {
	if b := s.blocks[id]; b != nil {
		return b, nil
	}
	return nil, errors.New("no such block")
}

func shareOf(keeper int) query.TokenRange {
	const each = math.MaxUint32/keepers + 1
	return query.TokenRange{First: uint32(keeper * each), Last: uint32(min((keeper+1)*each-1, math.MaxUint32))}
}

func (s *scattered) Plan(q *peer.Question, _ querier.Known) querier.Plan {
	if s.local {
		return querier.Plan{Local: []columnar.Source{s.heads[0], s.heads[1], s.heads[2]}}
	}
	var p querier.Plan
	for k := range keepers {
		one := querier.Keeper{ID: fmt.Sprint(k), Addr: fmt.Sprint(k), Copies: true, Young: true}
		if q.Once() {
			one.Tokens = []query.TokenRange{shareOf(k)}
		}
		p.Ask = append(p.Ask, one)
	}
	return p
}

func (s *scattered) Ask(ctx context.Context, addr string, _ peer.Role, q *peer.Question) (*peer.Answer, error) {
	if addr == s.down {
		return nil, status.Error(codes.Unavailable, "connection refused")
	}
	return peer.AnswerRecent(ctx, q, []columnar.Source{s.heads[addr[0]-'0']}, s, 2)
}

func (s *scattered) Answer(ctx context.Context, _ string, p *peer.Piece) (*peer.Answer, error) {
	cfg := querier.Config{Threads: 2, Concurrent: 4, AskTimeout: time.Minute}
	return querier.New(cfg, s, s, s, slog.New(slog.DiscardHandler)).Answer(ctx, p)
}

func (s *scattered) frontend() *Frontend {
	now := time.Unix(0, querytest.Epoch)
	cfg := Config{Timeout: time.Minute, Copies: true, Young: youngFor, DefaultLimit: 20, MaxLimit: 100}
	return New(cfg, s, s, s, func() time.Time { return now }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// scatter deals the spans of each trace to places that follow each other.
func scatter(t *testing.T, r *rand.Rand, otlp [][]byte) *scattered {
	t.Helper()
	var heads [keepers]querytest.MemoryBuilder
	var blocks [ancient + border + young]querytest.MemoryBuilder
	for _, m := range otlp {
		d := &dealing{r: r, heads: &heads, blocks: blocks[:]}
		one := func(first, n int) int { return first + r.Intn(n) }
		old, edge, late, head := one(0, ancient), one(ancient, border), one(ancient+border, young), len(blocks)
		all := [][]int{{old}, {old, one(0, ancient)}, {old, edge}, {edge}, {edge, late}, {late}, {late, one(ancient+border, young), head}, {edge, late, head}, {head}}
		d.places = all[r.Intn(len(all))]
		if err := trace.Walk(m, d); err != nil {
			t.Fatal(err)
		}
	}
	s := &scattered{blocks: map[string]*querytest.Memory{}}
	for k := range heads {
		s.heads[k] = built(t, &heads[k])
	}
	now := querytest.Epoch
	for i := len(blocks) - 1; i >= 0; i-- {
		end := now - int64(youngFor)*3
		switch {
		case i >= ancient+border:
			end = now - int64(youngFor)/2
		case i >= ancient:
			end = now - int64(youngFor)*3/2
		}
		id := fmt.Sprint("b", i)
		s.blocks[id] = built(t, &blocks[i])
		s.list = append(s.list, Block{ID: id, Start: 1, End: end, Bytes: 1})
	}
	return s
}

func built(t *testing.T, b *querytest.MemoryBuilder) *querytest.Memory {
	t.Helper()
	m, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// dealing gives the spans of a trace to places in turn; the number after the last
// block is the heads.
type dealing struct {
	r      *rand.Rand
	heads  *[keepers]querytest.MemoryBuilder
	blocks []querytest.MemoryBuilder
	places []int
	spans  int
}

func (d *dealing) Resource(g *trace.Group) error {
	return d.each(func(b *querytest.MemoryBuilder) error { return b.Resource(g) })
}

func (d *dealing) Scope(g *trace.Group) error {
	return d.each(func(b *querytest.MemoryBuilder) error { return b.Scope(g) })
}

func (d *dealing) each(f func(b *querytest.MemoryBuilder) error) error {
	for i := range d.heads {
		if err := f(&d.heads[i]); err != nil {
			return err
		}
	}
	for i := range d.blocks {
		if err := f(&d.blocks[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *dealing) Span(raw []byte) error {
	at := d.places[min(d.spans, len(d.places)-1)]
	if d.spans >= len(d.places) {
		at = d.places[d.r.Intn(len(d.places))]
	}
	d.spans++
	if at < len(d.blocks) {
		return d.blocks[at].Span(raw)
	}
	var s trace.Span
	err := trace.DecodeSpan(raw, &s)
	if err != nil {
		return err
	}
	token := trace.Token("", s.TraceID)
	for k := range keepers {
		share := shareOf(k)
		if token < share.First || token > share.Last {
			continue
		}
		if err := d.heads[(k+1)%keepers].Span(raw); err != nil { // the copy
			return err
		}
		if d.r.Intn(3) == 0 { // already in a young block too
			if err := d.blocks[len(d.blocks)-1].Span(raw); err != nil {
				return err
			}
		}
		return d.heads[k].Span(raw)
	}
	return errors.New("a token of nobody")
}

// sources are all spans in one place.
func (s *scattered) sources() []columnar.Source {
	out := []columnar.Source{s.heads[0], s.heads[1], s.heads[2]}
	for _, b := range s.blocks {
		out = append(out, b)
	}
	return out
}

func foundText(r *query.SearchResult) string {
	var lines []string
	for _, t := range r.Traces {
		for _, set := range t.Sets {
			var ids []uint64
			for _, sp := range set.Spans {
				ids = append(ids, binary.BigEndian.Uint64(sp.ID[:]))
			}
			slices.Sort(ids)
			lines = append(lines, fmt.Sprint(t.ID, set.Attrs, set.Matched, ids))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestWholeTracesInPieces: a search, also one that looks at whole traces, has the
// same answer however its traces are scattered over heads and blocks, and however
// many queriers share the work.
func TestWholeTracesInPieces(t *testing.T) {
	hits := 0
	for seed := range int64(12) {
		r := rand.New(rand.NewSource(seed))
		s := scatter(t, r, querytest.Random(seed, 40))
		s.local = seed%5 == 4
		f := s.frontend()
		for range 25 {
			text := querytest.RandomQuery(r)
			req := query.SearchRequest{Query: text, Limit: 10000}
			want, err := query.Search(t.Context(), s.sources(), req)
			if err != nil {
				continue // not supported
			}
			got, err := f.ask(t.Context(), peer.Question{Search: &req}, window{})
			if err != nil || len(got.Missing) > 0 {
				t.Fatalf("seed %d: %s: %v %v", seed, text, err, got)
			}
			if foundText(got.Search) != foundText(want) {
				t.Fatalf("seed %d: %s\nwant\n%s\ngot\n%s", seed, text, foundText(want), foundText(got.Search))
			}
			hits += len(want.Traces)
		}
	}
	if hits < 1000 {
		t.Errorf("only %d traces found", hits)
	}
}

// TestAnEmptyKeeperHidesNothing: what a keeper lost or has not got yet is found
// with those that have copies, also when it answers for the tokens.
func TestAnEmptyKeeperHidesNothing(t *testing.T) {
	for seed := range int64(5) {
		s := scatter(t, rand.New(rand.NewSource(seed)), querytest.Random(seed, 40))
		req := query.SearchRequest{Query: "{ } > { }", Limit: 10000}
		want, err := query.Search(t.Context(), s.sources(), req)
		if err != nil || len(want.Traces) == 0 {
			t.Fatal(err)
		}
		s.heads[seed%keepers] = built(t, &querytest.MemoryBuilder{})
		got, err := s.frontend().ask(t.Context(), peer.Question{Search: &req}, window{})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(foundText(got.Search), "\n")
		for line := range strings.SplitSeq(foundText(want), "\n") {
			if !slices.Contains(lines, line) {
				t.Errorf("seed %d: %s is not found", seed, line)
			}
		}
	}
}

func seriesOf(t *testing.T, req query.MetricsRequest, r *query.MetricsResult) string {
	t.Helper()
	p, err := query.PrepareMetrics(req)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range p.Answer(r).Series {
		lines = append(lines, fmt.Sprint(s.Labels, s.Values))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestEverythingIsCountedOnce is the same law for metrics, whether or not they
// look at whole traces.
func TestEverythingIsCountedOnce(t *testing.T) {
	points := 0
	for seed := range int64(10) {
		r := rand.New(rand.NewSource(seed))
		s := scatter(t, r, querytest.Random(seed, 40))
		s.local = seed%5 == 4
		f := s.frontend()
		for range 30 {
			text := querytest.RandomMetrics(r)
			if strings.Contains(text, "sum_") || strings.Contains(text, "avg_") {
				continue // sums of floats depend on the order
			}
			req := query.MetricsRequest{Query: text, Start: querytest.Epoch + 7e9, End: querytest.Epoch + 3400e9, Step: 60e9}
			want, err := peer.Evaluate(t.Context(), &peer.Question{Metrics: &req}, s.sources(), 1)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, text, err)
			}
			got, err := f.ask(t.Context(), peer.Question{Metrics: &req}, window{})
			if err != nil || len(got.Missing) > 0 {
				t.Fatalf("seed %d: %s: %v %v", seed, text, err, got)
			}
			g, w := seriesOf(t, req, got.Metrics), seriesOf(t, req, want.Metrics)
			if g != w {
				t.Fatalf("seed %d: %s\nwant\n%s\ngot\n%s", seed, text, w, g)
			}
			points += strings.Count(w, "\n")
		}
	}
	if points < 500 {
		t.Errorf("only %d series compared", points)
	}
}
