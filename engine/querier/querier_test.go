package querier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

// spans is a source with one trace of n spans named "a".
func spans(t *testing.T, n int) *querytest.Memory {
	t.Helper()
	var b trace.Builder
	b.SetResource(&trace.Group{})
	b.SetScope(&trace.Group{})
	for i := range n {
		b.AddSpan(&trace.Span{TraceID: trace.ID{1}, SpanID: trace.SpanID{1, byte(i)}, Name: []byte("a"), Start: 5e9, End: 6e9})
	}
	var m querytest.MemoryBuilder
	if err := trace.Walk(b.Append(nil), &m); err != nil {
		t.Fatal(err)
	}
	src, err := m.Build()
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// cluster is what a querier sees: keepers that answer from sources or fail.
type cluster struct {
	plan    func(down func(string) bool) Plan
	known   func(Known) Plan           // instead of plan
	sources map[string]columnar.Source // by address
	errs    map[string]error
	behind  map[string]time.Duration
	hang    chan struct{}
	open    func() // called before a block is opened
	reply   func() // called before a keeper answers

	mu    sync.Mutex
	asked []string
}

func (c *cluster) Plan(_ *peer.Question, known Known) Plan {
	if c.known != nil {
		return c.known(known)
	}
	return c.plan(known.Down)
}

func (c *cluster) Open(_ context.Context, _, id string) (columnar.Source, error) {
	if c.open != nil {
		c.open()
	}
	if src := c.sources[id]; src != nil {
		return src, nil
	}
	return nil, errors.New("no such block")
}

func (c *cluster) Ask(ctx context.Context, addr string, _ peer.Role, q *peer.Question) (*peer.Answer, error) {
	c.mu.Lock()
	tokens := ""
	if q.Metrics != nil && q.Metrics.Tokens != nil {
		tokens = fmt.Sprint(" ", q.Metrics.Tokens)
	}
	c.asked = append(c.asked, addr+tokens)
	c.mu.Unlock()
	if c.hang != nil {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if c.reply != nil {
		c.reply()
	}
	if err := c.errs[addr]; err != nil {
		return nil, err
	}
	a, err := peer.Evaluate(ctx, q, []columnar.Source{c.sources[addr]}, 1)
	if err == nil {
		a.Behind = c.behind[addr]
	}
	return a, err
}

func (c *cluster) querier() *Querier {
	return New(Config{Threads: 1, Concurrent: 1, AskTimeout: time.Minute}, c, c, c, slog.New(slog.DiscardHandler))
}

func search() peer.Question {
	return peer.Question{Search: &query.SearchRequest{Query: `{ name = "a" }`, Limit: 10}}
}

func matched(t *testing.T, a *peer.Answer) int {
	t.Helper()
	if len(a.Search.Traces) != 1 || len(a.Search.Traces[0].Sets) != 1 {
		t.Fatalf("traces = %+v", a.Search.Traces)
	}
	return a.Search.Traces[0].Sets[0].Matched
}

func keeper(id string, copies bool) Keeper { return Keeper{ID: id, Addr: id, Copies: copies} }

func always(p Plan) func(func(string) bool) Plan { return func(func(string) bool) Plan { return p } }

var errDown = status.Error(codes.Unavailable, "connection refused")

func TestCopiesCountOnce(t *testing.T) {
	c := &cluster{sources: map[string]columnar.Source{"k1": spans(t, 5), "k2": spans(t, 4), "k3": spans(t, 5)},
		plan: always(Plan{Ask: []Keeper{keeper("k1", true), keeper("k2", true), keeper("k3", true)}})}
	a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: search(), Recent: true})
	if err != nil || matched(t, a) != 5 || len(a.Missing) != 0 {
		t.Errorf("%v %+v", err, a)
	}
}

// TestCopiesInBlocksCountOnce whichever is read first, the block or the keepers.
func TestCopiesInBlocksCountOnce(t *testing.T) {
	later := func() { <-time.After(time.Second) }
	for name, c := range map[string]*cluster{"keepers first": {open: later}, "blocks first": {reply: later}} {
		synctest.Test(t, func(t *testing.T) {
			c.sources = map[string]columnar.Source{"b1": spans(t, 3), "k1": spans(t, 5), "k2": spans(t, 4)}
			c.plan = always(Plan{Ask: []Keeper{keeper("k1", true), keeper("k2", true)}})
			a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: search(), Recent: true, Blocks: []string{"b1"}})
			if err != nil || matched(t, a) != 5 {
				t.Errorf("%s: %v %+v", name, err, a)
			}
		})
	}
}

func TestKeepersOfDifferentSpansAddUp(t *testing.T) {
	c := &cluster{sources: map[string]columnar.Source{"k1": spans(t, 5), "k2": spans(t, 4)},
		plan: always(Plan{Ask: []Keeper{keeper("k1", false), keeper("k2", false)}})}
	a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: search(), Recent: true})
	if err != nil || matched(t, a) != 9 {
		t.Errorf("%v %+v", err, a)
	}
}

