package querier

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
)

// recent asks the keepers of a plan and adds what they answer to g. A question
// that counts each span at one keeper is asked again without those that failed, as
// long as others have copies of their spans, and where others are less behind than
// those that were asked.
func (q *Querier) recent(ctx context.Context, plan Plan, g *gathering) {
	g.miss(plan.Missing...)
	failed := map[string]error{}
	down := func(id string) bool { return failed[id] != nil }
	for {
		r := q.round(ctx, plan, g.q)
		maps.Copy(failed, r.failed)
		covered := r.refused == nil && plan.Covered != nil && plan.Covered(down)
		if covered && g.q.Once() && ctx.Err() == nil && (r.behind || len(r.failed) > 0) {
			if next := q.plan(g.q, down); len(r.failed) > 0 || !reflect.DeepEqual(next.Ask, plan.Ask) {
				plan = next
				continue
			}
		}
		r.into(g)
		if !covered {
			for _, id := range slices.Sorted(maps.Keys(failed)) {
				g.fail("recent spans of "+id, failed[id])
			}
		}
		return
	}
}

// plan is the keepers' plan by what is known of them.
func (q *Querier) plan(question *peer.Question, down func(id string) bool) Plan {
	behind := q.behind.by()
	return q.keepers.Plan(question, Known{Down: down, Behind: func(id string) time.Duration { return behind[id] }})
}

// round is what all keepers of one plan answered: those that hold copies of the
// same spans among themselves, by their role, and the others.
type round struct {
	own     gathering
	mu      sync.Mutex
	copies  map[peer.Role]*gathering
	failed  map[string]error
	refused error // the question's own fault
	behind  bool  // one of them was not known to lack spans that others may have
}

func (q *Querier) round(ctx context.Context, plan Plan, question *peer.Question) *round {
	r := &round{own: gathering{ctx: ctx, q: question}, copies: map[peer.Role]*gathering{}, failed: map[string]error{}}
	var wg sync.WaitGroup
	for _, k := range plan.Ask {
		wg.Go(func() {
			a, err := q.ask(ctx, k, question)
			if err == nil && k.Copies && k.Young && a.Behind > 0 {
				if q.behind.note(k.ID, a.Behind) {
					r.late()
				}
			}
			switch {
			case err != nil:
				r.fail(k, err)
			case k.Copies:
				r.copiesOf(k.Role).add(a, true)
			default:
				r.own.add(a, false)
			}
		})
	}
	wg.Wait()
	return r
}

func (r *round) copiesOf(role peer.Role) *gathering {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.copies[role] == nil {
		r.copies[role] = &gathering{ctx: r.own.ctx, q: r.own.q}
	}
	return r.copies[role]
}

func (r *round) fail(k Keeper, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[k.ID] = err
	if final(err) {
		r.refused = err
	}
}

func (r *round) late() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind = true
}

// into adds the answers to g.
func (r *round) into(g *gathering) {
	g.take(&r.own, false)
	for _, c := range r.copies {
		g.take(c, true)
	}
}

// take adds what another gathering, which is complete, has. A search may have
// found copies of the same spans in a block and at a keeper.
func (g *gathering) take(other *gathering, copies bool) {
	if other.sum != nil {
		g.add(other.sum, copies && g.q.Search != nil)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errs = append(g.errs, other.errs...)
}

// ask asks one keeper of another node.
func (q *Querier) ask(ctx context.Context, k Keeper, question *peer.Question) (*peer.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, q.cfg.AskTimeout)
	defer cancel()
	if question.Once() && (k.Tokens != nil || !k.Young) {
		question = question.WithTokens(k.Tokens)
		if k.Held {
			question = question.WithHeld()
		}
		if !k.Young {
			question.Young, question.Border = nil, nil
		}
	}
	return q.asker.Ask(ctx, k.Addr, k.Role, question)
}
