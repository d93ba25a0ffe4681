package screen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// Detail shows everything about one instance or one partition.
type Detail struct {
	scene *scene.Scene
	feed  *scene.Feed
	key   string
	id    string
	top   int
	lines int
	// partition is true when the detail is about a partition.
	partition bool
}

// SetScene gives the screen what to show.
func (d *Detail) SetScene(s *scene.Scene) { d.scene = s }

// SetFeed gives the screen the feed, for the recent events of the subject.
func (d *Detail) SetFeed(f *scene.Feed) { d.feed = f }

// SetSubject chooses an instance, or a partition by its number.
func (d *Detail) SetSubject(ring, id string, partition bool) {
	d.key, d.id, d.partition, d.top = ring, id, partition, 0
}

// Subject is what is shown: a ring's key and an id.
func (d *Detail) Subject() (ring, id string) { return d.key, d.id }

// SetFilter is not used: there is one subject.
func (d *Detail) SetFilter(scene.Filter) {}

// Filter is always empty.
func (d *Detail) Filter() scene.Filter { return scene.Filter{} }

func (d *Detail) instance() (*client.Ring, *client.Instance) {
	if d.scene == nil {
		return nil, nil
	}
	ring, ok := d.scene.Snap.Ring(d.key)
	if !ok {
		return nil, nil
	}
	in, ok := ring.Instance(d.id)
	if !ok {
		return ring, nil
	}
	return ring, in
}

func (d *Detail) part() (*client.PartitionRing, *client.Partition) {
	if d.scene == nil {
		return nil, nil
	}
	ring, ok := d.scene.Snap.PartitionRing(d.key)
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseInt(d.id, 10, 32)
	if err != nil {
		return ring, nil
	}
	p, ok := ring.Partition(int32(n))
	if !ok {
		return ring, nil
	}
	return ring, p
}

// HandleKey scrolls and proposes changes to the subject.
func (d *Detail) HandleKey(key string) (Action, bool) {
	switch key {
	case "j", "down":
		d.top = min(d.top+1, max(d.lines-4, 0))
		return nil, true
	case "k", "up":
		d.top = max(d.top-1, 0)
		return nil, true
	case "g", "home":
		d.top = 0
		return nil, true
	}
	if d.partition {
		return d.partitionKey(key)
	}
	return d.instanceKey(key)
}

func (d *Detail) instanceKey(key string) (Action, bool) {
	_, in := d.instance()
	if in == nil {
		return nil, false
	}
	switch key {
	case "D":
		return Propose{Change{Action: client.Forget, Ring: d.key, IDs: []string{d.id}}}, true
	case "i":
		return Imagine{Ring: d.key, IDs: []string{d.id}}, true
	case "y":
		return Yank{What: d.id, Text: jsonText(in)}, true
	}
	return nil, false
}

func (d *Detail) partitionKey(key string) (Action, bool) {
	_, p := d.part()
	if p == nil {
		return nil, false
	}
	if action, ok := changeKeys[key]; ok {
		return Propose{NewChange(action, d.key, d.id)}, true
	}
	if key == "y" {
		return Yank{What: "partition " + d.id, Text: jsonText(p)}, true
	}
	return nil, false
}

// Hints are the keys of this screen.
func (d *Detail) Hints() []Hint {
	if d.partition {
		return []Hint{{"A", "activate…"}, {"I", "deactivate…"}, {"L U", "lock, unlock…"}, {"D", "drain…"}, {"X", "remove…"}, {"y", "yank"}, {"esc", "back"}}
	}
	return []Hint{{"D", "forget…"}, {"i", "what if"}, {"y", "yank"}, {"esc", "back"}}
}

// View draws the subject.
func (d *Detail) View(c widget.Canvas, env Env) {
	if d.partition {
		d.viewPartition(c, env)
		return
	}
	ring, in := d.instance()
	if in == nil {
		d.gone(c)
		return
	}
	sym, word, st := health(c.Theme, in.Health)
	c.Top(1).Inset(1).Spans(0, 0, widget.Span{Style: st.With(widget.Bold), Text: sym + " " + strings.ToUpper(word)},
		widget.Span{Style: c.Theme.Strong, Text: "  " + in.ID}, widget.Span{Style: c.Theme.Dim, Text: "  in " + ring.Name})
	body := c.Below(1)
	left := body.W
	if body.W >= 100 {
		left = body.W / 2
	}
	d.facts(body.Sub(0, 0, left, body.H), instanceFacts(ring, in, env))
	if left < body.W {
		side := body.Sub(left, 0, body.W-left, body.H)
		h := min(len(ring.Instances)/8+9, side.H/2)
		d.views(side.Top(h), in)
		d.recent(side.Below(h), in.ID)
	}
}