func TestLocalSpansAndBlocksAreOneEvaluation(t *testing.T) {
	c := &cluster{sources: map[string]columnar.Source{"b1": spans(t, 3)}, plan: always(Plan{Local: []columnar.Source{spans(t, 5)}})}
	a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: search(), Recent: true, Blocks: []string{"b1"}})
	if err != nil || matched(t, a) != 5 { // the same spans, once
		t.Errorf("%v %+v", err, a)
	}
}

func TestFailures(t *testing.T) {
	one := func(id string) func(func(string) bool) bool {
		return func(failed func(string) bool) bool { return !failed(id) }
	}
	two := []Keeper{keeper("k1", true), keeper("k2", true)}
	for _, tt := range []struct {
		name    string
		plan    Plan
		errs    map[string]error
		blocks  []string
		missing string // in the answer
		code    codes.Code
	}{
		{"covered by a copy", Plan{Ask: two, Covered: one("k1")}, map[string]error{"k2": errDown}, nil, "", codes.OK},
		{"not covered", Plan{Ask: two, Covered: one("k2")}, map[string]error{"k2": errDown}, nil, "recent spans of k2: connection refused", codes.OK},
		{"nobody can cover", Plan{Ask: two}, map[string]error{"k2": errDown}, nil, "recent spans of k2", codes.OK},
		{"the plan misses some", Plan{Ask: two, Missing: []string{"partition 7"}}, nil, nil, "partition 7", codes.OK},
		{"a block is gone", Plan{Ask: two}, nil, []string{"b9"}, "block b9: no such block", codes.OK},
		{"all fail", Plan{Ask: two}, map[string]error{"k1": errDown, "k2": errDown}, nil, "", codes.Unavailable},
		{"the question is wrong", Plan{Ask: two, Covered: one("k1")}, map[string]error{"k2": status.Error(codes.InvalidArgument, "no")}, nil, "", codes.InvalidArgument},
		{"over a bound", Plan{Ask: two}, map[string]error{"k2": status.Error(codes.ResourceExhausted, "too much")}, nil, "", codes.ResourceExhausted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &cluster{sources: map[string]columnar.Source{"k1": spans(t, 5), "k2": spans(t, 5)}, errs: tt.errs, plan: always(tt.plan)}
			a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: search(), Recent: true, Blocks: tt.blocks})
			if status.Code(err) != tt.code {
				t.Fatalf("err = %v", err)
			}
			if err != nil {
				return
			}
			if got := strings.Join(a.Missing, "; "); (tt.missing == "") != (got == "") || !strings.Contains(got, tt.missing) {
				t.Errorf("missing %q, want %q", got, tt.missing)
			}
			if matched(t, a) != 5 {
				t.Errorf("%d spans matched", matched(t, a))
			}
		})
	}
}

// TestCountsAreTakenFromACopy lets the keeper fail that counts half of the
// tokens: another one with copies counts them instead.
func TestCountsAreTakenFromACopy(t *testing.T) {
	low, high, all := query.TokenRange{First: 0, Last: 1<<31 - 1}, query.TokenRange{First: 1 << 31, Last: ^uint32(0)}, query.TokenRange{First: 0, Last: ^uint32(0)}
	c := &cluster{sources: map[string]columnar.Source{"k1": spans(t, 5), "k2": spans(t, 5)}, errs: map[string]error{"k2": errDown}}
	c.plan = func(down func(string) bool) Plan {
		p := Plan{Covered: func(failed func(string) bool) bool { return !failed("k1") }}
		k1, k2 := keeper("k1", true), keeper("k2", true)
		k1.Tokens, k2.Tokens = []query.TokenRange{low}, []query.TokenRange{high}
		if down("k2") {
			k1.Tokens = []query.TokenRange{all}
			p.Ask = []Keeper{k1}
		} else {
			p.Ask = []Keeper{k1, k2}
		}
		return p
	}
	req := query.MetricsRequest{Query: `{ } | count_over_time()`, Start: 1, End: 20e9, Instant: true}
	a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: peer.Question{Metrics: &req}, Recent: true})
	if err != nil || len(a.Missing) != 0 {
		t.Fatalf("%v %+v", err, a)
	}
	plan, err := query.PrepareMetrics(req)
	if err != nil {
		t.Fatal(err)
	}
	if s := plan.Answer(a.Metrics).Series; len(s) != 1 || s[0].Values[0] != 5 {
		t.Errorf("series = %+v", s)
	}
	slices.Sort(c.asked)
	if want := "[k1 [{0 2147483647}] k1 [{0 4294967295}] k2 [{2147483648 4294967295}]]"; fmt.Sprint(c.asked) != want {
		t.Errorf("asked %v, want %v", c.asked, want)
	}
}

