package tui

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ringctl/ringctl/client"
)

// NewSource shows a running cluster through a client. Changes go through the
// same plans and checks as the commands; examine applies the doctor's rules and
// may be nil.
func NewSource(c *client.Client, about About, examine func(views []*client.Snapshot) []Finding) Source {
	return &cluster{client: c, about: about, examine: examine}
}

// cluster is a running cluster.
type cluster struct {
	client  *client.Client
	about   About
	examine func(views []*client.Snapshot) []Finding
	// last is the newest snapshot watched, round the number of samples taken.
	last  atomic.Pointer[client.Snapshot]
	round atomic.Uint64
	// every is the pause between two looks at a drain; zero is as usual.
	every time.Duration
}

func (c *cluster) About() About { return c.about }

func (c *cluster) Watch(ctx context.Context) iter.Seq2[*client.Snapshot, error] {
	return func(yield func(*client.Snapshot, error) bool) {
		for s, err := range c.client.Watch(ctx) {
			if err == nil {
				c.last.Store(s)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

func (c *cluster) Views(ctx context.Context) ([]*client.Snapshot, error) {
	last := c.last.Load()
	if last == nil || len(last.Members) <= sampleLeast || last.StateBytes*len(last.Members) <= viewsBudget {
		return c.client.ViewsLike(ctx, last)
	}
	return c.sample(ctx, last)
}

// All views together may be this large on the wire. Beyond it a few members are
// asked, at least sampleLeast, and others the next time.
const (
	viewsBudget = 8 << 20
	sampleLeast = 3
)

// sampled is the error of a round in which not all members were asked.
type sampled struct{ asked, of int }

func (s sampled) Error() string {
	return fmt.Sprintf("%d of %d members are asked at a time, their state is large", s.asked, s.of)
}

// sample asks some members, spread over the list, in turn.
func (c *cluster) sample(ctx context.Context, last *client.Snapshot) ([]*client.Snapshot, error) {
	var alive []client.Member
	for _, m := range last.Members {
		if m.State == "alive" && !m.Guest {
			alive = append(alive, m)
		}
	}
	n := min(max(viewsBudget/max(last.StateBytes, 1), sampleLeast), len(alive))
	round := int(c.round.Add(1))
	var views []*client.Snapshot
	var errs []error
	for i := range n {
		m := alive[(i*len(alive)/n+round)%len(alive)]
		v, err := c.client.SnapshotFromLike(ctx, m.Addr, last)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Name, err))
			continue
		}
		views = append(views, v)
	}
	if n < len(alive) {
		errs = append([]error{sampled{n, len(alive)}}, errs...)
	}
	return views, errors.Join(errs...)
}

func (c *cluster) Examine(views []*client.Snapshot) []Finding {
	if c.examine == nil {
		return nil
	}
	return c.examine(views)
}

// errReadOnly is what a read-only source says to every change.
var errReadOnly = errors.New("this cluster is read-only here")

func (c *cluster) Plan(ctx context.Context, ch Change) (*client.Plan, error) {
	if c.about.ReadOnly != "" {
		return nil, fmt.Errorf("%s: %w: %s", ch.Action, errReadOnly, c.about.ReadOnly)
	}
	if ch.Action == client.Forget {
		return c.client.PlanForget(ctx, client.ForgetRequest{Ring: ch.Ring, IDs: ch.IDs})
	}
	if len(ch.IDs) != 1 {
		return nil, fmt.Errorf("%s: one partition at a time; %d are chosen", ch.Action, len(ch.IDs))
	}
	req := client.PartitionRequest{Ring: ch.Ring, Action: ch.Action}
	if ch.Action == client.RemoveOwner {
		req.Owner = ch.IDs[0]
		return c.client.PlanPartition(ctx, req)
	}
	n, err := strconv.ParseInt(ch.IDs[0], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is not a partition number", ch.Action, ch.IDs[0])
	}
	if ch.Action == client.Drain {
		return c.client.PlanDrain(ctx, client.DrainRequest{Ring: ch.Ring, Partition: int32(n), Window: ch.Window, Ask: ch.Ask, Remove: true})
	}
	req.Partition = int32(n)
	return c.client.PlanPartition(ctx, req)
}

func (c *cluster) Apply(ctx context.Context, p *client.Plan, report func(client.Progress)) (*client.Result, error) {
	if c.about.ReadOnly != "" {
		return nil, errReadOnly
	}
	return c.client.Apply(ctx, p, client.ApplyOptions{Progress: report, Every: c.every})
}

// NewReplay shows recorded snapshots, oldest first, on the same screens.
// The sequence may be read once.
func NewReplay(name string, snapshots iter.Seq2[*client.Snapshot, error], examine func([]*client.Snapshot) []Finding) Source {
	about := About{Name: name, ReadOnly: "it is a recording", Recorded: true}
	r := &replay{snapshots: snapshots}
	r.about, r.examine = about, examine
	return r
}

// replay is a recording.
type replay struct {
	cluster
	snapshots iter.Seq2[*client.Snapshot, error]
}

// Watch yields the recording from its start.
func (r *replay) Watch(context.Context) iter.Seq2[*client.Snapshot, error] { return r.snapshots }

// Views has none: a recording holds one view at a time.
func (r *replay) Views(context.Context) ([]*client.Snapshot, error) { return nil, nil }
