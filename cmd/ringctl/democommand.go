package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/command"
	"github.com/ringctl/ringctl/cmd/ringctl/demo"
)

// demoCommand starts the demo: with the dashboard on a terminal, else its script.
func demoCommand(env command.Env) *cobra.Command {
	var o demo.Options
	var script bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "A real local cluster of tempod with traffic, to try all of this on",
		Long: `Start a real cluster of tempod processes in three zones on this machine, send it traffic, and open the dashboard on it.
Without a terminal, or with --script, a script of failures and repairs runs instead, and every step is checked.
Nothing is left behind.`,
		Example: "  ringctl demo\n  ringctl demo --script\n  ringctl demo --keep",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Out = env.Stderr
			if !script && !o.Keep && env.StdinTerminal && env.StdoutTerminal {
				o.Dashboard = func(ctx context.Context, cl *client.Client) error {
					return top(ctx, command.Top{Client: cl, Name: "demo", Color: env.Getenv("NO_COLOR") == "", ASCII: env.Getenv("RINGCTL_ASCII") != "", In: env.Stdin, Out: env.Stdout,
						Audit: func(*client.Result, error) error { return nil }})
				}
			}
			if err := demo.Run(c.Context(), o); err != nil {
				return &client.Error{Code: client.CodeNo, Op: "demo", Err: err}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&script, "script", false, "run the script even on a terminal")
	c.Flags().BoolVar(&o.Keep, "keep", false, "let the cluster run until interrupted")
	c.Flags().StringVar(&o.Tempod, "tempod", "", "`path` of the tempod binary (default: beside this program, then on PATH)")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "seed of the traffic; 0 is any")
	return c
}
