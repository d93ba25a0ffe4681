package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/screen"
)

// The messages that commands come back with. Those that answer a question
// carry its generation.
type (
	frameMsg struct {
		scene   *scene.Scene
		events  []client.Event
		changed bool
		err     error
	}
	pollMsg struct {
		gen  int
		poll *scene.Poll
	}
	pastMsg struct {
		gen   int
		scene *scene.Scene
	}
	planMsg struct {
		gen  int
		plan *client.Plan
		err  error
	}
	progressMsg struct {
		gen      int
		progress client.Progress
		more     <-chan client.Progress
	}
	resultMsg struct {
		gen    int
		result *client.Result
		err    error
	}
	tickMsg    time.Time
	pollDueMsg struct{ gen int }
	spinMsg    struct{}
)

// take waits for the next snapshot.
func (m *Model) take() tea.Cmd {
	s := m.stream
	return func() tea.Msg { return s.take() }
}

// takeLater waits a moment first, so that a busy cluster does not make a busy
// screen.
func (m *Model) takeLater() tea.Cmd {
	s := m.stream
	return tea.Tick(frameEvery, func(time.Time) tea.Msg { return s.take() })
}

// tick is the second hand: ages on the screen move with it.
func tick() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// pollLater begins the next round after a while, sooner when views disagree.
func (m *Model) pollLater() tea.Cmd {
	if m.lastPoll != nil && m.lastPoll.Disagreeing() > 0 {
		return m.pollAfter(min(pollSoon, m.opts.PollEvery))
	}
	return m.pollAfter(m.opts.PollEvery)
}

// pollAfter begins a round after d, or when the last one has been paid for,
// unless another has begun by then.
func (m *Model) pollAfter(d time.Duration) tea.Cmd {
	due := pollDueMsg{m.pollGen}
	return tea.Tick(max(d, m.pollRest()), func(time.Time) tea.Msg { return due })
}

// A round of views makes every member encode its whole state: rounds are spaced
// so that they move at most a quarter of a megabyte a second, and come at least
// now and then.
const (
	pollBytesPerSecond = 1 << 18
	pollAtLeast        = 10 * time.Minute
	// pollSoon is when members are asked again after views disagreed or health
	// changed: both are about to change once more.
	pollSoon = 3 * time.Second
)

func (m *Model) pollRest() time.Duration {
	moved := 0
	if m.lastPoll != nil {
		for _, v := range m.lastPoll.Views {
			moved += v.StateBytes
		}
	}
	return min(time.Duration(moved)*time.Second/pollBytesPerSecond, pollAtLeast)
}

func spin() tea.Cmd {
	return tea.Tick(frameEvery, func(time.Time) tea.Msg { return spinMsg{} })
}

// poll asks all members for their views. One round runs at a time.
func (m *Model) poll() tea.Cmd {
	if m.polling {
		return nil
	}
	m.polling = true
	m.pollGen++
	gen, src, ctx, opts := m.pollGen, m.opts.Source, m.ctx, m.opts
	before := m.lastPoll
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
		defer cancel()
		views, err := src.Views(ctx)
		if len(views) == 0 && before != nil {
			stale := *before
			stale.Err, stale.Failed = errorText(err), true
			return pollMsg{gen: gen, poll: &stale}
		}
		p := scene.NewPoll(opts.Now(), views, src.Examine(views))
		p.Err, p.Failed = errorText(err), len(views) == 0
		return pollMsg{gen: gen, poll: p}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// recall prepares a moment of the past for drawing. Of the past there is one
// view, so that is all there is to examine.
func (m *Model) recall(i int) tea.Cmd {
	m.pastGen++
	gen, snap, near, src := m.pastGen, m.history.At(i), m.shown, m.opts.Source
	return func() tea.Msg {
		one := []*client.Snapshot{snap}
		s := scene.Build(snap, near).WithPoll(scene.NewPoll(snap.At, one, src.Examine(one)))
		return pastMsg{gen: gen, scene: s}
	}
}

// plan has a change checked.
func (m *Model) plan(c screen.Change) tea.Cmd {
	m.planGen++
	gen, src, ctx, limit := m.planGen, m.opts.Source, m.ctx, m.opts.Timeout
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		p, err := src.Plan(ctx, c)
		return planMsg{gen: gen, plan: p, err: err}
	}
}

// apply makes a change. Progress comes through a channel that holds only the
// latest; the channel is closed at the end.
func (m *Model) apply(p *client.Plan) tea.Cmd {
	gen, src, ctx := m.planGen, m.opts.Source, m.ctx
	if p.Action == client.Drain {
		ctx = m.begin(gen)
	}
	latest := make(chan client.Progress, 1)
	do := func() tea.Msg {
		defer close(latest)
		r, err := src.Apply(ctx, p, func(p client.Progress) { replace(latest, p) })
		return resultMsg{gen: gen, result: r, err: err}
	}
	return tea.Batch(do, waitProgress(gen, latest), spin())
}

// replace puts p in the place of what was not looked at yet. That a change was
// made is passed on with it.
func replace(latest chan client.Progress, p client.Progress) {
	select {
	case old := <-latest:
		if p.Made == nil {
			p.Made = old.Made
		}
	default:
	}
	select {
	case latest <- p:
	default: // a newer one came in between
	}
}

func waitProgress(gen int, more <-chan client.Progress) tea.Cmd {
	return func() tea.Msg {
		p, open := <-more
		if !open {
			return nil
		}
		return progressMsg{gen: gen, progress: p, more: more}
	}
}
