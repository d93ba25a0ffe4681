package tui

import (
	"io"
	"slices"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// TestRendererClockIsFound: an update of Bubble Tea that hides it elsewhere would let the dashboard work more than it need.
func TestRendererClockIsFound(t *testing.T) {
	m := &clockModel{}
	m.program = tea.NewProgram(m, tea.WithContext(t.Context()), tea.WithInput(nil), tea.WithOutput(io.Discard), tea.WithoutSignals())
	if _, err := m.program.Run(); err != nil {
		t.Fatal(err)
	}
	if !m.found {
		t.Error("no clock")
	}
}

// clockModel looks for the clock and quits.
type clockModel struct {
	program *tea.Program
	found   bool
}

func (m *clockModel) Init() tea.Cmd { return nil }
func (m *clockModel) Update(tea.Msg) (tea.Model, tea.Cmd) {
	m.found = rendererClock(m.program) != nil
	return m, tea.Quit
}
func (m *clockModel) View() tea.View { return tea.NewView("") }

// resets notes how fast a clock was told to go.
type resets []time.Duration

func (r *resets) Reset(d time.Duration) { *r = append(*r, d) }

// TestPace: the renderer rests when nothing has happened for a while, and is quick from the first thing that happens.
func TestPace(t *testing.T) {
	var got resets
	p := &paced{found: true, clock: &got}
	began := time.Unix(1000, 0)
	for _, step := range []struct {
		after time.Duration
		busy  bool
	}{
		{0, true}, {restAfter - 1, false}, // quick, as it began
		{restAfter, false}, {2 * restAfter, false}, // rests
		{3 * restAfter, true}, {3*restAfter + 1, true}, // quick, and not set back by more
		{4*restAfter + 1, false}, // rests
	} {
		p.pace(began.Add(step.after), step.busy)
	}
	quick := time.Second / framesPerSecond
	if want := (resets{restPace, quick, restPace}); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
