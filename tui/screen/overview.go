package screen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// Overview lists every ring with one verdict line, and explains the one under
// the cursor.
type Overview struct {
	scene  *scene.Scene
	filter scene.Filter
	list   widget.List
	rows   []ringRow
	feed   *scene.Feed
	// moved is true once the cursor was: before, it stays on the worst ring.
	moved bool
}

// ringRow is one line of the overview: an instance ring, a partition ring or a
// key that is not understood.
type ringRow struct {
	key, name, product string
	verdict            client.Verdict
	problem            string
	ring               *client.Ring
	partitions         *client.PartitionRing
	opaque             *client.Opaque
}

// SetScene gives the overview what to show.
func (o *Overview) SetScene(s *scene.Scene) { o.scene = s; o.collect() }

// SetFeed gives the overview the latest events.
func (o *Overview) SetFeed(f *scene.Feed) { o.feed = f }

// SetFilter narrows the rings.
func (o *Overview) SetFilter(f scene.Filter) { o.filter = f; o.collect() }

// Filter is the filter in use.
func (o *Overview) Filter() scene.Filter { return o.filter }

func (o *Overview) collect() {
	held := o.selected()
	o.rows = o.rows[:0]
	if o.scene == nil {
		return
	}
	s := o.scene.Snap
	for i := range s.Rings {
		r := &s.Rings[i]
		o.add(ringRow{key: r.Key, name: r.Name, product: r.Product, verdict: r.Verdict, problem: r.Problem, ring: r})
	}
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		o.add(ringRow{key: r.Key, name: r.Name, product: r.Product, verdict: r.Verdict, problem: r.Problem, partitions: r})
	}
	for i := range s.Opaque {
		k := &s.Opaque[i]
		o.add(ringRow{key: k.Key, name: k.Key, verdict: client.Unknown, problem: opaqueText(k), opaque: k})
	}
	slices.SortStableFunc(o.rows, func(a, b ringRow) int {
		return cmp.Or(b.verdict.Rank()-a.verdict.Rank(), b.weight()-a.weight())
	})
	o.list.SetSize(len(o.rows), max(len(o.rows), 1))
	for i := range o.rows {
		if o.moved && held != nil && o.rows[i].key == held.key {
			o.list.To(i)
		}
	}
}

// weight puts partition rings beside the rings that keep copies.
func (r *ringRow) weight() int {
	switch {
	case r.ring != nil:
		return weight(r.ring)
	case r.partitions != nil:
		return partitionsWeight
	}
	return -1
}

func opaqueText(k *client.Opaque) string {
	if k.Error != "" {
		return "cannot be read: " + k.Error
	}
	return "not a ring: codec " + k.Codec + ", passed on untouched"
}

func (o *Overview) add(r ringRow) {
	if o.filter.Match(scene.Field{Name: "ring", Value: r.name}, scene.Field{Name: "id", Value: r.key},
		scene.Field{Name: "state", Value: string(r.verdict)}, scene.Field{Value: r.problem}, scene.Field{Value: r.product}) {
		o.rows = append(o.rows, r)
	}
}

func (o *Overview) selected() *ringRow {
	if o.list.Cursor >= len(o.rows) {
		return nil
	}
	r := o.rows[o.list.Cursor]
	return &r
}

// HandleKey moves the cursor and opens rings.
func (o *Overview) HandleKey(key string) (Action, bool) {
	if o.list.HandleKey(key) {
		o.moved = true
		return nil, true
	}
	r := o.selected()
	if r == nil {
		return nil, false
	}
	switch key {
	case "enter":
		return r.open(), true
	case "y":
		return Yank{What: "ring " + r.name, Text: jsonText(r.value())}, true
	}
	return nil, false
}

func (r *ringRow) open() Action {
	switch {
	case r.partitions != nil:
		return Open{Screen: "partitions", Ring: r.key}
	case r.ring != nil:
		return Open{Screen: "ring", Ring: r.key}
	}
	return Say{Text: r.key + " is not a ring that can be opened"}
}

func (r *ringRow) value() any {
	switch {
	case r.partitions != nil:
		return r.partitions
	case r.ring != nil:
		return r.ring
	}
	return r.opaque
}

// Hints are the keys of this screen.
func (o *Overview) Hints() []Hint {
	return []Hint{{"enter", "open"}, {"/", "filter"}, {"y", "yank"}}
}

