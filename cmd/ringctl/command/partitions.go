package command

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

func (a *app) partitionsCommand() *cobra.Command {
	var owners bool
	c := &cobra.Command{
		Use:   "partitions [RING]",
		Short: "Partitions, their state and their owners in each zone",
		Long: `The partitions of a partition ring: state, since when, whether the state is locked, the share of new keys they take, and one
column per zone with the owners there. An owner that is not healthy is followed by its health.`,
		Example:           "  ringctl partitions\n  ringctl partitions livestore-partitions -o wide\n  ringctl partitions --owners",
		ValidArgsFunction: a.completePartitionRings,
		RunE: func(c *cobra.Command, args []string) error {
			return a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				rings, err := partitionRings(s, args)
				if err != nil {
					return nil, err
				}
				if owners {
					return document.Owners(s, rings), nil
				}
				return document.Partitions(s, rings), nil
			})
		},
	}
	c.Flags().BoolVar(&owners, "owners", false, "list the owners instead, orphans included")
	a.addWatch(c)
	return c
}

// partitionRings are the named one, or all.
func partitionRings(s *client.Snapshot, args []string) ([]*client.PartitionRing, error) {
	var out []*client.PartitionRing
	var names []string
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		names = append(names, r.Name)
		if len(args) == 0 || r.Name == args[0] || r.Key == args[0] {
			out = append(out, r)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if len(args) == 0 {
		return nil, &client.Error{Code: client.CodeNotFound, Op: "partitions", Err: errors.New("there is no partition ring in this view")}
	}
	e := &client.Error{Code: client.CodeNotFound, Op: "partition ring " + args[0], Err: errors.New("not in this view")}
	if near := client.Nearest(args[0], names); len(near) > 0 {
		e.Hint = "did you mean " + strings.Join(near, ", ") + "?"
	} else if len(names) > 0 {
		e.Hint = "partition rings here: " + strings.Join(names, ", ")
	}
	return nil, e
}
