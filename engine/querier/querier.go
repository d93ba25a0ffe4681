// Package querier answers one piece of a question: the recent part by asking
// the keepers, the older part by reading blocks.
//
// Start with New and Answer. Keepers of this process and blocks are evaluated
// together, so that a trace that lies partly in both is seen whole; the answers
// of other nodes are merged with that, and questions about whole traces share the
// traces out (open). A keeper that fails costs nothing while
// the others have copies of all its spans: recent.go. What is lost beyond that
// makes the answer smaller, and the reply says what and why; only when nothing at
// all could be asked is it an error.
package querier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
)

// Keeper is a keeper to ask.
type Keeper struct {
	ID, Addr string
	Role     peer.Role
	// Copies says that other keepers hold copies of the same spans.
	Copies bool
	// Tokens is what the keeper answers for in questions that count each span at
	// one keeper only; nil is everything.
	Tokens []query.TokenRange
	// Young says that the keeper reads the young blocks of such questions too.
	Young bool
	// Held says that Tokens are those of the young blocks only: what the keeper
	// holds beyond them counts, whatever its tokens.
	Held bool
}

// Plan says whom to ask about recent spans.
type Plan struct {
	Ask     []Keeper
	Local   []columnar.Source // of keepers in this process that share their spans with nobody
	Missing []string          // what nobody can answer for, and why
	// Covered reports whether the keepers to ask have copies of all spans even
	// without those that failed. Nil: every failure leaves a gap.
	Covered func(failed func(id string) bool) bool
}

// Known is what is known of keepers beyond the rings. Those that are down are not
// to be asked. Of those with copies of the same spans, the one that is least behind
// should count them.
type Known struct {
	Down   func(id string) bool
	Behind func(id string) time.Duration
}

// Keepers says who keeps recent spans now and who answers for which of them.
type Keepers interface {
	Plan(q *peer.Question, known Known) Plan
}

// Blocks opens the blocks of the bucket.
type Blocks interface {
	Open(ctx context.Context, tenantID, id string) (columnar.Source, error)
}

// Asker asks a keeper of another node.
type Asker interface {
	Ask(ctx context.Context, addr string, role peer.Role, q *peer.Question) (*peer.Answer, error)
}

// Config bounds the work.
type Config struct {
	Threads    int           // goroutines that evaluate one piece
	Concurrent int           // pieces answered at once; more wait
	PerTenant  int           // of those, pieces of one tenant; 0 = all
	AskTimeout time.Duration // for one keeper
}

// Querier answers pieces. Safe for concurrent use.
type Querier struct {
	cfg     Config
	keepers Keepers
	blocks  Blocks
	asker   Asker
	log     *slog.Logger
	turns   *turns
	behind  behind
}

// New makes a querier.
func New(cfg Config, keepers Keepers, blocks Blocks, asker Asker, log *slog.Logger) *Querier {
	return &Querier{cfg: cfg, keepers: keepers, blocks: blocks, asker: asker, log: log, turns: newTurns(cfg.Concurrent, cfg.PerTenant)}
}

// Answer answers a piece. What could not be asked is named in the answer.
func (q *Querier) Answer(ctx context.Context, p *peer.Piece) (*peer.Answer, error) {
	if err := q.turns.take(ctx, p.Tenant); err != nil {
		return nil, err
	}
	defer q.turns.put(p.Tenant)
	g := &gathering{ctx: ctx, q: &p.Question}
	var wg sync.WaitGroup
	var local []columnar.Source
	young := false  // a keeper of another process reads the young blocks
	copies := false // keepers may hold copies of what is in the blocks
	if p.Recent {
		plan := q.plan(&p.Question, func(string) bool { return false })
		local = plan.Local
		for _, k := range plan.Ask {
			young, copies = young || k.Young, copies || k.Copies
		}
		wg.Go(func() { q.recent(ctx, plan, g) })
	}
	q.evaluate(ctx, p, q.open(ctx, p, local, young, g), copies, g)
	wg.Wait()
	return g.answer(ctx)
}