// View draws the overview.
func (o *Overview) View(c widget.Canvas, env Env) {
	if o.scene == nil {
		return
	}
	o.headline(c.Top(2).Inset(1))
	body := c.Below(2)
	listH := min(len(o.rows)+3, max(body.H*3/5, 6))
	if len(o.rows) == 0 {
		listH = body.H
	}
	o.rings(body.Top(listH), env)
	below := body.Below(listH)
	if below.H < 4 {
		return
	}
	left := below.W
	if below.W >= 90 {
		left = below.W * 3 / 5
		side := below.Sub(left, 0, below.W-left, below.H)
		h := min(max(side.H/2, 5), side.H)
		o.gossip(side.Top(h))
		o.latest(side.Below(h), env)
	}
	o.why(below.Sub(0, 0, left, below.H))
}

// headline is the verdict of the whole cluster, first of all.
func (o *Overview) headline(c widget.Canvas) {
	s := o.scene.Snap
	sym, st := verdict(c.Theme, s.Verdict)
	x := c.Text(0, 0, st.With(widget.Bold), sym+" "+string(s.Verdict))
	text := s.Problem
	if s.Verdict == client.OK {
		text = count(len(s.Rings)+len(s.PartitionRings), "ring") + ", all with quorum"
	}
	c.In(x+2, 0, c.W-x-2, c.Theme.Strong, text)
	parts := []string{count(len(s.Members), "gossip member")}
	if n := o.scene.Poll.Disagreeing(); n > 0 {
		parts = append(parts, "views disagree about "+count(n, "ring"))
	} else if o.scene.Poll != nil && len(o.scene.Poll.Views) > 1 {
		parts = append(parts, fmt.Sprintf("all %d views agree", len(o.scene.Poll.Views)))
	}
	if len(s.Products) > 1 {
		parts = append(parts, "keys of several products: "+strings.Join(s.Products, ", "))
	}
	parts = append(parts, size(s.StateBytes)+" of state")
	c.In(0, 1, c.W, c.Theme.Dim, "  "+strings.Join(parts, " "+c.Theme.Glyph.Separator+" "))
}

var overviewColumns = []column{
	{title: "VERDICT", width: 10, keep: always},
	{title: "RING", width: 14, grow: true, keep: always},
	{title: "HEALTHY", width: 19, keep: 60},
	{title: "ZONES", width: 5, right: true, keep: 40},
	{title: "QUORUM", width: 6, right: true, keep: 50},
	{title: "SPREAD", width: 6, right: true, keep: 30},
	{title: "PROBLEM", width: 14, grow: true, keep: 20},
	{title: "TOKENS", width: 8, right: true, keep: 10, wide: true},
	{title: "KEY", width: 31, keep: 5, wide: true},
}

func (o *Overview) rings(c widget.Canvas, env Env) {
	in := c.Box("Rings", count(len(o.rows), "ring")).Inset(1)
	if len(o.rows) == 0 {
		o.empty(in)
		return
	}
	at := place(overviewColumns, in.W-2, env.Wide || in.W > 180)
	stretch(at, in.W-2, 6)
	heads(in.Sub(2, 0, in.W-2, 1), overviewColumns, at)
	rows := in.Below(1)
	o.list.SetSize(len(o.rows), rows.H)
	from, to := o.list.Window()
	for i := from; i < to; i++ {
		line := rows.Sub(0, i-from, rows.W, 1)
		o.row(line.Sub(2, 0, line.W-2, 1), &o.rows[i], at)
		if i == o.list.Cursor {
			line.Restyle(0, c.Theme.Select)
			line.Text(0, 0, c.Theme.Accent.On(c.Theme.Select), c.Theme.Glyph.Pointer)
		}
	}
	scrollbar(rows, &o.list)
}

// stretch lets one column take all the room that is left.
func stretch(at []placed, total, index int) {
	for i := range at {
		if at[i].index == index {
			last := at[len(at)-1]
			spare := total - (last.x + last.w)
			at[i].w += max(spare, 0)
			for j := i + 1; j < len(at); j++ {
				at[j].x += max(spare, 0)
			}
			return
		}
	}
}

func (o *Overview) empty(c widget.Canvas) {
	if !o.filter.Empty() {
		Notice(c, c.Theme.Strong, "no ring matches /"+o.filter.String(), "esc clears the filter")
		return
	}
	Notice(c, c.Theme.Strong, "no rings yet", "The members gossip, but no ring was written so far. A ring appears here with its first instance.")
}

