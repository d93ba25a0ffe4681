package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
)

// Unreached is the error of [Client.Views] when model.Some members gave no view. The views of the others are good.
type Unreached struct {
	// Members maps the name (or address) of a member to the reason.
	Members map[string]error
}

// Error names how many members and one of them.
func (u *Unreached) Error() string {
	names := u.Names()
	return fmt.Sprintf("no view from %s: %s: %v", model.Plural(len(names), "member"), names[0], u.Members[names[0]])
}

// Names are the members without a view, sorted.
func (u *Unreached) Names() []string {
	names := make([]string, 0, len(u.Members))
	for n := range u.Members {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Views asks every member that the first seed holds for alive, and the other seeds. The snapshots are sorted
// by the name of the member. When model.Some members do not answer, the views of the others are returned together
// with an *[Unreached]; when none does, the error has [CodeNoView].
func (c *Client) Views(ctx context.Context) ([]*Snapshot, error) { return c.ViewsLike(ctx, nil) }

// ViewsLike is [Client.Views] for those who hold an earlier snapshot of the cluster, see [Options.Before].
func (c *Client) ViewsLike(ctx context.Context, before *Snapshot) ([]*Snapshot, error) {
	if len(c.cfg.HTTP) > 0 {
		return c.httpViews(ctx)
	}
	all := func(addrs []string) []string { return addrs }
	out, failed, err := c.survey(ctx, all, func(v *gossip.View, first *Snapshot) *Snapshot {
		if before != nil {
			first = before
		}
		return c.build(v, Observe, first)
	})
	if err != nil {
		return nil, err
	}
	if len(failed) > 0 {
		return out, &Unreached{Members: failed}
	}
	return out, nil
}

// survey asks the seeds for the members, then the chosen ones of them. Each view is turned into a snapshot by build as soon
// as it has arrived, so that few of them are held at a time; build gets the first snapshot that was made, nil for that one
// itself. The snapshots are sorted by the name of the member.
func (c *Client) survey(ctx context.Context, choose func([]string) []string, build func(v *gossip.View, first *Snapshot) *Snapshot) ([]*Snapshot, map[string]error, error) {
	seeds, err := c.seeds(ctx)
	if err != nil {
		return nil, nil, err
	}
	p, err := c.firstView(ctx, seeds)
	if err != nil {
		return nil, nil, err
	}
	r := &round{client: c, build: build, failed: map[string]error{}}
	first := r.finish(p)
	r.first = first.snapshot
	asked := &census{names: map[string]string{}}
	r.ask(ctx, choose(asked.take(first.view)), first)
	// A seed that is no member in the first view is a member behind a tunnel, or of another island: with several seeds,
	// or when members cannot be reached at their own address, it is asked too, and so are the members it knows.
	for _, s := range seeds {
		if asked.known(s) || len(r.failed) == 0 && len(seeds) == 1 && len(r.got) > 0 {
			continue
		}
		a := first
		if s != first.view.From {
			p := c.pull(ctx, s, c.cfg.Timeout)
			if p.err != nil {
				r.failed[s] = p.err
				continue
			}
			a = r.finish(p)
		}
		asked.names[s] = s
		r.got = append(r.got, a)
		r.ask(ctx, choose(asked.take(a.view)), a)
	}
	named := map[string]error{}
	for addr, err := range r.failed {
		if !asked.restarted(addr, r.got) {
			named[or(asked.names[addr], addr)] = err
		}
	}
	if len(r.got) == 0 {
		return nil, nil, noView(&Unreached{Members: named})
	}
	out := make([]*Snapshot, len(r.got))
	for i, a := range r.got {
		out[i] = a.snapshot
	}
	slices.SortFunc(out, func(a, b *Snapshot) int { return strings.Compare(a.From, b.From) })
	return out, named, nil
}

// census is the members that were asked already: names by address.
type census struct{ names map[string]string }

func (c *census) known(addr string) bool { return c.names[addr] != "" }

// restarted tells whether a member that gave no view gave one under the name that it has since it was started again. Others
// go on listing the old name until they miss it.
func (c *census) restarted(addr string, got []answer) bool {
	name := c.names[addr]
	if model.Stem(name) == name {
		return false
	}
	return slices.ContainsFunc(got, func(a answer) bool {
		other := c.names[a.view.From]
		return other != name && model.Stem(other) == model.Stem(name)
	})
}

// take returns the addresses of living members that are new here, and notes them.
func (c *census) take(v *gossip.View) []string {
	var out []string
	for _, n := range v.Nodes {
		if (n.State == gossip.NodeAlive || n.State == gossip.NodeSuspect) && !model.IsGuest(n.Name) && !c.known(n.Addr) {
			c.names[n.Addr] = n.Name
			out = append(out, n.Addr)
		}
	}
	return out
}

// answer is a member's view, without its pairs, and what was made of it.
type answer struct {
	view     *gossip.View
	snapshot *Snapshot
}

// round is one survey: the answers so far, and why others gave none, by address.
type round struct {
	client *Client
	build  func(v *gossip.View, first *Snapshot) *Snapshot
	first  *Snapshot

	mu     sync.Mutex
	got    []answer
	failed map[string]error
}

// finish makes a snapshot of what a member answered, and frees the rest.
func (r *round) finish(p pulled) answer {
	a := answer{p.view, r.build(p.view, r.first)}
	p.view.Pairs = nil
	r.client.memory.give(p.memory)
	return a
}

// hopeless is true when the first ones all failed: the addresses are then out of reach from here, and each attempt would
// cost a timeout.
func (r *round) hopeless() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got) == 0 && len(r.failed) >= 2*parallelPulls
}

func (r *round) note(addr string, a answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed[addr] = err
		return
	}
	r.got = append(r.got, a)
}

// ask asks all addresses, a few at a time: few where states are large. known is an answer that is there already.
func (r *round) ask(ctx context.Context, addrs []string, known answer) {
	var wg sync.WaitGroup
	limit := make(chan struct{}, min(max(pullBytes/max(known.view.Bytes, 1), 1), parallelPulls))
	for _, addr := range addrs {
		if addr == known.view.From {
			r.note(addr, known, nil)
			continue
		}
		limit <- struct{}{}
		if r.hopeless() || ctx.Err() != nil {
			r.note(addr, answer{}, errors.New("not tried: no other member could be reached at its own address"))
			<-limit
			continue
		}
		wg.Go(func() {
			defer func() { <-limit }()
			p := r.client.pull(ctx, addr, min(r.client.cfg.Timeout, 5*time.Second))
			if p.err != nil {
				r.note(addr, answer{}, p.err)
				return
			}
			r.note(addr, r.finish(p), nil)
		})
	}
	wg.Wait()
}
