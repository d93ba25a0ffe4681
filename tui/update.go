package tui

import (
	"errors"
	"fmt"
	"strconv"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/screen"
)

// Update routes a message to its handler.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.opts.Now()
	m.drawn = m.drawn && m.quiet(msg)
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.BackgroundColorMsg:
		return m, m.onBackground(msg.IsDark())
	case tea.ColorProfileMsg:
		return m, m.onProfile(msg.Profile)
	case tea.KeyPressMsg:
		return m, m.onKey(msg.String(), msg.Text)
	case tea.PasteMsg:
		return m, m.onPaste(msg.Content)
	case tea.MouseWheelMsg:
		return m, m.onWheel(msg)
	case tea.MouseClickMsg:
		return m, m.onClick(msg)
	case frameMsg:
		return m, m.onFrame(msg)
	case pollMsg:
		return m, m.onPoll(msg)
	case pastMsg:
		return m, m.onPast(msg)
	case planMsg:
		return m, m.onPlan(msg)
	case progressMsg:
		return m, m.onProgress(msg)
	case resultMsg:
		return m, m.onResult(msg)
	case tickMsg:
		return m, m.onTick()
	case pollDueMsg:
		if msg.gen != m.pollGen {
			return m, nil // another round has begun since
		}
		return m, m.poll()
	case spinMsg:
		return m, m.onSpin()
	}
	return m, nil
}

func (m *Model) onBackground(dark bool) tea.Cmd {
	m.dark = dark
	m.setTheme()
	return nil
}

func (m *Model) onProfile(p colorprofile.Profile) tea.Cmd {
	switch p {
	case colorprofile.TrueColor, colorprofile.ANSI256:
		m.colors = manyColors
	case colorprofile.ANSI:
		m.colors = sixteenColors
	default:
		m.colors = noColors
	}
	m.setTheme()
	return nil
}

// quiet tells whether a message changes no more on the screen than ages, which
// move with the next second anyway.
func (m *Model) quiet(msg tea.Msg) bool {
	switch msg := msg.(type) {
	case frameMsg:
		return msg.err == nil && !msg.changed && m.live != nil && m.lost == nil && m.live.Snap.Note == msg.scene.Snap.Note &&
			!m.about.Recorded && !m.stale()
	case pollDueMsg:
		return true
	default:
		return false
	}
}

// onFrame takes in the next snapshot, or the news that there is none.
func (m *Model) onFrame(msg frameMsg) tea.Cmd {
	switch {
	case errors.Is(msg.err, errEnded):
		m.ended = true
		if m.about.Recorded && m.history.Len() > 0 && m.past < 0 {
			m.past = m.history.Len() - 1
			return m.recall(m.past)
		}
		if !m.about.Recorded && m.ctx.Err() == nil {
			m.disconnect(errors.New("the source has ended"))
		}
		return nil
	case msg.err != nil:
		m.disconnect(msg.err)
		return m.takeLater()
	}
	if m.lost != nil && m.live != nil {
		m.feed.Say(m.now, false, "connected again, view of "+msg.scene.Snap.From)
	}
	m.lost = nil
	if note := msg.scene.Snap.Note; note != "" && (m.live == nil || m.live.Snap.Note != note) {
		m.feed.Say(msg.scene.Snap.At, false, note) // how it is watched, and why not better
	}
	m.live = msg.scene.WithPoll(m.lastPoll)
	m.history.Add(msg.scene.Snap, msg.changed)
	m.feed.Add(msg.events)
	if m.past < 0 && !m.paused {
		m.show(m.live)
	} else {
		m.events.SetFeed(&m.feed)
	}
	if m.about.Recorded {
		return m.take()
	}
	if m.pollGen == 0 {
		return tea.Batch(m.takeLater(), m.poll())
	}
	if msg.changed && m.lastPoll != nil {
		return tea.Batch(m.takeLater(), m.pollAfter(min(pollSoon, m.opts.PollEvery)-m.now.Sub(m.lastPoll.At)))
	}
	return m.takeLater()
}

