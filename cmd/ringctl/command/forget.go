package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
)

func (a *app) forgetCommand() *cobra.Command {
	var sel selector
	c := &cobra.Command{
		Use:   "forget RING [MEMBER...]",
		Short: "Remove dead members from a ring, everywhere, and verify it",
		Long: `Remove members that are gone for good from a ring. Members are named, or chosen with --state, --zone, --older-than and --match.

Before: the entry is read from several members and the newest one counts. It is refused for a member that is alive, when
a key would lose its quorum, when the member is the last owner of an ACTIVE partition, when clocks disagree, when more
members than --max-changes are chosen, and when most of the ring looks dead from here.
Then: one message per entry goes to every member that can be reached, dated so that all of them accept it.
After: every member is read until all agree; what did not is named (exit code 8). With --guard the ring is watched for
that long, and a removed entry that some member brings back is removed again.

One dead member takes a y or --yes; a live one or several take --confirm with the name that the refusal shows.`,
		Example:           "  ringctl forget ingester ingester-3 --dry-run\n  ringctl forget ingester ingester-3 --yes --reason 'node lost, INC-42'\n  ringctl forget distributor --state unhealthy --older-than 15m --confirm=distributor:4\n  ringctl forget ingester ingester-3 --yes --guard 10m",
		ValidArgsFunction: a.completeRingMembers,
		RunE: func(c *cobra.Command, args []string) error {
			if err := sel.check(); err != nil {
				return err
			}
			if (len(args) > 1) == !sel.empty() {
				return usage("name members, or choose them with --state, --zone, --older-than or --match")
			}
			cl, err := a.client(c.Context())
			if err != nil {
				return err
			}
			req := client.ForgetRequest{Ring: args[0], IDs: args[1:], MaxChanges: a.flags.maxChanges}
			if len(req.IDs) == 0 {
				req.IDs, req.Select = nil, sel.accepts
			}
			p, err := cl.PlanForget(c.Context(), req)
			if err != nil {
				return err
			}
			res, err := a.change(c, cl, p)
			if err != nil || res == nil || a.flags.guard <= 0 || p.Pending() == 0 {
				return err
			}
			return a.guard(c.Context(), cl, p)
		},
	}
	sel.add(c)
	a.addChange(c)
	c.Flags().IntVar(&a.flags.maxChanges, "max-changes", 10, "refuse to remove more members than this at once")
	c.Flags().DurationVar(&a.flags.guard, "guard", 0, "watch for this long, and remove entries that come back")
	return c
}

// guard watches removed entries, and says what came back and which member brought it.
func (a *app) guard(ctx context.Context, cl *client.Client, p *client.Plan) error {
	a.say("watching for %s whether it comes back", document.Short(a.flags.guard))
	returned := map[string]client.Resurrection{}
	err := cl.Guard(ctx, p, a.flags.guard, func(r client.Resurrection) {
		if _, known := returned[r.ID+r.Member]; !known {
			a.say("%s", resurrection(&r))
		}
		returned[r.ID+r.Member] = r
	})
	for _, r := range returned {
		if r.Alive {
			return &client.Error{Code: client.CodeNotConverged, Op: "forget " + r.ID, Err: errAlive, Hint: "stop the instance first"}
		}
	}
	switch {
	case err != nil:
		return err
	case len(returned) == 0:
		a.say("nothing came back within %s", document.Short(a.flags.guard.Round(time.Second)))
	default:
		a.say("it is gone again in all views")
	}
	return nil
}

// resurrection is a return in words.
func resurrection(r *client.Resurrection) string {
	if r.Alive {
		return fmt.Sprintf("%s is back on %s, with a new heartbeat: it runs", r.ID, r.Member)
	}
	text := fmt.Sprintf("%s came back on %s", r.ID, r.Member)
	if r.Missed {
		text += ", which had missed the removal"
	}
	text += " (" + r.Has + ")"
	if others := slices.DeleteFunc(slices.Clone(r.Holders), func(n string) bool { return n == r.Member }); len(others) > 0 {
		text += "; " + strings.Join(others, ", ") + " took it over"
	}
	return text + "; removed again"
}
