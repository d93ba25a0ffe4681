package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
)

// views asks every member. Members that gave no view are said, and returned, not an error as long as there is one view.
func (a *app) views(ctx context.Context) ([]*client.Snapshot, map[string]error, error) {
	cl, err := a.client(ctx)
	if err != nil {
		return nil, nil, err
	}
	views, err := cl.Views(ctx)
	var some *client.Unreached
	if errors.As(err, &some) && len(views) > 0 {
		for _, n := range some.Names() {
			a.say("no view from %s: %v", n, some.Members[n])
		}
		return views, some.Members, nil
	}
	return views, nil, err
}

func (a *app) viewsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "views",
		Short: "Does every member see the same rings?",
		Long: `Ask every member for its own view and compare: one line per member, one column per ring with the hash of what it sees.
The hash covers what routing depends on (ids, addresses, states, zones, tokens), not heartbeats. Members of the same letter
agree. The exit code is 1 when members differ, do not answer, or form islands.`,
		Example: "  ringctl views\n  ringctl views -o json | jq .data.islands\n  ringctl diff ingester-0-1a2b3c4d ingester-1-5e6f7a8b",
		RunE: func(c *cobra.Command, _ []string) error {
			views, failed, err := a.views(c.Context())
			if err != nil {
				return err
			}
			r := document.ReportViews(views, failed)
			if err := a.print(document.Views(r)); err != nil {
				return err
			}
			if why := r.Disagreement(); why != "" {
				return &client.Error{Code: client.CodeNo, Err: errors.New(why), Hint: "ringctl diff A B shows the fields"}
			}
			return nil
		},
	}
}

func (a *app) diffCommand() *cobra.Command {
	var heartbeats bool
	var slack time.Duration
	c := &cobra.Command{
		Use:   "diff MEMBER MEMBER",
		Short: "Field by field, in what do two members' views differ, and who is behind?",
		Long: `Compare the views of two gossip members, by name (the random part may be left out) or address: every field that
differs, both values, and which of the two has the older entry. Heartbeats always differ a little;
--heartbeats compares them too. The exit code is 1 when they differ.`,
		Example:           "  ringctl diff ingester-0-1a2b3c4d ingester-1-5e6f7a8b\n  ringctl diff 10.0.0.5:7946 10.0.0.6:7946 --heartbeats --slack 30s",
		ValidArgsFunction: a.completeGossip,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client(c.Context())
			if err != nil {
				return err
			}
			var got [2]*client.Snapshot
			for i := range got {
				if got[i], err = cl.SnapshotFrom(c.Context(), args[i]); err != nil {
					return err
				}
			}
			found := client.Compare(got[0], got[1], heartbeats, slack)
			if err := a.print(document.Differences(got[0].From, got[1].From, found)); err != nil {
				return err
			}
			if len(found) > 0 {
				return &client.Error{Code: client.CodeNo, Err: fmt.Errorf("%d differences", len(found))}
			}
			a.say("no difference")
			return nil
		},
	}
	c.Flags().BoolVar(&heartbeats, "heartbeats", false, "compare heartbeats too")
	c.Flags().DurationVar(&slack, "slack", 30*time.Second, "heartbeats may differ by this much")
	return c
}

func (a *app) completeGossip(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.live(c, func(s *client.Snapshot) []string {
		var out []string
		for _, m := range s.Members {
			out = append(out, m.Name)
		}
		return out
	})
}
