package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// drain is one scale-down of a partition.
type drain struct {
	*app
	client.DrainRequest
	follow time.Duration
}

func (a *app) drainCommand(ringName *string) *cobra.Command {
	d := &drain{app: a}
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
			d.Ring, d.Partition = *ringName, int32(id)
			return d.run(c)
		},
	}
	c.Flags().DurationVar(&d.Window, "window", client.UsualDrainWindow, "how long after the deactivation queries may still need its owners")
	c.Flags().StringSliceVar(&d.Ask, "ask", nil, "base `URLs` of tempod processes that own it, to ask whether blocks hold its data")
	c.Flags().BoolVar(&d.Lock, "lock", false, "lock it when it is deactivated")
	c.Flags().BoolVar(&d.Remove, "remove", false, "remove it when that is safe")
	c.Flags().DurationVar(&d.follow, "follow", 0, "stay for at most this long, and do each step when it is due")
	a.addChange(c)
	return c
}

func (d *drain) run(c *cobra.Command) error {
	cl, err := d.client(c.Context())
	if err != nil {
		return err
	}
	carryOut := func(ctx context.Context, p *client.Plan) error { return d.carryOut(ctx, c, cl, p) }
	if d.follow <= 0 || d.flags.dryRun {
		s, err := cl.DrainStep(c.Context(), d.DrainRequest, carryOut)
		if err != nil {
			return err
		}
		return d.finish(s)
	}
	ctx, cancel := context.WithTimeout(c.Context(), d.follow)
	defer cancel()
	var blind error // why the last look gave no view
	said := ""
	s, err := cl.Drain(ctx, d.DrainRequest, client.DrainOptions{CarryOut: carryOut, Report: func(s *client.DrainStatus, err error) {
		next := ""
		if blind = err; err != nil {
			next = fmt.Sprintf("no view, looking again: %v", err)
		} else if !s.Finished(d.DrainRequest) {
			next = d.next(s)
		}
		if next != "" && next != said {
			said = next
			d.say("%s", next)
		}
	}})
	switch {
	case err == nil || s != nil && errors.Is(err, context.DeadlineExceeded):
		return d.finish(s)
	case blind != nil && errors.Is(err, context.DeadlineExceeded):
		return blind
	}
	return err
}

// finish prints how far it is, with the command that comes next.
func (d *drain) finish(s *client.DrainStatus) error {
	shown := *s
	shown.Next = d.next(s)
	if err := d.print(drainDocument(&shown)); err != nil {
		return err
	}
	if s.Finished(d.DrainRequest) {
		return nil
	}
	return &client.Error{Code: client.CodeNo, Op: fmt.Sprintf("drain partition %d", s.Partition), Err: errors.New("not finished: " + shown.Next)}
}

// next is what comes next, with the command that does it.
func (d *drain) next(s *client.DrainStatus) string {
	switch {
	case s.State == client.StateGone:
		return s.Next
	case s.Safe:
		return fmt.Sprintf("%s: %s --remove --confirm=%d", s.Next, d.again(), s.Partition)
	case s.State != "INACTIVE":
		return fmt.Sprintf("%s: %s --yes", s.Next, d.again())
	}
	return s.Next
}

// carryOut shows, asks, applies and audits, without printing a result of its own.
func (d *drain) carryOut(ctx context.Context, c *cobra.Command, cl *client.Client, p *client.Plan) error {
	d.showPlan(p)
	if d.flags.dryRun {
		return p.Allowed(d.flags.force)
	}
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

// again is the command with what was said of the partition.
func (d *drain) again() string {
	s := fmt.Sprintf("ringctl partition drain %d", d.Partition)
	if d.Ring != "" {
		s += " --ring " + d.Ring
	}
	if d.Window != client.UsualDrainWindow {
		s += " --window " + d.Window.String()
	}
	return s
}

func drainDocument(s *client.DrainStatus) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "PARTITION", Right: true}, {Title: "STATE"}, {Title: "SINCE"}, {Title: "LOCKED"}, {Title: "OWNERS"}, {Title: "SAFE"}, {Title: "NEXT"}}}
	t.Add(s.Partition, s.State, document.Instant(s.Since), document.YesNo(s.Locked), strings.Join(s.Owners, ","), document.YesNo(s.Safe), s.Next)
	return &render.Document{Kind: "DrainStatus", Data: s, Table: t, Names: []string{strconv.Itoa(int(s.Partition))}}
}
