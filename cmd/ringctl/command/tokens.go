package command

import (
	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

func (a *app) tokensCommand() *cobra.Command {
	var ringMap, raw bool
	c := &cobra.Command{
		Use:   "tokens RING",
		Short: "Who owns how much of the key space",
		Long: `How the keys of a ring are shared, per member and zone. Each zone holds one replica, so the shares of a zone add up to 100.
RELATIVE is the share relative to the zone's mean: 1.20x is a fifth more than average.`,
		Example:           "  ringctl tokens ingester\n  ringctl tokens ingester --ring-map\n  ringctl tokens ingester --raw -o json",
		ValidArgsFunction: a.completeRings,
		RunE: func(c *cobra.Command, args []string) error {
			return a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				r, err := findRing(s, args[0])
				if err != nil {
					return nil, err
				}
				d := document.Tokens(s, r, raw)
				if ringMap {
					d.Text = document.DrawRing(r, 72) + "\n"
				}
				return d, nil
			})
		},
	}
	c.Flags().BoolVar(&ringMap, "ring-map", false, "draw the key space, one line per zone")
	c.Flags().BoolVar(&raw, "raw", false, "add every token to JSON, YAML and CSV, one by one")
	a.addWatch(c)
	return c
}
