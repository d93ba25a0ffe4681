package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// rolloutStep is one batch of a rollout: a document of kind RolloutPlan.
type rolloutStep struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`
	// Done is true once the batch was restarted and is well again.
	Done bool `json:"done"`
}

// rollout restarts a ring batch by batch.
type rollout struct {
	*app
	ring    string
	command string
	stable  time.Duration
	limit   time.Duration
	steps   []rolloutStep
}

func (a *app) rolloutCommand() *cobra.Command {
	r := &rollout{app: a}
	var by string
	c := &cobra.Command{
		Use:   "rollout RING",
		Short: "Restart a ring one zone at a time, each step only when it is safe",
		Long: `Restart the members of a ring in batches: one zone at a time, or one member at a time in rings without zones. For each batch:

  1. wait until all members see the same rings, and the batch may stop (as ringctl can-stop decides), for --stable-for;
  2. ask once more, and run --run in a shell, with RINGCTL_BATCH (the zone or member) and RINGCTL_MEMBERS set; it should
     return when the restart is over (kubectl rollout status does);
  3. wait until the batch is ACTIVE and healthy in every view, for --stable-for.

It stops at the first batch that does not become well within --max. Without --run it prints the batches and whether the first
may go; the exit code is 1 when it may not.`,
		Example:           "  ringctl rollout ingester\n  ringctl rollout ingester --run 'kubectl rollout restart sts/ingester-$RINGCTL_BATCH && kubectl rollout status sts/ingester-$RINGCTL_BATCH'",
		ValidArgsFunction: a.completeRings,
		RunE: func(c *cobra.Command, args []string) error {
			r.ring = args[0]
			s, err := a.snapshot(c.Context())
			if err != nil {
				return err
			}
			of, err := findRing(s, args[0])
			if err != nil {
				return err
			}
			if r.steps, err = batches(of, by); err != nil {
				return err
			}
			return r.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&by, "by", "auto", "what a batch is: zone, member, or auto (zones where the ring is zone aware)")
	f.StringVar(&r.command, "run", "", "the shell `command` that restarts a batch")
	f.DurationVar(&r.stable, "stable-for", 30*time.Second, "how long it must be well before and after each step")
	f.DurationVar(&r.limit, "max", 15*time.Minute, "how long a batch may take to become well")
	return c
}

// batches cuts a ring into what restarts together.
func batches(r *client.Ring, by string) ([]rolloutStep, error) {
	zones := by == "zone" || by == "auto" && r.ZoneAware
	if by != "zone" && by != "member" && by != "auto" {
		return nil, usage("--by is zone, member or auto, not %q", by)
	}
	var out []rolloutStep
	if !zones {
		for _, i := range r.Instances {
			out = append(out, rolloutStep{Name: i.ID, Members: []string{i.ID}})
		}
		return out, nil
	}
	for _, z := range r.Zones {
		if z.Name == "" {
			return nil, usage("some members have no zone; use --by member")
		}
		step := rolloutStep{Name: z.Name}
		for _, i := range r.Instances {
			if i.Zone == z.Name {
				step.Members = append(step.Members, i.ID)
			}
		}
		out = append(out, step)
	}
	return out, nil
}

func (r *rollout) run(ctx context.Context) error {
	if len(r.steps) == 0 {
		return &client.Error{Code: client.CodeNotFound, Op: "rollout " + r.ring, Err: errors.New("the ring has no members")}
	}
	if r.command == "" {
		if err := r.print(r.document()); err != nil {
			return err
		}
		views, _, err := r.views(ctx)
		if err != nil {
			return err
		}
		if ok, why := r.mayStop(r.steps[0])(views); !ok {
			return &client.Error{Code: client.CodeNo, Op: "rollout " + r.ring, Err: errors.New(why)}
		}
		return nil
	}
	for i := range r.steps {
		if err := r.step(ctx, &r.steps[i]); err != nil {
			return errors.Join(err, r.print(r.document()))
		}
	}
	return r.print(r.document())
}

// step restarts one batch.
func (r *rollout) step(ctx context.Context, s *rolloutStep) error {
	r.say("%s: waiting until %s may stop", s.Name, client.Plural(len(s.Members), "member"))
	agree := func(v []*client.Snapshot) (bool, string) {
		report := document.ReportViews(v, nil)
		return report.Agreed, report.Disagreement()
	}
	if err := r.until(ctx, []condition{agree, r.mayStop(*s)}); err != nil {
		return fmt.Errorf("%s may not stop: %w", s.Name, err)
	}
	// The views that allowed it are a moment old; look again right before acting.
	views, failed, err := r.views(ctx)
	if err != nil {
		return err
	}
	if ok, why := r.mayStop(*s)(views); !ok || len(failed) > 0 {
		return &client.Error{Code: client.CodeRefused, Op: "rollout " + s.Name, Err: fmt.Errorf("it changed in the last moment: %s", or(why, "a member gave no view"))}
	}
	r.say("%s: restarting %s", s.Name, strings.Join(s.Members, " "))
	cmd := exec.CommandContext(ctx, "sh", "-c", r.command)
	cmd.Env = append(cmd.Environ(), "RINGCTL_BATCH="+s.Name, "RINGCTL_MEMBERS="+strings.Join(s.Members, " "))
	cmd.Stdout, cmd.Stderr = r.env.Stderr, r.env.Stderr
	if err := cmd.Run(); err != nil {
		return &client.Error{Code: client.CodeNo, Op: "rollout " + s.Name, Err: fmt.Errorf("the command failed: %w", err)}
	}
	well := []condition{agree}
	for _, id := range s.Members {
		well = append(well, everyView(func(v *client.Snapshot) (bool, string) { return joined(v, r.ring, id) }))
	}
	if err := r.until(ctx, well); err != nil {
		return fmt.Errorf("%s did not become well: %w", s.Name, err)
	}
	s.Done = true
	r.say("%s: well", s.Name)
	return nil
}

// until waits for conditions, without printing anything.
func (r *rollout) until(ctx context.Context, all []condition) error {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	_, _, err := r.holds(ctx, all, waiting{stable: r.stable}, r.limit)
	return err
}

// mayStop is the condition that a batch may stop now.
func (r *rollout) mayStop(s rolloutStep) condition {
	return func(views []*client.Snapshot) (bool, string) {
		answer, err := client.CanStop(views, client.StopRequest{Ring: r.ring, IDs: s.Members})
		switch {
		case err != nil:
			return false, err.Error()
		case !answer.OK:
			return false, answer.Reasons[0].Text
		}
		return true, ""
	}
}

func (r *rollout) document() *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "BATCH"}, {Title: "MEMBERS"}, {Title: "DONE"}}}
	d := &render.Document{Kind: "RolloutPlan", Data: r.steps, Table: t}
	for _, s := range r.steps {
		d.Names = append(d.Names, s.Name)
		t.Add(s.Name, strings.Join(s.Members, " "), document.YesNo(s.Done))
	}
	return d
}
