package tui

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

var rewrite = flag.Bool("rewrite", false, "write the expected output of stories and goldens anew")

// TestMain draws clocks in UTC, wherever the tests run.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// driver runs a model like a terminal program does, but inside a bubble of
// made-up time: commands run in goroutines, and every answer goes to Update.
type driver struct {
	*Model
	src    *fake
	msgs   chan tea.Msg
	cancel context.CancelFunc
	quit   bool
	over   bool
	copied string
}

func drive(src *fake, o Options) *driver {
	ctx, cancel := context.WithCancel(context.Background())
	o.Source = src
	d := &driver{Model: New(ctx, o), src: src, msgs: make(chan tea.Msg, 1000), cancel: cancel}
	d.run(d.Init())
	d.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
	d.settle()
	return d
}

func (d *driver) run(cmd tea.Cmd) {
	if cmd == nil || d.over {
		return
	}
	go func() { d.msgs <- cmd() }()
}

// settle lets everything that can happen now happen.
func (d *driver) settle() {
	for {
		synctest.Wait()
		select {
		case msg := <-d.msgs:
			d.deliver(msg)
		default:
			return
		}
	}
}

func (d *driver) deliver(msg tea.Msg) {
	switch msg := msg.(type) {
	case nil:
	case tea.QuitMsg:
		d.quit = true
	case tea.BatchMsg:
		for _, c := range msg {
			d.run(c)
		}
	default:
		if name := strings.ToLower(typeName(msg)); strings.Contains(name, "clipboard") {
			d.copied = strings.TrimSpace(ansi.Strip(clip(msg)))
			return
		}
		_, cmd := d.Update(msg)
		d.run(cmd)
	}
}

// wait lets time pass.
func (d *driver) wait(t time.Duration) {
	end := time.Now().Add(t)
	for time.Now().Before(end) {
		time.Sleep(min(100*time.Millisecond, time.Until(end)))
		d.settle()
	}
}

// press presses keys by name: "j", "enter", "ctrl+d".
func (d *driver) press(keys ...string) {
	for _, k := range keys {
		_, cmd := d.Update(keyMsg(k))
		d.run(cmd)
		d.settle()
	}
}

// text types a text, one key at a time.
func (d *driver) text(s string) {
	for _, r := range s {
		d.press(string(r))
	}
}

// plain is the screen without colours, blanks at line ends trimmed.
func (d *driver) plain() string {
	lines := strings.Split(ansi.Strip(d.View().Content), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// end stops the program, as Run does.
func (d *driver) end() {
	d.over = true
	d.cancel()
	d.settle()
	d.Close()
	d.wait(time.Minute) // the last second hand and the last round run out
}

func keyMsg(name string) tea.KeyPressMsg {
	special := map[string]tea.KeyPressMsg{
		"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "space": {Code: tea.KeySpace, Text: " "},
		"backspace": {Code: tea.KeyBackspace}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft},
		"right": {Code: tea.KeyRight}, "home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd}, "pgdown": {Code: tea.KeyPgDown},
		"pgup": {Code: tea.KeyPgUp}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift}, " ": {Code: tea.KeySpace, Text: " "},
	}
	if msg, ok := special[name]; ok {
		return msg
	}
	if key, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: []rune(key)[0], Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

// compare checks a text against a file, or writes the file with -rewrite.
func compare(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run with -rewrite to make it", err)
	}
	if string(want) == got {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s differs at line %d (-rewrite accepts it)\nwant %q\ngot  %q", path, i+1, line(a, i), line(b, i))
		}
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}
