package command

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
)

// completionTimeout is how long the shell is kept waiting for live names.
const completionTimeout = 2 * time.Second

// live returns names from a view; no names when there is none, because a completion must not print errors.
func (a *app) live(c *cobra.Command, names func(*client.Snapshot) []string) ([]string, cobra.ShellCompDirective) {
	if err := a.prepare(c, nil); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	a.flags.quiet = true
	ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
	defer cancel()
	s, err := a.snapshot(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names(s), cobra.ShellCompDirectiveNoFileComp
}

func ringNames(s *client.Snapshot) []string {
	var out []string
	for i := range s.Rings {
		out = append(out, s.Rings[i].Name)
	}
	return out
}

func partitionRingNames(s *client.Snapshot) []string {
	var out []string
	for i := range s.PartitionRings {
		out = append(out, s.PartitionRings[i].Name)
	}
	return out
}

func (a *app) completeRings(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.live(c, ringNames)
}

func (a *app) completePartitionRings(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.live(c, partitionRingNames)
}

func (a *app) completeAnyRing(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.live(c, func(s *client.Snapshot) []string { return append(ringNames(s), partitionRingNames(s)...) })
}

// completeRingMembers completes a ring, then members of it that were not named yet.
func (a *app) completeRingMembers(c *cobra.Command, args []string, partial string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeRings(c, args, partial)
	}
	return a.live(c, func(s *client.Snapshot) []string {
		r, ok := s.Ring(args[0])
		if !ok {
			return nil
		}
		var out []string
		for _, i := range r.Instances {
			if !slices.Contains(args[1:], i.ID) {
				out = append(out, i.ID)
			}
		}
		return out
	})
}

// completeMembers completes members of any ring.
func (a *app) completeMembers(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.live(c, func(s *client.Snapshot) []string {
		var out []string
		for i := range s.Rings {
			for _, inst := range s.Rings[i].Instances {
				if !slices.Contains(args, inst.ID) && !slices.Contains(out, inst.ID) {
					out = append(out, inst.ID)
				}
			}
		}
		return out
	})
}

func (a *app) completePartitions(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.live(c, func(s *client.Snapshot) []string {
		var out []string
		for i := range s.PartitionRings {
			for _, p := range s.PartitionRings[i].Partitions {
				out = append(out, strconv.Itoa(int(p.ID))+"\t"+p.State)
			}
		}
		return out
	})
}

func (a *app) completeOwners(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.live(c, func(s *client.Snapshot) []string {
		var out []string
		for i := range s.PartitionRings {
			r := &s.PartitionRings[i]
			for _, o := range r.Orphans {
				out = append(out, o.ID+"\torphan")
			}
			for _, p := range r.Partitions {
				for _, o := range p.Owners {
					out = append(out, o.ID+"\tpartition "+strconv.Itoa(int(p.ID)))
				}
			}
		}
		return out
	})
}

func (a *app) completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	file, err := a.dirs.Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}
