package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/screen"
)

// tabs are the screens with a number, in order.
var tabs = [...]struct{ name, title string }{
	{"overview", "Overview"},
	{"ring", "Ring"},
	{"partitions", "Partitions"},
	{"views", "Views"},
	{"doctor", "Doctor"},
	{"events", "Events"},
	{"whatif", "What-if"},
}

// onKey gives a key to whoever has the floor: dialog, prompt, help, the screen,
// and then the dashboard itself.
func (m *Model) onKey(key, text string) tea.Cmd {
	switch {
	case key == "ctrl+c":
		return m.interrupt()
	case m.tooSmall():
		return m.smallKey(key)
	case m.dialog != nil:
		return m.dialogKey(key, text)
	case m.prompt.mode != promptOff:
		return m.promptKey(key, text)
	case m.help:
		m.help = false
		return nil
	}
	if m.shown != nil {
		if a, done := m.pane().HandleKey(key); done {
			return m.act(a)
		}
	}
	return m.globalKey(key)
}

// interrupt leaves. While a change is on its way it takes a second time.
func (m *Model) interrupt() tea.Cmd {
	if len(m.jobs) > 0 {
		return m.quit()
	}
	if m.dialog != nil && m.dialog.Phase() == screen.Applying && !m.warned {
		m.warned = true
		m.say("a change is on its way; ctrl+c again leaves without seeing how it ends")
		return nil
	}
	return tea.Quit
}

// smallKey is what can be done in a window that is too small to see what one
// does: leave.
func (m *Model) smallKey(key string) tea.Cmd {
	switch {
	case key == "q" && m.dialog == nil:
		return m.quit()
	case key == "esc" && m.dialog != nil:
		return m.dialogKey(key, "")
	}
	return nil
}

func (m *Model) dialogKey(key, text string) tea.Cmd {
	if key == screen.StopKey && m.dialog.Stoppable() {
		m.stopJob()
		return nil
	}
	confirmed, closed := m.dialog.HandleKey(key, text)
	if closed {
		m.dialog = nil
		m.planGen++
	}
	if confirmed {
		m.warned = false
		return m.apply(m.dialog.Plan())
	}
	return nil
}

func (m *Model) globalKey(key string) tea.Cmd {
	if n := strings.Index("1234567", key); n >= 0 && len(key) == 1 {
		m.enter(tabs[n].name)
		return m.refresh()
	}
	switch key {
	case "q":
		return m.quit()
	case "?":
		m.help = true
	case ":":
		m.prompt.open(promptCommand, "")
	case "/":
		m.prompt.open(promptFilter, m.pane().Filter().String())
	case "esc":
		m.escape()
	case "tab":
		m.turn(1)
	case "shift+tab":
		m.turn(-1)
	case "w":
		m.wide = !m.wide
	case "p":
		return m.pause()
	case "[":
		return m.step(-1)
	case "]":
		return m.step(1)
	case "r":
		m.say("asking every member again")
		return m.poll()
	case "t":
		m.nextTheme()
	}
	return nil
}

// refresh asks all members again when a screen is about their views, and these
// are not of just now.
func (m *Model) refresh() tea.Cmd {
	about := m.current == "views" || m.current == "doctor"
	if !about || m.lastPoll == nil || m.now.Sub(m.lastPoll.At) < m.opts.PollEvery || m.about.Recorded {
		return nil
	}
	return m.poll()
}

// escape undoes the last thing: the filter first, then the screen, then the
// past.
func (m *Model) escape() {
	switch {
	case !m.pane().Filter().Empty():
		m.pane().SetFilter(scene.Filter{})
	case len(m.back) > 0:
		m.leave()
	case m.past >= 0 || m.paused:
		m.toNow()
	default:
		m.current = "overview"
	}
}

// turn goes to the neighbour tab.
func (m *Model) turn(by int) {
	for i, t := range tabs {
		if t.name == m.current {
			m.enter(tabs[(i+by+len(tabs))%len(tabs)].name)
			return
		}
	}
	m.leave()
}

// nextTheme goes through the themes.
func (m *Model) nextTheme() {
	order := []string{"dark", "light", "16", "mono"}
	at := 0
	for i, name := range order {
		if m.theme.Name == name {
			at = (i + 1) % len(order)
		}
	}
	m.opts.Theme = order[at]
	m.setTheme()
	m.say("theme " + order[at])
}

// onPaste types a pasted text where text is typed, and is nothing elsewhere: a
// paste must not press keys.
func (m *Model) onPaste(text string) tea.Cmd {
	switch {
	case m.dialog != nil:
		m.dialog.HandleKey("", text)
	case m.prompt.mode != promptOff:
		m.prompt.input.HandleKey("", text)
		m.liveFilter()
	}
	return nil
}

func (m *Model) onWheel(msg tea.MouseWheelMsg) tea.Cmd {
	if m.dialog != nil || m.prompt.mode != promptOff || m.shown == nil {
		return nil
	}
	key := "down"
	if msg.Button == tea.MouseWheelUp {
		key = "up"
	}
	for range 3 {
		m.pane().HandleKey(key)
	}
	return nil
}

// onClick goes to the tab that was clicked.
func (m *Model) onClick(msg tea.MouseClickMsg) tea.Cmd {
	if m.dialog != nil || msg.Y != 1 || msg.Button != tea.MouseLeft {
		return nil
	}
	x := 1
	for i := range tabs {
		w := m.tabWidth(i)
		if msg.X >= x && msg.X < x+w {
			m.enter(tabs[i].name)
		}
		x += w
	}
	return nil
}

// globalHints are the keys that work everywhere.
var globalHints = []screen.Hint{{Key: "?", Does: "help"}, {Key: ":", Does: "command"}, {Key: "q", Does: "quit"}}
