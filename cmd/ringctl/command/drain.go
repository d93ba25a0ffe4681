package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// drainStatus is a document of kind DrainStatus.
type drainStatus struct {
	Ring      string    `json:"ring"`
	Partition int32     `json:"partition"`
	State     string    `json:"state"` // "gone" when it is in no view
	Since     time.Time `json:"since,omitzero"`
	Locked    bool      `json:"locked"`
	Owners    []string  `json:"owners"`
	// QuietAt is when no query needs its owners any more: Since and the query window.
	QuietAt time.Time `json:"quietAt,omitzero"`
	// Blocking says what is in the way of removing it; empty when it is safe.
	Blocking []string `json:"blocking"`
	Safe     bool     `json:"safeToRemove"`
	Next     string   `json:"next"`

	left []string // owners whose instance is gone, and whose entry stayed
}

// drain is one scale-down of a partition.
type drain struct {
	*app
	ring   string
	id     int32
	window time.Duration
	ask    []string
	lock   bool
	remove bool
}

func (a *app) drainCommand(ringName *string) *cobra.Command {
	d := &drain{app: a}
	var follow time.Duration
	c := &cobra.Command{
		Use:   "drain PARTITION",
		Short: "Scale a partition down, step by step, and say when it is safe to remove",
		Long: `The whole scale-down of a partition. Each call does the step that is due and says what comes next, so it may be interrupted and
repeated at any time; the progress is in the ring itself.

  1. deactivate it (with --lock: and lock it), so that no new data comes in;
  2. wait until no query needs its owners: --window after the deactivation, and, with --ask, until each of these tempod
     processes says that blocks hold all its data;
  3. its owners stop (that is yours to do) and leave the ring;
  4. with --remove, remove it.

The exit code is 0 when nothing is left to do, and 1 when it is not safe yet.`,
		Example:           "  ringctl partition drain 3 --lock --yes\n  ringctl partition drain 3 --window 1h --ask http://live-store-zone-a-3:3200\n  ringctl partition drain 3 --follow 3h --remove --confirm=3",
		ValidArgsFunction: a.completePartitions,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 32)
			if err != nil || id < 0 {
				return usage("%q is not the number of a partition", args[0])
			}
			d.ring, d.id = *ringName, int32(id)
			ctx := c.Context()
			if follow > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, follow)
				defer cancel()
			}
			return d.run(ctx, c, follow > 0)
		},
	}
	c.Flags().DurationVar(&d.window, "window", usualWindow, "how long after the deactivation queries may still need its owners")
	c.Flags().StringSliceVar(&d.ask, "ask", nil, "base `URLs` of tempod processes that own it, to ask whether blocks hold its data")
	c.Flags().BoolVar(&d.lock, "lock", false, "lock it when it is deactivated")
	c.Flags().BoolVar(&d.remove, "remove", false, "remove it when that is safe")
	c.Flags().DurationVar(&follow, "follow", 0, "stay for at most this long, and do each step when it is due")
	a.addChange(c)
	return c
}

func (d *drain) run(ctx context.Context, c *cobra.Command, follow bool) error {
	cl, err := d.client(ctx)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	said := ""
	for {
		s, err := d.step(ctx, c, cl)
		if err != nil {
			return err
		}
		if s.State == "gone" || d.flags.dryRun || !follow || s.Safe && !d.remove {
			return d.finish(s)
		}
		if s.Next != said {
			said = s.Next
			d.say("%s", s.Next)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return d.finish(s)
			}
			return ctx.Err()
		}
	}
}

func (d *drain) finish(s *drainStatus) error {
	if err := d.print(drainDocument(s)); err != nil {
		return err
	}
	if s.State == "gone" || s.Safe && !d.remove {
		return nil
	}
	return &client.Error{Code: client.CodeNo, Op: fmt.Sprintf("drain partition %d", s.Partition), Err: errors.New("not finished: " + s.Next)}
}

// step looks, and does what is due.
func (d *drain) step(ctx context.Context, c *cobra.Command, cl *client.Client) (*drainStatus, error) {
	s, err := d.look(ctx, cl)
	if err != nil {
		return nil, err
	}
	req := client.PartitionRequest{Ring: s.Ring, Partition: d.id}
	switch {
	case s.State == "ACTIVE" || s.State == "PENDING":
		req.Action, req.AndLock = client.Deactivate, d.lock
	case s.Safe && d.remove:
		req.Action = client.RemovePartition
	default:
		return s, nil
	}
	p, err := cl.PlanPartition(ctx, req)
	if err != nil {
		return nil, err
	}
	d.showPlan(p)
	if d.flags.dryRun {
		return s, p.Allowed(d.flags.force)
	}
	if err := d.carryOut(ctx, c, cl, p); err != nil {
		return nil, err
	}
	return d.look(ctx, cl)
}

// carryOut asks, applies and audits, without printing a result of its own.
func (d *drain) carryOut(ctx context.Context, c *cobra.Command, cl *client.Client, p *client.Plan) error {
	if err := d.writable(p); err != nil {
		return err
	}
	if err := p.Allowed(d.flags.force); err != nil {
		return err
	}
	if err := d.confirm(ctx, p); err != nil {
		return err
	}
	res, err := cl.Apply(ctx, p, d.applyOptions())
	if res != nil {
		if auditErr := d.audit(res, c.CommandPath(), err); auditErr != nil {
			d.say("warning: the change was made, but not written to the audit log: %v", auditErr)
		}
	}
	return err
}

