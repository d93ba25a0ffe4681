package screen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// Ring shows one instance ring: its members as a table and the ring itself as
// a drawing.
type Ring struct {
	scene  *scene.Scene
	key    string
	filter scene.Filter
	list   widget.List
	rows   []int // indexes into the ring's instances, in order
	marks  map[string]bool
	widest int
	order  int
	down   bool
	// onMap is true when keys move the pointer on the drawing.
	onMap bool
	slot  int
}

// ringOrders are the ways to sort members; s goes through them.
var ringOrders = []struct {
	name    string
	column  int
	compare func(a, b *client.Instance) int
}{
	{"id", 0, func(a, b *client.Instance) int { return natural(a.ID, b.ID) }},
	{"zone", 1, func(a, b *client.Instance) int { return strings.Compare(a.Zone, b.Zone) }},
	{"state", 2, func(a, b *client.Instance) int { return strings.Compare(a.State, b.State) }},
	{"health", 3, func(a, b *client.Instance) int { return healthRank(b.Health) - healthRank(a.Health) }},
	{"heartbeat", 4, func(a, b *client.Instance) int { return a.Heartbeat.Compare(b.Heartbeat) }},
	{"ownership", 5, func(a, b *client.Instance) int { return sign(b.Ownership - a.Ownership) }},
}

func sign(f float64) int {
	switch {
	case f < 0:
		return -1
	case f > 0:
		return 1
	}
	return 0
}

func healthRank(h client.Health) int {
	switch h {
	case client.Healthy:
		return 0
	case client.Future:
		return 1
	default:
		return 2
	}
}

// SetScene gives the screen what to show.
func (r *Ring) SetScene(s *scene.Scene) {
	r.scene = s
	if r.ring() == nil && s != nil && len(s.Snap.Rings) > 0 {
		r.key = mainRing(s.Snap.Rings)
	}
	r.collect()
}

// mainRing is the ring that most people mean: the one that keeps the most.
func mainRing(rings []client.Ring) string {
	best := slices.MaxFunc(rings, func(a, b client.Ring) int { return cmp.Or(weight(&a)-weight(&b), strings.Compare(b.Key, a.Key)) })
	return best.Key
}

// weight orders rings by how much hangs on them: those that keep copies of data
// first, then those that hand out work by token, then mere lists of members.
func weight(r *client.Ring) int {
	const many = 1 << 20
	switch {
	case r.Tokens == 0:
		return len(r.Instances)
	case r.ReplicationFactor <= 1:
		return many + len(r.Instances)
	default:
		return partitionsWeight + 1 + len(r.Instances)
	}
}

const partitionsWeight = 2 << 20

// SetRing chooses the ring by key.
func (r *Ring) SetRing(key string) {
	if key != r.key {
		r.key, r.marks, r.slot = key, nil, 0
		r.list.To(0)
	}
	r.collect()
}

// Key is the key of the ring that is shown.
func (r *Ring) Key() string { return r.key }

// SetFilter narrows the members.
func (r *Ring) SetFilter(f scene.Filter) { r.filter = f; r.collect() }

// Filter is the filter in use.
func (r *Ring) Filter() scene.Filter { return r.filter }

func (r *Ring) ring() *client.Ring {
	ring, _ := r.ringAndMap()
	return ring
}

func (r *Ring) ringAndMap() (*client.Ring, *scene.Map) {
	if r.scene == nil {
		return nil, nil
	}
	for i := range r.scene.Snap.Rings {
		if r.scene.Snap.Rings[i].Key == r.key {
			return &r.scene.Snap.Rings[i], r.scene.Maps[i]
		}
	}
	return nil, nil
}

// collect filters and sorts; the cursor stays on its member.
func (r *Ring) collect() {
	ring := r.ring()
	held := r.selectedID()
	r.rows = r.rows[:0]
	if ring == nil {
		r.list.SetSize(0, 0)
		return
	}
	r.widest = 0
	for i := range ring.Instances {
		if in := &ring.Instances[i]; r.matches(in) {
			r.rows = append(r.rows, i)
			r.widest = max(r.widest, widget.Width(in.ID))
		}
	}
	by := ringOrders[r.order].compare
	slices.SortStableFunc(r.rows, func(a, b int) int {
		n := by(&ring.Instances[a], &ring.Instances[b])
		if r.down {
			n = -n
		}
		return n
	})
	r.list.SetSize(len(r.rows), max(len(r.rows), 1))
	for i, at := range r.rows {
		if held != "" && ring.Instances[at].ID == held {
			r.list.To(i)
		}
	}
}