func (m *Model) disconnect(err error) {
	if m.lost == nil {
		m.lostAt = m.now
		if m.live != nil {
			m.feed.Say(m.now, true, "lost the view: "+err.Error())
			m.events.SetFeed(&m.feed)
		}
	}
	m.lost = err
}

func (m *Model) onPoll(msg pollMsg) tea.Cmd {
	if msg.gen != m.pollGen {
		return nil
	}
	m.polling, m.lastPoll = false, msg.poll
	if m.live != nil {
		m.live = m.live.WithPoll(msg.poll)
		if m.past < 0 && !m.paused {
			m.show(m.live)
		}
	}
	if m.about.Recorded {
		return nil
	}
	return m.pollLater()
}

// onTick is the second hand. It also turns the pages of a recording that plays.
func (m *Model) onTick() tea.Cmd {
	if m.playing {
		return tea.Batch(tick(), m.step(1))
	}
	return tick()
}

func (m *Model) onPast(msg pastMsg) tea.Cmd {
	if msg.gen == m.pastGen && m.past >= 0 {
		m.show(msg.scene)
	}
	return nil
}

func (m *Model) onPlan(msg planMsg) tea.Cmd {
	if msg.gen == m.planGen && m.dialog != nil {
		m.dialog.SetPlan(msg.plan, msg.err)
	}
	return nil
}

func (m *Model) onProgress(msg progressMsg) tea.Cmd {
	if j := m.jobAt(msg.gen); j != nil {
		m.jobProgress(j, msg.progress)
	} else if msg.gen == m.planGen && m.dialog != nil {
		m.dialog.SetProgress(msg.progress)
	}
	return waitProgress(msg.gen, msg.more)
}

// onResult keeps the outcome in the feed, whether the dialog is still there or
// not, and looks at the cluster again.
func (m *Model) onResult(msg resultMsg) tea.Cmd {
	if j := m.jobAt(msg.gen); j != nil {
		return m.jobResult(j, msg)
	}
	if msg.gen != m.planGen || m.dialog == nil {
		return nil
	}
	m.dialog.SetResult(msg.result, msg.err)
	text, bad := m.dialog.Outcome()
	m.feed.Say(m.now, bad, text)
	m.events.SetFeed(&m.feed)
	return m.poll()
}

// onSpin turns the spinner while something is awaited.
func (m *Model) onSpin() tea.Cmd {
	if m.dialog == nil || !m.dialog.Busy() {
		return nil
	}
	m.spinner++
	return spin()
}

// act does what a screen asked for.
func (m *Model) act(a screen.Action) tea.Cmd {
	switch a := a.(type) {
	case screen.Open:
		m.open(a)
	case screen.Imagine:
		m.whatif.SetRing(a.Ring, a.IDs)
		m.enter("whatif")
	case screen.Propose:
		return m.propose(a.Change)
	case screen.Yank:
		m.say("copied " + a.What)
		return tea.SetClipboard(a.Text)
	case screen.Back:
		m.leave()
	case screen.Say:
		m.say(a.Text)
	}
	return nil
}

// open shows the ring, member or partition that was asked for.
func (m *Model) open(a screen.Open) {
	switch a.Screen {
	case "ring":
		a.Screen = m.resolve(&a)
		m.open(a)
		return
	case "instances":
		a.Screen = "ring"
		m.ring.SetRing(a.Ring)
	case "partitions":
		m.partitions.SetRing(m.keyOf(a.Ring))
	case "member", "partition":
		m.detail.SetSubject(a.Ring, a.ID, a.Screen == "partition")
	}
	m.enter(a.Screen)
}

