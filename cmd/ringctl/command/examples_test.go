package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// words splits a command line at blanks outside of quotes, up to a pipe, a redirection or a column of explanation.
func words(line string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	blanks := 0
	flush := func() {
		if word.Len() > 0 {
			out = append(out, word.String())
			word.Reset()
		}
	}
	for _, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
			continue
		case r == '\'' || r == '"':
			quote = r
			continue
		case r == '|' || r == '>' || r == '&' || r == ')' || r == '`':
			flush()
			return out
		case r == ' ':
			flush()
			if blanks++; blanks > 2 {
				return out
			}
			continue
		}
		blanks = 0
		word.WriteRune(r)
	}
	flush()
	return out
}

// parses checks that a line is a command with flags that exist.
func parses(t *testing.T, where, line string) {
	t.Helper()
	env, _, _ := testEnv()
	env.Extra = []*cobra.Command{{Use: "demo"}}
	root := newApp(env).root()
	c, rest, err := root.Find(words(line))
	if err != nil {
		t.Errorf("%s: %q: %v", where, line, err)
		return
	}
	if c == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		t.Errorf("%s: %q is no command", where, line)
		return
	}
	if err := c.ParseFlags(rest); err != nil && !strings.Contains(err.Error(), "help requested") {
		t.Errorf("%s: %q: %v", where, line, err)
	}
}

// TestExamplesParse: what help shows can be typed.
func TestExamplesParse(t *testing.T) {
	env, _, _ := testEnv()
	n := 0
	each(newApp(env).root(), func(c *cobra.Command) {
		for _, line := range strings.Split(c.Example, "\n") {
			_, after, found := strings.Cut(line, "ringctl ")
			if found {
				parses(t, c.CommandPath(), after)
				n++
			}
		}
	})
	if n < 60 {
		t.Errorf("only %d examples", n)
	}
}

var quoted = regexp.MustCompile("(?m)(?:`|^ {4}(?:[a-z].* & )?)ringctl ([^`\n]+)")

// TestManualParses: what the manual and the cures of the doctor say can be typed.
func TestManualParses(t *testing.T) {
	files, err := filepath.Glob("../../../docs/doctor/*.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range append(files, "../../../docs/ringctl.md") {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(raw), -1) {
			if strings.HasPrefix(m[1], "COMMAND") {
				continue
			}
			parses(t, file, m[1])
			n++
		}
	}
	if n < 20 {
		t.Errorf("only %d command lines in the manual", n)
	}
	for rule, list := range cures() {
		for _, c := range list {
			if c.Command != "" {
				parses(t, rule, strings.TrimPrefix(c.Command, "ringctl "))
			}
		}
	}
}