func (r *Ring) matches(in *client.Instance) bool {
	return r.filter.Match(scene.Field{Name: "id", Value: in.ID}, scene.Field{Name: "zone", Value: in.Zone},
		scene.Field{Name: "state", Value: in.State}, scene.Field{Name: "health", Value: string(in.Health)},
		scene.Field{Name: "addr", Value: in.Addr})
}

func (r *Ring) selectedID() string {
	if in := r.selected(); in != nil {
		return in.ID
	}
	return ""
}

func (r *Ring) selected() *client.Instance {
	ring := r.ring()
	if ring == nil || r.list.Cursor >= len(r.rows) || r.rows[r.list.Cursor] >= len(ring.Instances) {
		return nil
	}
	return &ring.Instances[r.rows[r.list.Cursor]]
}

// markedOr are the marked members, or the given one when there are none.
func (r *Ring) markedOr(id string) []string {
	var ids []string
	if ring := r.ring(); ring != nil {
		for i := range ring.Instances {
			if id := ring.Instances[i].ID; r.marks[id] {
				ids = append(ids, id)
			}
		}
	}
	if ids == nil {
		ids = []string{id}
	}
	return ids
}

// HandleKey moves, sorts, marks and proposes.
func (r *Ring) HandleKey(key string) (Action, bool) {
	if r.onMap {
		if a, done := r.mapKey(key); done {
			return a, true
		}
	}
	if r.list.HandleKey(key) {
		return nil, true
	}
	switch key {
	case "tab", "m":
		r.onMap = !r.onMap
	case "s":
		r.order = (r.order + 1) % len(ringOrders)
		r.collect()
	case "S":
		r.down = !r.down
		r.collect()
	case "n", "N":
		return r.next(key == "n"), true
	default:
		return r.memberKey(key)
	}
	return nil, true
}

// memberKey handles the keys that need a member under the cursor.
func (r *Ring) memberKey(key string) (Action, bool) {
	in := r.selected()
	if in == nil {
		return nil, false
	}
	switch key {
	case "space", " ":
		r.mark(in.ID)
		r.list.Move(1)
	case "enter":
		return Open{Screen: "member", Ring: r.key, ID: in.ID}, true
	case "y":
		return Yank{What: in.ID, Text: jsonText(in)}, true
	case "i":
		return Imagine{Ring: r.key, IDs: r.markedOr(in.ID)}, true
	case "D":
		return Propose{Change{Action: client.Forget, Ring: r.key, IDs: r.markedOr(in.ID)}}, true
	default:
		return nil, false
	}
	return nil, true
}

func (r *Ring) mark(id string) {
	if r.marks == nil {
		r.marks = map[string]bool{}
	}
	if r.marks[id] = !r.marks[id]; !r.marks[id] {
		delete(r.marks, id)
	}
}

// mapKey handles keys while the pointer is on the drawing.
func (r *Ring) mapKey(key string) (Action, bool) {
	ring, m := r.ringAndMap()
	if m == nil {
		return nil, false
	}
	switch key {
	case "l", "right":
		r.slot = (r.slot + 1) % scene.Slots
	case "h", "left":
		r.slot = (r.slot + scene.Slots - 1) % scene.Slots
	case "L", "shift+right":
		r.slot = m.Next(r.slot, 1, -1)
	case "H", "shift+left":
		r.slot = m.Next(r.slot, -1, -1)
	case "n", "N":
		r.slot = m.NextWeak(r.slot, key == "n")
	default:
		return r.ownerKey(key, &ring.Instances[m.Explain(r.slot).Owner])
	}
	return nil, true
}

// ownerKey handles the keys that, on the drawing, are about the owner of the
// pointed arc: the member under the cursor of the table may be out of sight.
func (r *Ring) ownerKey(key string, owner *client.Instance) (Action, bool) {
	switch key {
	case "enter":
		return Open{Screen: "member", Ring: r.key, ID: owner.ID}, true
	case "space", " ":
		r.mark(owner.ID)
		return nil, true
	case "y":
		return Yank{What: owner.ID, Text: jsonText(owner)}, true
	case "i":
		return Imagine{Ring: r.key, IDs: r.markedOr(owner.ID)}, true
	case "D":
		return Propose{Change{Action: client.Forget, Ring: r.key, IDs: r.markedOr(owner.ID)}}, true
	}
	return nil, false
}

// next shows the next ring.
func (r *Ring) next(forward bool) Action {
	if r.scene == nil || len(r.scene.Snap.Rings) == 0 {
		return nil
	}
	rings := r.scene.Snap.Rings
	at := max(slices.IndexFunc(rings, func(x client.Ring) bool { return x.Key == r.key }), 0)
	step := 1
	if !forward {
		step = len(rings) - 1
	}
	r.SetRing(rings[(at+step)%len(rings)].Key)
	return nil
}