// TestKeepersThatAreBehindDoNotCount what others have all of: k2 was down while
// three spans came.
func TestKeepersThatAreBehindDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{sources: map[string]columnar.Source{"k1": spans(t, 5), "k2": spans(t, 2)}, behind: map[string]time.Duration{"k2": time.Hour}}
		c.known = func(known Known) Plan {
			p := Plan{Covered: func(failed func(string) bool) bool { return !failed("k1") || !failed("k2") }}
			id := "k2"
			if known.Down("k2") || !known.Down("k1") && known.Behind("k1") < known.Behind("k2") {
				id = "k1"
			}
			p.Ask = []Keeper{{ID: id, Addr: id, Copies: true, Young: true, Tokens: []query.TokenRange{{First: 0, Last: ^uint32(0)}}}}
			return p
		}
		q := c.querier()
		req := query.MetricsRequest{Query: `{ } | count_over_time()`, Start: 1, End: 20e9, Instant: true}
		plan, err := query.PrepareMetrics(req)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			name   string
			before func()
			want   float64
			asked  []string
		}{
			{"k2 says that it is behind", func() {}, 5, []string{"k2", "k1"}},
			{"it is known to be", func() {}, 5, []string{"k1"}},
			{"the other one is down", func() { c.errs = map[string]error{"k1": errDown} }, 2, []string{"k1", "k2"}},
			{"the other one is behind too", func() { c.errs, c.behind["k1"] = nil, time.Minute }, 5, []string{"k1"}},
			{"both are known to be", func() {}, 5, []string{"k1"}},
			{"the other one has caught up", func() { delete(c.behind, "k1"); <-time.After(time.Minute) }, 5, []string{"k1"}},
			{"it has caught up", func() { delete(c.behind, "k2"); c.sources["k2"] = c.sources["k1"]; <-time.After(time.Hour) }, 5, []string{"k2"}},
		} {
			step.before()
			c.asked = nil
			a, err := q.Answer(t.Context(), &peer.Piece{Question: peer.Question{Metrics: &req}, Recent: true})
			if err != nil || len(a.Missing) > 0 {
				t.Fatalf("%s: %v %+v", step.name, err, a)
			}
			for i, x := range c.asked {
				c.asked[i], _, _ = strings.Cut(x, " ")
			}
			if got := plan.Answer(a.Metrics).Series[0].Values[0]; got != step.want || !slices.Equal(c.asked, step.asked) {
				t.Errorf("%s: %v spans, asked %v; want %v, %v", step.name, got, c.asked, step.want, step.asked)
			}
		}
	})
}

// TestYoungBlocksAreReadHere when no keeper of another process reads them.
func TestYoungBlocksAreReadHere(t *testing.T) {
	req := query.MetricsRequest{Query: `{ } | count_over_time()`, Start: 1, End: 20e9, Instant: true}
	q := peer.Question{Metrics: &req, Young: []string{"b1"}}
	for _, plan := range []Plan{{}, {Local: []columnar.Source{spans(t, 3)}}, {Ask: []Keeper{keeper("k1", false)}}} {
		c := &cluster{sources: map[string]columnar.Source{"b1": spans(t, 5), "k1": spans(t, 0)}, plan: always(plan)}
		a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: q, Recent: true})
		if err != nil || len(a.Missing) != 0 {
			t.Fatalf("%v %+v", err, a)
		}
		p, err := query.PrepareMetrics(req)
		if err != nil {
			t.Fatal(err)
		}
		if s := p.Answer(a.Metrics).Series; len(s) != 1 || s[0].Values[0] != 5 {
			t.Errorf("%+v: %+v", plan, s)
		}
	}
}

func TestNothingToAskIsAnEmptyAnswer(t *testing.T) {
	id := trace.ID{1}
	for _, q := range []peer.Question{search(), {Trace: &id}, {Metrics: &query.MetricsRequest{Query: "{} | rate()", Start: 1, End: 2}}, {Tags: &query.TagsRequest{}}, {Values: &query.TagValuesRequest{}}} {
		c := &cluster{plan: always(Plan{})}
		a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: q, Recent: true})
		if err != nil || a == nil || len(a.Trace) != 0 || len(a.Missing) != 0 {
			t.Errorf("%v %+v", err, a)
		}
	}
}

func TestCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{plan: always(Plan{Ask: []Keeper{keeper("k1", false)}}), hang: make(chan struct{})}
		q := c.querier()
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		ask := func(into chan error) {
			_, err := q.Answer(ctx, &peer.Piece{Question: search(), Recent: true})
			into <- err
		}
		go ask(first)
		synctest.Wait()
		go ask(second) // waits for its turn
		synctest.Wait()
		if len(c.asked) != 1 {
			t.Errorf("asked %v before its turn", c.asked)
		}
		cancel()
		for _, got := range []chan error{first, second} {
			if err := <-got; !errors.Is(err, context.Canceled) {
				t.Errorf("err = %v", err)
			}
		}
	})
}

func TestSlowKeeperIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{plan: always(Plan{Ask: []Keeper{keeper("k1", false)}}), hang: make(chan struct{}), sources: map[string]columnar.Source{"b1": spans(t, 5)}}
		a, err := c.querier().Answer(t.Context(), &peer.Piece{Question: search(), Recent: true, Blocks: []string{"b1"}})
		if err != nil || matched(t, a) != 5 || !strings.Contains(strings.Join(a.Missing, ""), "recent spans of k1") {
			t.Errorf("%v %+v", err, a)
		}
	})
}
