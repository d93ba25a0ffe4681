package screen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// Partitions shows one partition ring: a strip with one symbol per partition,
// and a grid of partitions by zones with the owner in each cell.
type Partitions struct {
	scene  *scene.Scene
	key    string
	filter scene.Filter
	list   widget.List
	rows   []int
	marks  map[int32]bool
	order  int
	down   bool
}

var partitionOrders = []struct {
	name    string
	column  int
	compare func(a, b *client.Partition) int
}{
	{"id", 0, func(a, b *client.Partition) int { return int(a.ID) - int(b.ID) }},
	{"state", 1, func(a, b *client.Partition) int { return strings.Compare(a.State, b.State) }},
	{"age", 2, func(a, b *client.Partition) int { return b.Since.Compare(a.Since) }},
	{"owners", 3, func(a, b *client.Partition) int { return a.HealthyOwners - b.HealthyOwners }},
	{"traffic", 4, func(a, b *client.Partition) int { return sign(b.Traffic - a.Traffic) }},
}

// SetScene gives the screen what to show.
func (p *Partitions) SetScene(s *scene.Scene) {
	p.scene = s
	if p.ring() == nil && s != nil && len(s.Snap.PartitionRings) > 0 {
		p.key = s.Snap.PartitionRings[0].Key
	}
	p.collect()
}

// SetRing chooses the partition ring by key.
func (p *Partitions) SetRing(key string) {
	if key != p.key {
		p.key, p.marks = key, nil
		p.list.To(0)
	}
	p.collect()
}

// Key is the key of the partition ring that is shown.
func (p *Partitions) Key() string { return p.key }

// SetFilter narrows the partitions.
func (p *Partitions) SetFilter(f scene.Filter) { p.filter = f; p.collect() }

// Filter is the filter in use.
func (p *Partitions) Filter() scene.Filter { return p.filter }

func (p *Partitions) ring() *client.PartitionRing {
	if p.scene == nil {
		return nil
	}
	for i := range p.scene.Snap.PartitionRings {
		if p.scene.Snap.PartitionRings[i].Key == p.key {
			return &p.scene.Snap.PartitionRings[i]
		}
	}
	return nil
}

func (p *Partitions) collect() {
	ring := p.ring()
	held := p.selected()
	p.rows = p.rows[:0]
	if ring == nil {
		p.list.SetSize(0, 0)
		return
	}
	for i := range ring.Partitions {
		if p.matches(&ring.Partitions[i]) {
			p.rows = append(p.rows, i)
		}
	}
	slices.SortStableFunc(p.rows, func(a, b int) int {
		n := partitionOrders[p.order].compare(&ring.Partitions[a], &ring.Partitions[b])
		if p.down {
			n = -n
		}
		return n
	})
	p.list.SetSize(len(p.rows), max(len(p.rows), 1))
	for i, at := range p.rows {
		if held != nil && ring.Partitions[at].ID == held.ID {
			p.list.To(i)
		}
	}
}

func (p *Partitions) matches(part *client.Partition) bool {
	if p.filter.Empty() {
		return true
	}
	fields := []scene.Field{{Name: "id", Value: strconv.Itoa(int(part.ID))}, {Name: "state", Value: part.State}, {Value: part.Problem}}
	if part.Locked {
		fields = append(fields, scene.Field{Name: "state", Value: "locked"})
	}
	for i := range part.Owners {
		o := &part.Owners[i]
		fields = append(fields, scene.Field{Name: "owner", Value: o.ID}, scene.Field{Name: "zone", Value: o.Zone},
			scene.Field{Name: "health", Value: string(o.Health)})
	}
	return p.filter.Match(fields...)
}

func (p *Partitions) selected() *client.Partition {
	ring := p.ring()
	if ring == nil || p.list.Cursor >= len(p.rows) || p.rows[p.list.Cursor] >= len(ring.Partitions) {
		return nil
	}
	return &ring.Partitions[p.rows[p.list.Cursor]]
}

