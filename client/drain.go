package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/partition"
)

// UsualDrainWindow is how far back queries ask the owners of partitions, and not only blocks.
const UsualDrainWindow = time.Hour

// drainPause is the time between two looks at a scale-down.
const drainPause = 5 * time.Second

// DrainRequest says which partition is scaled down, and how.
type DrainRequest struct {
	// Ring is the key or short name of a partition ring; "" is the only one there is.
	Ring      string
	Partition int32
	// Window is how long after the deactivation queries may still need its owners, see [UsualDrainWindow].
	Window time.Duration
	// Ask are base URLs of tempod processes that own it: each is asked until it says that blocks hold all its data.
	Ask []string
	// Lock locks the partition when it is deactivated.
	Lock bool
	// Remove removes it when that is safe. Without it a scale-down ends when it is safe.
	Remove bool
}

// DrainStage is one part of a scale-down.
type DrainStage string

// The stages of a scale-down, in the order in which they are usually done.
const (
	// DrainDeactivate: no new data comes in.
	DrainDeactivate DrainStage = "deactivate"
	// DrainQuiet: no query needs the owners any more.
	DrainQuiet DrainStage = "window"
	// DrainBlocks: the owners that are asked say that blocks hold all data.
	DrainBlocks DrainStage = "blocks"
	// DrainOwners: the owners have left the ring. Stopping them is for others to do.
	DrainOwners DrainStage = "owners"
	// DrainViews: every member has answered, so that none can bring back what the others do not have.
	DrainViews DrainStage = "views"
	// DrainRemove: it is in no view any more.
	DrainRemove DrainStage = "remove"
)

// DrainStep is how far one stage is.
type DrainStep struct {
	Stage DrainStage `json:"stage"`
	Done  bool       `json:"done"`
	// Text says what was found, or what is waited for.
	Text string `json:"text"`
}

// StateGone is the state of a partition that is in no view.
const StateGone = "gone"

// DrainStatus is how far a scale-down is. All of it is read from the ring, so anybody can go on with it at any time.
type DrainStatus struct {
	Ring      string    `json:"ring"`
	Partition int32     `json:"partition"`
	State     string    `json:"state"` // of the least advanced view; StateGone when it is in none
	Since     time.Time `json:"since,omitzero"`
	Locked    bool      `json:"locked"`
	Owners    []string  `json:"owners"`
	// QuietAt is when no query needs its owners any more: Since and the window.
	QuietAt time.Time `json:"quietAt,omitzero"`
	// Blocking says what is in the way of removing it; empty when it is safe.
	Blocking []string `json:"blocking"`
	Safe     bool     `json:"safeToRemove"`
	// Next says what comes next.
	Next string `json:"next"`
	// Steps are all stages that apply, in order.
	Steps []DrainStep `json:"steps"`

	left   []string // owners whose instance is gone, and whose entry stayed
	views  int      // that have the ring
	passed int      // of them, those in which it takes no new data
}

// Finished tells whether nothing that was asked for is left to do.
func (s *DrainStatus) Finished(req DrainRequest) bool {
	return s.State == StateGone || s.Safe && !req.Remove
}

// due is the change that can be made now; "" for none.
func (s *DrainStatus) due(req DrainRequest) Action {
	switch {
	case s.State == "ACTIVE" || s.State == "PENDING":
		return Deactivate
	case s.Safe && req.Remove && s.State != StateGone:
		return RemovePartition
	default:
		return ""
	}
}

// DrainStatus reads all views, asks the owners that are to be asked, and changes nothing. A partition that is nowhere, and
// of which no view has a trace, is an error with [CodeNotFound].
func (c *Client) DrainStatus(ctx context.Context, req DrainRequest) (*DrainStatus, error) {
	return c.drainLook(ctx, req, false)
}

// DrainStep does the step that is due: it looks, has the change carried out that is due, if any, and looks again. Repeated
// until the status is [DrainStatus.Finished], it is the whole scale-down, however long the pauses are and whoever does it.
func (c *Client) DrainStep(ctx context.Context, req DrainRequest, carryOut func(context.Context, *Plan) error) (*DrainStatus, error) {
	return c.drainStep(ctx, req, false, carryOut)
}

