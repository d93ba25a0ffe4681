package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

func (a *app) statusCommand() *cobra.Command {
	var failOn string
	c := &cobra.Command{
		Use:   "status",
		Short: "Every ring in one line: verdict, members, quorum, worst problem",
		Long: `Every ring found in the state, in one line: the verdict, members by state, zones, how many more members may fail
before a key loses its write or read quorum, how evenly keys are owned, and the worst problem.

The exit code is 1 when the worst verdict is CRITICAL (see --fail-on). A new partition that waits for its owners is no problem
for ten minutes; as long as no other one is ACTIVE, the ring is a WARNING, because writes wait too.`,
		Example: "  ringctl status\n  ringctl status -o wide\n  ringctl status -o json | jq '.items[] | select(.verdict != \"OK\")'\n  ringctl status --watch",
		RunE: func(c *cobra.Command, _ []string) error {
			limit, err := severityRank(failOn)
			if err != nil {
				return err
			}
			var worst client.Verdict
			var problem string
			err = a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				worst, problem = s.Verdict, s.Problem
				return document.Status(s), nil
			})
			if err == nil && worst.Rank() >= limit {
				return &client.Error{Code: client.CodeNo, Err: fmt.Errorf("%s: %s", worst, problem), Hint: "ringctl doctor explains it"}
			}
			return err
		},
	}
	c.Flags().StringVar(&failOn, "fail-on", "critical", "exit with 1 from this verdict on: warning, critical, never")
	a.addWatch(c)
	return c
}

func (a *app) ringsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rings",
		Short: "The keys of the state: rings, partition rings, and what is not understood",
		Long: `The keys of the gossiped state. What a key holds is read from its codec, never guessed from its name; keys that are
not understood are listed as opaque and never touched.`,
		Example: "  ringctl rings\n  ringctl rings -o name",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.show(c, func(s *client.Snapshot) (*render.Document, error) { return document.Rings(s), nil })
		},
	}
	a.addWatch(c)
	return c
}
