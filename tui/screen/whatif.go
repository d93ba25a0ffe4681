package screen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// WhatIf lets members of a ring be marked as stopped, and shows what would be
// lost, before anything is.
type WhatIf struct {
	scene  *scene.Scene
	key    string
	filter scene.Filter
	list   widget.List
	rows   []int
	gone   map[string]bool
	impact *scene.Impact
}

// SetScene gives the screen what to show.
func (w *WhatIf) SetScene(s *scene.Scene) {
	w.scene = s
	if w.ring() == nil && s != nil && len(s.Snap.Rings) > 0 {
		w.key = mainRing(s.Snap.Rings)
	}
	w.collect()
	if len(w.gone) > 0 || w.impact == nil {
		w.imagine()
	}
}

// SetRing chooses the ring, by key, and the members that are imagined stopped.
func (w *WhatIf) SetRing(key string, gone []string) {
	if key != w.key || gone != nil {
		w.gone = map[string]bool{}
		for _, id := range gone {
			w.gone[id] = true
		}
	}
	w.key = key
	w.collect()
	w.imagine()
}

// Key is the key of the ring that is shown.
func (w *WhatIf) Key() string { return w.key }

// SetFilter narrows the members.
func (w *WhatIf) SetFilter(f scene.Filter) { w.filter = f; w.collect() }

// Filter is the filter in use.
func (w *WhatIf) Filter() scene.Filter { return w.filter }

func (w *WhatIf) ring() *client.Ring {
	if w.scene == nil {
		return nil
	}
	for i := range w.scene.Snap.Rings {
		if w.scene.Snap.Rings[i].Key == w.key {
			return &w.scene.Snap.Rings[i]
		}
	}
	return nil
}

func (w *WhatIf) collect() {
	w.rows = w.rows[:0]
	ring := w.ring()
	if ring == nil {
		w.list.SetSize(0, 0)
		return
	}
	for i := range ring.Instances {
		in := &ring.Instances[i]
		if w.filter.Match(scene.Field{Name: "id", Value: in.ID}, scene.Field{Name: "zone", Value: in.Zone},
			scene.Field{Name: "state", Value: in.State}, scene.Field{Name: "health", Value: string(in.Health)}) {
			w.rows = append(w.rows, i)
		}
	}
	slices.SortStableFunc(w.rows, func(a, b int) int {
		if n := strings.Compare(ring.Instances[a].Zone, ring.Instances[b].Zone); n != 0 {
			return n
		}
		return natural(ring.Instances[a].ID, ring.Instances[b].ID)
	})
	w.list.SetSize(len(w.rows), max(len(w.rows), 1))
}

func (w *WhatIf) imagine() {
	if w.scene != nil {
		w.impact = scene.Imagine(w.scene, w.key, w.gone)
	}
}

// HandleKey stops and starts members in the imagination.
func (w *WhatIf) HandleKey(key string) (Action, bool) {
	if w.list.HandleKey(key) {
		return nil, true
	}
	ring := w.ring()
	if ring == nil || w.list.Cursor >= len(w.rows) {
		return nil, false
	}
	in := &ring.Instances[w.rows[w.list.Cursor]]
	switch key {
	case "space", " ":
		w.toggle(in.ID)
		w.list.Move(1)
	case "z":
		w.toggleZone(ring, in.Zone)
	case "u", "backspace":
		w.gone = nil
	case "enter":
		return Open{Screen: "member", Ring: w.key, ID: in.ID}, true
	case "y":
		return Yank{What: "command", Text: w.command(ring)}, true
	case "n", "N":
		w.next()
	default:
		return nil, false
	}
	w.imagine()
	return nil, true
}

func (w *WhatIf) toggle(id string) {
	if w.gone == nil {
		w.gone = map[string]bool{}
	}
	if w.gone[id] = !w.gone[id]; !w.gone[id] {
		delete(w.gone, id)
	}
}

// toggleZone stops a whole zone, or starts it again when all of it is stopped.
func (w *WhatIf) toggleZone(ring *client.Ring, name string) {
	all := true
	for i := range ring.Instances {
		if in := &ring.Instances[i]; in.Zone == name && !w.gone[in.ID] {
			all = false
			w.toggle(in.ID)
		}
	}
	for i := range ring.Instances {
		if in := &ring.Instances[i]; all && in.Zone == name {
			w.toggle(in.ID)
		}
	}
}

