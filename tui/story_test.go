package tui

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/ringctl/ringctl/client"
)

// TestStories plays the scripts in testdata/*.txt. A script is a list of
// commands, each followed by a line of dashes and what it shows:
//
//	source NAME              start a dashboard, see storySource
//	keys j enter D           press keys
//	type yes                 type a text
//	paste yes                paste a text
//	wait 30s                 let time pass
//	size 80 24               resize the window
//	line TEXT                the lines that contain TEXT
//	screen                   everything
//	changes                  what was planned and applied
//	state                    screen, filter, and whether it has quit
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				compare(t, file, play(t, string(script)))
			})
		})
	}
}

// play runs a script and returns it with the output there is now.
func play(t *testing.T, script string) string {
	var out strings.Builder
	var d *driver
	lines := strings.Split(strings.TrimRight(script, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		cmd := lines[i]
		out.WriteString(cmd + "\n")
		if cmd == "" || strings.HasPrefix(cmd, "#") {
			continue
		}
		words := strings.Fields(cmd)
		if words[0] == "source" {
			if d != nil {
				d.end()
			}
			d = drive(storySource(words[1]), Options{Theme: "mono"})
			d.wait(2 * time.Second)
		} else if d == nil {
			t.Fatalf("line %d: no source yet", i+1)
		}
		shown := d.command(words, strings.TrimPrefix(cmd, words[0]+" "))
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  | ") || i+1 < len(lines) && lines[i+1] == "  |" {
			i++
		}
		for _, l := range shown {
			out.WriteString(strings.TrimRight("  | "+l, " ") + "\n")
		}
	}
	if d != nil {
		d.end()
	}
	return out.String()
}

func storySource(name string) *fake {
	f := eventful(time.Now())
	switch name {
	case "calm":
		s := calm().at(time.Now())
		return &fake{shots: []*client.Snapshot{s.snapshot()}, all: s.views(), hold: true}
	case "readonly":
		f.about = About{Name: "prod", ReadOnly: "the context says so"}
	case "unreachable":
		f.fail = errOutOfReach
	case "refused":
		f.plan = func(c Change) (*client.Plan, error) {
			p := samplePlan(c)
			p.Checks = append(p.Checks, client.Check{Name: "alive", Level: client.Refuse, Text: "it sent a heartbeat 3s ago"})
			return p, nil
		}
	case "many":
		f.plan = func(c Change) (*client.Plan, error) {
			p := samplePlan(c)
			for i := range 30 {
				p.Checks = append(p.Checks, client.Check{Name: "owner", Level: client.Pass, Text: fmt.Sprintf("partition %d keeps an owner", i)})
			}
			return p, nil
		}
	case "recorded":
		f.about, f.hold = About{Name: "friday.jsonl", Recorded: true, ReadOnly: "it is a recording"}, false
	}
	return f
}

// command does one line of a story and returns what it shows.
func (d *driver) command(words []string, rest string) []string {
	switch words[0] {
	case "keys":
		d.press(words[1:]...)
	case "type":
		d.text(rest)
	case "paste":
		_, cmd := d.Update(tea.PasteMsg{Content: rest})
		d.run(cmd)
		d.settle()
	case "wait":
		t, _ := time.ParseDuration(words[1])
		d.wait(t)
	case "size":
		w, _ := strconv.Atoi(words[1])
		h, _ := strconv.Atoi(words[2])
		d.Update(tea.WindowSizeMsg{Width: w, Height: h})
	case "line":
		var found []string
		for _, l := range strings.Split(d.plain(), "\n") {
			if strings.Contains(l, rest) {
				found = append(found, l)
			}
		}
		if found == nil {
			found = []string{"(no such line)"}
		}
		return found
	case "screen":
		return strings.Split(d.plain(), "\n")
	case "changes":
		return d.changesMade()
	case "state":
		return []string{fmt.Sprintf("screen %s, filter %q, dialog %v, quit %v, copied %q", d.current, d.pane().Filter(), d.dialog != nil, d.quit, d.copied)}
	case "source":
	default:
		return []string{"unknown command"}
	}
	return nil
}

func (d *driver) changesMade() []string {
	d.src.mu.Lock()
	defer d.src.mu.Unlock()
	var out []string
	for _, c := range d.src.planned {
		text := fmt.Sprintf("planned %s %s %v", c.Action, c.Ring, c.IDs)
		if c.Action == client.Drain {
			text += fmt.Sprintf(", window %s, asking %v", c.Window, c.Ask)
		}
		out = append(out, text)
	}
	for _, p := range d.src.applied {
		out = append(out, fmt.Sprintf("applied %s, %d steps", p.Action, len(p.Steps)))
	}
	if out == nil {
		return []string{"none"}
	}
	return out
}

func typeName(msg tea.Msg) string { return reflect.TypeOf(msg).Name() }

func clip(msg tea.Msg) string {
	text := fmt.Sprint(msg)
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i] + " ..."
	}
	return text
}

// checkSize fails when a screen is larger than its window.
func checkSize(t *testing.T, d *driver, w, h int) {
	t.Helper()
	lines := strings.Split(d.View().Content, "\n")
	if len(lines) > max(h, 1) {
		t.Fatalf("%s at %d by %d draws %d lines", d.current, w, h, len(lines))
	}
	for i, l := range lines {
		if got := ansi.StringWidth(l); got > w {
			t.Fatalf("%s at %d by %d: line %d is %d wide: %q", d.current, w, h, i, got, ansi.Strip(l))
		}
	}
}