func (d *Detail) gone(c widget.Canvas) {
	lines := []string{"It was removed, or it is not in the moment that is shown.", "esc goes back."}
	if ring, _ := d.instance(); ring != nil {
		for _, t := range ring.Tombstones {
			if t.ID == d.id {
				lines[0] = "It left; its tombstone is still gossiped, so that nobody brings it back by mistake."
			}
		}
	}
	Notice(c, c.Theme.Strong, d.id+" is not in "+zone(scene.ShortKey(d.key)), lines...)
}

// fact is one line of a detail.
type fact struct {
	name, value string
	style       func(*widget.Theme) widget.Style
}

func text(t *widget.Theme) widget.Style { return t.Text }
func warn(t *widget.Theme) widget.Style { return t.Warn }
func bad(t *widget.Theme) widget.Style  { return t.Bad }

func instanceFacts(ring *client.Ring, in *client.Instance, env Env) []fact {
	beat := fmt.Sprintf("%s ago, timeout %s", heartbeat(in, env), ring.HeartbeatTimeout)
	beatStyle := text
	switch in.Health {
	case client.Future:
		beat, beatStyle = fmt.Sprintf("%s in the future: beats every later update", age(in.Heartbeat.Sub(env.Now))), bad
	case client.Unhealthy:
		beatStyle = bad
	case client.Healthy, client.NoInstance:
	}
	readOnly := "no"
	if in.ReadOnly {
		readOnly = "yes, for " + since(env.Now, in.ReadOnlySince)
	}
	counts := ternary(in.CountsForWrite, "writes", "not writes") + ", " + ternary(in.CountsForRead, "reads", "not reads")
	out := []fact{
		{"state", in.State, func(t *widget.Theme) widget.Style { return state(t, in.State) }},
		{"heartbeat", beat, beatStyle},
		{"counts for", counts, ternary(in.CountsForWrite, text, warn)},
		{"address", in.Addr, text},
		{"zone", zone(in.Zone), text},
		{"tokens", grouped(in.Tokens), text},
		{"owns", percent(in.Ownership) + " of its zone's keys" + fair(ring, in), text},
		{"registered", since(env.Now, in.Registered) + " ago", text},
		{"read-only", readOnly, ternary(in.ReadOnly, warn, text)},
	}
	keys := make([]uint64, 0, len(in.Versions))
	for k := range in.Versions {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		out = append(out, fact{fmt.Sprintf("version %d", k), strconv.FormatUint(in.Versions[k], 10), text})
	}
	for i, t := range in.TokenValues[:min(len(in.TokenValues), 6)] {
		name := ""
		if i == 0 {
			name = "first tokens"
		}
		out = append(out, fact{name, fmt.Sprintf("%08x  %d", t, t), text})
	}
	return out
}

func fair(ring *client.Ring, in *client.Instance) string {
	for i := range ring.Zones {
		if z := &ring.Zones[i]; z.Name == in.Zone && z.Spread.Mean > 0 {
			return fmt.Sprintf(", %.2fx the mean", in.Ownership/z.Spread.Mean)
		}
	}
	return ""
}

func (d *Detail) facts(c widget.Canvas, facts []fact) {
	in := c.Box("Facts", "").Inset(1)
	d.lines = len(facts)
	d.top = min(d.top, max(len(facts)-in.H, 0))
	for i, f := range facts[d.top:] {
		if i >= in.H {
			break
		}
		in.In(0, i, 13, c.Theme.Dim, f.name)
		in.In(14, i, in.W-14, f.style(c.Theme), f.value)
	}
}

// views tells how each member sees the instance.
func (d *Detail) views(c widget.Canvas, in *client.Instance) {
	box := c.Box("As others see it", "").Inset(1)
	p := d.scene.Poll
	if p == nil || len(p.Views) == 0 {
		box.Text(0, 0, c.Theme.Dim, "no other views yet")
		return
	}
	groups, y := d.opinions(), 0
	for i, g := range groups {
		st := ternary(g.said == in.State+", "+string(in.Health), c.Theme.Text, c.Theme.Warn)
		x := box.Text(0, y, st, g.said)
		box.In(x+2, y, box.W-x-2, c.Theme.Dim, count(len(g.members), "member"))
		room := max(box.H-y-2*(len(groups)-i)+1, 1) // every group has its line, and one for names
		for _, l := range widget.Wrap(joinShort(g.members, 2*room), box.W-2) {
			if room--; room < 0 {
				break
			}
			y++
			box.In(2, y, box.W-2, c.Theme.Dim, l)
		}
		y++
	}
}

