package tui

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/partition"
)

// sizes are the windows that goldens are drawn in.
var sizes = []struct{ w, h int }{{80, 24}, {120, 36}, {200, 50}}

// TestGoldenScreens compares every screen at three widths and in two themes.
func TestGoldenScreens(t *testing.T) {
	screens := []struct {
		name string
		keys []string
	}{
		{"overview", nil},
		{"ring", []string{"2", "j", "j", "space", "j"}},
		{"ring-drawing", []string{"2", "tab", "l", "l", "n"}},
		{"partitions", []string{"3", "j", "j", "j"}},
		{"views", []string{"4", "j"}},
		{"doctor", []string{"5"}},
		{"events", []string{"6"}},
		{"whatif", []string{"2", "space", "space", "i", "z"}},
		{"member", []string{"2", "j", "j", "j", "j", "j", "enter"}},
		{"partition", []string{"3", "G", "k", "enter"}},
		{"help", []string{"2", "?"}},
		{"forget", []string{"2", "j", "j", "j", "j", "j", "D", "y", "e"}},
		{"drain", []string{"3", "j", "D"}},
		{"drain-window", []string{"3", "j", "D", "1", "enter"}},
		{"command", []string{":", "d", "e"}},
	}
	for _, s := range screens {
		for _, theme := range []string{"dark", "mono"} {
			t.Run(s.name+"-"+theme, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := drive(eventful(time.Now()), Options{Theme: theme})
					defer d.end()
					d.wait(3 * time.Second)
					d.press(s.keys...)
					for _, size := range sizes {
						d.Update(tea.WindowSizeMsg{Width: size.w, Height: size.h})
						name := fmt.Sprintf("%s-%s-%d.txt", s.name, theme, size.w)
						compare(t, filepath.Join("testdata", "golden", name), legend(d.View().Content))
					}
				})
			})
		}
	}
}

// TestGoldenStates compares what the dashboard shows when something is missing.
func TestGoldenStates(t *testing.T) {
	states := []struct {
		name string
		src  func() *fake
		keys []string
		wait time.Duration
	}{
		{"loading", func() *fake { return &fake{hold: true} }, nil, time.Second},
		{"unreachable", func() *fake { return &fake{fail: errOutOfReach, viewsFail: errOutOfReach, hold: true} }, nil, 4 * time.Second},
		{"views-unreachable", func() *fake {
			return &fake{shots: []*client.Snapshot{calm().at(time.Now()).snapshot()}, viewsFail: errOutOfReach, hold: true}
		}, []string{"4"}, time.Second},
		{"disconnected", func() *fake { f := eventful(time.Now()); f.fail = errOutOfReach; return f }, []string{"2"}, 30 * time.Second},
		{"stale", func() *fake { return eventful(time.Now()) }, []string{"3"}, 40 * time.Second},
		{"paused", func() *fake { return eventful(time.Now()) }, []string{"p"}, 2 * time.Second},
		{"past", func() *fake { return eventful(time.Now()) }, []string{"[", "[", "2"}, 2 * time.Second},
		{"empty", func() *fake {
			return &fake{shots: []*client.Snapshot{{From: "a", At: time.Now(), Verdict: client.Unknown}}, hold: true}
		}, nil, time.Second},
		{"empty-ring", func() *fake { return &fake{shots: []*client.Snapshot{{From: "a", At: time.Now()}}, hold: true} }, []string{"2"}, time.Second},
		{"empty-partitions", func() *fake { return &fake{shots: []*client.Snapshot{{From: "a", At: time.Now()}}, hold: true} }, []string{"3"}, time.Second},
		{"empty-events", func() *fake { return &fake{shots: []*client.Snapshot{{From: "a", At: time.Now()}}, hold: true} }, []string{"6"}, time.Second},
		{"empty-whatif", func() *fake { return &fake{shots: []*client.Snapshot{{From: "a", At: time.Now()}}, hold: true} }, []string{"7"}, time.Second},
		{"no-match", func() *fake { return eventful(time.Now()) }, []string{"2", "/", "n", "o", "p", "e", "enter"}, time.Second},
		{"no-findings", func() *fake {
			s := calm().at(time.Now())
			return &fake{shots: []*client.Snapshot{s.snapshot()}, all: s.views(), hold: true}
		}, []string{"5"}, time.Second},
		{"read-only", func() *fake {
			f := eventful(time.Now())
			f.about = About{Name: "prod", ReadOnly: "the context says so"}
			return f
		}, []string{"2", "D"}, time.Second},
	}
	for _, s := range states {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := drive(s.src(), Options{Theme: "mono"})
				defer d.end()
				d.wait(s.wait)
				d.press(s.keys...)
				d.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
				compare(t, filepath.Join("testdata", "golden", "state-"+s.name+".txt"), d.plain()+"\n")
			})
		})
	}
}

