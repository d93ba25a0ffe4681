package command

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// partitionItem is one partition with the ring it is in: a document of kind PartitionList.
type partitionItem struct {
	Ring string `json:"ring"`
	Key  string `json:"key"`
	client.Partition
}

func (a *app) partitionsCommand() *cobra.Command {
	var owners bool
	c := &cobra.Command{
		Use:   "partitions [RING]",
		Short: "Partitions, their state and their owners in each zone",
		Long: `The partitions of a partition ring: state, since when, whether the state is locked, the share of new keys they take, and one
column per zone with the owners there. An owner that is not healthy is followed by its health.`,
		Example: "  ringctl partitions\n  ringctl partitions livestore-partitions -o wide\n  ringctl partitions --owners",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: a.completePartitionRings,
		RunE: func(c *cobra.Command, args []string) error {
			return a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				rings, err := partitionRings(s, args)
				if err != nil {
					return nil, err
				}
				if owners {
					return ownersDocument(s, rings), nil
				}
				return partitionsDocument(s, rings), nil
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

func partitionsDocument(s *client.Snapshot, rings []*client.PartitionRing) *render.Document {
	var zones []string
	seen := map[string]bool{}
	for _, r := range rings {
		for _, z := range r.Zones {
			if !seen[z] {
				seen[z], zones = true, append(zones, z)
			}
		}
	}
	t := &render.Table{Columns: []render.Column{{Title: "RING", Wide: len(rings) == 1}, {Title: "PARTITION", Right: true}, {Title: "STATE"}, {Title: "AGE", Right: true},
		{Title: "LOCK"}, {Title: "TRAFFIC", Right: true}, {Title: "OWNERS"}}}
	for _, z := range zones {
		title := strings.ToUpper(z)
		if z == "" {
			title = "NO ZONE"
		}
		t.Columns = append(t.Columns, render.Column{Title: title})
	}
	t.Columns = append(t.Columns, render.Column{Title: "SINCE", Wide: true}, render.Column{Title: "TOKENS", Wide: true, Right: true}, render.Column{Title: "PROBLEM"})
	d := &render.Document{Kind: "PartitionList", View: viewOf(s), Table: t}
	items := []partitionItem{}
	for _, r := range rings {
		for _, p := range r.Partitions {
			items = append(items, partitionItem{Ring: r.Name, Key: r.Key, Partition: p})
			d.Names = append(d.Names, strconv.Itoa(int(p.ID)))
			lock := ""
			if p.Locked {
				lock = "locked"
			}
			row := []any{r.Name, p.ID, stateCell(p.State), ago(s.At, p.Since), lock, trafficText(p), ownersCell(&p)}
			for _, z := range zones {
				row = append(row, zoneOwners(&p, z))
			}
			t.Add(append(row, instant(p.Since), p.Tokens, render.Cell{Text: p.Problem, Tone: verdictTone(p.Verdict)})...)
		}
	}
	d.Data = items
	return d
}

func trafficText(p client.Partition) string {
	if p.State != "ACTIVE" {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", p.Traffic)
}

func ownersCell(p *client.Partition) render.Cell {
	c := render.Cell{Text: fmt.Sprintf("%d/%d", p.HealthyOwners, len(p.Owners)), Tone: render.Good}
	if p.HealthyOwners == 0 {
		c.Tone = render.Bad
	} else if p.HealthyOwners < len(p.Owners) {
		c.Tone = render.Warn
	}
	return c
}

// zoneOwners names the owners in one zone.
func zoneOwners(p *client.Partition, zone string) string {
	var names []string
	for _, o := range p.Owners {
		if o.Zone == zone && o.Health != client.NoInstance {
			names = append(names, ownerText(&o))
		}
	}
	return strings.Join(names, " ")
}

func ownerText(o *client.Owner) string {
	if o.Health == client.Healthy {
		return o.ID
	}
	return o.ID + "(" + string(o.Health) + ")"
}

// ownerItem is one owner: a document of kind PartitionOwnerList.
type ownerItem struct {
	Ring string `json:"ring"`
	client.Owner
	// Orphan owners name a partition that does not exist, or an instance that is in no ring.
	Orphan bool `json:"orphan,omitempty"`
}

func ownersDocument(s *client.Snapshot, rings []*client.PartitionRing) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "RING", Wide: len(rings) == 1}, {Title: "OWNER"}, {Title: "PARTITION", Right: true}, {Title: "ZONE"}, {Title: "STATE"},
		{Title: "HEALTH"}, {Title: "SINCE"}, {Title: "ADDRESS", Wide: true}, {Title: "NOTE"}}}
	d := &render.Document{Kind: "PartitionOwnerList", View: viewOf(s), Table: t}
	items := []ownerItem{}
	add := func(r *client.PartitionRing, o client.Owner, note string) {
		if note == "" && o.Health == client.NoInstance {
			note = "its instance is in no ring"
		}
		items = append(items, ownerItem{Ring: r.Name, Owner: o, Orphan: note != ""})
		d.Names = append(d.Names, o.ID)
		t.Add(r.Name, o.ID, o.Partition, o.Zone, o.State, healthCell(o.Health), ago(s.At, o.Since), o.Addr, render.Cell{Text: note, Tone: render.Warn})
	}
	for _, r := range rings {
		for _, p := range r.Partitions {
			for _, o := range p.Owners {
				add(r, o, "")
			}
		}
		for _, o := range r.Orphans {
			add(r, o, "the partition does not exist")
		}
	}
	d.Data = items
	return d
}
