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
	explainH := 7
	if in.W < 56 {
		explainH = 11
	}
	explainH = min(explainH, max(in.H-12, 5))
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
	pointer int // slot, -1 for none
	focus   int // instance, -1 for none

	hue    []int    // of each instance: its zone, or itself where there is one zone
	letter []string // of each instance, where there are no colours
	coarse bool     // arcs are too narrow to be told apart
}

// hotTint is how much of the colour of warning a hot arc takes on.
const hotTint = 0.65

// bands are the radii of a dial, in pixels: a rim, and inside it one band for
// each circle, with gaps between.
type bands struct {
	outer, thick, gap float64
}

// draw fits the dial into the canvas. Every pixel is looked up by its distance
// and its angle from the middle, so there are no holes between arcs.
func (d *dial) draw(c widget.Canvas) {
	px := widget.NewPixels(c)
	outer := min(float64(px.W), float64(px.H)*px.Tall) / 2
	if outer < 6 {
		return
	}
	d.prepare()
	b := bands{outer: outer, gap: 1, thick: max(min(outer*0.16-1, 4), 1)}
	if px.Tall != 1 {
		b.gap, b.thick = 0, 2
	}
	cx, cy := float64(px.W)/2, float64(px.H)/2
	for y := range px.H {
		for x := range px.W {
			dx, dy := float64(x)+0.5-cx, (float64(y)+0.5-cy)*px.Tall
			px.Set(x, y, d.pixel(b, math.Hypot(dx, dy), math.Atan2(dx, -dy)/(2*math.Pi), x+y))
		}
	}
	if d.pointer >= 0 {
		d.hand(px, b, cx, cy)
	}
	px.Draw()
	d.center(c, int(b.inner(d.m.Circles)))
}

// inner is the radius of what is left in the middle.
func (b bands) inner(circles int) float64 {
	return b.outer - 1 - b.gap - float64(circles)*(b.thick+b.gap)
}

// prepare looks up once what every pixel needs.
func (d *dial) prepare() {
	d.hue = make([]int, len(d.ring.Instances))
	d.letter = make([]string, len(d.ring.Instances))
	for i := range d.ring.Instances {
		if byOwner(d.ring) {
			d.hue[i], d.letter[i] = i, string(rune('a'+i%26))
			continue
		}
		name := d.ring.Instances[i].Zone
		d.hue[i] = slices.IndexFunc(d.ring.Zones, func(z client.Zone) bool { return z.Name == name })
		d.letter[i] = zoneLetter(d.ring, d.hue[i])
	}
	d.coarse = byOwner(d.ring) || d.ring.Tokens > scene.Slots/4
}

// pixel is what is at a distance and a turn (0 at the top, 1 once around).
func (d *dial) pixel(b bands, r, turn float64, parity int) widget.Pixel {
	if turn < 0 {
		turn++
	}
	slot := int(turn*scene.Slots) % scene.Slots
	depth := b.outer - r
	if depth < 0 {
		return widget.Pixel{}
	}
	if depth < 1 || depth < 1.5 && b.gap == 0 {
		return d.rim(slot)
	}
	depth -= 1 + b.gap
	circle := int(depth / (b.thick + b.gap))
	if depth < 0 || circle >= d.m.Circles || depth-float64(circle)*(b.thick+b.gap) >= b.thick {
		return widget.Pixel{}
	}
	return d.replica(slot, circle, parity)
}

// rim is the outermost circle: it shows where a write quorum is thin or gone.
func (d *dial) rim(slot int) widget.Pixel {
	t := d.theme
	switch margin := d.m.Points[slot].Margin; {
	case margin < 0:
		return widget.Pixel{Color: t.Bad.FG, Letter: "X", Style: t.Bad}
	case margin == 0 && d.ring.ReplicationFactor > 1:
		return widget.Pixel{Color: t.Warn.FG, Letter: "!", Style: t.Warn}
	}
	return widget.Pixel{Color: t.Border.FG, Letter: ".", Style: t.Faint}
}