// look gathers the state of the scale-down from all views.
func (d *drain) look(ctx context.Context, cl *client.Client) (*drainStatus, error) {
	views, err := cl.Views(ctx)
	if len(views) == 0 {
		return nil, err
	}
	s := &drainStatus{Partition: d.id, State: "gone", Owners: []string{}, Blocking: []string{}}
	known := false
	for _, v := range views {
		for i := range v.PartitionRings {
			r := &v.PartitionRings[i]
			if d.ring != "" && r.Name != d.ring && r.Key != d.ring {
				continue
			}
			known = true
			s.Ring = r.Name
			if p, ok := r.Partition(d.id); ok {
				s.take(p)
			}
		}
	}
	if !known {
		return nil, &client.Error{Code: client.CodeNotFound, Op: "drain", Err: errors.New("there is no such partition ring in any view")}
	}
	if err != nil {
		s.Blocking = append(s.Blocking, err.Error())
	}
	d.judge(ctx, s)
	return s, nil
}

// take keeps the least advanced of the views.
func (s *drainStatus) take(p *client.Partition) {
	if s.State == "gone" || p.State == "ACTIVE" || p.Since.After(s.Since) && s.State != "ACTIVE" {
		s.State, s.Since, s.Locked = p.State, p.Since, p.Locked
	}
	for _, o := range p.Owners {
		if !slices.Contains(s.Owners, o.ID) {
			s.Owners = append(s.Owners, o.ID)
			s.left = append(s.left, o.ID)
		}
		if o.Health != client.NoInstance {
			s.left = slices.DeleteFunc(s.left, func(id string) bool { return id == o.ID })
		}
	}
}

// judge decides what is in the way, and what comes next.
func (d *drain) judge(ctx context.Context, s *drainStatus) {
	if s.State == "gone" {
		s.Next = "nothing: the partition is in no view"
		return
	}
	if s.State != "INACTIVE" {
		s.Blocking = append(s.Blocking, "it is "+s.State)
		s.Next = fmt.Sprintf("deactivate it: %s --yes", d.again())
		return
	}
	s.QuietAt = s.Since.Add(d.window)
	if left := s.QuietAt.Sub(d.env.Now()); left > 0 {
		s.Blocking = append(s.Blocking, fmt.Sprintf("queries may need its owners for another %s", client.Age(left)))
		s.Next = "wait until " + document.Instant(s.QuietAt)
	}
	for _, base := range d.ask {
		if why := d.askOwner(ctx, base, s); why != "" {
			s.Blocking = append(s.Blocking, why)
			s.Next = or(s.Next, "wait until blocks hold its data: "+why)
		}
	}
	if len(s.Owners) > 0 {
		s.Blocking = append(s.Blocking, "owners: "+strings.Join(s.Owners, ", "))
		if len(s.left) == len(s.Owners) {
			s.Next = or(s.Next, "its owners are gone; remove the entries they left: ringctl partition owner remove "+strings.Join(s.left, "; ringctl partition owner remove "))
		}
		s.Next = or(s.Next, "stop its owners for good, so that they leave: "+strings.Join(s.Owners, ", "))
	}
	s.Safe = len(s.Blocking) == 0
	if !s.Safe {
		s.Next = or(s.Next, "look again: "+s.Blocking[0])
	} else {
		s.Next = fmt.Sprintf("remove it: %s --remove --confirm=%d", d.again(), d.id)
	}
}

// again is the command with what was said of the partition.
func (d *drain) again() string {
	s := fmt.Sprintf("ringctl partition drain %d", d.id)
	if d.ring != "" {
		s += " --ring " + d.ring
	}
	if d.window != usualWindow {
		s += " --window " + d.window.String()
	}
	return s
}

// usualWindow is how far back queries ask the owners of partitions, and not only blocks.
const usualWindow = time.Hour

// askOwner asks a tempod process; the answer is what is in the way, "" for nothing.
func (d *drain) askOwner(ctx context.Context, base string, s *drainStatus) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, err := fetchDrain(ctx, strings.TrimSuffix(base, "/")+ringapi.PathPartitionDrain(s.Ring, d.id))
	switch {
	case err != nil && len(s.Owners) == 0:
		return fmt.Sprintf("%s gave no answer (%v); its owners are gone, so leave --ask out if it had said before that it holds nothing", base, err)
	case err != nil:
		return fmt.Sprintf("%s gave no answer: %v", base, err)
	case status.Unshipped < 0:
		return fmt.Sprintf("%s cannot tell: it does not own partition %d", base, d.id)
	case status.Unshipped > 0:
		return fmt.Sprintf("%s holds %d bytes that are in no block yet", base, status.Unshipped)
	default:
		return ""
	}
}

func fetchDrain(ctx context.Context, url string) (*ringapi.DrainStatus, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var said ringapi.Error
		if json.Unmarshal(body, &said) == nil && said.Message != "" {
			return nil, fmt.Errorf("%s: %s", resp.Status, said.Message)
		}
		return nil, fmt.Errorf("%s", resp.Status)
	}
	var s ringapi.DrainStatus
	return &s, json.Unmarshal(body, &s)
}

func drainDocument(s *drainStatus) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "PARTITION", Right: true}, {Title: "STATE"}, {Title: "SINCE"}, {Title: "LOCKED"}, {Title: "OWNERS"}, {Title: "SAFE"}, {Title: "NEXT"}}}
	t.Add(s.Partition, s.State, document.Instant(s.Since), document.YesNo(s.Locked), strings.Join(s.Owners, ","), document.YesNo(s.Safe), s.Next)
	return &render.Document{Kind: "DrainStatus", Data: s, Table: t, Names: []string{strconv.Itoa(int(s.Partition))}}
}
