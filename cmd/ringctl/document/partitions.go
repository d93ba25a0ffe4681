package document

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// Partition is one partition with the ring it is in: a document of kind PartitionList.
type Partition struct {
	Ring string `json:"ring"`
	Key  string `json:"key"`
	client.Partition
}

// Partitions lists partitions with one column of owners for each zone: kind PartitionList.
func Partitions(s *client.Snapshot, rings []*client.PartitionRing) *render.Document {
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
	d := &render.Document{Kind: "PartitionList", View: ViewOf(s), Table: t}
	items := []Partition{}
	for _, r := range rings {
		for _, p := range r.Partitions {
			items = append(items, Partition{Ring: r.Name, Key: r.Key, Partition: p})
			d.Names = append(d.Names, strconv.Itoa(int(p.ID)))
			lock := ""
			if p.Locked {
				lock = "locked"
			}
			row := []any{r.Name, p.ID, stateCell(p.State), ago(s.At, p.Since), lock, trafficText(p), ownersCell(&p)}
			for _, z := range zones {
				row = append(row, zoneOwners(&p, z))
			}
			t.Add(append(row, Instant(p.Since), p.Tokens, render.Cell{Text: p.Problem, Tone: VerdictTone(p.Verdict)})...)
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

// Owner is one owner: a document of kind PartitionOwnerList.
type Owner struct {
	Ring string `json:"ring"`
	client.Owner
	// Orphan owners name a partition that does not exist, or an instance that is in no ring.
	Orphan bool `json:"orphan,omitempty"`
}

// Owners lists the owners of partitions, orphans included: kind PartitionOwnerList.
func Owners(s *client.Snapshot, rings []*client.PartitionRing) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "RING", Wide: len(rings) == 1}, {Title: "OWNER"}, {Title: "PARTITION", Right: true}, {Title: "ZONE"}, {Title: "STATE"},
		{Title: "HEALTH"}, {Title: "SINCE"}, {Title: "ADDRESS", Wide: true}, {Title: "NOTE"}}}
	d := &render.Document{Kind: "PartitionOwnerList", View: ViewOf(s), Table: t}
	items := []Owner{}
	add := func(r *client.PartitionRing, o client.Owner, note string) {
		if note == "" && o.Health == client.NoInstance {
			note = "its instance is in no ring"
		}
		items = append(items, Owner{Ring: r.Name, Owner: o, Orphan: note != ""})
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
