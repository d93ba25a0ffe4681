package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/screen"
	"github.com/ringctl/ringctl/tui/widget"
)

// The smallest window in which every screen has room.
const (
	minWidth  = 80
	minHeight = 24
)

// View draws the whole screen, or gives what was drawn last when nothing that
// is worth a frame has happened since.
func (m *Model) View() tea.View {
	if !m.drawn {
		m.frame, m.drawn = m.view(), true
	}
	return m.frame
}

func (m *Model) view() tea.View {
	v := tea.NewView(m.draw())
	v.AltScreen = true
	v.WindowTitle = "ringctl " + string(m.verdict()) + " " + m.about.Name
	if m.opts.Mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	return v
}

func (m *Model) draw() string {
	m.canvas = m.canvas.Anew(m.width, m.height, m.theme)
	c := m.canvas
	if m.tooSmall() {
		screen.Notice(c, m.theme.Warn, "a little more room, please",
			fmt.Sprintf("the window is %d by %d; %d by %d is needed", m.width, m.height, minWidth, minHeight))
		return c.String()
	}
	m.header(c.Top(1))
	m.tabs(c.Sub(0, 1, c.W, 1))
	c.Rule(2, "")
	if m.lost != nil && m.shown != nil {
		c.In(1, 2, c.W-2, m.theme.Bad, " "+m.theme.Glyph.Bad+" "+m.lost.Error()+" ")
	}
	body := c.Sub(0, 3, c.W, c.H-4)
	m.body(body)
	m.footer(c.Sub(0, c.H-1, c.W, 1), body)
	if m.help {
		m.drawHelp(body)
	}
	if m.dialog != nil {
		body.Dim(m.theme.Faint)
		env := m.env()
		env.Now = m.now // what is being done is never in the past
		m.dialog.View(body, env, m.spinner)
	}
	return c.String()
}

func (m *Model) tooSmall() bool { return m.width < minWidth || m.height < minHeight }

func (m *Model) body(c widget.Canvas) {
	if m.shown == nil {
		m.waiting(c)
		return
	}
	m.pane().View(c, m.env())
	if m.stale() {
		c.Dim(m.theme.Faint)
	}
}

// waiting is what there is to see before the first snapshot.
func (m *Model) waiting(c widget.Canvas) {
	if m.lost == nil && !m.ended {
		screen.Notice(c, m.theme.Strong, "asking "+m.about.Name, "The first member that answers shows its view.")
		return
	}
	if m.lost == nil {
		screen.Notice(c, m.theme.Strong, "the recording is empty", "There is no moment to show. q leaves.")
		return
	}
	lines := []string{m.lost.Error()}
	if hint := client.HintOf(m.lost); hint != "" {
		lines = append(lines, hint)
	}
	lines = append(lines, fmt.Sprintf("Trying again for %s. q leaves.", m.now.Sub(m.lostAt).Truncate(time.Second)))
	screen.Notice(c, m.theme.Bad, m.theme.Glyph.Bad+" no view of "+m.about.Name, lines...)
}

// header is the top line: which cluster, whose view, how old.
func (m *Model) header(c widget.Canvas) {
	t := m.theme
	c.Fill(t.Header)
	x := c.Text(1, 0, t.Strong.On(t.Header), "ringctl")
	right, st := m.freshness()
	room := c.W - widget.Width(right) - 3
	x = c.Text(x+2, 0, t.Header, c.Fit(m.about.Name, min(room/2, 48)-x))
	if m.shown != nil {
		c.In(x, 0, max(room-x, 0), t.Dim.On(t.Header), m.provenance(room-x))
	}
	c.Text(c.W-widget.Width(right)-1, 0, st.On(t.Header), right)
}