func (w *WhatIf) next() {
	rings := w.scene.Snap.Rings
	at := slices.IndexFunc(rings, func(x client.Ring) bool { return x.Key == w.key })
	w.gone = nil
	w.key = rings[(at+1)%len(rings)].Key
	w.collect()
}

// command is the same question for a shell.
func (w *WhatIf) command(ring *client.Ring) string {
	ids := w.ids(ring)
	if len(ids) == 0 {
		return "ringctl simulate " + ring.Name
	}
	return "ringctl can-stop " + strings.Join(ids, " ")
}

func (w *WhatIf) ids(ring *client.Ring) []string {
	var ids []string
	for i := range ring.Instances {
		if id := ring.Instances[i].ID; w.gone[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// Hints are the keys of this screen.
func (w *WhatIf) Hints() []Hint {
	return []Hint{{"space", "stop, start"}, {"z", "whole zone"}, {"u", "undo all"}, {"n", "next ring"}, {"y", "yank command"}}
}

// View draws the members, the ring without the stopped ones, and the answer.
func (w *WhatIf) View(c widget.Canvas, env Env) {
	ring := w.ring()
	if ring == nil || w.impact == nil {
		Notice(c, c.Theme.Strong, "no instance ring to imagine with", "It appears here as soon as the first instance registers.")
		return
	}
	w.headline(c.Top(2).Inset(1), ring)
	body := c.Below(2)
	side := mapWidth(body)
	if w.impact.Map == nil {
		side = 0
	}
	left := body.Sub(0, 0, body.W-side, body.H)
	h := min(8+2*len(w.impact.Partitions), left.H/2)
	w.members(left.Top(left.H-h), ring)
	w.answer(left.Below(left.H-h), ring)
	if side > 0 {
		in := body.Sub(body.W-side, 0, side, body.H).Box("Ring after that", "imagined")
		after := without(ring, w.gone)
		v, _ := w.judge()
		after.Verdict = v
		d := dial{m: w.impact.Map, ring: after, theme: c.Theme, focus: -1, pointer: -1}
		d.draw(in.Sub(0, 0, in.W, in.H))
	}
}

// without is the ring as it is drawn: the stopped members take no writes.
func without(r *client.Ring, gone map[string]bool) *client.Ring {
	c := *r
	c.Instances = slices.Clone(r.Instances)
	c.HealthyCount, c.Write, c.Read = 0, nil, nil
	for i := range c.Instances {
		in := &c.Instances[i]
		if gone[in.ID] {
			in.CountsForWrite, in.Health = false, client.Unhealthy
		}
		if in.Health == client.Healthy {
			c.HealthyCount++
		}
	}
	return &c
}

func (w *WhatIf) judge() (client.Verdict, string) {
	im := w.impact
	orphaned, last := 0, 0
	for _, p := range im.Partitions {
		orphaned, last = orphaned+len(p.Orphaned), last+len(p.Last)
	}
	var bad []string
	if im.Lost > 0 {
		bad = append(bad, percent(im.Lost)+" of the keys would have no write quorum")
	}
	if orphaned > 0 {
		bad = append(bad, count(orphaned, "partition")+" would have no owner")
	}
	if len(bad) > 0 {
		return client.Critical, strings.Join(bad, ", ")
	}
	if im.Edge > 0 {
		return client.Warning, "all keys keep a write quorum, " + percent(im.Edge) + " of them with none to spare"
	}
	if last > 0 {
		return client.Warning, count(last, "partition") + " would be down to one owner"
	}
	return client.OK, "all keys keep a write quorum with replicas to spare"
}

func (w *WhatIf) headline(c widget.Canvas, ring *client.Ring) {
	v, text := w.judge()
	sym, st := verdict(c.Theme, v)
	word := map[client.Verdict]string{client.OK: "SAFE", client.Warning: "TIGHT", client.Critical: "NOT SAFE"}[v]
	x := c.Text(0, 0, st.With(widget.Bold), sym+" "+word)
	c.In(x+2, 0, c.W-x-2, c.Theme.Strong, text)
	ids := w.ids(ring)
	said := "  nothing is stopped: mark members with space, a whole zone with z"
	if len(ids) > 0 {
		said = "  if " + joinShort(ids, 4) + " stopped now; nothing is really done here"
	}
	c.In(0, 1, c.W, c.Theme.Dim, said)
}

func (w *WhatIf) members(c widget.Canvas, ring *client.Ring) {
	in := c.Box("What if these stop in "+ring.Name, fmt.Sprintf("%d of %d stopped", len(w.gone), len(ring.Instances))).Inset(1)
	if len(w.rows) == 0 {
		Notice(in, c.Theme.Strong, "no member matches /"+w.filter.String(), "esc clears the filter")
		return
	}
	w.list.SetSize(len(w.rows), in.H)
	idW := 12
	from, to := w.list.Window()
	for i := from; i < to; i++ {
		idW = max(idW, widget.Width(ring.Instances[w.rows[i]].ID))
	}
	for i := from; i < to; i++ {
		w.member(in.Sub(0, i-from, in.W-1, 1), ring, w.rows[i], min(idW, in.W-34), i == w.list.Cursor)
	}
	scrollbar(in, &w.list)
}

func (w *WhatIf) member(c widget.Canvas, ring *client.Ring, index, idW int, here bool) {
	in, t := &ring.Instances[index], c.Theme
	box, st := "[ ]", t.Dim
	if w.gone[in.ID] {
		box, st = "["+t.Glyph.Bad+"]", t.Bad
	}
	x := c.Text(2, 0, st, box)
	name := t.Strong
	if w.gone[in.ID] {
		name = t.Faint.With(widget.Strike)
	}
	x = c.In(x+1, 0, idW, name, in.ID)
	zoneAt := slices.IndexFunc(ring.Zones, func(z client.Zone) bool { return z.Name == in.Zone })
	x = c.In(x+2, 0, 10, t.Zone(zoneAt), zone(in.Zone))
	sym, word, hst := health(t, in.Health)
	x = c.In(x+1, 0, 11, hst, sym+" "+word)
	c.In(x+1, 0, c.W-x-1, t.Dim, percent(in.Ownership))
	if here {
		c.Restyle(0, t.Select)
		c.Text(0, 0, t.Accent.On(t.Select), t.Glyph.Pointer)
	}
}

// answer is the arithmetic in words.
func (w *WhatIf) answer(c widget.Canvas, ring *client.Ring) {
	in := c.Box("What would be lost", "").Inset(1)
	im, t := w.impact, c.Theme
	about := ""
	if !im.Exact {
		about = "about "
	}
	y := 0
	line := func(st widget.Style, head, text string) {
		in.In(0, y, 14, t.Dim, head)
		in.In(14, y, in.W-14, st, text)
		y++
	}
	if im.Map != nil {
		in.In(0, y, 14, t.Dim, "write quorum")
		x := in.Bar(14, y, min(in.W-40, 40), 1-im.Lost/100, ternary(im.Lost > 0, t.Bad, t.Good))
		in.In(x+1, y, in.W-x-1, t.Text, about+percent(100-im.Lost)+" of the keys keep it")
		y++
		line(t.Text, "none to spare", about+percent(im.Edge)+" of the keys")
		if im.LostNow > 0 {
			line(t.Warn, "already lost", about+percent(im.LostNow)+" of the keys, before stopping anything")
		}
		line(t.Text, "ranges", fmt.Sprintf("%s of %s lose it", grouped(im.RangesLost), grouped(im.Ranges)))
		line(t.Text, "worst range", strings.Join(im.Worst, ", "))
	} else {
		line(t.Text, "write quorum", "the ring has no tokens: it only tells who is there")
	}
	for _, p := range im.Partitions {
		line(ternary(len(p.Orphaned) > 0, t.Bad, t.Text), "no owner", p.Ring+": "+partitionList(p.Orphaned))
		line(ternary(len(p.Last) > 0, t.Warn, t.Text), "one owner", p.Ring+": "+partitionList(p.Last))
	}
}

func ternary[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

func partitionList(ids []int32) string {
	if len(ids) == 0 {
		return "none"
	}
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = strconv.Itoa(int(id))
	}
	return joinShort(text, 12)
}
