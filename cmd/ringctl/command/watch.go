package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
)

func (a *app) watchCommand() *cobra.Command {
	var limit time.Duration
	c := &cobra.Command{
		Use:   "watch",
		Short: "What changes, as it changes: one line per event",
		Long: `Print one line per change: members that join, leave or change state or health, partitions and their owners, gossip members,
verdicts. An entry that comes back after it was removed, without having registered anew, is reported as resurrected.

It joins the cluster as a guest where members can reach this machine, and observes otherwise. With -o json: one JSON
document per line.`,
		Example: "  ringctl watch\n  ringctl watch --observe --for 10m -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			return a.follow(ctx)
		},
	}
	c.Flags().DurationVar(&limit, "for", 0, "stop after this time (default: until interrupted)")
	a.addStay(c)
	return c
}

// follow prints events until the context ends.
func (a *app) follow(ctx context.Context) error {
	a.flags.stream, a.flags.noHeaders = true, true
	cfg, err := a.config()
	if err != nil {
		return err
	}
	cfg.Join = !a.flags.observe
	cl, err := client.New(cfg)
	if err != nil {
		return err
	}
	var line client.Timeline
	first := true
	for s, err := range cl.Watch(ctx) {
		if err != nil {
			a.say("no view: %v", err)
			continue
		}
		if first {
			a.provenance(s)
			first = false
		}
		for _, e := range line.Add(s) {
			if err := a.print(document.Event(s, e)); err != nil {
				return err
			}
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}
