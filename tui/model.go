package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/screen"
	"github.com/ringctl/ringctl/tui/widget"
)

// pane is what the model asks of a screen.
type pane interface {
	HandleKey(key string) (screen.Action, bool)
	View(c widget.Canvas, env screen.Env)
	Hints() []screen.Hint
	SetFilter(scene.Filter)
	Filter() scene.Filter
}

// Model is the whole dashboard as one Bubble Tea model.
type Model struct {
	ctx    context.Context
	opts   Options
	about  About
	stream *stream

	// frame is what View gave last, if drawn; canvas is where it was drawn.
	frame  tea.View
	drawn  bool
	canvas widget.Canvas

	theme         *widget.Theme
	dark          bool
	colors        widgetColors
	width, height int
	now           time.Time

	// live is the newest scene, shown what the screens show: the same unless
	// paused or in the past.
	live, shown *scene.Scene
	history     scene.History
	feed        scene.Feed
	// past is the step of history that is shown, -1 for now.
	past   int
	paused bool
	// playing is true while a recording goes on by itself.
	playing bool
	// lost is why there is no newer view, since lostAt.
	lost   error
	lostAt time.Time
	ended  bool

	overview   screen.Overview
	ring       screen.Ring
	partitions screen.Partitions
	views      screen.Views
	doctor     screen.Doctor
	events     screen.Events
	whatif     screen.WhatIf
	detail     screen.Detail

	current string
	back    []string
	wide    bool
	help    bool
	dialog  *screen.Dialog
	jobs    []*job
	prompt  prompt
	toast   toast
	spinner int
	// warned is true once ctrl+c was pressed during a change.
	warned bool

	// lastPoll is the latest answer of all members.
	lastPoll                  *scene.Poll
	polling                   bool
	pollGen, pastGen, planGen int
}

// toast is a line that goes away by itself.
type toast struct {
	text  string
	until time.Time
}

// widgetColors is how many colours the terminal has.
type widgetColors int

const (
	manyColors widgetColors = iota
	sixteenColors
	noColors
)

// New makes the model. It asks the source for nothing before Init; Close must
// be called after the program has ended and ctx is done.
func New(ctx context.Context, o Options) *Model {
	o = o.withDefaults()
	m := &Model{ctx: ctx, opts: o, about: o.Source.About(), past: -1, dark: true, current: "overview", now: o.Now()}
	if o.NoColor {
		m.colors = noColors
	}
	if _, known := m.panes()[o.Screen]; known {
		m.current = o.Screen
	}
	m.stream = newStream(ctx, o.Source)
	if m.about.Recorded {
		m.history.Budget = 1 << 24
	}
	m.events.SetFeed(&m.feed)
	m.detail.SetFeed(&m.feed)
	m.prompt.input.Complete = m.complete
	m.setTheme()
	return m
}

// Close ends the stream of snapshots.
func (m *Model) Close() { m.stream.close() }

// Init starts the stream and the second hand. The first snapshot starts the
// rounds of views, which share with it what they have in common; a recording has
// no such snapshot.
func (m *Model) Init() tea.Cmd {
	if m.about.Recorded {
		return tea.Batch(m.take(), tick(), m.poll(), tea.RequestBackgroundColor)
	}
	return tea.Batch(m.take(), tick(), tea.RequestBackgroundColor)
}

// setTheme picks the theme for what is asked for and what the terminal can do.
func (m *Model) setTheme() {
	t := widget.Dark()
	switch {
	case m.opts.Theme == "mono" || m.opts.Theme == "" && m.colors == noColors || m.opts.NoColor:
		t = widget.Mono()
	case m.opts.Theme == "light", m.opts.Theme == "" && m.colors == manyColors && !m.dark:
		t = widget.Light()
	case m.opts.Theme == "16", m.opts.Theme == "" && m.colors == sixteenColors:
		t = widget.Sixteen()
	}
	if m.opts.ASCII {
		t = t.ASCII()
	}
	m.theme = t
}

// panes are the screens by name.
func (m *Model) panes() map[string]pane {
	return map[string]pane{
		"overview": &m.overview, "ring": &m.ring, "partitions": &m.partitions, "views": &m.views,
		"doctor": &m.doctor, "events": &m.events, "whatif": &m.whatif, "member": &m.detail, "partition": &m.detail,
	}
}

func (m *Model) pane() pane { return m.panes()[m.current] }

// show gives a scene to all screens.
func (m *Model) show(s *scene.Scene) {
	m.shown = s
	m.overview.SetScene(s)
	m.overview.SetFeed(&m.feed)
	m.ring.SetScene(s)
	m.partitions.SetScene(s)
	m.views.SetScene(s)
	m.doctor.SetScene(s)
	m.whatif.SetScene(s)
	m.detail.SetScene(s)
	m.events.SetScene(s)
	m.events.SetFeed(&m.feed)
}

// env is the moment that is drawn. Ages stop with what is shown: a heartbeat
// that nobody can see any more must not seem to grow old.
func (m *Model) env() screen.Env {
	env := screen.Env{Now: m.now, Wide: m.wide, ReadOnly: m.about.ReadOnly}
	if m.shown != nil && (m.past >= 0 || m.paused || m.stale()) {
		env.Now = m.shown.Snap.At
	}
	return env
}

// staleAfter is the age at which a live view is called stale.
const staleAfter = 20 * time.Second

// stale tells whether what is shown is older than it should be.
func (m *Model) stale() bool {
	if m.shown == nil || m.past >= 0 || m.about.Recorded {
		return false
	}
	return m.lost != nil || m.shown.Snap.Age(m.now) > staleAfter
}

// say shows a line for a few seconds.
func (m *Model) say(text string) {
	m.toast = toast{text: text, until: m.now.Add(5 * time.Second)}
}
