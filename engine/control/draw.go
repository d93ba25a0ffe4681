package control

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/engine/ringapi"
)

// drawing is a ring as sectors of circles, one circle per zone, clockwise from the top.
type drawing struct {
	Label, Caption, Big, Small string
	Arcs                       []arc
	Edges                      []string // radii of the lines between zones
}

// arc is everything that one member owns in its circle.
type arc struct {
	Path, Title string
	Hue         int
	Sick        bool // no heartbeat
	Idle        bool // takes no keys
}

// The circles lie between these radii.
const (
	innerRadius = 46.0
	outerRadius = 104.0
)

// mostSectors is how many sectors of one circle are drawn where they lie: two to a degree. More would be
// megabytes of slivers that nobody can tell apart, so each member's share is drawn in one piece instead.
const mostSectors = 720

// sector is a part of a circle, in turns from the top.
type sector struct{ from, to float64 }

// holder is a member to draw.
type holder struct {
	title      string
	band       int
	hue        int
	tokens     []uint32
	share      float64 // of its circle; 1 is all
	sick, idle bool
}

// hue spreads colours so that neighbours differ: each is a golden angle from the one before.
func hue(n int) int { return int(math.Mod(float64(n)*137.508+210, 360)) }

// drawRing draws an instance ring.
func drawRing(v ringapi.Ring) drawing {
	d := drawing{Label: "drawing of the ring", Big: fmt.Sprintf("%d / %d", v.Healthy, len(v.Instances)), Small: "healthy"}
	bands := map[string]int{}
	for n, z := range v.Zones {
		bands[z.Name] = n
	}
	var holders []holder
	for n, i := range v.Instances {
		holders = append(holders, holder{
			title: fmt.Sprintf("%s, %s, %s, %.1f %%", i.ID, zoneName(i.Zone), i.State, i.Ownership),
			band:  bands[i.Zone], hue: hue(n), tokens: i.Tokens, share: i.Ownership / 100, sick: i.Health != ringapi.Healthy, idle: i.ReadOnly,
		})
	}
	d.draw(holders, len(v.Zones))
	if len(v.Zones) > 1 {
		d.Caption += " From the outside in:"
		for n := range v.Zones {
			d.Caption += " " + zoneName(v.Zones[n].Name) + comma(n, len(v.Zones))
		}
	}
	return d
}

// drawPartitions draws a partition ring; partitions that take no writes are pale.
func drawPartitions(v ringapi.PartitionRing) drawing {
	d := drawing{Label: "drawing of the partition ring", Big: fmt.Sprintf("%d / %d", v.States["ACTIVE"], len(v.Partitions)), Small: "active"}
	var holders []holder
	for n, p := range v.Partitions {
		holders = append(holders, holder{
			title: fmt.Sprintf("partition %d, %s, %.1f %%", p.ID, p.State, p.Ownership),
			hue:   hue(n), tokens: p.Tokens, share: p.Ownership / 100, sick: p.HealthyOwners == 0, idle: p.State != "ACTIVE",
		})
	}
	d.draw(holders, 1)
	return d
}

func zoneName(z string) string {
	if z == "" {
		return "no zone"
	}
	return z
}

func comma(n, of int) string {
	if n == of-1 {
		return "."
	}
	return ","
}

// draw lays the holders out: by token position, by share, or, without tokens, in equal parts.
func (d *drawing) draw(holders []holder, bands int) {
	width := (outerRadius - innerRadius) / float64(max(bands, 1))
	tokens, most := 0, 0
	for b := range bands {
		outer := outerRadius - float64(b)*width
		d.Edges = append(d.Edges, num(outer))
		var in []holder
		points := 0
		for _, h := range holders {
			if h.band == b {
				in = append(in, h)
				points += len(h.tokens)
			}
		}
		tokens, most = tokens+points, max(most, points)
		for n, sectors := range sectorsOf(in, points > mostSectors) {
			d.Arcs = append(d.Arcs, arc{
				Path: path(sectors, outer-width, outer), Title: in[n].title, Hue: in[n].hue, Sick: in[n].sick, Idle: in[n].idle,
			})
		}
	}
	d.Edges = append(d.Edges, num(innerRadius))
	switch {
	case tokens == 0:
		d.Caption = "This ring has no tokens: members are drawn in equal parts. Hatched: no heartbeat."
	case most > mostSectors:
		d.Caption = "Share of the keys, clockwise from the top. Hatched: nobody healthy."
	default:
		d.Caption = "Who owns which keys, clockwise from 0 at the top. Hatched: no heartbeat."
	}
}

