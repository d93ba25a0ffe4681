package compactor

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories in testdata print")

// A story is a text file. "config KEY=VALUE…" starts anew; "block NAME end=AGO …" adds a block; "> plan", "> visible",
// "> sweep" and "> retention" are followed by what they print. Times are ago, seen from 12:30. Other lines are for the
// reader.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, string(want))
			if got == string(want) {
				return
			}
			if *rewrite {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else {
				t.Errorf("%s goes differently now (-rewrite to accept):\n%s", file, got)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

var storyNow = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)

type scene struct {
	cfg    Config
	stored []catalog.Stored
}

func (s *scene) metas() (out []*block.Meta) {
	for _, b := range s.stored {
		out = append(out, b.Meta)
	}
	return out
}

func tell(t *testing.T, text string) string {
	var out strings.Builder
	var s scene
	inOutput := false
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if inOutput && strings.HasPrefix(line, "  ") {
			continue
		}
		inOutput = false
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "config":
			s = scene{cfg: configOf(t, words[1:])}
		case "block":
			s.stored = append(s.stored, storyBlock(t, words[1], words[2:]))
		case ">":
			inOutput = true
			s.print(&out, words[1])
		}
	}
	return out.String()
}

func (s *scene) print(out *strings.Builder, what string) {
	names := func(list []*block.Meta) string {
		var n []string
		for _, m := range list {
			n = append(n, m.ID)
		}
		return strings.Join(n, " ")
	}
	switch what {
	case "plan":
		for _, j := range Plan(storyNow, s.metas(), s.cfg) {
			fmt.Fprintf(out, "  %s: %s", j.String(), names(j.Inputs))
			if len(j.Replaces) > len(j.Inputs) {
				fmt.Fprintf(out, ", replaces %s too", strings.Join(j.Replaces[len(j.Inputs):], " "))
			}
			fmt.Fprintln(out)
		}
	case "visible":
		fmt.Fprintf(out, "  %s\n", names(catalog.Visible(s.metas())))
	case "sweep":
		for _, list := range Sweep(storyNow, s.stored, s.cfg) {
			for _, r := range list {
				fmt.Fprintf(out, "  remove %s, its spans are in %s\n", r.ID, r.By)
			}
		}
	case "retention":
		for _, m := range Retention(storyNow, s.metas(), s.cfg) {
			fmt.Fprintf(out, "  %s is over, remove now: %v\n", m.ID, Due(storyNow, m, s.cfg))
		}
	}
}

func configOf(t *testing.T, args []string) (c Config) {
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "retention":
			c.Retention = duration(t, value)
		case "delay":
			c.Delay = duration(t, value)
		case "inputs":
			c.MaxInputs = number(t, value)
		case "spans":
			c.MaxSpans = int64(number(t, value))
		default:
			t.Fatalf("config %s", a)
		}
	}
	return c
}

func storyBlock(t *testing.T, name string, args []string) catalog.Stored {
	m := &block.Meta{Tenant: "t", ID: name, Spans: 1000, Created: storyNow.Add(-time.Hour)}
	var length time.Duration
	var written time.Time
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "end":
			m.End = storyNow.Add(-duration(t, value))
		case "length":
			length = duration(t, value)
		case "created":
			m.Created = storyNow.Add(-duration(t, value))
		case "written":
			written = storyNow.Add(-duration(t, value))
		case "level":
			m.Level = number(t, value)
		case "spans":
			m.Spans = int64(number(t, value))
		case "replaces":
			m.Replaces = strings.Split(value, ",")
		default:
			t.Fatalf("block %s: %s", name, a)
		}
	}
	m.DataBytes, m.Start = 40*m.Spans, m.End.Add(-length)
	if written.IsZero() {
		written = m.Created
	}
	return catalog.Stored{Meta: m, Modified: written}
}

func duration(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
