package document

import (
	"strconv"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// Placements shows where a key lives: kind PlacementList.
func Placements(s *client.Snapshot, places []client.Placement) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "RING"}, {Title: "KEY", Right: true}, {Title: "PARTITION", Right: true}, {Title: "REPLICA"}, {Title: "ZONE"}, {Title: "STATE"},
		{Title: "HEALTH"}, {Title: "ADDRESS", Wide: true}, {Title: "WRITE"}, {Title: "READ"}}}
	d := &render.Document{Kind: "PlacementList", Data: places, View: ViewOf(s), Table: t}
	for _, p := range places {
		part := ""
		if p.Partition != nil {
			part = strconv.Itoa(int(*p.Partition))
		}
		write, read := okCell(p.WriteOK), okCell(p.ReadOK)
		if len(p.Replicas) == 0 {
			t.Add(p.Ring, p.Key, part, "", "", "", "", "", write, read)
		}
		for _, r := range p.Replicas {
			d.Names = append(d.Names, r.ID)
			t.Add(p.Ring, p.Key, part, r.ID, r.Zone, r.State, healthCell(r.Health), r.Addr, write, read)
		}
	}
	return d
}

func okCell(ok bool) render.Cell {
	if ok {
		return render.Cell{Text: "ok", Tone: render.Good}
	}
	return render.Cell{Text: "FAILS", Tone: render.Bad}
}