// provenance tells whose view is shown and how it came here. Where there is little room, what may be cut off comes last.
func (m *Model) provenance(room int) string {
	s := m.shown.Snap
	sep := " " + m.theme.Glyph.Separator + " "
	how, view := s.Note, "view of "+s.From
	if how == "" {
		how = modeWords(s.Mode)
	}
	parts := []string{"", view, how}
	if len(m.jobs) > 0 {
		parts = append(parts, m.draining())
	}
	if m.about.ReadOnly != "" {
		parts = append(parts, "read-only")
	}
	if long := strings.Join(parts, sep); widget.Width(long) <= room {
		return long
	}
	parts = append([]string{"", modeWords(s.Mode)}, parts[3:]...)
	return strings.Join(append(parts, view), sep)
}

func modeWords(m client.Mode) string {
	switch m {
	case client.Join:
		return "joined as guest"
	case client.Observe:
		return "observing"
	case client.HTTP:
		return "over HTTP"
	default:
		return string(m)
	}
}

// ageStep is how the age of a live view is told: a whole screen is not drawn
// anew each second to say that all is as it was.
const ageStep = 5 * time.Second

// freshness is the age of what is shown, always there.
func (m *Model) freshness() (string, widget.Style) {
	t := m.theme
	if m.shown == nil {
		return t.Glyph.Unknown + " no view", t.Warn
	}
	at := m.shown.Snap.At
	old := shortAge(m.now.Sub(at))
	switch {
	case m.playing:
		return fmt.Sprintf("%s %s  playing %d of %d", t.Glyph.Pointer, at.Local().Format("15:04:05"), m.past+1, m.history.Len()), t.Marked
	case m.past >= 0:
		return fmt.Sprintf("%s %s  step %d of %d", t.Glyph.Age, at.Local().Format("15:04:05"), m.past+1, m.history.Len()), t.Marked
	case m.about.Recorded:
		return fmt.Sprintf("%s recorded %s", t.Glyph.Age, at.Local().Format("2006-01-02 15:04:05")), t.Marked
	case m.paused:
		return "paused  " + old + " old", t.Marked
	case m.lost != nil:
		return t.Glyph.Bad + " disconnected  " + old + " old", t.Bad
	case m.stale():
		return t.Glyph.Warn + " stale  " + old + " old", t.Warn
	default:
		return t.Glyph.Good + " live  <" + shortAge(m.now.Sub(at).Truncate(ageStep)+ageStep) + " old", t.Good
	}
}

func shortAge(d time.Duration) string {
	return max(d, 0).Truncate(time.Second).String()
}

// tabs is the second line.
func (m *Model) tabs(c widget.Canvas) {
	x := 1
	for i, tab := range tabs {
		st, key := m.theme.Dim, m.theme.Accent
		if tab.name == m.current {
			st, key = m.theme.Strong.With(widget.Underline), m.theme.Strong
		}
		at := c.Text(x, 0, key, fmt.Sprintf("%d ", i+1))
		at = c.Text(at, 0, st, tab.title)
		if b, bst := m.badge(tab.name); b != "" {
			c.Text(at+1, 0, bst, b)
		}
		x += m.tabWidth(i)
	}
	if m.current == "member" || m.current == "partition" {
		_, id := m.detail.Subject()
		c.In(x, 0, c.W-x, m.theme.Strong, m.theme.Glyph.Pointer+" "+m.current+" "+id)
	}
}

// tabWidth is the room of a tab, the same whether or not it has a badge.
func (m *Model) tabWidth(i int) int {
	w := 2 + len(tabs[i].title) + 2
	switch tabs[i].name {
	case "views", "doctor":
		w += 2
	}
	return w
}

// badge is the number of things that ask for attention behind a tab.
func (m *Model) badge(name string) (string, widget.Style) {
	if m.shown == nil || m.shown.Poll == nil {
		return "", m.theme.Dim
	}
	n, st := 0, m.theme.Warn
	switch name {
	case "views":
		n = m.shown.Poll.Disagreeing()
	case "doctor":
		for _, f := range m.shown.Poll.Findings {
			if f.Severity == client.Critical {
				st = m.theme.Bad
			}
			if f.Severity != client.OK {
				n++
			}
		}
	}
	if n == 0 {
		return "", st
	}
	if n > 9 {
		return "+", st
	}
	return fmt.Sprint(n), st
}

