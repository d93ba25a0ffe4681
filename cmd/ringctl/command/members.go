package command

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
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

func (s *selector) check() error {
	for _, m := range s.match {
		if _, err := path.Match(m, ""); err != nil {
			return usage("--match %q: %w", m, err)
		}
	}
	for _, st := range s.states {
		if !slices.Contains([]string{"ACTIVE", "LEAVING", "PENDING", "JOINING", "UNHEALTHY", "HEALTHY", "FUTURE"}, strings.ToUpper(st)) {
			return usage("--state %q is none of ACTIVE, LEAVING, PENDING, JOINING, healthy, unhealthy, future", st)
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

// memberItem is one instance with the ring it is in: a document of kind MemberList.
type memberItem struct {
	Ring string `json:"ring"`
	Key  string `json:"key"`
	client.Instance
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
		Example: "  ringctl members ingester\n  ringctl members --state unhealthy --older-than 15m\n  ringctl members ingester --zone zone-a --sort age -o wide\n  ringctl members --gossip",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: a.completeRings,
		RunE: func(c *cobra.Command, args []string) error {
			if err := sel.check(); err != nil {
				return err
			}
			return a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				if gossip {
					return gossipDocument(s), nil
				}
				items, err := selectMembers(s, args, &sel)
				if err != nil {
					return nil, err
				}
				return membersDocument(s, items, len(args) == 0, sortBy)
			})
		},
	}
	sel.add(c)
	c.Flags().StringVar(&sortBy, "sort", "id", "sort by id, age, zone, state, ownership or tokens")
	c.Flags().BoolVar(&gossip, "gossip", false, "the members of the gossip cluster")
	a.addWatch(c)
	return c
}

func selectMembers(s *client.Snapshot, args []string, sel *selector) ([]memberItem, error) {
	items := []memberItem{}
	take := func(r *client.Ring) {
		for _, i := range r.Instances {
			if sel.accepts(&i) {
				items = append(items, memberItem{Ring: r.Name, Key: r.Key, Instance: i})
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

func membersDocument(s *client.Snapshot, items []memberItem, withRing bool, sortBy string) (*render.Document, error) {
	if err := sortMembers(items, sortBy); err != nil {
		return nil, err
	}
	t := &render.Table{Columns: []render.Column{{Title: "RING", Wide: !withRing}, {Title: "ID"}, {Title: "STATE"}, {Title: "HEALTH"}, {Title: "AGE", Right: true},
		{Title: "ZONE"}, {Title: "ADDRESS"}, {Title: "TOKENS", Right: true}, {Title: "OWNS", Right: true}, {Title: "READ-ONLY", Wide: true},
		{Title: "WRITE", Wide: true}, {Title: "READ", Wide: true}, {Title: "HEARTBEAT", Wide: true}, {Title: "REGISTERED", Wide: true}, {Title: "VERSIONS", Wide: true}}}
	d := &render.Document{Kind: "MemberList", Data: items, View: viewOf(s), Table: t}
	for _, m := range items {
		d.Names = append(d.Names, m.ID)
		t.Add(m.Ring, m.ID, stateCell(m.State), healthCell(m.Health), ago(s.At, m.Heartbeat), m.Zone, m.Addr, m.Tokens, ownText(m.Ownership, m.Tokens),
			yesNo(m.ReadOnly), yesNo(m.CountsForWrite), yesNo(m.CountsForRead), instant(m.Heartbeat), instant(m.Registered), versionsText(m.Versions))
	}
	return d, nil
}

func ownText(p float64, tokens int) string {
	if tokens == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", p)
}

func versionsText(v map[uint64]uint64) string {
	keys := make([]uint64, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%d:%d", k, v[k])
	}
	return strings.Join(parts, ",")
}

func sortMembers(items []memberItem, by string) error {
	less := map[string]func(a, b memberItem) int{
		"id":        func(a, b memberItem) int { return strings.Compare(a.ID, b.ID) },
		"age":       func(a, b memberItem) int { return a.Heartbeat.Compare(b.Heartbeat) },
		"zone":      func(a, b memberItem) int { return strings.Compare(a.Zone, b.Zone) },
		"state":     func(a, b memberItem) int { return strings.Compare(a.State, b.State) },
		"tokens":    func(a, b memberItem) int { return b.Tokens - a.Tokens },
		"ownership": func(a, b memberItem) int { return int((b.Ownership - a.Ownership) * 1e6) },
	}[by]
	if less == nil {
		return usage("--sort is id, age, zone, state, ownership or tokens, not %q", by)
	}
	slices.SortStableFunc(items, less)
	if by != "id" {
		return nil
	}
	slices.SortStableFunc(items, func(a, b memberItem) int { return strings.Compare(a.Key, b.Key) })
	return nil
}

func gossipDocument(s *client.Snapshot) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "NAME"}, {Title: "STATE"}, {Title: "ADDRESS"}, {Title: "ZONE"}, {Title: "ROLE", Wide: true}, {Title: "IN RINGS"}}}
	d := &render.Document{Kind: "GossipMemberList", Data: s.Members, View: viewOf(s), Table: t}
	for _, m := range s.Members {
		state := render.Cell{Text: m.State, Tone: render.Good}
		if m.State != "alive" {
			state.Tone = render.Bad
		}
		rings := strings.Join(m.Instances, " ")
		if m.Guest {
			rings = "(guest)"
		}
		d.Names = append(d.Names, m.Name)
		t.Add(m.Name, state, m.Addr, m.Zone, m.Role, rings)
	}
	return d
}
