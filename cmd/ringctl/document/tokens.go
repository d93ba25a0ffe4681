package document

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// TokenShare is one member's share: a document of kind TokenOwnershipList.
type TokenShare struct {
	Ring   string  `json:"ring"`
	ID     string  `json:"id"`
	Zone   string  `json:"zone,omitempty"`
	Tokens int     `json:"tokens"`
	Owns   float64 `json:"ownershipPercent"`
	// Relative is the share relative to the mean of the zone; 1 is perfect.
	Relative float64  `json:"relative"`
	Values   []uint32 `json:"values,omitempty"`
}

// Tokens lists who owns how much of a ring: kind TokenOwnershipList. Raw adds every token.
func Tokens(s *client.Snapshot, r *client.Ring, raw bool) *render.Document {
	mean := map[string]float64{}
	for _, z := range r.Zones {
		mean[z.Name] = z.Spread.Mean
	}
	items := make([]TokenShare, 0, len(r.Instances))
	t := &render.Table{Columns: []render.Column{{Title: "ID"}, {Title: "ZONE"}, {Title: "TOKENS", Right: true}, {Title: "OWNS", Right: true}, {Title: "RELATIVE", Right: true}, {Title: "VALUES", Wide: true}}}
	d := &render.Document{Kind: "TokenOwnershipList", View: ViewOf(s), Table: t}
	for _, i := range r.Instances {
		it := TokenShare{Ring: r.Name, ID: i.ID, Zone: i.Zone, Tokens: i.Tokens, Owns: i.Ownership}
		relative := "-"
		if i.Tokens > 0 && mean[i.Zone] > 0 {
			it.Relative = i.Ownership / mean[i.Zone]
			relative = fmt.Sprintf("%.2fx", it.Relative)
		}
		values := ""
		if raw {
			it.Values = i.TokenValues
			values = strings.Trim(strings.Join(strings.Fields(fmt.Sprint(i.TokenValues)), " "), "[]")
		}
		items = append(items, it)
		d.Names = append(d.Names, i.ID)
		t.Add(i.ID, i.Zone, i.Tokens, ownText(i.Ownership, i.Tokens), relative, values)
	}
	d.Data = items
	return d
}

// DrawRing draws each zone's key space as a line of cells; a cell shows the member that owns most of it.
func DrawRing(r *client.Ring, width int) string {
	const marks = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var b strings.Builder
	left := 10 // the room for the names of zones
	for _, z := range r.Zones {
		left = max(left, utf8.RuneCountInString(z.Name)+1)
	}
	for _, z := range r.Zones {
		type point struct {
			token uint32
			owner int
		}
		var points []point
		var ids []string
		for _, i := range r.Instances {
			if i.Zone != z.Name || i.Tokens == 0 {
				continue
			}
			for _, t := range i.TokenValues {
				points = append(points, point{t, len(ids)})
			}
			ids = append(ids, i.ID)
		}
		if len(points) == 0 {
			continue
		}
		slices.SortFunc(points, func(a, b point) int { return int(int64(a.token) - int64(b.token)) })
		name := z.Name
		if name == "" {
			name = "(no zone)"
		}
		fmt.Fprintf(&b, "%-*s|", left, name)
		cell := float64(math.MaxUint32+1) / float64(width)
		next := 0
		for x := range width {
			share := make([]float64, len(ids))
			at, end := float64(x)*cell, float64(x+1)*cell
			for at < end {
				for next < len(points) && float64(points[next].token) <= at {
					next++
				}
				owner, until := points[0].owner, end
				if next < len(points) {
					owner, until = points[next].owner, min(end, float64(points[next].token))
				}
				share[owner] += until - at
				at = until
			}
			most := 0
			for n := range share {
				if share[n] > share[most] {
					most = n
				}
			}
			b.WriteByte(marks[most%len(marks)])
		}
		b.WriteString("|\n")
		for n, id := range ids {
			if n == len(marks) {
				fmt.Fprintf(&b, "%*s… and %d more\n", left+1, "", len(ids)-n)
				break
			}
			fmt.Fprintf(&b, "%*s%c %s\n", left+1, "", marks[n], id)
		}
	}
	return b.String()
}
