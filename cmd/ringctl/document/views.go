package document

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// ViewReport is a document of kind ViewReport.
type ViewReport struct {
	// Agreed is true when all members that answered see the same, and all did answer.
	Agreed     bool               `json:"agreed"`
	Agreements []client.Agreement `json:"rings"`
	// Islands are groups of members that do not know each other; one is normal.
	Islands   [][]string        `json:"islands"`
	Views     []View            `json:"views"`
	Unreached map[string]string `json:"unreached,omitempty"`
}

// View is one member's view in a [ViewReport].
type View struct {
	From    string            `json:"from"`
	Addr    string            `json:"addr"`
	Members int               `json:"members"`
	Bytes   int               `json:"bytes"`
	Hashes  map[string]string `json:"hashes"`
}

// ReportViews compares views; failed are the members that gave none.
func ReportViews(views []*client.Snapshot, failed map[string]error) ViewReport {
	r := ViewReport{Agreements: client.Agreements(views), Islands: client.Islands(views), Unreached: map[string]string{}}
	for n, err := range failed {
		r.Unreached[n] = err.Error()
	}
	for _, v := range views {
		it := View{From: v.From, Addr: v.Addr, Members: len(v.Members), Bytes: v.StateBytes, Hashes: map[string]string{}}
		for i := range v.Rings {
			it.Hashes[v.Rings[i].Key] = v.Rings[i].Hash
		}
		for i := range v.PartitionRings {
			it.Hashes[v.PartitionRings[i].Key] = v.PartitionRings[i].Hash
		}
		r.Views = append(r.Views, it)
	}
	r.Agreed = r.Disagreement() == ""
	return r
}

// Disagreement says what is not agreed on; "" when all is well.
func (r *ViewReport) Disagreement() string {
	var parts []string
	for _, g := range r.Agreements {
		if !g.Agreed() {
			parts = append(parts, g.Name)
		}
	}
	switch {
	case len(r.Islands) > 1:
		return fmt.Sprintf("the members form %d islands that do not know each other", len(r.Islands))
	case len(parts) > 0:
		return "members see different rings: " + strings.Join(parts, ", ")
	case len(r.Unreached) > 0:
		return client.Plural(len(r.Unreached), "member") + " gave no view"
	}
	return ""
}

// Views shows who agrees with whom: kind ViewReport.
func Views(r ViewReport) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "MEMBER"}, {Title: "KNOWS", Right: true}}}
	for _, g := range r.Agreements {
		t.Columns = append(t.Columns, render.Column{Title: strings.ToUpper(g.Name)})
	}
	t.Columns = append(t.Columns, render.Column{Title: "ADDRESS", Wide: true}, render.Column{Title: "BYTES", Wide: true, Right: true})
	d := &render.Document{Kind: "ViewReport", Data: r, Table: t}
	for _, v := range r.Views {
		d.Names = append(d.Names, v.From)
		row := []any{v.From, client.Plural(v.Members, "member")}
		for _, g := range r.Agreements {
			row = append(row, groupCell(&g, v.From))
		}
		t.Add(append(row, v.Addr, v.Bytes)...)
	}
	return d
}

// groupCell is the letter of a member's group and the hash: A for the largest group.
func groupCell(g *client.Agreement, member string) render.Cell {
	for n, group := range g.Groups {
		if slices.Contains(group.Members, member) {
			tone := render.Warn
			if n == 0 {
				tone = render.Good
			}
			return render.Cell{Text: string(rune('A'+n%26)) + " " + group.Hash, Tone: tone}
		}
	}
	return render.Cell{Text: "(no key)", Tone: render.Bad}
}

// Differences lists the differences of two views, named from and to: kind DifferenceList.
func Differences(from, to string, found []client.Difference) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "RING"}, {Title: "KIND"}, {Title: "ID"}, {Title: "FIELD"}, {Title: from}, {Title: to}, {Title: "BEHIND"}}}
	if found == nil {
		found = []client.Difference{}
	}
	d := &render.Document{Kind: "DifferenceList", Data: found, Table: t}
	for _, f := range found {
		d.Names = append(d.Names, f.ID)
		behind := map[string]string{"a": from, "b": to}[f.Behind]
		t.Add(f.Key, f.Kind, f.ID, f.Field, f.A, f.B, behind)
	}
	return d
}
