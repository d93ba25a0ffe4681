package screen

import (
	"fmt"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// Views shows whether all members see the same rings, who does not, and about
// what.
type Views struct {
	scene  *scene.Scene
	filter scene.Filter
	list   widget.List
	rows   []int
}

// SetScene gives the screen what to show.
func (v *Views) SetScene(s *scene.Scene) { v.scene = s; v.collect() }

// SetFilter narrows the disputes.
func (v *Views) SetFilter(f scene.Filter) { v.filter = f; v.collect() }

// Filter is the filter in use.
func (v *Views) Filter() scene.Filter { return v.filter }

func (v *Views) poll() *scene.Poll {
	if v.scene == nil {
		return nil
	}
	return v.scene.Poll
}

func (v *Views) collect() {
	v.rows = v.rows[:0]
	p := v.poll()
	if p == nil {
		return
	}
	for i := range p.Disputes {
		d := &p.Disputes[i]
		if v.filter.Match(scene.Field{Name: "ring", Value: d.Ring}, scene.Field{Name: "id", Value: d.ID},
			scene.Field{Name: "kind", Value: d.Kind}, scene.Field{Value: d.Field}, scene.Field{Value: strings.Join(d.Members, " ")}) {
			v.rows = append(v.rows, i)
		}
	}
	v.list.SetSize(len(v.rows), max(len(v.rows), 1))
}

// HandleKey moves the cursor and yanks.
func (v *Views) HandleKey(key string) (Action, bool) {
	if v.list.HandleKey(key) {
		return nil, true
	}
	p := v.poll()
	if p == nil || v.list.Cursor >= len(v.rows) {
		return nil, false
	}
	d := &p.Disputes[v.rows[v.list.Cursor]]
	switch key {
	case "y":
		return Yank{What: "difference", Text: jsonText(d)}, true
	case "enter":
		if d.Kind == "instance" {
			return Open{Screen: "member", Ring: d.Key, ID: d.ID}, true
		}
		if d.Kind == "partition" {
			return Open{Screen: "partition", Ring: d.Key, ID: d.ID}, true
		}
		return nil, true
	}
	return nil, false
}

// Hints are the keys of this screen.
func (v *Views) Hints() []Hint {
	return []Hint{{"enter", "open"}, {"r", "ask again"}, {"/", "filter"}, {"y", "yank"}}
}

// View draws who agrees with whom.
func (v *Views) View(c widget.Canvas, env Env) {
	p := v.poll()
	if p == nil {
		Notice(c, c.Theme.Strong, "asking every member for its view", "Each answers with the whole state it holds, so that views can be compared.")
		return
	}
	if p.Err != "" && len(p.Views) == 0 {
		Notice(c, c.Theme.Bad, "no member could be asked", p.Err, "r asks again.")
		return
	}
	v.headline(c.Top(2).Inset(1), p, env)
	body := c.Below(2)
	h := min(len(p.Agreements)+3+len(splits(p)), body.H*2/3)
	v.agreements(body.Top(h), p)
	v.disputes(body.Below(h), p)
}

func (v *Views) headline(c widget.Canvas, p *scene.Poll, env Env) {
	t := c.Theme
	sym, st, word := t.Glyph.Good, t.Good, "AGREED"
	text := fmt.Sprintf("all %d views hold the same rings", len(p.Views))
	switch n := p.Disagreeing(); {
	case len(p.Islands) > 1:
		sym, st, word = t.Glyph.Bad, t.Bad, "SPLIT"
		text = fmt.Sprintf("%d islands that do not know of each other", len(p.Islands))
	case n > 0:
		sym, st, word = t.Glyph.Warn, t.Warn, "DISAGREE"
		text = fmt.Sprintf("%s, %s", count(n, "ring"), count(len(p.Disputes), "difference"))
	case len(p.Views) == 1:
		sym, st, word, text = t.Glyph.Unknown, t.Unknown, "ONE VIEW", "only one member answered: nothing to compare with"
	}
	x := c.Text(0, 0, st.With(widget.Bold), sym+" "+word)
	c.In(x+2, 0, c.W-x-2, t.Strong, text)
	asked := fmt.Sprintf("  %s asked %s ago", count(len(p.Views), "member"), since(env.Now, p.At))
	switch {
	case p.Failed:
		c.In(0, 1, c.W, t.Warn, asked+"; nobody answered since: "+p.Err)
	case p.Err != "":
		c.In(0, 1, c.W, t.Warn, asked+"; "+p.Err)
	default:
		c.In(0, 1, c.W, t.Dim, asked)
	}
}

// splits are the lines that describe islands, none when there is one.
func splits(p *scene.Poll) []string {
	if len(p.Islands) < 2 {
		return nil
	}
	out := make([]string, len(p.Islands))
	for i, members := range p.Islands {
		out[i] = fmt.Sprintf("island %d: %s: %s", i+1, count(len(members), "member"), joinShort(members, 4))
	}
	return out
}

func (v *Views) agreements(c widget.Canvas, p *scene.Poll) {
	in := c.Box("Who sees what", "letters are different contents").Inset(1)
	in.In(0, 0, 22, in.Theme.Dim, "RING")
	in.In(24, 0, in.W-24, in.Theme.Dim, "MEMBERS WITH THE SAME CONTENT, LARGEST GROUP FIRST")
	y := 1
	for _, l := range splits(p) {
		in.In(0, y, in.W, in.Theme.Bad, l)
		y++
	}
	for i := range p.Agreements {
		a := &p.Agreements[i]
		in.In(0, y, 22, in.Theme.Strong, a.Name)
		groups(in.Sub(24, y, in.W-24, 1), a)
		y++
	}
}

func groups(c widget.Canvas, a *client.Agreement) {
	t := c.Theme
	if a.Agreed() {
		c.Spans(0, 0, widget.Span{Style: t.Good, Text: t.Glyph.Good + " "},
			widget.Span{Style: t.Text, Text: "all " + count(len(a.Groups[0].Members), "member")},
			widget.Span{Style: t.Faint, Text: "  " + shortHash(a.Groups[0].Hash)})
		return
	}
	x := 0
	for i, g := range a.Groups {
		st := t.Warn
		if i == 0 {
			st = t.Text
		}
		x = c.Spans(x, 0, widget.Span{Style: st.With(widget.Bold), Text: string(rune('A'+i%26)) + " "},
			widget.Span{Style: st, Text: fmt.Sprintf("%d: %s", len(g.Members), joinShort(g.Members, 2))}) + 3
	}
	if len(a.Missing) > 0 {
		c.Spans(x, 0, widget.Span{Style: t.Bad, Text: fmt.Sprintf("%s missing on %d: %s", t.Glyph.Bad, len(a.Missing), joinShort(a.Missing, 2))})
	}
}

func shortHash(h string) string { return h[:min(len(h), 8)] }

var disputeColumns = []column{
	{title: "RING", width: 11, grow: true, keep: 40},
	{title: "WHAT", width: 20, grow: true, keep: always},
	{title: "FIELD", width: 9, keep: 80},
	{title: "MOST SAY", width: 10, grow: true, keep: 70},
	{title: "BUT", width: 12, grow: true, keep: 60},
	{title: "SAY", width: 10, grow: true, keep: always},
	{title: "BEHIND", width: 6, keep: 30},
}

func (v *Views) disputes(c widget.Canvas, p *scene.Poll) {
	in := c.Box("Differences", count(len(v.rows), "difference")).Inset(1)
	if len(v.rows) == 0 {
		if !v.filter.Empty() && len(p.Disputes) > 0 {
			Notice(in, c.Theme.Strong, "no difference matches /"+v.filter.String(), "esc clears the filter")
			return
		}
		Notice(in, c.Theme.Good, c.Theme.Glyph.Good+" no differences", "Heartbeats are left out: they are always a little apart.")
		return
	}
	at := place(disputeColumns, in.W-3, true)
	heads(in.Sub(2, 0, in.W-2, 1), disputeColumns, at)
	rows := in.Below(1)
	if rows.H > 9 {
		v.explain(rows.Below(rows.H-4), p)
		rows = rows.Top(rows.H - 5)
	}
	v.list.SetSize(len(v.rows), rows.H)
	from, to := v.list.Window()
	for i := from; i < to; i++ {
		line := rows.Sub(0, i-from, rows.W-1, 1)
		for _, pl := range at {
			disputeCell(line.Sub(2, 0, line.W-2, 1), pl, &p.Disputes[v.rows[i]])
		}
		if i == v.list.Cursor {
			line.Restyle(0, c.Theme.Select)
			line.Text(0, 0, c.Theme.Accent.On(c.Theme.Select), c.Theme.Glyph.Pointer)
		}
	}
	scrollbar(rows, &v.list)
}

// what names the thing in dispute; that it is an instance goes without saying.
func what(d *scene.Dispute) string {
	if d.Kind == "instance" {
		return d.ID
	}
	return strings.TrimSpace(d.Kind + " " + d.ID)
}

// explain tells the difference under the cursor in full.
func (v *Views) explain(c widget.Canvas, p *scene.Poll) {
	d := &p.Disputes[v.rows[v.list.Cursor]]
	t := c.Theme
	c.Rule(0, d.Kind+" "+d.ID)
	majority := 0
	for i := range p.Agreements {
		if a := &p.Agreements[i]; a.Key == d.Key && len(a.Groups) > 0 {
			majority = len(a.Groups[0].Members)
		}
	}
	f := flow{c: c, y: 1}
	f.put(widget.Span{Style: t.Dim, Text: fmt.Sprintf("%s say %s is", count(majority, "member"), d.Field)}, widget.Span{Style: t.Strong, Text: " " + d.A})
	f.put(widget.Span{Style: t.Dim, Text: fmt.Sprintf("%s say", joinShort(d.Members, 4))}, widget.Span{Style: t.Warn, Text: " " + d.B})
	switch d.Behind {
	case "a":
		f.put(widget.Span{Style: t.Text, Text: "the majority holds the older entry: it will follow when gossip reaches it"})
	case "b":
		f.put(widget.Span{Style: t.Text, Text: "they hold the older entry: news has not reached them"})
	}
}

func disputeCell(c widget.Canvas, pl placed, d *scene.Dispute) {
	t := c.Theme
	behind := map[string]string{"a": "most", "b": "they"}[d.Behind]
	text := [...]string{d.Ring, what(d), d.Field, d.A, joinShort(d.Members, 2), d.B, behind}[pl.index]
	st := [...]widget.Style{t.Dim, t.Strong, t.Text, t.Text, t.Warn, t.Warn, t.Dim}[pl.index]
	c.In(pl.x, 0, pl.w, st, text)
}
