package screen

import (
	"fmt"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// Events is the running story: bursts of changes, newest at the bottom, under a
// sparkline of flaps.
type Events struct {
	feed   *scene.Feed
	scene  *scene.Scene
	filter scene.Filter
	list   widget.List
	rows   []int
	follow bool
}

// SetFeed gives the screen the feed; call it again after the feed has grown.
func (e *Events) SetFeed(f *scene.Feed) {
	if e.feed == nil {
		e.follow = true
	}
	e.feed = f
	e.collect()
}

// SetScene gives the screen the short names of the rings.
func (e *Events) SetScene(s *scene.Scene) { e.scene = s }

// name is the short name of a ring.
func (e *Events) name(key string) string {
	if e.scene != nil {
		if r, ok := e.scene.Snap.Ring(key); ok {
			return r.Name
		}
		if r, ok := e.scene.Snap.PartitionRing(key); ok {
			return r.Name
		}
	}
	return scene.ShortKey(key)
}

// SetFilter narrows the entries.
func (e *Events) SetFilter(f scene.Filter) { e.filter = f; e.collect() }

// Filter is the filter in use.
func (e *Events) Filter() scene.Filter { return e.filter }

func (e *Events) collect() {
	e.rows = e.rows[:0]
	if e.feed == nil {
		return
	}
	for i := range e.feed.Entries {
		en := &e.feed.Entries[i]
		if e.filter.Match(scene.Field{Name: "kind", Value: string(en.Kind)}, scene.Field{Name: "ring", Value: en.Key},
			scene.Field{Name: "id", Value: strings.Join(en.IDs, " ")}, scene.Field{Name: "state", Value: en.To}, scene.Field{Value: en.Note}) {
			e.rows = append(e.rows, i)
		}
	}
	e.list.SetSize(len(e.rows), max(len(e.rows), 1))
	if e.follow {
		e.list.To(len(e.rows) - 1)
	}
}

// HandleKey moves; at the last entry the list follows new ones.
func (e *Events) HandleKey(key string) (Action, bool) {
	if e.list.HandleKey(key) {
		e.follow = e.list.Cursor == len(e.rows)-1
		return nil, true
	}
	if e.feed == nil || e.list.Cursor >= len(e.rows) {
		return nil, false
	}
	en := &e.feed.Entries[e.rows[e.list.Cursor]]
	switch key {
	case "y":
		return Yank{What: "event", Text: jsonText(en)}, true
	case "enter":
		if en.Key != "" && len(en.IDs) > 0 && strings.HasPrefix(string(en.Kind), "instance") {
			return Open{Screen: "member", Ring: en.Key, ID: en.IDs[0]}, true
		}
		if en.Key != "" {
			return Open{Screen: "ring", Ring: en.Key}, true
		}
		return nil, true
	}
	return nil, false
}

// Hints are the keys of this screen.
func (e *Events) Hints() []Hint {
	return []Hint{{"enter", "open"}, {"G", "follow"}, {"[ ]", "step in time"}, {"/", "filter"}, {"y", "yank"}}
}

// View draws the sparkline and the entries.
func (e *Events) View(c widget.Canvas, env Env) {
	if e.feed == nil {
		return
	}
	e.headline(c.Top(3).Inset(1), env)
	in := c.Below(3).Box("Events", e.remark()).Inset(1)
	if len(e.rows) == 0 {
		if !e.filter.Empty() && len(e.feed.Entries) > 0 {
			Notice(in, c.Theme.Strong, "no event matches /"+e.filter.String(), "esc clears the filter")
			return
		}
		Notice(in, c.Theme.Strong, "nothing has changed so far", "Joins, leaves, state and health changes appear here as they are seen.")
		return
	}
	e.list.SetSize(len(e.rows), in.H)
	from, to := e.list.Window()
	for i := from; i < to; i++ {
		line := in.Sub(0, i-from, in.W-1, 1)
		e.entry(line, &e.feed.Entries[e.rows[i]])
		if i == e.list.Cursor {
			line.Restyle(0, c.Theme.Select)
			line.Text(0, 0, c.Theme.Accent.On(c.Theme.Select), c.Theme.Glyph.Pointer)
		}
	}
	scrollbar(in, &e.list)
}

func (e *Events) remark() string {
	text := count(len(e.rows), "entry")
	if len(e.rows) != 1 {
		text = fmt.Sprintf("%d entries", len(e.rows))
	}
	if e.feed.Dropped > 0 {
		text += fmt.Sprintf(", %d older dropped", e.feed.Dropped)
	}
	if e.follow {
		text += ", following"
	}
	return text
}

// headline is the sparkline of flaps with its scale.
func (e *Events) headline(c widget.Canvas, env Env) {
	t := c.Theme
	w := min(c.W-2, 120)
	span := time.Duration(w) * scene.FlapSlot
	recent := 0
	for _, n := range e.feed.Flaps(env.Now, int(time.Minute/scene.FlapSlot)) {
		recent += n
	}
	sym, st, word := t.Glyph.Good, t.Good, "CALM"
	switch {
	case recent > 12:
		sym, st, word = t.Glyph.Bad, t.Bad, "STORM"
	case recent > 0:
		sym, st, word = t.Glyph.Warn, t.Warn, "MOVING"
	}
	x := c.Text(0, 0, st.With(widget.Bold), sym+" "+word)
	c.In(x+2, 0, c.W-x-2, t.Strong, fmt.Sprintf("%s in the last minute, %d seen in all", count(recent, "flap"), e.feed.Total))
	c.Spark(0, 1, w, e.feed.Flaps(env.Now, w), t.Accent)
	c.In(0, 2, w, t.Faint, age(span)+" ago")
	c.Right(0, 2, w, t.Faint, "now")
}

func (e *Events) entry(c widget.Canvas, en *scene.Entry) {
	t := c.Theme
	x := c.In(2, 0, 9, t.Dim, clock(en.First))
	st, sym := t.Info, t.Glyph.Bullet
	if en.Bad {
		st, sym = t.Warn, t.Glyph.Warn
	}
	x = c.In(x, 0, 2, st, sym)
	if en.Note != "" {
		c.In(x, 0, c.W-x, t.Strong, en.Note)
		return
	}
	x = c.In(x, 0, 20, st, words(en.Kind))
	if c.W > 70 {
		x = c.In(x+1, 0, 18, t.Dim, e.name(en.Key))
	}
	x = c.Text(x+1, 0, t.Text, transition(t, en))
	text := en.Subject()
	if en.Count > 1 {
		text = count(en.Count, ternary(en.Flapping, "change", "time")) + ": " + text
		if d := en.Last.Sub(en.First); d >= time.Second {
			text += ", within " + age(d)
		}
	}
	c.In(x, 0, c.W-x, t.Text, text)
}

// transition is what changed to what, ready to be followed by the subject.
func transition(t *widget.Theme, en *scene.Entry) string {
	switch {
	case en.Flapping:
		return en.From + " " + t.Glyph.Both + " " + en.To + "  "
	case en.From != "" && en.To != "":
		return en.From + " " + t.Glyph.Right + " " + en.To + "  "
	case en.To != "":
		return en.To + "  "
	}
	return ""
}

// words is an event's kind for people.
func words(k client.EventKind) string { return strings.ReplaceAll(string(k), "-", " ") }