// DrainOptions say how a scale-down is followed to its end.
type DrainOptions struct {
	// Every is the pause between two looks; zero is 5 s.
	Every time.Duration
	// CarryOut makes a change that is due: [Client.Apply], with what belongs around it. Its error ends the scale-down.
	CarryOut func(context.Context, *Plan) error
	// Report is told after each look; with an error, and without a status, after one that gave no view at all.
	Report func(*DrainStatus, error)
}

// Drain does each step when it is due, until nothing is left to do, or ctx ends. Moments without a view are waited out. The
// last status that was read comes with an error too; it is nil when there was none.
func (c *Client) Drain(ctx context.Context, req DrainRequest, o DrainOptions) (*DrainStatus, error) {
	if o.Every == 0 {
		o.Every = drainPause
	}
	ticker := time.NewTicker(o.Every)
	defer ticker.Stop()
	var last *DrainStatus
	carryOut := func(ctx context.Context, p *Plan) error {
		if p.Action == Deactivate && last != nil && last.State == "INACTIVE" {
			return model.Fail(CodeRefused, fmt.Sprintf("drain partition %d", req.Partition), "repeat it if it is still wanted", "somebody activated it again")
		}
		return o.CarryOut(ctx, p)
	}
	for {
		s, err := c.drainStep(ctx, req, last != nil, carryOut)
		switch {
		case err == nil:
			last = s
			o.Report(s, nil)
			if s.Finished(req) {
				return s, nil
			}
		case over(ctx):
			<-ctx.Done() // connections notice a little earlier
			return last, ctx.Err()
		case CodeOf(err) != CodeNoView:
			return last, err
		default:
			o.Report(nil, err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// PlanDrain checks a whole scale-down, to be confirmed once and for all. [Client.Apply] carries the plan out as
// [Client.Drain] does, with its checks made anew for each change, and returns when it is over; ending its context stops it
// where it is, and a new plan goes on from there.
func (c *Client) PlanDrain(ctx context.Context, req DrainRequest) (*Plan, error) {
	s, err := c.DrainStatus(ctx, req)
	if err != nil {
		return nil, err
	}
	r, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	target, err := r.onlyPartitionRing(req.Ring)
	if err != nil {
		return nil, err
	}
	p := &Plan{Action: Drain, Key: target.Key, Ring: target.Name, Views: r.names(), Unread: r.unread(), targets: r.targets, ClusterNow: r.now,
		Checks: r.common(c), drain: &req, Danger: Harmless}
	if s.State == StateGone {
		p.Steps = []Step{{ID: fmt.Sprint(req.Partition), Before: StateGone, After: StateGone, Skip: true}}
		return p, nil
	}
	change := PartitionRequest{Ring: target.Key, Partition: req.Partition, Action: RemovePartition}
	into := &Plan{} // what is in the way of removing it today is waited for
	if s.due(req) == Deactivate {
		change.Action, change.AndLock, into = Deactivate, req.Lock, p
	}
	step, err := r.partitionStep(into, target, change)
	if err != nil {
		return nil, err
	}
	step.After = "INACTIVE"
	if req.Remove {
		step.After = "removed"
		p.Danger, p.Confirm = Severe, step.ID
	} else {
		p.Danger = Moderate
	}
	p.Steps = []Step{step}
	p.drainChecks(s, req)
	return p, nil
}

// drainChecks tells what will be waited for.
func (p *Plan) drainChecks(s *DrainStatus, req DrainRequest) {
	add := func(name string, level CheckLevel, format string, args ...any) {
		p.Checks = append(p.Checks, Check{Name: name, Level: level, ID: fmt.Sprint(req.Partition), Text: fmt.Sprintf(format, args...)})
	}
	p.Effect = fmt.Sprintf("deactivate -> wait %s -> its owners leave", model.Age(req.Window))
	if req.Remove {
		p.Effect += " -> remove"
		if s.Locked || req.Lock {
			add("lock", Refuse, "a locked partition is not removed; unlock it first")
		}
	}
	if len(req.Ask) > 0 {
		add("data", Pass, "%s: asked until blocks hold its data", strings.Join(req.Ask, ", "))
	} else {
		add("data", Warn, "none of its owners is asked whether blocks hold its data: only the time is waited for")
	}
	if len(s.Owners) > 0 {
		add("owners", Warn, "it ends only when these have been stopped for good: %s; do that when that is asked for", model.Some(s.Owners))
	} else {
		add("owners", Pass, "no owners in any view")
	}
}

// applyDrain carries out a plan of [Client.PlanDrain].
func (c *Client) applyDrain(ctx context.Context, p *Plan, o ApplyOptions) (*Result, error) {
	if err := c.recheck(ctx, p); err != nil {
		return nil, err
	}
	res := &Result{Plan: p}
	start := time.Now()
	var now *DrainStatus
	report := func(pr Progress) {
		pr.Drain = now
		if o.Progress != nil {
			o.Progress(pr)
		}
	}
	last, err := c.Drain(ctx, *p.drain, DrainOptions{
		Every: o.Every,
		Report: func(s *DrainStatus, err error) {
			if s != nil {
				now = s
			}
			report(Progress{Phase: "waiting", Err: err})
		},
		CarryOut: func(ctx context.Context, step *Plan) error {
			made, err := c.Apply(ctx, step, ApplyOptions{Force: o.Force, Wait: o.Wait, Progress: report})
			if made != nil {
				res.Sent = made.Sent
				report(Progress{Phase: "made", Done: made.Converged, Total: made.Total, Laggards: made.Laggards, Made: made, Err: err})
			}
			if CodeOf(err) == CodeNotConverged {
				return nil // the members that are behind are seen, and waited for, at the next look
			}
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	res.Converged, res.Total, res.Laggards = last.views, last.views, nil
	res.Took = Duration(time.Since(start))
	return res, nil
}

func (c *Client) drainStep(ctx context.Context, req DrainRequest, seen bool, carryOut func(context.Context, *Plan) error) (*DrainStatus, error) {
	s, err := c.drainLook(ctx, req, seen)
	if err != nil {
		return nil, err
	}
	action := s.due(req)
	if action == "" {
		return s, nil
	}
	p, err := c.PlanPartition(ctx, PartitionRequest{Ring: s.Ring, Partition: req.Partition, Action: action, AndLock: action == Deactivate && req.Lock})
	if err != nil {
		return nil, err
	}
	if p.Pending() == 0 {
		return s, nil // it is made already; members that have not heard of it will
	}
	if err := carryOut(ctx, p); err != nil {
		return nil, err
	}
	return c.drainLook(ctx, req, true)
}

// drainLook gathers the state of a scale-down from all views. seen is true when the partition is known to have existed.
func (c *Client) drainLook(ctx context.Context, req DrainRequest, seen bool) (*DrainStatus, error) {
	views, err := c.Views(ctx)
	if len(views) == 0 {
		return nil, err
	}
	rings := &readings{views: views}
	target, ringErr := rings.onlyPartitionRing(req.Ring)
	if ringErr != nil {
		return nil, ringErr
	}
	s := &DrainStatus{Ring: target.Name, Partition: req.Partition, State: StateGone, Owners: []string{}, Blocking: []string{}, Steps: []DrainStep{}}
	var known []string
	for _, v := range views {
		r, ok := v.PartitionRing(target.Key)
		if !ok {
			continue
		}
		s.views++
		seen = seen || traceOf(v.PartitionDesc(target.Key), req.Partition)
		p, ok := r.Partition(req.Partition)
		if ok {
			s.take(p)
		}
		if !ok || p.State == "INACTIVE" {
			s.passed++
		}
		for i := range r.Partitions {
			known = append(known, fmt.Sprint(r.Partitions[i].ID))
		}
	}
	if s.State == StateGone && !seen {
		return nil, model.NotFound("partition", fmt.Sprint(req.Partition), known)
	}
	c.judgeDrain(ctx, req, s, err)
	return s, nil
}

// traceOf tells whether a partition is there, or was: removals are remembered for a while, and so are owners.
func traceOf(d *partition.Desc, id int32) bool {
	if d == nil {
		return false
	}
	if _, ok := d.Partitions[id]; ok {
		return true
	}
	for _, o := range d.Owners {
		if o.OwnedPartition == id {
			return true
		}
	}
	return false
}

// take keeps the least advanced of the views.
func (s *DrainStatus) take(p *Partition) {
	if s.State == StateGone || p.State == "ACTIVE" || p.Since.After(s.Since) && s.State != "ACTIVE" {
		s.State, s.Since, s.Locked = p.State, p.Since, p.Locked
	}
	for _, o := range p.Owners {
		if !slices.Contains(s.Owners, o.ID) {
			s.Owners = append(s.Owners, o.ID)
			s.left = append(s.left, o.ID)
		}
		if o.Health != NoInstance {
			s.left = slices.DeleteFunc(s.left, func(id string) bool { return id == o.ID })
		}
	}
}
