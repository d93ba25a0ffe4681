package tui

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/screen"
)

// fuzzKeys is what a byte of fuzz input presses.
var fuzzKeys = strings.Fields(`j k g G h l H L s S n N w p [ ] t r c y i z u m D A I L U X q ? : / 1 2 3 4 5 6 7
	a b e o x space space enter enter esc tab tab shift+tab up down left right backspace ctrl+d ctrl+u ctrl+w pgup pgdown home end`)

// FuzzKeys presses any sequence of keys: it must never panic, never draw outside
// the window, and never apply a change but by enter on the wanted words.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("2jjD\x30"), false)
	f.Add([]byte{23, 1, 2, 3, 4, 30, 31, 32, 51, 51, 51, 40, 41, 42}, true)
	f.Add([]byte{36, 25, 51, 36, 26, 51, 38, 26}, false)
	f.Fuzz(func(t *testing.T, keys []byte, small bool) {
		m := still(t)
		if small {
			m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
		}
		for i, b := range keys[:min(len(keys), 120)] {
			name := fuzzKeys[int(b)%len(fuzzKeys)]
			asked := m.dialog != nil && m.dialog.Phase() == screen.Asking
			before := m.dialog
			m.Update(keyMsg(name))
			if m.dialog != nil && m.dialog.Phase() == screen.Applying && (!asked || before != m.dialog || name != "enter") {
				t.Fatalf("key %d (%q) applied a change without being asked", i, name)
			}
			if m.dialog != nil && m.dialog.Phase() == screen.Checking {
				m.Update(planMsg{gen: m.planGen, plan: samplePlan(m.dialog.Change)})
			}
			if m.dialog != nil && m.dialog.Phase() == screen.Applying {
				t.Fatalf("key %d (%q) applied a change; no sequence of these keys spells the words", i, name)
			}
			m.View()
		}
	})
}

// FuzzConfirm types any text into a dialog: only the wanted words and enter go
// on.
func FuzzConfirm(f *testing.F) {
	f.Add("yes", 1)
	f.Add("remove 2", 2)
	f.Add("ye\x1bs", 1)
	f.Fuzz(func(t *testing.T, text string, n int) {
		c := screen.Change{Action: client.Forget, Ring: "collectors/ring", IDs: []string{"a", "b"}[:1+n&1]}
		d := screen.NewDialog(c)
		if confirmed, _ := d.HandleKey("enter", ""); confirmed {
			t.Fatal("confirmed before the checks")
		}
		d.SetPlan(samplePlan(c), nil)
		d.HandleKey("", text)
		confirmed, _ := d.HandleKey("enter", "")
		if want := strings.TrimSpace(printable(text)) == d.Wanted(); confirmed != want {
			t.Fatalf("%q confirmed %v, wanted %q", text, confirmed, d.Wanted())
		}
		if again, _ := d.HandleKey("enter", ""); again {
			t.Fatal("confirmed twice")
		}
	})
}

// printable is what a person sees of a typed text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f {
			return -1
		}
		return r
	}, s)
}

// stillSource is built once: fuzzing is about keys.
var stillSource = sync.OnceValue(func() *fake { return eventful(noon()) })

// still is a model with a cluster on it, whose commands are not run.
func still(t testing.TB) *Model {
	src := stillSource()
	ctx, cancel := context.WithCancel(context.Background())
	m := New(ctx, Options{Source: src, Now: func() time.Time { return noon().Add(time.Second) }})
	t.Cleanup(func() { cancel(); m.Close() })
	m.Update(tea.WindowSizeMsg{Width: 160, Height: 45})
	for range src.shots {
		m.Update(m.stream.take())
	}
	polled(m)
	return m
}

// polled runs a round of views in place of the one that the first snapshot began.
func polled(m *Model) {
	m.polling = false
	m.Update(m.poll()())
}
