package document

import (
	"fmt"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// StopWords says in a few words which members may stop.
func StopWords(s *client.StopAnswer) string {
	if len(s.Batch) == 0 {
		return "none of them may stop now"
	}
	return "together they may not stop; these may: " + strings.Join(s.Batch, " ")
}

// StopAnswer shows why members may stop together, or not: kind StopAnswer.
func StopAnswer(s *client.StopAnswer) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "ANSWER"}, {Title: "RING"}, {Title: "VIEW"}, {Title: "REASON"}}}
	if s.OK {
		t.Add(render.Cell{Text: "yes", Tone: render.Good}, strings.Join(s.Rings, ","), fmt.Sprintf("all %d", len(s.Views)), fmt.Sprintf("every quorum stands without %s", strings.Join(s.Asked, ", ")))
	}
	for _, r := range s.Reasons {
		t.Add(render.Cell{Text: "no", Tone: render.Bad}, r.Ring, r.View, r.Text)
	}
	return &render.Document{Kind: "StopAnswer", Data: s, Table: t, Names: s.Batch}
}

// SimulationWords names what a simulation lost.
func SimulationWords(s *client.Simulation) string {
	var lost []string
	if s.Before.Write != nil && s.Before.Write.OK && !s.After.Write.OK {
		lost = append(lost, "write quorum")
	}
	if s.Before.Read != nil && s.Before.Read.OK && !s.After.Read.OK {
		lost = append(lost, "read quorum")
	}
	if n := len(s.LostPartitions); n > 0 {
		lost = append(lost, fmt.Sprintf("%d partitions", n))
	}
	if len(lost) == 0 {
		return "no healthy member is left"
	}
	return "lost: " + strings.Join(lost, ", ")
}

// Simulation compares a ring before and after: kind Simulation. Loads shows the share of each member instead.
func Simulation(s *client.Snapshot, sim *client.Simulation, loads bool) *render.Document {
	d := &render.Document{Kind: "Simulation", Data: sim, View: ViewOf(s)}
	if loads {
		t := &render.Table{Columns: []render.Column{{Title: "ID"}, {Title: "ZONE"}, {Title: "BEFORE", Right: true}, {Title: "AFTER", Right: true}, {Title: "CHANGE", Right: true}}}
		for _, l := range sim.Loads {
			d.Names = append(d.Names, l.ID)
			t.Add(l.ID, l.Zone, fmt.Sprintf("%.1f%%", l.Before), fmt.Sprintf("%.1f%%", l.After), fmt.Sprintf("%+.1f", l.After-l.Before))
		}
		d.Table = t
		return d
	}
	t := &render.Table{Columns: []render.Column{{Title: "WHAT"}, {Title: "BEFORE"}, {Title: "AFTER"}}}
	b, f := sim.Before, sim.After
	t.Add("members (healthy)", fmt.Sprintf("%d (%d)", b.Instances, b.Healthy), fmt.Sprintf("%d (%d)", f.Instances, f.Healthy))
	if b.Write != nil || f.Write != nil {
		t.Add("replication factor", b.ReplicationFactor, f.ReplicationFactor)
		t.Add("write quorum", quorumCell(b.Write), quorumCell(f.Write))
		t.Add("read quorum", quorumCell(b.Read), quorumCell(f.Read))
		t.Add("busiest member", spreadText(b.Spread), spreadText(f.Spread))
		t.Add("replicas that move", "", fmt.Sprintf("%.1f%%", sim.Moved))
	}
	var lost []string
	for _, p := range sim.LostPartitions {
		lost = append(lost, fmt.Sprintf("%d", p.ID))
	}
	if len(lost) > 0 {
		t.Add("partitions lost", "", render.Cell{Text: strings.Join(lost, ","), Tone: render.Bad})
	}
	d.Table = t
	return d
}