// targets are the marked partitions, or the one under the cursor.
func (p *Partitions) targets() []string {
	var out []string
	if ring := p.ring(); ring != nil {
		for i := range ring.Partitions {
			if id := ring.Partitions[i].ID; p.marks[id] {
				out = append(out, strconv.Itoa(int(id)))
			}
		}
	}
	if part := p.selected(); out == nil && part != nil {
		out = []string{strconv.Itoa(int(part.ID))}
	}
	return out
}

// HandleKey moves, sorts, marks and proposes.
func (p *Partitions) HandleKey(key string) (Action, bool) {
	if p.list.HandleKey(key) {
		return nil, true
	}
	switch key {
	case "s":
		p.order = (p.order + 1) % len(partitionOrders)
		p.collect()
		return nil, true
	case "S":
		p.down = !p.down
		p.collect()
		return nil, true
	case "n", "N":
		p.next(key == "n")
		return nil, true
	}
	part := p.selected()
	if part == nil {
		return nil, false
	}
	return p.partitionKey(key, part)
}

// changeKeys are the changes that can be proposed here. They are capitals, and
// each opens the dialog with the checks first.
var changeKeys = map[string]client.Action{
	"A": client.Activate,
	"I": client.Deactivate,
	"L": client.Lock,
	"U": client.Unlock,
	"X": client.RemovePartition,
	"D": client.Drain,
}

func (p *Partitions) partitionKey(key string, part *client.Partition) (Action, bool) {
	if action, ok := changeKeys[key]; ok {
		return Propose{NewChange(action, p.key, p.targets()...)}, true
	}
	switch key {
	case "space", " ":
		if p.marks == nil {
			p.marks = map[int32]bool{}
		}
		if p.marks[part.ID] = !p.marks[part.ID]; !p.marks[part.ID] {
			delete(p.marks, part.ID)
		}
		p.list.Move(1)
	case "enter":
		return Open{Screen: "partition", Ring: p.key, ID: strconv.Itoa(int(part.ID))}, true
	case "y":
		return Yank{What: fmt.Sprintf("partition %d", part.ID), Text: jsonText(part)}, true
	default:
		return nil, false
	}
	return nil, true
}

func (p *Partitions) next(forward bool) {
	if p.scene == nil || len(p.scene.Snap.PartitionRings) == 0 {
		return
	}
	rings := p.scene.Snap.PartitionRings
	at := max(slices.IndexFunc(rings, func(x client.PartitionRing) bool { return x.Key == p.key }), 0)
	step := 1
	if !forward {
		step = len(rings) - 1
	}
	p.SetRing(rings[(at+step)%len(rings)].Key)
}

// Hints are the keys of this screen.
func (p *Partitions) Hints() []Hint {
	return []Hint{{"enter", "detail"}, {"space", "mark"}, {"A", "activate…"}, {"I", "deactivate…"}, {"L U", "lock, unlock…"}, {"D", "drain…"}, {"X", "remove…"}, {"s", "sort"}}
}

// View draws the strip and the grid.
func (p *Partitions) View(c widget.Canvas, env Env) {
	ring := p.ring()
	if ring == nil {
		p.missing(c)
		return
	}
	p.headline(c.Top(1).Inset(1), ring)
	body := c.Below(1)
	h := p.strip(body, ring)
	p.grid(body.Below(h), ring, env)
}

func (p *Partitions) missing(c widget.Canvas) {
	if p.scene != nil && len(p.scene.Snap.PartitionRings) == 0 {
		Notice(c, c.Theme.Strong, "no partition ring here",
			"This cluster writes to instances directly. A partition ring appears when a log or partitioned write path is in use.")
		return
	}
	Notice(c, c.Theme.Strong, "the partition ring "+p.key+" is gone", "It was there before and is no longer in the state. n shows the next one, 1 the overview.")
}

func (p *Partitions) headline(c widget.Canvas, ring *client.PartitionRing) {
	sym, st := verdict(c.Theme, ring.Verdict)
	x := c.Text(0, 0, st.With(widget.Bold), sym+" "+string(ring.Verdict))
	x = c.Text(x+2, 0, c.Theme.Strong, ring.Name)
	text := ring.Problem
	if ring.Verdict == client.OK {
		text = fmt.Sprintf("%s, each with a healthy owner in %s", states(ring.States), count(len(ring.Zones), "zone"))
	}
	c.In(x+2, 0, c.W-x-2, c.Theme.Text, text)
}

