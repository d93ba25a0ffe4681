package screen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/widget"
)

// Doctor lists findings, the worst first, and explains the one under the
// cursor.
type Doctor struct {
	scene  *scene.Scene
	filter scene.Filter
	list   widget.List
	rows   []int
}

// SetScene gives the screen what to show.
func (d *Doctor) SetScene(s *scene.Scene) { d.scene = s; d.collect() }

// SetFilter narrows the findings.
func (d *Doctor) SetFilter(f scene.Filter) { d.filter = f; d.collect() }

// Filter is the filter in use.
func (d *Doctor) Filter() scene.Filter { return d.filter }

func (d *Doctor) findings() []scene.Finding {
	if d.scene == nil || d.scene.Poll == nil {
		return nil
	}
	return d.scene.Poll.Findings
}

func (d *Doctor) collect() {
	d.rows = d.rows[:0]
	all := d.findings()
	for i := range all {
		f := &all[i]
		if d.filter.Match(scene.Field{Name: "rule", Value: f.Rule}, scene.Field{Name: "ring", Value: f.Ring},
			scene.Field{Name: "id", Value: f.Subject}, scene.Field{Name: "state", Value: string(f.Severity)}, scene.Field{Value: f.Cause}) {
			d.rows = append(d.rows, i)
		}
	}
	slices.SortStableFunc(d.rows, func(a, b int) int { return all[b].Severity.Rank() - all[a].Severity.Rank() })
	d.list.SetSize(len(d.rows), max(len(d.rows), 1))
}

func (d *Doctor) selected() *scene.Finding {
	if all := d.findings(); d.list.Cursor < len(d.rows) {
		return &all[d.rows[d.list.Cursor]]
	}
	return nil
}

// HandleKey moves the cursor and copies the cure.
func (d *Doctor) HandleKey(key string) (Action, bool) {
	if d.list.HandleKey(key) {
		return nil, true
	}
	f := d.selected()
	if f == nil {
		return nil, false
	}
	switch key {
	case "y":
		return Yank{What: "finding " + f.Rule, Text: jsonText(f)}, true
	case "c":
		if f.Fix == "" {
			return Say{Text: "there is no command for this one"}, true
		}
		return Yank{What: "command", Text: f.Fix}, true
	case "enter":
		if f.Ring == "" {
			return Say{Text: "this finding is about the cluster, not about one ring"}, true
		}
		return Open{Screen: "ring", Ring: f.Ring, ID: f.Subject}, true
	}
	return nil, false
}

// Hints are the keys of this screen.
func (d *Doctor) Hints() []Hint {
	return []Hint{{"enter", "open ring"}, {"c", "copy command"}, {"r", "ask again"}, {"/", "filter"}}
}

// View draws the findings.
func (d *Doctor) View(c widget.Canvas, env Env) {
	if d.scene == nil || d.scene.Poll == nil {
		Notice(c, c.Theme.Strong, "examining", "Every member is asked for its view before the rules are applied.")
		return
	}
	p := d.scene.Poll
	if p.Err != "" && len(p.Views) == 0 {
		Notice(c, c.Theme.Bad, "no member could be asked", p.Err, "r asks again.")
		return
	}
	d.headline(c.Top(1).Inset(1), p, env)
	body := c.Below(1)
	if len(d.rows) == 0 {
		in := body.Box("Findings", "")
		if !d.filter.Empty() && len(p.Findings) > 0 {
			Notice(in, c.Theme.Strong, "no finding matches /"+d.filter.String(), "esc clears the filter")
		} else {
			Notice(in, c.Theme.Good, c.Theme.Glyph.Good+" no findings", fmt.Sprintf("All rules were applied to %s.", count(len(p.Views), "view")))
		}
		return
	}
	h := min(len(d.rows)+2, max(body.H/2, 4))
	d.table(body.Top(h), p)
	d.explain(body.Below(h))
}

func (d *Doctor) headline(c widget.Canvas, p *scene.Poll, env Env) {
	by := map[client.Verdict]int{}
	worst := client.OK
	for i := range p.Findings {
		by[p.Findings[i].Severity]++
		worst = worst.Worse(p.Findings[i].Severity)
	}
	sym, st := verdict(c.Theme, worst)
	x := c.Text(0, 0, st.With(widget.Bold), sym+" "+string(worst))
	text := fmt.Sprintf("%d critical, %s", by[client.Critical], count(by[client.Warning], "warning"))
	if n := by[client.OK] + by[client.Unknown]; n > 0 {
		text += ", " + count(n, "remark")
	}
	x = c.Text(x+2, 0, c.Theme.Strong, text)
	c.In(x+2, 0, c.W-x-2, c.Theme.Dim, fmt.Sprintf("over %s, %s ago", count(len(p.Views), "view"), since(env.Now, p.At)))
}

func (d *Doctor) table(c widget.Canvas, p *scene.Poll) {
	rows := c.Box("Findings", count(len(d.rows), "finding")).Inset(1)
	d.list.SetSize(len(d.rows), rows.H)
	from, to := d.list.Window()
	ruleW := 12
	for _, i := range d.rows {
		ruleW = min(max(ruleW, widget.Width(p.Findings[i].Rule)), 28)
	}
	for i := from; i < to; i++ {
		f := &p.Findings[d.rows[i]]
		line := rows.Sub(0, i-from, rows.W-1, 1)
		sym, st := verdict(c.Theme, f.Severity)
		x := line.In(2, 0, 10, st, sym+" "+string(f.Severity))
		x = line.In(x+2, 0, ruleW, c.Theme.Strong, f.Rule)
		x = line.In(x+2, 0, min(28, line.W/4), c.Theme.Dim, strings.TrimSpace(f.Ring+" "+f.Subject))
		line.In(x+2, 0, line.W-x-2, c.Theme.Text, f.Cause)
		if i == d.list.Cursor {
			line.Restyle(0, c.Theme.Select)
			line.Text(0, 0, c.Theme.Accent.On(c.Theme.Select), c.Theme.Glyph.Pointer)
		}
	}
	scrollbar(rows, &d.list)
}

func (d *Doctor) explain(c widget.Canvas) {
	f := d.selected()
	if f == nil {
		return
	}
	in := c.Box(f.Rule, f.Ring).Inset(1)
	y := 0
	para := func(st widget.Style, bullet, text string) {
		for i, l := range widget.Wrap(text, in.W-2) {
			if i == 0 {
				in.Text(0, y, in.Theme.Accent, bullet)
			}
			in.Text(2, y, st, l)
			y++
		}
	}
	para(in.Theme.Strong, "", f.Cause)
	for _, e := range f.Evidence {
		para(in.Theme.Text, in.Theme.Glyph.Bullet, e)
	}
	if f.Fix != "" {
		y++
		para(in.Theme.Accent, "$", f.Fix)
	}
}