// opinion is what some members hold of the subject.
type opinion struct {
	said    string
	members []string
}

func (d *Detail) opinions() []opinion {
	var groups []opinion
	for _, v := range d.scene.Poll.Views {
		said := "not there"
		if r, ok := v.Ring(d.key); ok {
			if x, ok := r.Instance(d.id); ok {
				said = x.State + ", " + string(x.Health)
			}
		}
		at := slices.IndexFunc(groups, func(g opinion) bool { return g.said == said })
		if at < 0 {
			at = len(groups)
			groups = append(groups, opinion{said: said})
		}
		groups[at].members = append(groups[at].members, v.From)
	}
	return groups
}

// recent lists the newest events about the subject.
func (d *Detail) recent(c widget.Canvas, id string) {
	box := c.Box("What happened to it", "").Inset(1)
	if d.feed == nil {
		return
	}
	y := 0
	for i := len(d.feed.Entries) - 1; i >= 0 && y < box.H; i-- {
		en := &d.feed.Entries[i]
		if en.Key != d.key || !slices.Contains(en.IDs, id) {
			continue
		}
		x := box.In(0, y, 9, c.Theme.Dim, clock(en.First))
		what := words(en.Kind)
		if en.To != "" {
			what += " " + en.From + " " + c.Theme.Glyph.Right + " " + en.To
		}
		box.In(x, y, box.W-x, ternary(en.Bad, c.Theme.Warn, c.Theme.Text), what)
		y++
	}
	if y == 0 {
		box.Text(0, 0, c.Theme.Dim, "nothing since this dashboard started")
	}
}

func (d *Detail) viewPartition(c widget.Canvas, env Env) {
	ring, p := d.part()
	if p == nil {
		d.gone(c)
		return
	}
	sym, st := verdict(c.Theme, p.Verdict)
	c.Top(1).Inset(1).Spans(0, 0, widget.Span{Style: st.With(widget.Bold), Text: sym + " " + string(p.Verdict)},
		widget.Span{Style: c.Theme.Strong, Text: fmt.Sprintf("  partition %d", p.ID)},
		widget.Span{Style: c.Theme.Dim, Text: "  of " + ring.Name + "  "}, widget.Span{Style: c.Theme.Text, Text: p.Problem})
	body := c.Below(1)
	facts := []fact{
		{"state", p.State + ", for " + since(env.Now, p.Since), func(t *widget.Theme) widget.Style { return state(t, p.State) }},
		{"locked", lockWords(p, env), ternary(p.Locked, warn, text)},
		{"owners", fmt.Sprintf("%d of %d healthy", p.HealthyOwners, len(p.Owners)), ternary(p.HealthyOwners == 0, bad, text)},
		{"traffic", percent(p.Traffic) + " of new keys", text},
		{"owns", percent(p.Ownership) + " of the key space", text},
		{"tokens", grouped(p.Tokens), text},
		{"may become", strings.Join(moves(p), ", "), text},
	}
	h := min(len(facts)+2, body.H)
	d.facts(body.Top(h), facts)
	d.owners(body.Below(h), p, env)
}

func lockWords(p *client.Partition, env Env) string {
	if !p.Locked {
		return "no"
	}
	return "yes, for " + since(env.Now, p.LockedSince) + ": refuses every state change"
}

// moves are the state changes that the partition allows now.
func moves(p *client.Partition) []string {
	if p.Locked {
		return []string{"nothing while locked"}
	}
	from, _ := partition.ParseState(p.State)
	var out []string
	for _, to := range partition.Moves(from) {
		out = append(out, strings.ToUpper(strings.TrimPrefix(to.String(), "Partition")))
	}
	if len(out) == 0 {
		return []string{"nothing"}
	}
	return out
}

func (d *Detail) owners(c widget.Canvas, p *client.Partition, env Env) {
	in := c.Box("Owners", count(len(p.Owners), "owner")).Inset(1)
	if len(p.Owners) == 0 {
		Notice(in, c.Theme.Bad, "nobody owns this partition", "Nothing reads what is written to it.")
		return
	}
	for i := range p.Owners {
		o := &p.Owners[i]
		sym, word, st := health(c.Theme, o.Health)
		x := in.In(0, i, 11, st, sym+" "+word)
		x = in.In(x+1, i, 10, c.Theme.Dim, zone(o.Zone))
		x = in.In(x+1, i, min(36, in.W/2), c.Theme.Strong, o.ID)
		in.In(x+1, i, in.W-x-1, c.Theme.Dim, "for "+since(env.Now, o.Since)+"  "+o.Addr)
	}
}