// sectorsOf gives the sectors of each holder of one circle: where its tokens are, or its share in one piece.
// Without any tokens, all have equal shares.
func sectorsOf(holders []holder, byShare bool) [][]sector {
	type point struct {
		token uint32
		owner int
	}
	out := make([][]sector, len(holders))
	if byShare {
		from := 0.0
		for n, h := range holders {
			if h.share > 0 {
				out[n] = []sector{{from, from + h.share}}
			}
			from += h.share
		}
		return out
	}
	var points []point
	for n, h := range holders {
		for _, t := range h.tokens {
			points = append(points, point{t, n})
		}
	}
	if len(points) == 0 {
		for n := range holders {
			out[n] = []sector{{float64(n) / float64(len(holders)), float64(n+1) / float64(len(holders))}}
		}
		return out
	}
	slices.SortFunc(points, func(a, b point) int { return int(int64(a.token) - int64(b.token)) })
	const turn = 1 << 32
	prev := float64(points[len(points)-1].token)/turn - 1
	for _, p := range points {
		at := float64(p.token) / turn
		out[p.owner] = append(out[p.owner], sector{prev, at})
		prev = at
	}
	return out
}

// path is the outline of sectors between two radii.
func path(sectors []sector, inner, outer float64) string {
	var b []byte
	for _, s := range sectors {
		for s.to-s.from > 0.5 { // an arc of a whole turn would be nothing
			b = appendSector(b, sector{s.from, s.from + 0.5}, inner, outer)
			s.from += 0.5
		}
		b = appendSector(b, s, inner, outer)
	}
	return string(b)
}

func appendSector(b []byte, s sector, inner, outer float64) []byte {
	point := func(b []byte, turn, r float64) []byte {
		sin, cos := math.Sincos(2 * math.Pi * turn)
		b = strconv.AppendFloat(b, round(r*sin), 'f', -1, 64)
		b = append(b, ' ')
		return strconv.AppendFloat(b, round(-r*cos), 'f', -1, 64)
	}
	curve := func(b []byte, r float64, sweep byte) []byte {
		return append(b, fmt.Sprintf("A%s %s 0 0 %c ", num(r), num(r), sweep)...)
	}
	b = point(append(b, 'M'), s.from, outer)
	b = point(curve(b, outer, '1'), s.to, outer)
	b = point(append(b, 'L'), s.to, inner)
	b = point(curve(b, inner, '0'), s.from, inner)
	return append(b, 'Z')
}

func round(v float64) float64 {
	r := math.Round(v*100) / 100
	if r == 0 {
		return 0 // not -0
	}
	return r
}

func num(v float64) string { return strconv.FormatFloat(round(v), 'f', -1, 64) }

// ago is a time in the past, or in the future, in words.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

// span is a duration with the two largest units that matter.
func span(d time.Duration) string {
	d = d.Truncate(time.Second)
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	switch {
	case d < time.Minute:
		return units(d, time.Second, "s", time.Second, "")
	case d < time.Hour:
		return units(d, time.Minute, "m", time.Second, "s")
	case d < 2*day:
		return units(d, time.Hour, "h", time.Minute, "m")
	case d < 2*year:
		return units(d, day, "d", time.Hour, "h")
	}
	return fmt.Sprintf("%d years", d/year)
}

// units prints d in large units, and in small ones what is left, if anything.
func units(d, large time.Duration, name string, small time.Duration, smallName string) string {
	s := fmt.Sprintf("%d%s", d/large, name)
	if rest := d % large / small; rest > 0 {
		s += fmt.Sprintf(" %d%s", rest, smallName)
	}
	return s
}
