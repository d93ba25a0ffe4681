package command

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

func (a *app) explainCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "explain", Short: "The arithmetic of a ring, a member or a partition, in plain words", Args: a.unknown,
		Example: "  ringctl explain quorum ingester\n  ringctl explain member ingester ingester-3\n  ringctl explain partition 3",
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	quorum := &cobra.Command{
		Use: "quorum RING", Short: "How many replicas a key has, needs, and may lose", ValidArgsFunction: a.completeRings,
		Example: "  ringctl explain quorum ingester\n  ringctl explain quorum ingester --rf 3 --zone-aware=true",
		RunE: func(c *cobra.Command, args []string) error {
			return a.explain(c, func(s *client.Snapshot) (*document.Explanation, error) {
				r, err := findRing(s, args[0])
				if err != nil {
					return nil, err
				}
				return document.ExplainQuorum(r), nil
			})
		},
	}
	member := &cobra.Command{
		Use: "member RING MEMBER", Short: "What a member counts for, and why", ValidArgsFunction: a.completeRingMembers,
		Example: "  ringctl explain member ingester ingester-3",
		RunE: func(c *cobra.Command, args []string) error {
			return a.explain(c, func(s *client.Snapshot) (*document.Explanation, error) {
				r, err := findRing(s, args[0])
				if err != nil {
					return nil, err
				}
				i, ok := r.Instance(args[1])
				if !ok {
					return nil, unknownMember(r, args[1])
				}
				return document.ExplainMember(s, r, i), nil
			})
		},
	}
	partition := &cobra.Command{
		Use: "partition PARTITION [RING]", Short: "What a partition's state means for reads and writes", ValidArgsFunction: a.completePartitions,
		Example: "  ringctl explain partition 3",
		RunE: func(c *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 32)
			if err != nil {
				return usage("%q is not the number of a partition", args[0])
			}
			return a.explain(c, func(s *client.Snapshot) (*document.Explanation, error) {
				rings, err := partitionRings(s, args[1:])
				if err != nil {
					return nil, err
				}
				for _, r := range rings {
					if p, ok := r.Partition(int32(id)); ok {
						return document.ExplainPartition(s, r, p), nil
					}
				}
				return nil, &client.Error{Code: client.CodeNotFound, Op: "partition " + args[0], Err: errors.New("not in this view"), Hint: "ringctl partitions lists them"}
			})
		},
	}
	c.AddCommand(quorum, member, partition)
	return c
}

func unknownMember(r *client.Ring, id string) error {
	var names []string
	for _, i := range r.Instances {
		names = append(names, i.ID)
	}
	e := &client.Error{Code: client.CodeNotFound, Op: "member " + id, Err: errors.New("not in ring " + r.Name)}
	if near := client.Nearest(id, names); len(near) > 0 {
		e.Hint = "did you mean " + strings.Join(near, ", ") + "?"
	}
	return e
}

func (a *app) explain(c *cobra.Command, build func(*client.Snapshot) (*document.Explanation, error)) error {
	return a.show(c, func(s *client.Snapshot) (*render.Document, error) {
		e, err := build(s)
		if err != nil {
			return nil, err
		}
		return &render.Document{Kind: "Explanation", Data: e, View: document.ViewOf(s), Text: strings.Join(e.Lines, "\n") + "\n", Names: []string{e.Subject}}, nil
	})
}
