package screen

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// drawing draws the ring as circles, one for each zone or replica, with a rim
// that shows where a write quorum is missing, and explains the pointed arc.
func (r *Ring) drawing(c widget.Canvas, ring *client.Ring, m *scene.Map) {
	title := "Ring"
	if r.onMap {
		title = "Ring " + c.Theme.Glyph.Pointer
	}
	in := c.Box(title, "0 at the top, clockwise")
	explainH := min(6+len(ring.Zones)/4, max(in.H-10, 5))
	d := dial{m: m, ring: ring, theme: c.Theme, pointer: r.slot, focus: -1, marks: r.marks}
	if at := r.list.Cursor; at < len(r.rows) {
		d.focus = r.rows[at]
	}
	if in.W >= 76 && in.W > 3*in.H { // wide and flat: explanation beside the circle
		side := 2 * in.H
		d.draw(in.Sub(0, 0, side, in.H))
		r.explain(in.Sub(side+2, 1, in.W-side-3, in.H-1), ring, m)
		return
	}
	d.draw(in.Top(in.H - explainH))
	r.explain(in.Sub(1, in.H-explainH, in.W-2, explainH), ring, m)
}

// dial is one drawing of a ring.
type dial struct {
	m       *scene.Map
	ring    *client.Ring
	theme   *widget.Theme
	marks   map[string]bool
	pointer int
	focus   int
}

// draw fits the circles into the canvas. A dot is half as wide and a quarter as
// high as a cell, so a circle of dots is round on the screen.
func (d *dial) draw(c widget.Canvas) {
	radius := float64(min(2*c.W, 4*c.H))/2 - 1
	if radius < 8 {
		return
	}
	cx, cy := float64(c.W), 2*float64(c.H)
	plot := widget.NewPlot(c)
	d.rim(plot, cx, cy, radius)
	step := min(radius*0.13, 6)
	inner := radius - step
	for circle := range d.m.Circles {
		d.circle(plot, cx, cy, inner, circle)
		inner -= step
	}
	d.hand(plot, cx, cy, radius, inner+step/2)
	plot.Draw()
	d.center(c, int(inner-1))
}

// around calls f for dots of a circle, close enough to touch.
func around(cx, cy, radius float64, f func(x, y float64, slot, n int)) {
	n := int(2 * math.Pi * radius * 1.3)
	for i := range n {
		turn := (float64(i) + 0.5) / float64(n)
		sin, cos := math.Sincos(2 * math.Pi * turn)
		f(cx+radius*sin, cy-radius*cos, int(turn*scene.Slots)%scene.Slots, i)
	}
}

// rim is the outermost circle: it is there only where quorum is thin or gone.
func (d *dial) rim(plot *widget.Plot, cx, cy, radius float64) {
	around(cx, cy, radius, func(x, y float64, slot, n int) {
		switch margin := d.m.Points[slot].Margin; {
		case margin < 0:
			plot.Dot(x, y, d.theme.Bad, 5, "X")
		case margin == 0 && d.ring.ReplicationFactor > 1 && n%3 == 0:
			plot.Dot(x, y, d.theme.Warn, 4, "!")
		}
	})
}

func (d *dial) circle(plot *widget.Plot, cx, cy, radius float64, circle int) {
	for _, thick := range []float64{0, -1} {
		around(cx, cy, radius+thick, func(x, y float64, slot, n int) {
			in := d.m.Points[slot].Replicas[circle]
			if in < 0 {
				return
			}
			d.dot(plot, x, y, int(in), n, thick != 0)
		})
	}
}

// dot draws one replica: solid when it takes writes, dotted when it does not,
// two dots thick when it is hot or chosen.
func (d *dial) dot(plot *widget.Plot, x, y float64, in, n int, second bool) {
	inst := &d.ring.Instances[in]
	chosen := in == d.focus || d.marks[inst.ID]
	if second && !chosen && !d.m.Hot[in] {
		return
	}
	zoneAt := slices.IndexFunc(d.ring.Zones, func(z client.Zone) bool { return z.Name == inst.Zone })
	st, loud := d.theme.Zone(zoneAt), int8(1)
	if in%2 == 1 {
		st = st.With(widget.Faint)
	}
	mark := zoneLetter(d.ring, zoneAt)
	switch {
	case chosen && inst.CountsForWrite:
		st, loud, mark = d.theme.Marked, 3, strings.ToUpper(mark)
	case !inst.CountsForWrite:
		if n%4 != 0 {
			return
		}
		st, loud, mark = d.theme.Bad, 2, "x"
	case d.m.Hot[in]:
		loud = 2
	}
	plot.Dot(x, y, st, loud, mark)
}