// letter is a partition in one column: its state, or that nobody reads it.
func letter(t *widget.Theme, part *client.Partition) (string, widget.Style) {
	switch {
	case part.HealthyOwners == 0 && part.State != "PENDING":
		return "x", t.Bad
	case part.Verdict == client.Critical || part.Verdict == client.Warning:
		return strings.ToUpper(part.State[:min(len(part.State), 1)]), t.Warn
	case part.State == "ACTIVE":
		return "A", t.Good
	case part.State == "INACTIVE":
		return "I", t.Dim
	case part.State == "PENDING":
		return "P", t.Info
	}
	return "?", t.Unknown
}

// strip draws all partitions, one letter each, at most four lines of them;
// when there are more, each letter is the worst of several. It returns the
// lines it took.
func (p *Partitions) strip(c widget.Canvas, ring *client.PartitionRing) int {
	n := len(ring.Partitions)
	if n == 0 || c.H < 12 {
		return 0
	}
	w := c.W - 4
	per := (n + 4*w - 1) / (4 * w)
	letters := (n + per - 1) / per
	lines := (letters + w - 1) / w
	remark := "A active  I inactive  P pending  x unowned"
	if per > 1 {
		remark = fmt.Sprintf("worst of %d each  ", per) + remark
	}
	in := c.Top(lines+2).Box(count(n, "partition"), remark).Inset(1)
	cursor := -1
	if p.list.Cursor < len(p.rows) {
		cursor = p.rows[p.list.Cursor] / per
	}
	for i := range letters {
		part := worstPartition(ring.Partitions[i*per : min((i+1)*per, n)])
		text, st := letter(c.Theme, part)
		if i == cursor {
			st = st.With(widget.Reverse)
		}
		in.Text(i%w, i/w, st, text)
	}
	return lines + 2
}

func worstPartition(parts []client.Partition) *client.Partition {
	worst := &parts[0]
	for i := range parts[1:] {
		p := &parts[i+1]
		if p.Verdict.Rank() > worst.Verdict.Rank() || p.Verdict == worst.Verdict && p.HealthyOwners < worst.HealthyOwners {
			worst = p
		}
	}
	return worst
}

// zonesFrom is the index of the first zone column.
const zonesFrom = 5

// Zones share the room that the columns which are always there leave, down to leastZone.
const (
	alwaysThere = 5 + 11 + 6 + 3*gap
	leastZone   = 10
)

func (p *Partitions) columns(ring *client.PartitionRing, room int) []column {
	most := 26
	if n := len(ring.Zones); n > 0 {
		most = min(most, max((room-alwaysThere+gap)/n-gap, leastZone))
	}
	cols := []column{
		{title: "PART", width: 5, right: true, keep: always},
		{title: "STATE", width: 11, keep: always},
		{title: "SINCE", width: 7, right: true, keep: 50},
		{title: "OWNERS", width: 6, right: true, keep: 90},
		{title: "TRAFFIC", width: 7, right: true, keep: 40},
	}
	for n, z := range ring.Zones {
		w := max(widget.Width(zone(z)), leastZone)
		for i := range ring.Partitions[:min(len(ring.Partitions), 32)] {
			for _, o := range ring.Partitions[i].Owners {
				if o.Zone == z {
					w = max(w, widget.Width(o.Instance)+2)
				}
			}
		}
		cols = append(cols, column{title: zone(z), width: min(w, most), keep: 89 - min(n, 28)})
	}
	cols = append(cols, column{title: "PROBLEM", width: 20, grow: true, keep: 20})
	cols[partitionOrders[p.order].column].sorted = 1
	if p.down {
		cols[partitionOrders[p.order].column].sorted = -1
	}
	return cols
}