func (o *Overview) row(c widget.Canvas, r *ringRow, at []placed) {
	sym, st := verdict(c.Theme, r.verdict)
	for _, p := range at {
		switch p.index {
		case 0:
			c.In(p.x, 0, p.w, st, sym+" "+string(r.verdict))
		case 1:
			c.In(p.x, 0, p.w, c.Theme.Strong, r.name)
		case 2:
			o.healthCell(c, p, r)
		case 3:
			c.Right(p.x, 0, p.w, c.Theme.Text, r.zones())
		case 4:
			o.marginCell(c, p, r)
		case 5:
			c.Right(p.x, 0, p.w, spreadStyle(c.Theme, r.spread()), spreadText(r.spread()))
		case 6:
			c.In(p.x, 0, p.w, c.Theme.Text, r.problem)
		case 7:
			c.Right(p.x, 0, p.w, c.Theme.Dim, r.tokens())
		case 8:
			c.In(p.x, 0, p.w, c.Theme.Dim, r.key)
		}
	}
}

func (o *Overview) healthCell(c widget.Canvas, p placed, r *ringRow) {
	good, all := r.counts()
	if r.opaque != nil {
		c.Text(p.x, 0, c.Theme.Faint, "-")
		return
	}
	text := fmt.Sprintf("%s/%s", grouped(good), grouped(all))
	st := c.Theme.Good
	if good < all {
		st = c.Theme.Warn
	}
	if all > 0 && good*2 < all {
		st = c.Theme.Bad
	}
	x := c.Bar(p.x, 0, max(min(9, p.w-1-widget.Width(text)), 0), float64(good)/float64(max(all, 1)), st) + 1
	c.In(x, 0, p.x+p.w-x, c.Theme.Text, text)
}

func (o *Overview) marginCell(c widget.Canvas, p placed, r *ringRow) {
	if r.ring == nil || r.ring.Write == nil {
		c.Right(p.x, 0, p.w, c.Theme.Faint, "-")
		return
	}
	q := r.ring.Write
	st := c.Theme.Good
	if q.Margin == 0 {
		st = c.Theme.Warn
	}
	if q.Margin < 0 || q.Error != "" {
		st = c.Theme.Bad
	}
	c.Right(p.x, 0, p.w, st, margin(q))
}

func (r *ringRow) counts() (good, all int) {
	switch {
	case r.ring != nil:
		return r.ring.HealthyCount, len(r.ring.Instances)
	case r.partitions != nil:
		for i := range r.partitions.Partitions {
			if r.partitions.Partitions[i].HealthyOwners > 0 {
				good++
			}
		}
		return good, len(r.partitions.Partitions)
	}
	return 0, 0
}

func (r *ringRow) zones() string {
	switch {
	case r.ring != nil:
		return fmt.Sprint(len(r.ring.Zones))
	case r.partitions != nil:
		return fmt.Sprint(len(r.partitions.Zones))
	}
	return "-"
}

func (r *ringRow) spread() client.Spread {
	switch {
	case r.ring != nil:
		return worstSpread(r.ring)
	case r.partitions != nil:
		return r.partitions.Spread
	}
	return client.Spread{}
}

// worstSpread is the least even of the zones' spreads.
func worstSpread(r *client.Ring) client.Spread {
	worst := r.Spread
	for i := range r.Zones {
		if r.Zones[i].Spread.MaxOverMean > worst.MaxOverMean {
			worst = r.Zones[i].Spread
		}
	}
	return worst
}

func (r *ringRow) tokens() string {
	if r.ring != nil {
		return grouped(r.ring.Tokens)
	}
	return "-"
}

func spreadText(s client.Spread) string {
	if s.MaxOverMean == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", s.MaxOverMean)
}

func spreadStyle(t *widget.Theme, s client.Spread) widget.Style {
	switch {
	case s.MaxOverMean == 0:
		return t.Faint
	case s.MaxOverMean > scene.HotAbove:
		return t.Warn
	}
	return t.Text
}

// why explains the ring under the cursor.
func (o *Overview) why(c widget.Canvas) {
	r := o.selected()
	if r == nil {
		c.Box("Why", "")
		return
	}
	in := c.Box(r.name, r.product).Inset(1)
	y := 0
	for _, p := range r.problems() {
		for i, l := range widget.Wrap(p, in.W-2) {
			if i == 0 {
				in.Text(0, y, in.Theme.Warn, in.Theme.Glyph.Bullet)
			}
			in.Text(2, y, in.Theme.Text, l)
			y++
		}
	}
	if y == 0 {
		sym, st := verdict(in.Theme, r.verdict)
		in.Spans(0, y, widget.Span{Style: st, Text: sym + " "}, widget.Span{Style: in.Theme.Text, Text: "nothing needs a hand"})
		y++
	}
	for _, l := range r.facts() {
		in.In(0, y+1, in.W, in.Theme.Dim, l)
		y++
	}
	if r.ring != nil && in.H > y+3 {
		zones(in.Below(y+2), r.ring)
	}
}