// zoneLetter is the letter that stands for a zone where there are no colours:
// the last letter of its name when that tells zones apart.
func zoneLetter(ring *client.Ring, at int) string {
	if at < 0 {
		return "o"
	}
	last := func(i int) string {
		name := ring.Zones[i].Name
		if name == "" {
			return "o"
		}
		return name[len(name)-1:]
	}
	for i := range ring.Zones {
		if i != at && last(i) == last(at) {
			return string(rune('a' + at%26))
		}
	}
	return last(at)
}

// hand is the pointer: a line from the rim inwards at the pointed key.
func (d *dial) hand(plot *widget.Plot, cx, cy, outer, inner float64) {
	turn := (float64(d.pointer) + 0.5) / scene.Slots
	sin, cos := math.Sincos(2 * math.Pi * turn)
	for at := inner - 3; at <= outer; at += 0.7 {
		plot.Dot(cx+at*sin, cy-at*cos, d.theme.Strong, 6, "*")
	}
}

// center writes the verdict in the middle, where there is room.
func (d *dial) center(c widget.Canvas, radius int) {
	w := radius * 14 / 10 // chord at half height, in cells: dots are half a cell wide
	if w < 12 || radius < 10 {
		return
	}
	lines := d.words()
	box := c.Sub((c.W-w)/2, max((c.H-len(lines))/2, 0), w, len(lines))
	for i, l := range lines {
		box.Center(i, l.Style, l.Text)
	}
}

func (d *dial) words() []widget.Span {
	sym, st := verdict(d.theme, d.ring.Verdict)
	lines := []widget.Span{
		{Style: st.With(widget.Bold), Text: sym + " " + string(d.ring.Verdict)},
		{Style: d.theme.Text, Text: fmt.Sprintf("%d of %d healthy", d.ring.HealthyCount, len(d.ring.Instances))},
	}
	if q := d.ring.Write; q != nil && q.Error == "" {
		lines = append(lines, widget.Span{Style: d.theme.Dim, Text: "margin " + margin(q)})
	}
	return lines
}

// explain says in words what the pointer points at, and what the circles mean.
func (r *Ring) explain(c widget.Canvas, ring *client.Ring, m *scene.Map) {
	t := c.Theme
	a := m.Explain(r.slot)
	owner := &ring.Instances[a.Owner]
	width := float64(uint32(a.Last-a.First)) + 1
	c.Spans(0, 0, widget.Span{Style: t.Strong, Text: fmt.Sprintf("key %08x", a.Key)},
		widget.Span{Style: t.Dim, Text: fmt.Sprintf("  arc %08x-%08x  %s of the ring", a.First, a.Last, percent(width/(1<<32)*100))})
	hot := ""
	if m.Hot[a.Owner] {
		hot = ", hot: more than its share"
	}
	c.In(0, 1, c.W, t.Text, fmt.Sprintf("owner %s, %s of its zone%s", owner.ID, percent(owner.Ownership), hot))
	x := c.Text(0, 2, t.Dim, "kept by ")
	for i, at := range a.Replicas {
		in := &ring.Instances[at]
		sym, st := t.Glyph.Good, t.Good
		if !in.CountsForWrite {
			sym, st = t.Glyph.Bad, t.Bad
		}
		if i > 0 {
			x = c.Text(x, 2, t.Dim, "  ")
		}
		x = c.Spans(x, 2, widget.Span{Style: st, Text: sym + " "}, widget.Span{Style: t.Text, Text: in.ID})
	}
	st, text := t.Good, fmt.Sprintf("write quorum: %d of %d needed, %s", a.Healthy, a.Need, count(max(a.Margin(), 0), "failure")+" to spare")
	switch {
	case a.Margin() < 0:
		st, text = t.Bad, fmt.Sprintf("no write quorum: %d healthy, %d needed", a.Healthy, a.Need)
	case a.Margin() == 0:
		st, text = t.Warn, fmt.Sprintf("write quorum: %d of %d needed, none to spare", a.Healthy, a.Need)
	}
	c.In(0, 3, c.W, st, text)
	r.legend(c.Below(4), ring, m)
}

// legend names the circles, outermost first.
func (r *Ring) legend(c widget.Canvas, ring *client.Ring, m *scene.Map) {
	t := c.Theme
	x, y := 0, 0
	put := func(st widget.Style, text string) {
		if x > 0 && x+widget.Width(text) > c.W {
			x, y = 0, y+1
		}
		x = c.Text(x, y, st, text) + 2
	}
	for i, z := range ring.Zones {
		put(t.Zone(i), zoneLetter(ring, i)+" "+zone(z.Name))
	}
	put(t.Bad, "dotted: dead")
	put(t.Text, "thick: hot")
	put(t.Warn, "rim: thin or no quorum")
}