func (p *Partitions) grid(c widget.Canvas, ring *client.PartitionRing, env Env) {
	remark := count(len(p.rows), "partition") + " by " + count(len(ring.Zones), "zone") + ", timeout " + age(time.Duration(ring.HeartbeatTimeout))
	if len(p.marks) > 0 {
		remark = fmt.Sprintf("%d marked of %s", len(p.marks), remark)
	}
	in := c.Box("Owners", remark).Inset(1)
	if len(p.rows) == 0 {
		if len(ring.Partitions) == 0 {
			Notice(in, c.Theme.Strong, "no partitions", "The ring is there but no partition was created yet.")
		} else {
			Notice(in, c.Theme.Strong, "no partition matches /"+p.filter.String(), "esc clears the filter")
		}
		return
	}
	cols := p.columns(ring, in.W-4)
	at := place(cols, in.W-4, env.Wide || in.W > 120)
	stretch(at, in.W-4, len(cols)-1)
	heads(in.Sub(3, 0, in.W-3, 1), cols, at)
	for _, pl := range at { // zone titles in the zones' colours
		if z := pl.index - zonesFrom; z >= 0 && z < len(ring.Zones) {
			in.In(3+pl.x, 0, pl.w, in.Theme.Zone(z), zone(ring.Zones[z]))
		}
	}
	rows := in.Below(1)
	p.list.SetSize(len(p.rows), rows.H)
	from, to := p.list.Window()
	for i := from; i < to; i++ {
		line := rows.Sub(0, i-from, rows.W-1, 1)
		part := &ring.Partitions[p.rows[i]]
		for _, pl := range at {
			partitionCell(line.Sub(3, 0, line.W-3, 1), pl, part, ring, env)
		}
		if p.marks[part.ID] {
			line.Text(1, 0, c.Theme.Marked, c.Theme.Glyph.Mark)
		}
		if i == p.list.Cursor {
			line.Restyle(0, c.Theme.Select)
			line.Text(0, 0, c.Theme.Accent.On(c.Theme.Select), c.Theme.Glyph.Pointer)
		}
	}
	scrollbar(rows, &p.list)
}

func partitionCell(c widget.Canvas, pl placed, part *client.Partition, ring *client.PartitionRing, env Env) {
	t := c.Theme
	switch pl.index {
	case 0:
		c.Right(pl.x, 0, pl.w, t.Strong, strconv.Itoa(int(part.ID)))
	case 1:
		st := state(t, part.State)
		x := c.In(pl.x, 0, widget.Width(part.State)+1, st, part.State)
		if part.Locked {
			c.In(x, 0, pl.w-(x-pl.x), t.Unknown, t.Glyph.Lock)
		}
	case 2:
		c.Right(pl.x, 0, pl.w, t.Dim, since(env.Now, part.Since))
	case 3:
		st := t.Text
		if part.HealthyOwners < len(part.Owners) {
			st = t.Warn
		}
		if part.HealthyOwners == 0 {
			st = t.Bad
		}
		c.Right(pl.x, 0, pl.w, st, fmt.Sprintf("%d/%d", part.HealthyOwners, len(part.Owners)))
	case 4:
		c.Right(pl.x, 0, pl.w, t.Dim, percent(part.Traffic))
	default:
		z := pl.index - zonesFrom
		if z == len(ring.Zones) {
			c.In(pl.x, 0, pl.w, t.Text, part.Problem)
			return
		}
		ownersCell(c, pl, part, ring.Zones[z])
	}
}

// ownersCell shows the owners of a partition in one zone: normally one.
func ownersCell(c widget.Canvas, pl placed, part *client.Partition, zoneName string) {
	first, more := -1, 0
	for i := range part.Owners {
		if part.Owners[i].Zone != zoneName {
			continue
		}
		if first < 0 {
			first = i
		} else {
			more++
		}
	}
	if first < 0 {
		c.In(pl.x, 0, pl.w, c.Theme.Faint, "- nobody")
		return
	}
	o := &part.Owners[first]
	sym, _, st := health(c.Theme, o.Health)
	tail := ""
	if more > 0 {
		tail = fmt.Sprintf(" +%d", more)
	}
	c.Text(pl.x, 0, st, sym)
	name := c.FitEnd(o.Instance, pl.w-2-len(tail)) // the zone is said above: the end of a name tells more
	x := c.Text(pl.x+2, 0, c.Theme.Text, name)
	c.In(x, 0, len(tail), c.Theme.Warn, tail)
}