// footer is the last line: what is typed, what was said, or the keys.
func (m *Model) footer(c widget.Canvas, body widget.Canvas) {
	switch {
	case m.prompt.mode != promptOff:
		m.drawPrompt(c, body)
	case m.toast.text != "" && m.now.Before(m.toast.until):
		c.Text(1, 0, m.theme.Marked, m.theme.Glyph.Pointer)
		c.In(3, 0, c.W-4, m.theme.Text, m.toast.text)
	default:
		m.drawHints(c)
	}
}

func (m *Model) drawHints(c widget.Canvas) {
	x := 1
	if f := m.pane().Filter(); !f.Empty() {
		x = c.Text(x, 0, m.theme.Marked, "/"+c.Fit(f.String(), c.W/3)) + 2
	}
	hints := m.hintsNow()
	need := -2
	for i := range hints {
		hints[i].Does = strings.ReplaceAll(hints[i].Does, "…", m.theme.Glyph.More)
		need += hintWidth(hints[i])
	}
	if help := slices.IndexFunc(hints, func(h screen.Hint) bool { return h.Key == "?" }); help >= 0 && x+need > c.W {
		n, room := 0, c.W-x-hintWidth(hints[help]) // the way to all others is always shown
		for n < help && hintWidth(hints[n]) <= room {
			room -= hintWidth(hints[n])
			n++
		}
		hints = append(hints[:n], hints[help])
	}
	for _, h := range hints {
		if x+hintWidth(h)-2 > c.W {
			return
		}
		x = c.Text(x, 0, m.theme.Accent, h.Key)
		x = c.Text(x+1, 0, m.theme.Dim, h.Does) + 2
	}
}

// hintWidth is the room that a hint and the gap after it take.
func hintWidth(h screen.Hint) int { return widget.Width(h.Key) + 1 + widget.Width(h.Does) + 2 }

// hintsNow are the keys that do something at this moment.
func (m *Model) hintsNow() []screen.Hint {
	switch {
	case m.dialog != nil:
		return slices.Clone(m.dialog.Hints())
	case m.shown == nil:
		return slices.Clone(globalHints)
	}
	hints := append(slices.Clone(m.pane().Hints()), globalHints...)
	if m.about.ReadOnly != "" {
		hints = slices.DeleteFunc(hints, func(h screen.Hint) bool { return strings.HasSuffix(h.Does, "…") })
	}
	return hints
}

// drawPrompt is the line being typed, and above it what it could become.
func (m *Model) drawPrompt(c widget.Canvas, body widget.Canvas) {
	t, p := m.theme, &m.prompt
	sign := ":"
	if p.mode == promptFilter {
		sign = "/"
	}
	x := c.Text(1, 0, t.Accent, sign)
	c.In(x, 0, c.W-x-1, t.Strong, p.input.Value())
	if cursor := x + p.input.Cursor(); cursor < c.W {
		under := []rune(p.input.Value() + " ")
		at := min(len([]rune(p.input.Value()[:p.input.Offset()])), len(under)-1)
		c.Text(cursor, 0, t.Strong.With(widget.Reverse), string(under[at]))
	}
	choices, taken := p.input.Choices()
	if len(choices) == 0 {
		return
	}
	line := body.Sub(0, body.H-1, body.W, 1)
	line.Fill(t.Header)
	x = 1
	for i, ch := range choices {
		if x+widget.Width(ch) > line.W-2 {
			line.Text(x, 0, t.Dim.On(t.Header), t.Glyph.Ellipsis)
			return
		}
		st := t.Dim
		if i == taken {
			st = t.Marked
		}
		x = line.Text(x, 0, st.On(t.Header), ch) + 2
	}
}