// resolve turns "somewhere in this ring" into the screen for it: the member or
// partition that is named, else the ring.
func (m *Model) resolve(a *screen.Open) string {
	a.Ring = m.keyOf(a.Ring)
	if m.hasPartitionRing(a.Ring) {
		if _, err := strconv.Atoi(a.ID); err == nil {
			return "partition"
		}
		return "partitions"
	}
	if m.shown != nil {
		if r, ok := m.shown.Snap.Ring(a.Ring); ok {
			if _, there := r.Instance(a.ID); there {
				return "member"
			}
		}
	}
	return "instances"
}

// keyOf turns a ring's short name into its key; a key stays as it is.
func (m *Model) keyOf(name string) string {
	if m.shown == nil {
		return name
	}
	if r, ok := m.shown.Snap.Ring(name); ok {
		return r.Key
	}
	if r, ok := m.shown.Snap.PartitionRing(name); ok {
		return r.Key
	}
	return name
}

func (m *Model) hasPartitionRing(name string) bool {
	if m.shown == nil {
		return false
	}
	_, ok := m.shown.Snap.PartitionRing(name)
	return ok
}

// enter goes to a screen and remembers the one before.
func (m *Model) enter(name string) {
	if name == m.current {
		return
	}
	m.back = append(m.back, m.current)
	if len(m.back) > 32 {
		m.back = m.back[1:]
	}
	m.current = name
}

// leave goes back one screen.
func (m *Model) leave() {
	if n := len(m.back); n > 0 {
		m.current, m.back = m.back[n-1], m.back[:n-1]
		return
	}
	m.current = "overview"
}

// propose starts a change with its checks. It is the only way to one.
func (m *Model) propose(c screen.Change) tea.Cmd {
	if j := m.jobOf(c); j != nil {
		m.dialog = j.dialog // it is being made: there is how far it is
		return nil
	}
	switch {
	case m.about.ReadOnly != "":
		m.say("nothing can be changed here: " + m.about.ReadOnly)
	case m.past >= 0 || m.paused:
		m.say("this is the past; go back to now with ] or p before changing anything")
	case m.shown == nil || len(c.IDs) == 0:
		m.say("there is nothing to " + string(c.Action))
	case m.lost != nil:
		m.say("the cluster is out of reach: nothing can be checked, so nothing is changed")
	default:
		m.dialog = screen.NewDialog(c)
		return tea.Batch(m.plan(c), spin())
	}
	return nil
}

// step moves through history; past the newest step is now.
func (m *Model) step(by int) tea.Cmd {
	n := m.history.Len()
	if n < 2 {
		m.say("there is no recorded step yet")
		return nil
	}
	at := m.past
	if at < 0 {
		at = n - 1
	}
	switch at += by; {
	case at < 0:
		m.say(fmt.Sprintf("this is the oldest of %d steps", n))
		return nil
	case at >= n-1 && !m.about.Recorded:
		m.toNow()
		return nil
	case at >= n:
		m.playing = false
		m.say("this is the end of the recording")
		return nil
	}
	m.past = at
	return m.recall(at)
}

// toNow leaves the past.
func (m *Model) toNow() {
	m.past, m.paused = -1, false
	m.pastGen++
	if m.live != nil {
		m.show(m.live)
	}
}

// pause freezes the screen, or goes on. A recording plays on from where it is,
// or from its start at its end.
func (m *Model) pause() tea.Cmd {
	if m.about.Recorded {
		if m.playing = !m.playing; m.playing && m.past >= m.history.Len()-1 && m.history.Len() > 0 {
			m.past = 0
			return m.recall(0)
		}
		return nil
	}
	if m.past >= 0 {
		m.toNow()
		return nil
	}
	if m.paused = !m.paused; !m.paused && m.live != nil {
		m.show(m.live)
	}
	return nil
}

// verdict of what is shown, for the header.
func (m *Model) verdict() client.Verdict {
	if m.shown == nil {
		return client.Unknown
	}
	return m.shown.Snap.Verdict
}
