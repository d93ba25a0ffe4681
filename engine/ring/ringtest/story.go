// Package ringtest has what tests about rings share: text stories and random
// rings. Only tests import it.
package ringtest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Command is one step of a story.
type Command struct {
	// Name is the first word of the line, Args the others that are not
	// options, Options those of the form key=value (a bare -key is "true").
	Name    string
	Args    []string
	Options map[string]string
	// Body holds the lines between the command and the "----".
	Body []string
}

// Arg is the nth argument, empty if there is none.
func (c Command) Arg(n int) string {
	if n < len(c.Args) {
		return c.Args[n]
	}
	return ""
}

// ParseLine reads a command line.
func ParseLine(line string) Command {
	c := Command{Options: map[string]string{}}
	for n, word := range strings.Fields(line) {
		key, value, option := strings.Cut(word, "=")
		switch {
		case n == 0:
			c.Name = word
		case option:
			c.Options[key] = value
		case strings.HasPrefix(word, "-") && len(word) > 1:
			c.Options[word[1:]] = "true"
		default:
			c.Args = append(c.Args, word)
		}
	}
	return c
}

var rewrite = flag.Bool("rewrite", false, "write the actual output into the story files")

// Stories runs every file that matches glob. A file consists of blocks
// separated by empty lines: a command line, an optional body, "----", and the
// expected output; lines starting with # before a command are comments. newWorld
// starts a file and returns what runs its commands one after the other.
//
// go test -rewrite writes the actual output into the files.
func Stories(t *testing.T, glob string, newWorld func() func(Command) string) {
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories match %s (%v)", glob, err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(string(text), newWorld())
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compare(t, name, string(text), got)
		})
	}
}

// tell runs a story and returns it with the actual output.
func tell(text string, run func(Command) string) string {
	var out strings.Builder
	blocks := strings.Split(strings.TrimRight(text, "\n"), "\n\n")
	for n, block := range blocks {
		if n > 0 {
			out.WriteString("\n")
		}
		lines := strings.Split(block, "\n")
		for len(lines) > 0 && (strings.HasPrefix(lines[0], "#") || lines[0] == "") {
			out.WriteString(lines[0] + "\n")
			lines = lines[1:]
		}
		if len(lines) == 0 {
			continue
		}
		c := ParseLine(lines[0])
		out.WriteString(lines[0] + "\n")
		for _, l := range lines[1:] {
			if l == "----" {
				break
			}
			c.Body = append(c.Body, l)
			out.WriteString(l + "\n")
		}
		result := strings.TrimRight(run(c), "\n")
		if result == "" {
			result = "(nothing)" // an empty line would end the block
		}
		out.WriteString("----\n" + result + "\n")
	}
	return out.String()
}

func compare(t *testing.T, name, want, got string) {
	if want == got {
		return
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for n := range max(len(w), len(g)) {
		line := func(l []string) string {
			if n < len(l) {
				return l[n]
			}
			return "(end of file)"
		}
		if line(w) != line(g) {
			t.Fatalf("%s:%d: want %q, got %q\n(run with -rewrite to accept)\n\n%s", name, n+1, line(w), line(g), got)
		}
	}
}