// TestASCII makes sure that the ASCII mode is what it says.
func TestASCII(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := drive(eventful(time.Now()), Options{ASCII: true})
		defer d.end()
		d.wait(3 * time.Second)
		for _, keys := range [][]string{{"1"}, {"2"}, {"2", "tab"}, {"3"}, {"4"}, {"5"}, {"6"}, {"7", "z"}, {"2", "tab", "enter"}, {"?"}} {
			d.press(keys...)
			for i, r := range d.View().Content {
				if r > 0x7e || r < ' ' && r != '\n' && r != 0x1b {
					t.Fatalf("after %v: %q at %d", keys, r, i)
				}
			}
		}
	})
}

// TestWindow says so when it is too small, and never draws outside of it.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := drive(eventful(time.Now()), Options{})
		defer d.end()
		d.wait(2 * time.Second)
		for _, tab := range []string{"1", "2", "3", "4", "5", "6", "7"} {
			d.press(tab)
			for _, w := range []int{0, 1, 20, 79, 80, 81, 99, 118, 119, 160, 400} {
				for _, h := range []int{0, 1, 5, 23, 24, 25, 40, 120} {
					d.Update(tea.WindowSizeMsg{Width: w, Height: h})
					checkSize(t, d, w, h)
				}
			}
		}
		d.Update(tea.WindowSizeMsg{Width: 79, Height: 24})
		if got := d.plain(); !strings.Contains(got, "80 by 24 is needed") {
			t.Errorf("a small window shows %q", got)
		}
	})
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// legend replaces colour sequences by short names and lists them at the end, so
// that a golden file can be read.
func legend(content string) string {
	names := map[string]string{}
	var order []string
	body := sgr.ReplaceAllStringFunc(content, func(seq string) string {
		if seq == "\x1b[m" {
			return "}"
		}
		if names[seq] == "" {
			names[seq] = string(rune('a'+len(names)%26)) + strings.Repeat("'", len(names)/26)
			order = append(order, seq)
		}
		return names[seq] + "{"
	})
	var b strings.Builder
	b.WriteString(body)
	b.WriteString("\n\n")
	for _, seq := range order {
		fmt.Fprintf(&b, "%s = %s\n", names[seq], strings.TrimPrefix(seq, "\x1b"))
	}
	return b.String()
}

func (s sample) at(now time.Time) sample { s.now = now; return s }

// eventful is a source with a story: a calm cluster that gets into trouble.
func eventful(now time.Time) *fake {
	start := troubled().at(now.Add(-40 * time.Second))
	start.dead, start.leaving, start.states = nil, nil, map[int32]partition.State{7: partition.Pending}
	worse := start.later(20 * time.Second)
	worse.leaving = []int{8}
	last := troubled().at(now)
	return &fake{shots: []*client.Snapshot{start.snapshot(), worse.snapshot(), last.snapshot()}, all: last.views(), findings: sampleFindings(), hold: true}
}