// replica is one replica of a key: solid in the colour of its zone, every other
// pixel in the colour of alarm when it does not take writes.
func (d *dial) replica(slot, circle, parity int) widget.Pixel {
	t := d.theme
	in := d.m.Points[slot].Replicas[circle]
	if in < 0 {
		return widget.Pixel{Color: t.Border.FG, Letter: " ", Style: t.Faint}
	}
	inst, st, letter := &d.ring.Instances[in], t.Zone(d.hue[in]), d.letter[in]
	chosen := int(in) == d.focus || d.marks[inst.ID]
	switch {
	case !inst.CountsForWrite && chosen && parity%2 == 1:
		return widget.Pixel{Color: t.Marked.FG, Letter: "X", Style: t.Marked}
	case !inst.CountsForWrite:
		if parity%2 == 0 {
			return widget.Pixel{Color: t.Bad.FG, Letter: "x", Style: t.Bad}
		}
		return widget.Pixel{Color: widget.Mix(t.Bad.FG, t.Paper, 0.75), Letter: "x", Style: t.Bad}
	case chosen:
		return widget.Pixel{Color: t.Marked.FG, Letter: strings.ToUpper(letter), Style: t.Marked.With(widget.Bold)}
	case d.m.Hot[in]:
		return widget.Pixel{Color: widget.Mix(st.FG, t.Warn.FG, hotTint), Letter: strings.ToUpper(letter), Style: t.Warn}
	case in%2 == 1 && !d.coarse:
		return widget.Pixel{Color: widget.Mix(st.FG, t.Paper, 0.38), Letter: letter, Style: st}
	}
	return widget.Pixel{Color: widget.Mix(st.FG, t.Paper, 0.12), Letter: letter, Style: st}
}

// byOwner tells whether colours stand for owners: where all are in one zone.
func byOwner(ring *client.Ring) bool { return len(ring.Zones) < 2 }

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
func (d *dial) hand(px *widget.Pixels, b bands, cx, cy float64) {
	sin, cos := math.Sincos(2 * math.Pi * (float64(d.pointer) + 0.5) / scene.Slots)
	dot := widget.Pixel{Color: d.theme.Strong.FG, Letter: "#", Style: d.theme.Strong}
	if dot.Color == 0 {
		dot.Color = widget.ANSI(15)
	}
	for at := b.inner(d.m.Circles) - 2; at <= b.outer; at += 0.4 {
		px.Set(int(math.Floor(cx+at*sin)), int(math.Floor(cy-at*cos/px.Tall)), dot)
	}
}

// center writes the verdict in the middle, where there is room.
func (d *dial) center(c widget.Canvas, radius int) {
	lines := d.words()
	w := 2*radius - 4
	if w < 10 || radius < len(lines)+1 {
		return
	}
	box := c.Sub((c.W-w)/2, max((c.H-len(lines))/2, 0), w, len(lines))
	for i, l := range lines {
		box.Center(i, l.Style, l.Text)
	}
}

func (d *dial) words() []widget.Span {
	sym, st := verdict(d.theme, d.ring.Verdict)
	lines := []widget.Span{
		{Style: st.With(widget.Bold), Text: sym + " " + string(d.ring.Verdict)},
		{Style: d.theme.Text, Text: fmt.Sprintf("%d/%d up", d.ring.HealthyCount, len(d.ring.Instances))},
	}
	for _, q := range []*client.Quorum{d.ring.Write, d.ring.Read} {
		if q != nil && q.Error == "" {
			lines = append(lines, widget.Span{Style: d.theme.Dim, Text: q.Operation + " " + margin(q)})
		}
	}
	return lines
}