// open opens what the piece is answered from here, next to the local sources:
// its blocks, and the young ones if no other keeper reads them. Traces at the
// border between the two are answered by whoever reads the young blocks.
func (q *Querier) open(ctx context.Context, p *peer.Piece, sources []columnar.Source, young bool, g *gathering) []columnar.Source {
	var o peer.Opening
	here := p.Recent && !young
	if here {
		sources = append(sources, o.Open(ctx, q.blocks, p.Tenant, p.Young, query.SideOwn)...)
		sources = append(sources, o.Open(ctx, q.blocks, p.Tenant, without(p.Border, p.Blocks), query.SideHelp)...)
	}
	if here || !p.Whole {
		sources = append(sources, o.Open(ctx, q.blocks, p.Tenant, p.Blocks, query.SideOwn)...)
	} else if len(p.Blocks) > 0 {
		sources = append(sources, o.Open(ctx, q.blocks, p.Tenant, without(p.Blocks, p.Border), query.SideOwn)...)
		sources = append(sources, o.Open(ctx, q.blocks, p.Tenant, without(p.Blocks, without(p.Blocks, p.Border)), query.SideShared)...)
		sources = append(sources, o.Open(ctx, q.blocks, p.Tenant, p.Young, query.SideOthers)...)
	}
	g.lost(&o)
	return sources
}

// without is the ids of list that are not in other.
func without(list, other []string) []string {
	var out []string
	for _, id := range list {
		if !slices.Contains(other, id) {
			out = append(out, id)
		}
	}
	return out
}

// evaluate answers from sources, together. The keepers' answer, which may be there
// already, is about copies of the same spans if copies says so.
func (q *Querier) evaluate(ctx context.Context, p *peer.Piece, sources []columnar.Source, copies bool, g *gathering) {
	if len(sources) == 0 {
		return
	}
	a, err := peer.Evaluate(ctx, &p.Question, sources, q.cfg.Threads)
	if err != nil {
		g.fail("blocks", err)
		return
	}
	g.add(a, copies && p.Search != nil)
}

// gathering merges answers as they come. Safe for concurrent use.
type gathering struct {
	ctx     context.Context
	q       *peer.Question
	mu      sync.Mutex
	sum     *peer.Answer
	missing []string
	errs    []error
}

// add merges an answer; copies says that it is about copies of the spans of the
// answers before.
func (g *gathering) add(a *peer.Answer, copies bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sum == nil {
		g.sum = a
	} else if err := g.q.Merge(g.ctx, g.sum, a, copies); err != nil {
		g.errs = append(g.errs, err)
	}
}

func (g *gathering) fail(what string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errs = append(g.errs, err)
	g.missing = append(g.missing, fmt.Sprintf("%s: %v", what, status.Convert(err).Message()))
}

// lost notes the blocks that could not be opened.
func (g *gathering) lost(o *peer.Opening) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errs, g.missing = append(g.errs, o.Errs...), append(g.missing, o.Missing...)
}

func (g *gathering) miss(what ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.missing = append(g.missing, what...)
}

// final reports whether an error ends the question: it is wrong, or over a bound
// and fails the same way everywhere, or there is no memory for it now.
func final(err error) bool {
	code := status.Code(err)
	return code == codes.InvalidArgument || code == codes.ResourceExhausted || code == codes.Aborted
}

// answer is what was gathered. A question that is itself at fault is an error,
// not a part that is missing.
func (g *gathering) answer(ctx context.Context) (*peer.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, err := range g.errs {
		if final(err) {
			return nil, err
		}
	}
	if g.sum == nil {
		if len(g.errs) > 0 {
			return nil, errors.Join(g.errs...)
		}
		g.sum = g.q.Nothing()
	}
	g.sum.Missing = append(g.sum.Missing, g.missing...)
	return g.sum, nil
}