// Hints are the keys of this screen.
func (r *Ring) Hints() []Hint {
	if r.onMap {
		return []Hint{{"h l", "turn"}, {"H L", "next owner"}, {"n", "next weak arc"}, {"enter", "owner"}, {"D", "forget owner…"}, {"tab", "members"}}
	}
	return []Hint{{"enter", "detail"}, {"space", "mark"}, {"i", "what if"}, {"D", "forget…"}, {"s", "sort"}, {"tab", "drawing"}, {"n", "next ring"}}
}

// View draws the table and, where there is room, the drawing beside it.
func (r *Ring) View(c widget.Canvas, env Env) {
	ring, m := r.ringAndMap()
	if ring == nil {
		r.missing(c)
		return
	}
	r.headline(c.Top(1).Inset(1), ring)
	body := c.Below(1)
	side := mapWidth(body)
	switch {
	case m == nil:
		r.members(body, ring, env)
	case side > 0:
		left := body.Sub(0, 0, body.W-side, body.H)
		if h := len(ring.Zones) + 3; left.H-h > len(r.rows)+3 && h < 12 {
			zones(left.Below(left.H-h).Box("Zones", count(len(ring.Zones), "zone")).Inset(1), ring)
			left = left.Top(left.H - h)
		}
		r.members(left, ring, env)
		r.drawing(body.Sub(body.W-side, 0, side, body.H), ring, m)
	case r.onMap:
		r.drawing(body, ring, m)
	default:
		r.members(body, ring, env)
	}
}

// mapWidth is the room for the drawing beside the table, 0 if there is none.
func mapWidth(c widget.Canvas) int {
	if c.W < 118 || c.H < 16 {
		return 0
	}
	return min(2*(c.H-8)+6, c.W-82, 84)
}

func (r *Ring) missing(c widget.Canvas) {
	if r.scene != nil && len(r.scene.Snap.Rings) == 0 {
		Notice(c, c.Theme.Strong, "no instance ring yet", "It appears here as soon as the first instance registers.")
		return
	}
	Notice(c, c.Theme.Strong, "the ring "+r.key+" is gone", "It was there before and is no longer in the state. n shows the next ring, 1 the overview.")
}

func (r *Ring) headline(c widget.Canvas, ring *client.Ring) {
	sym, st := verdict(c.Theme, ring.Verdict)
	x := c.Text(0, 0, st.With(widget.Bold), sym+" "+string(ring.Verdict))
	x = c.Text(x+2, 0, c.Theme.Strong, ring.Name)
	text := ring.Problem
	if ring.Verdict == client.OK {
		text = quorumWords(ring)
	}
	c.In(x+2, 0, c.W-x-2, c.Theme.Text, text)
}

// quorumWords says in a sentence how far the ring is from losing a quorum.
func quorumWords(ring *client.Ring) string {
	q := ring.Write
	switch {
	case q == nil && ring.Tokens > 0:
		if len(ring.Instances) == 1 {
			return "one instance does all the work"
		}
		return count(len(ring.Instances), "instance") + " share the work; a key has one owner, and no copies"
	case q == nil:
		return count(len(ring.Instances), "instance") + ", no tokens: it only tells who is there"
	case q.Error != "":
		return "no quorum can be computed: " + q.Error
	case q.Margin < 0:
		return percent(q.Without) + " of the keys have no write quorum"
	case q.Margin == 0:
		return "every key has a write quorum; the next failure may lose one"
	case q.ZoneMargin > 0:
		return fmt.Sprintf("every key has a write quorum; %s may fail", count(q.ZoneMargin, "more zone"))
	default:
		return fmt.Sprintf("every key has a write quorum; %s may fail", count(q.Margin, "more instance"))
	}
}

var memberColumns = []column{
	{title: "MEMBER", width: 12, keep: always}, // as wide as the longest id
	{title: "ZONE", width: 8, keep: 70},
	{title: "STATE", width: 8, keep: 90},
	{title: "HEALTH", width: 11, keep: always},
	{title: "BEAT", width: 6, right: true, keep: 80},
	{title: "OWNS", width: 12, keep: 60},
	{title: "TOKENS", width: 6, right: true, keep: 20},
	{title: "ADDRESS", width: 21, grow: true, keep: 10, wide: true},
	{title: "REGISTERED", width: 10, right: true, keep: 5, wide: true},
}