// explain says in words what the pointer points at, and what the circles mean.
func (r *Ring) explain(c widget.Canvas, ring *client.Ring, m *scene.Map) {
	t := c.Theme
	a := m.Explain(r.slot)
	owner := &ring.Instances[a.Owner]
	width := float64(a.Last-a.First) + 1
	f := flow{c: c}
	f.put(widget.Span{Style: t.Strong, Text: fmt.Sprintf("key %08x", a.Key)})
	f.put(widget.Span{Style: t.Dim, Text: fmt.Sprintf("arc %08x-%08x", a.First, a.Last)})
	f.put(widget.Span{Style: t.Dim, Text: percent(width/(1<<32)*100) + " of the ring"})
	f.line(0)
	f.put(widget.Span{Style: t.Dim, Text: "owner "}, widget.Span{Style: t.Text, Text: owner.ID})
	f.put(widget.Span{Style: t.Text, Text: percent(owner.Ownership) + " of its zone"})
	if m.Hot[a.Owner] {
		f.put(widget.Span{Style: t.Warn, Text: "hot: more than its share"})
	}
	f.line(9)
	f.put(widget.Span{Style: t.Dim, Text: "kept by"})
	for _, at := range a.Replicas {
		in := &ring.Instances[at]
		sym, st := t.Glyph.Good, t.Good
		if !in.CountsForWrite {
			sym, st = t.Glyph.Bad, t.Bad
		}
		f.put(widget.Span{Style: st, Text: sym + " "}, widget.Span{Style: t.Text, Text: in.ID})
	}
	f.line(0)
	st, verdict := t.Good, fmt.Sprintf("write: %d to spare", a.Margin())
	switch {
	case a.Margin() < 0:
		st, verdict = t.Bad, t.Glyph.Bad+" no write quorum"
	case a.Margin() == 0:
		st, verdict = t.Warn, "write: none to spare"
	}
	f.put(widget.Span{Style: st, Text: verdict})
	f.put(widget.Span{Style: t.Dim, Text: fmt.Sprintf("%d healthy, %d needed", a.Healthy, a.Need)})
	f.line(0)
	r.legend(&f, ring, m, t)
}

// flow places groups of text one after the other, on as many lines as it takes;
// further lines are indented.
type flow struct {
	c            widget.Canvas
	x, y, indent int
}

func (f *flow) put(parts ...widget.Span) {
	w := 0
	for _, p := range parts {
		w += widget.Width(p.Text)
	}
	if f.x > f.indent && f.x+w > f.c.W {
		f.x, f.y = f.indent, f.y+1
	}
	f.x = max(f.c.Spans(f.x, f.y, parts...)+2, f.indent)
}

// line starts a new line, whose continuations are indented.
func (f *flow) line(indent int) { f.x, f.y, f.indent = 0, f.y+1, indent }

// legend names the circles, outermost first, and what else is drawn.
func (r *Ring) legend(f *flow, ring *client.Ring, m *scene.Map, t *widget.Theme) {
	block := func(st widget.Style, letter, text string) {
		if t.Pictures {
			letter = "█"
		}
		f.put(widget.Span{Style: st, Text: letter}, widget.Span{Style: t.Dim, Text: " " + text})
	}
	if byOwner(ring) {
		f.put(widget.Span{Style: t.Dim, Text: "a colour for each owner,"})
		f.put(widget.Span{Style: t.Dim, Text: "first replica outermost"})
	} else {
		for i, z := range ring.Zones {
			block(t.Zone(i), zoneLetter(ring, i), zone(z.Name))
		}
	}
	block(t.Marked, "A", "chosen")
	if slices.Contains(m.Hot, true) {
		block(widget.Style{FG: widget.Mix(t.Zone(0).FG, t.Warn.FG, hotTint)}, "A", "hot")
	}
	dead := widget.Span{Style: t.Bad, Text: "▚"}
	if !t.Pictures {
		dead.Text = "x"
	}
	f.put(dead, widget.Span{Style: t.Dim, Text: " dead"})
	block(t.Warn, "!", "thin")
	block(t.Bad, "X", "no quorum")
}
