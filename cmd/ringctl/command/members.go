package command

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// selector chooses instances; all conditions must hold.
type selector struct {
	states, zones, match []string
	olderThan            time.Duration
}

func (s *selector) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&s.states, "state", nil, "only members in these `states`: ACTIVE, LEAVING, PENDING, JOINING, or unhealthy")
	c.Flags().StringSliceVar(&s.zones, "zone", nil, "only members of these `zones`")
	c.Flags().StringSliceVar(&s.match, "match", nil, "only members whose id matches a shell `pattern`, like 'ingester-1*'")
	c.Flags().DurationVar(&s.olderThan, "older-than", 0, "only members whose last heartbeat is at least this old")
}

// empty is true when nothing is selected by condition.
func (s *selector) empty() bool {
	return len(s.states) == 0 && len(s.zones) == 0 && len(s.match) == 0 && s.olderThan == 0
}

// memberStates are what --state may say: what a member says of itself, or how its heartbeat is judged.
func memberStates() []string {
	return []string{"ACTIVE", "LEAVING", "PENDING", "JOINING", "healthy", "unhealthy", "future"}
}

func (s *selector) check() error {
	for _, m := range s.match {
		if _, err := path.Match(m, ""); err != nil {
			return usage("--match %q: %w", m, err)
		}
	}
	for _, st := range s.states {
		if !slices.ContainsFunc(memberStates(), func(s string) bool { return strings.EqualFold(s, st) }) {
			return usage("--state %q is none of %s", st, strings.Join(memberStates(), ", "))
		}
	}
	return nil
}

func (s *selector) accepts(i *client.Instance) bool {
	return s.state(i) && (len(s.zones) == 0 || slices.Contains(s.zones, i.Zone)) && s.name(i.ID) &&
		(s.olderThan == 0 || i.Heartbeat.IsZero() || time.Duration(i.HeartbeatAge) >= s.olderThan)
}

func (s *selector) state(i *client.Instance) bool {
	if len(s.states) == 0 {
		return true
	}
	return slices.ContainsFunc(s.states, func(want string) bool {
		return strings.EqualFold(want, i.State) || strings.EqualFold(want, string(i.Health))
	})
}

func (s *selector) name(id string) bool {
	return len(s.match) == 0 || slices.ContainsFunc(s.match, func(m string) bool {
		ok, err := path.Match(m, id)
		return ok && err == nil
	})
}

func (a *app) membersCommand() *cobra.Command {
	var sel selector
	var sortBy string
	var gossip bool
	c := &cobra.Command{
		Use:   "members [RING]",
		Short: "The members of a ring: state, health, heartbeat age, zone, ownership",
		Long: `The members of a ring, or of all rings. HEALTH is the judgement of the heartbeat with the ring's timeout; the state is
what the member last said about itself. With --gossip: the members of the gossip cluster instead.`,
		Example:           "  ringctl members ingester\n  ringctl members --state unhealthy --older-than 15m\n  ringctl members ingester --zone zone-a --sort age -o wide\n  ringctl members --gossip",
		ValidArgsFunction: a.completeRings,
		RunE: func(c *cobra.Command, args []string) error {
			if err := sel.check(); err != nil {
				return err
			}
			return a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				if gossip {
					return document.GossipMembers(s), nil
				}
				items, err := selectMembers(s, args, &sel)
				if err != nil {
					return nil, err
				}
				return document.Members(s, items, len(args) == 0, sortBy)
			})
		},
	}
	sel.add(c)
	c.Flags().StringVar(&sortBy, "sort", "id", "sort by id, age, zone, state, ownership or tokens")
	c.Flags().BoolVar(&gossip, "gossip", false, "the members of the gossip cluster")
	a.addWatch(c)
	return c
}

func selectMembers(s *client.Snapshot, args []string, sel *selector) ([]document.Member, error) {
	items := []document.Member{}
	take := func(r *client.Ring) {
		for _, i := range r.Instances {
			if sel.accepts(&i) {
				items = append(items, document.Member{Ring: r.Name, Key: r.Key, Instance: i})
			}
		}
	}
	if len(args) == 0 {
		for i := range s.Rings {
			take(&s.Rings[i])
		}
		return items, nil
	}
	r, err := findRing(s, args[0])
	if err != nil {
		return nil, err
	}
	take(r)
	return items, nil
}

// findRing finds an instance ring by name, with a hint when there is none.
func findRing(s *client.Snapshot, name string) (*client.Ring, error) {
	if r, ok := s.Ring(name); ok {
		return r, nil
	}
	var names []string
	for i := range s.Rings {
		names = append(names, s.Rings[i].Name)
	}
	e := &client.Error{Code: client.CodeNotFound, Op: "ring " + name, Err: fmt.Errorf("not in this view")}
	if pr, ok := s.PartitionRing(name); ok {
		e.Err = fmt.Errorf("it is a partition ring")
		e.Hint = "ringctl partitions " + pr.Name
		return nil, e
	}
	if near := client.Nearest(name, names); len(near) > 0 {
		e.Hint = "did you mean " + strings.Join(near, ", ") + "?"
	} else if len(names) > 0 {
		e.Hint = "rings here: " + strings.Join(names, ", ")
	}
	return nil, e
}