func (r *Ring) members(c widget.Canvas, ring *client.Ring, env Env) {
	remark := count(len(ring.Instances), "member")
	if len(r.rows) < len(ring.Instances) {
		remark = fmt.Sprintf("%d of %s", len(r.rows), remark)
	}
	remark += ", timeout " + age(time.Duration(ring.HeartbeatTimeout))
	if len(r.marks) > 0 {
		remark = fmt.Sprintf("%d marked of %s", len(r.marks), remark)
	}
	in := c.Box("Members of "+ring.Name, remark).Inset(1)
	if len(r.rows) == 0 {
		r.noMembers(in, ring)
		return
	}
	cols := slices.Clone(memberColumns)
	cols[0].width = min(max(cols[0].width, r.widest), 34)
	cols[ringOrders[r.order].column].sorted = 1
	if r.down {
		cols[ringOrders[r.order].column].sorted = -1
	}
	at := place(cols, in.W-4, env.Wide || in.W > 104)
	heads(in.Sub(3, 0, in.W-3, 1), cols, at)
	rows := in.Below(1)
	r.list.SetSize(len(r.rows), rows.H)
	from, to := r.list.Window()
	for i := from; i < to; i++ {
		r.member(rows.Sub(0, i-from, rows.W-1, 1), ring, r.rows[i], at, i == r.list.Cursor, env)
	}
	scrollbar(rows, &r.list)
}

func (r *Ring) noMembers(c widget.Canvas, ring *client.Ring) {
	if len(ring.Instances) == 0 {
		Notice(c, c.Theme.Strong, "the ring is empty", "Every instance has left it"+tombs(len(ring.Tombstones))+".")
		return
	}
	Notice(c, c.Theme.Strong, "no member matches /"+r.filter.String(), "esc clears the filter")
}

func (r *Ring) member(c widget.Canvas, ring *client.Ring, index int, at []placed, here bool, env Env) {
	in := &ring.Instances[index]
	cells := c.Sub(3, 0, c.W-3, 1)
	zoneAt := slices.IndexFunc(ring.Zones, func(z client.Zone) bool { return z.Name == in.Zone })
	for _, p := range at {
		memberCell(cells, p, in, zoneAt, ring, env)
	}
	if r.marks[in.ID] {
		c.Text(1, 0, c.Theme.Marked, c.Theme.Glyph.Mark)
	}
	if here {
		c.Restyle(0, c.Theme.Select)
		c.Text(0, 0, c.Theme.Accent.On(c.Theme.Select), c.Theme.Glyph.Pointer)
	}
}

func memberCell(c widget.Canvas, p placed, in *client.Instance, zoneAt int, ring *client.Ring, env Env) {
	t := c.Theme
	switch p.index {
	case 0:
		c.In(p.x, 0, p.w, t.Strong, in.ID)
	case 1:
		c.In(p.x, 0, p.w, t.Zone(zoneAt), zone(in.Zone))
	case 2:
		text := in.State
		if in.ReadOnly {
			text += " ro"
		}
		c.In(p.x, 0, p.w, state(t, in.State), text)
	case 3:
		sym, word, st := health(t, in.Health)
		c.In(p.x, 0, p.w, st, sym+" "+word)
	case 4:
		c.Right(p.x, 0, p.w, t.Dim, heartbeat(in, env))
	case 5:
		ownsCell(c, p, in, ring)
	case 6:
		c.Right(p.x, 0, p.w, t.Dim, grouped(in.Tokens))
	case 7:
		c.In(p.x, 0, p.w, t.Dim, in.Addr)
	case 8:
		c.Right(p.x, 0, p.w, t.Dim, since(env.Now, in.Registered))
	}
}

// heartbeat is the age of the last heartbeat as of now, so that it goes on
// counting between snapshots.
func heartbeat(in *client.Instance, env Env) string {
	if in.Heartbeat.IsZero() {
		return "never"
	}
	return age(env.Now.Sub(in.Heartbeat))
}

// ownsCell is a bar against the mean: a full bar is twice the fair share.
func ownsCell(c widget.Canvas, p placed, in *client.Instance, ring *client.Ring) {
	if in.Tokens == 0 {
		c.Text(p.x, 0, c.Theme.Faint, "-")
		return
	}
	mean := ring.Spread.Mean
	for i := range ring.Zones {
		if ring.Zones[i].Name == in.Zone {
			mean = ring.Zones[i].Spread.Mean
		}
	}
	st, text := c.Theme.Accent, percent(in.Ownership)
	if mean > 0 && in.Ownership > scene.HotAbove*mean {
		st = c.Theme.Warn
		text += c.Theme.Glyph.Up
	}
	c.Bar(p.x, 0, 5, in.Ownership/(2*max(mean, 0.001)), st)
	c.In(p.x+6, 0, p.w-6, c.Theme.Text, text)
}
