package widget

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestListLaws moves at random: the cursor stays on a row and in the window.
func TestListLaws(t *testing.T) {
	keys := []string{"j", "k", "g", "G", "ctrl+d", "ctrl+u", "pgdown", "pgup", "home", "end"}
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var l List
		for range 200 {
			switch rng.IntN(4) {
			case 0:
				l.SetSize(rng.IntN(50), rng.IntN(12))
			case 1:
				l.To(rng.IntN(60) - 5)
			default:
				l.HandleKey(keys[rng.IntN(len(keys))])
			}
			from, to := l.Window()
			if l.Len() > 0 && (l.Cursor < 0 || l.Cursor >= l.Len()) || from < 0 || to > l.Len() {
				t.Fatalf("seed %d: cursor %d, window %d-%d of %d", seed, l.Cursor, from, to, l.Len())
			}
			if to > from && (l.Cursor < from || l.Cursor >= to) {
				t.Fatalf("seed %d: cursor %d outside of window %d-%d", seed, l.Cursor, from, to)
			}
		}
	}
}

func TestInput(t *testing.T) {
	in := Input{Complete: func(before string) []string {
		if strings.HasPrefix(before, "ring ") {
			return []string{"ingester", "distributor", "ingest-limits"}
		}
		return []string{"ring", "rings", "partitions"}
	}}
	step := func(keys ...string) string {
		for _, k := range keys {
			text := k
			if len(k) > 1 {
				text = ""
			}
			in.HandleKey(k, text)
		}
		return in.Value()
	}
	for _, x := range []struct {
		keys string
		want string
	}{
		{"r tab", "ring"},
		{"tab", "ring"},
		{"tab", "rings"},
		{"tab", "ring"},
		{"backspace left x end", "rixn"},
		{"ctrl+u", ""},
		{"p tab", "partitions "},
		{"ctrl+w", ""},
	} {
		if got := step(strings.Fields(x.keys)...); got != x.want {
			t.Errorf("%s: %q, want %q", x.keys, got, x.want)
		}
	}
	in.Reset("ring ")
	if got := step("i", "tab"); got != "ring ingest" {
		t.Errorf("the common part is %q", got)
	}
	if got := step("tab"); got != "ring ingest-limits" {
		t.Errorf("the first choice is %q", got)
	}
	in.Remember()
	in.Reset("")
	if got := step("up"); got != "ring ingest-limits" {
		t.Errorf("history gives %q", got)
	}
	choices, _ := in.Choices()
	if !slices.Equal(choices, []string{"ingest-limits"}) {
		t.Errorf("choices are %v", choices)
	}
}

// FuzzInput edits with any keys: it must not panic, and the cursor stays in the
// text.
func FuzzInput(f *testing.F) {
	f.Add([]byte("ab\x01\x02\x03"), "日")
	f.Fuzz(func(t *testing.T, keys []byte, typed string) {
		names := []string{"left", "right", "home", "end", "backspace", "ctrl+w", "ctrl+u", "up", "down", "tab", "shift+tab"}
		in := Input{Complete: func(string) []string { return []string{"alpha", "alps", typed, ""} }}
		for _, b := range keys {
			if int(b)%16 < len(names) {
				in.HandleKey(names[int(b)%16], "")
			} else {
				in.HandleKey("x", typed)
			}
			if in.Offset() > len(in.Value()) || in.Cursor() > Width(in.Value()) {
				t.Fatalf("cursor %d of %q", in.Cursor(), in.Value())
			}
			in.Remember()
		}
	})
}