// zones is a small table of a ring's zones: who is healthy, how evenly keys
// are shared.
func zones(c widget.Canvas, ring *client.Ring) {
	t := c.Theme
	c.In(0, 0, c.W, t.Dim, "ZONE        HEALTHY           TOKENS    LEAST    MOST")
	for i := range ring.Zones {
		z := &ring.Zones[i]
		y := i + 1
		c.In(0, y, 10, t.Zone(i), zone(z.Name))
		st := ternary(z.Healthy < z.Instances, t.Warn, t.Good)
		x := c.Bar(12, y, 8, float64(z.Healthy)/float64(max(z.Instances, 1)), st)
		c.In(x+1, y, 8, t.Text, fmt.Sprintf("%d/%d", z.Healthy, z.Instances))
		c.Right(28, y, 8, t.Dim, grouped(z.Tokens))
		if z.Tokens > 0 {
			c.Right(37, y, 8, t.Dim, percent(z.Spread.Min))
			c.Right(46, y, 7, t.Dim, percent(z.Spread.Max))
		}
	}
}

// latest shows the newest events under a sparkline of flaps.
func (o *Overview) latest(c widget.Canvas, env Env) {
	in := c.Box("Latest", "").Inset(1)
	if o.feed == nil || in.H < 2 {
		return
	}
	in.Spark(0, 0, in.W, o.feed.Flaps(env.Now, in.W), in.Theme.Accent)
	n := len(o.feed.Entries)
	if n == 0 {
		in.Text(0, 1, in.Theme.Dim, "nothing has changed so far")
	}
	for y := 1; y < in.H && y <= n; y++ {
		en := &o.feed.Entries[n-y]
		x := in.In(0, y, 9, in.Theme.Dim, clock(en.First))
		text := en.Note
		if text == "" {
			text = transition(in.Theme, en) + en.Subject()
		}
		in.In(x, y, in.W-x, ternary(en.Bad, in.Theme.Warn, in.Theme.Text), text)
	}
}

func (r *ringRow) problems() []string {
	switch {
	case r.ring != nil:
		return r.ring.Problems
	case r.partitions != nil:
		return r.partitions.Problems
	}
	return []string{r.problem}
}

// facts are the settings a verdict rests on.
func (r *ringRow) facts() []string {
	switch {
	case r.ring != nil:
		zones := "not zone aware"
		if r.ring.ZoneAware {
			zones = "zone aware"
		}
		return []string{
			fmt.Sprintf("replication factor %d, %s, heartbeat timeout %s", r.ring.ReplicationFactor, zones, r.ring.HeartbeatTimeout),
			"states: " + states(r.ring.States) + tombs(len(r.ring.Tombstones)),
		}
	case r.partitions != nil:
		return []string{
			fmt.Sprintf("%s, instances from %s", count(r.partitions.Owners, "owner"), zone(scene.ShortKey(r.partitions.InstanceRing))),
			"states: " + states(r.partitions.States) + tombs(r.partitions.Tombstones),
		}
	}
	return []string{fmt.Sprintf("codec %s, %s", r.opaque.Codec, size(r.opaque.Bytes))}
}

func tombs(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d left and still gossiped", n)
}

// states lists counts by state, most frequent first.
func states(m map[string]int) string {
	names := make([]string, 0, len(m))
	for s := range m {
		names = append(names, s)
	}
	slices.SortFunc(names, func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	for i, s := range names {
		names[i] = fmt.Sprintf("%d %s", m[s], s)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// gossip sums up the gossip members.
func (o *Overview) gossip(c widget.Canvas) {
	s := o.scene.Snap
	in := c.Box("Gossip", count(len(s.Members), "member")).Inset(1)
	by := map[string]int{}
	var odd []client.Member
	for _, m := range s.Members {
		by[m.State]++
		if m.State != "alive" || m.Guest {
			odd = append(odd, m)
		}
	}
	in.In(0, 0, in.W, in.Theme.Text, states(by))
	in.In(0, 1, in.W, in.Theme.Dim, "as seen by "+s.From)
	for i, m := range odd {
		if i+2 >= in.H {
			break
		}
		st, word := state(in.Theme, m.State), m.State
		if m.Guest {
			word += " guest"
		}
		x := in.In(0, i+2, 14, st, word)
		in.In(x, i+2, in.W-x, in.Theme.Text, m.Name+"  "+m.Addr)
	}
}
