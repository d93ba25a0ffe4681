package tui

import (
	"reflect"
	"time"

	tea "charm.land/bubbletea/v2"
)

const (
	// framesPerSecond bounds how often the terminal is written to.
	framesPerSecond = 30
	// restPace is how often it is looked for a new frame while nothing but ages moves, and restAfter how soon that begins.
	restPace  = 250 * time.Millisecond
	restAfter = time.Second
)

// paced is the model in a program that rests. Bubble Tea's renderer looks at every tick of its clock whether there is a
// frame to write; at thirty ticks a second that is most of what a dashboard that nobody touches would do.
type paced struct {
	*Model
	program *tea.Program
	clock   clock
	found   bool
	resting bool
	busy    time.Time // when something happened last
}

// clock is what of a time.Ticker is needed.
type clock interface{ Reset(d time.Duration) }

// Update implements tea.Model.
func (p *paced) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	_, cmd := p.Model.Update(msg)
	_, second := msg.(tickMsg)
	p.pace(p.now, !p.drawn && !second)
	return p, cmd
}

// pace wakes the renderer when something happens, and lets it rest a while after the last time.
func (p *paced) pace(now time.Time, busy bool) {
	if !p.found {
		p.found = true
		if t := rendererClock(p.program); t != nil {
			p.clock = t
		}
	}
	if busy {
		p.busy = now
	}
	rest := now.Sub(p.busy) >= restAfter
	if p.clock == nil || rest == p.resting {
		return
	}
	if p.resting = rest; rest {
		p.clock.Reset(restPace)
	} else {
		p.clock.Reset(time.Second / framesPerSecond)
	}
}

// rendererClock is the clock of a running program's renderer, nil where it is not found. Bubble Tea has no option for it.
func rendererClock(p *tea.Program) *time.Ticker {
	field := reflect.ValueOf(p).Elem().FieldByName("ticker")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*time.Ticker]() {
		return nil
	}
	return *(**time.Ticker)(field.Addr().UnsafePointer())
}
