package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
)

// Resurrection is a removed entry that came back while [Client.Guard] was watching.
type Resurrection struct {
	ID string `json:"id"`
	// Member brought it: a member that had missed the removal where there is one, else the first that was seen with it.
	Member string `json:"member"`
	// Missed is true when Member was never seen without the entry: it was out of reach when the entry was removed, or is new.
	Missed bool `json:"missed"`
	// Holders are all members that were seen with it in this look, Member among them.
	Holders []string `json:"holders"`
	// Has is the entry that came back.
	Has string `json:"has"`
	// Alive is true when the entry has a heartbeat from after its removal: it is no ghost, the instance runs.
	Alive bool `json:"alive"`
}

// Guard watches for removed entries that return with old state, brought by a member that missed the removal,
// and sends the removal again to all members that have it. Report is called for each return. When the time is up the
// error is nil if the last look found none of the entries, and has [CodeNotConverged] otherwise.
func (c *Client) Guard(ctx context.Context, p *Plan, d time.Duration, report func(Resurrection)) error {
	limit, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	ticker := time.NewTicker(max(min(c.cfg.Poll, d/4), time.Second))
	defer ticker.Stop()
	g := guard{client: c, plan: p, without: map[string]bool{}, report: report}
	for {
		g.look(ctx) // one that has begun is finished: it may be the only one
		select {
		case <-ticker.C:
		case <-limit.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			if len(g.holders) > 0 { // what was just removed again deserves another look
				again, done := context.WithTimeout(ctx, maxPatience)
				defer done()
				g.look(again)
			}
			return g.end(d)
		}
	}
}

// guard is one watch over the entries of a plan.
type guard struct {
	client *Client
	plan   *Plan
	// without are the members that have been seen without the entries.
	without map[string]bool
	// holders are the members with an entry in the last look that got an answer, by entry.
	holders map[string][]string
	report  func(Resurrection)
}

// look asks the members once, those that could not be read for the plan too, and sends the removal where it is missing. A
// look that gets no answer changes nothing: the next one is near.
func (g *guard) look(ctx context.Context) {
	views, _, err := g.client.sample(ctx, maxVerify, func(v *gossip.View, _ *Snapshot) *Snapshot {
		s := model.Decode(v, g.client.options(Observe))
		s.From = nameOf(v)
		return s
	})
	if err != nil {
		return
	}
	g.holders = map[string][]string{}
	clean := map[string]bool{}
	for _, v := range views {
		clean[v.From] = true
	}
	for i := range g.plan.Steps {
		if s := &g.plan.Steps[i]; !s.Skip {
			g.lookFor(ctx, s, views, clean)
		}
	}
	maps.DeleteFunc(clean, func(_ string, ok bool) bool { return !ok })
	maps.Copy(g.without, clean)
}

func (g *guard) lookFor(ctx context.Context, step *Step, views []*Snapshot, clean map[string]bool) {
	var r *Resurrection
	for _, v := range views {
		has, gone := step.done(v)
		if gone {
			continue
		}
		clean[v.From] = false
		g.holders[step.ID] = append(g.holders[step.ID], v.From)
		missed := !g.without[v.From]
		alive := newerThan(v, g.plan.Key, step)
		if r == nil || missed && !r.Missed {
			r = &Resurrection{ID: step.ID, Member: v.From, Missed: missed, Has: has, Alive: alive || r != nil && r.Alive}
		}
		r.Alive = r.Alive || alive
	}
	if r == nil {
		return
	}
	r.Holders = g.holders[step.ID]
	g.report(*r)
	if !r.Alive {
		for _, v := range views {
			if slices.Contains(r.Holders, v.From) {
				// A member that cannot be written to keeps the entry and is found again by the next look.
				_ = g.client.dialer(maxPatience).Send(ctx, v.Addr, step.pair)
			}
		}
	}
}

// end judges by the last look.
func (g *guard) end(d time.Duration) error {
	ids := slices.Sorted(maps.Keys(g.holders))
	if len(ids) == 0 {
		return nil
	}
	var where []string
	for _, id := range ids {
		where = append(where, fmt.Sprintf("%s on %s", id, model.Some(g.holders[id])))
	}
	return model.Fail(CodeNotConverged, string(g.plan.Action)+" "+g.plan.Ring, "look with ringctl views, and repeat the command",
		"after %s it is there again: %s", d, strings.Join(where, ", "))
}

// nameOf is the gossip name of the member that gave a view, or its address where the view does not tell.
func nameOf(v *gossip.View) string {
	for _, n := range v.Nodes {
		if n.Addr == v.From {
			return n.Name
		}
	}
	return v.From
}

// newerThan tells whether a view's entry was written after the step.
func newerThan(s *Snapshot, key string, step *Step) bool {
	if d := s.Desc(key); d != nil {
		return d.Instances[step.ID].Timestamp > step.Written.Unix()
	}
	return false
}
