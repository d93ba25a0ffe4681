package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
)

// Options say what to show and how. Only Source is needed.
type Options struct {
	Source Source
	// In and Out are the terminal; nil is standard input and output.
	In  io.Reader
	Out io.Writer
	// Env is the environment, as in os.Environ; nil is the process's own.
	Env []string
	// Theme is "dark", "light", "16", "mono" or "" for what suits the terminal.
	Theme string
	// ASCII draws with seven-bit characters only.
	ASCII bool
	// NoColor forces the theme without colours.
	NoColor bool
	// Mouse turns on wheel and clicks; selecting text then takes shift.
	Mouse bool
	// Screen is the first screen; "" is the overview.
	Screen string
	// PollEvery is how often all members are asked for their views; zero is 15 s.
	PollEvery time.Duration
	// Timeout bounds one question to the source; zero is 30 s.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// frameEvery bounds how often new snapshots are taken in: four times a second.
const frameEvery = 250 * time.Millisecond

func (o Options) withDefaults() Options {
	if o.PollEvery == 0 {
		o.PollEvery = 15 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Run shows the dashboard until it is quit or ctx ends. Both are a nil error:
// the terminal is restored either way.
func Run(ctx context.Context, o Options) error {
	if o.Source == nil {
		return errors.New("start dashboard: no source given")
	}
	ctx, cancel := context.WithCancel(ctx)
	m := New(ctx, o)
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithFPS(framesPerSecond)}
	if o.In != nil {
		options = append(options, tea.WithInput(o.In))
	}
	if o.Out != nil {
		options = append(options, tea.WithOutput(o.Out))
	}
	if o.Env != nil {
		options = append(options, tea.WithEnvironment(o.Env))
	}
	if o.NoColor {
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	p := &paced{Model: m, busy: o.withDefaults().Now()}
	p.program = tea.NewProgram(p, options...)
	_, err := p.program.Run()
	interrupted := ctx.Err() != nil
	cancel()
	m.Close()
	if err != nil && !interrupted && !errors.Is(err, tea.ErrInterrupted) {
		return fmt.Errorf("run dashboard: %w", err)
	}
	return nil
}
