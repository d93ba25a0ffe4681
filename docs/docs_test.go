// Package docs has no code: its test keeps the documents true.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/ringctl/ringctl/engine"
	"github.com/ringctl/ringctl/engine/tenant"
)

// documents are the files that readers see, from the top of the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../*.md", "*.md", "*/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			texts[p] = string(b)
		}
	}
	return texts
}

var link = regexp.MustCompile(`\]\(([^)#: ]+)(#[^)]*)?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
	}
}

var sourcePath = regexp.MustCompile("`((?:engine|client|tui|cmd|docs|bench|interop)/[A-Za-z0-9_./-]*)`")

func TestPathsExist(t *testing.T) {
	for path, text := range documents(t) {
		for _, m := range sourcePath.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", path, m[1])
			}
		}
	}
}

var block = regexp.MustCompile("(?s)```([a-z]*)\n(.*?)```")

// commands are the lines of console blocks that start with a program's name.
func commands(text, program string) []string {
	var lines []string
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		if m[1] != "console" && m[1] != "sh" {
			continue
		}
		for line := range strings.SplitSeq(m[2], "\n") {
			if strings.HasPrefix(line, program+" ready") {
				continue // what it answers
			}
			line = strings.TrimPrefix(line, "$ ")
			line, _, _ = strings.Cut(line, " #")
			if rest, ok := strings.CutPrefix(line, program); ok && (rest == "" || rest[0] == ' ') {
				lines = append(lines, strings.TrimSpace(rest))
			}
		}
	}
	return lines
}

func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds both programs; not with -short")
	}
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), "../cmd/ringctl", "../cmd/tempod").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestCommandsAreUnderstood gives each command of the documents to the program
// with a flag behind it that lets it stop after it has read its arguments.
func TestCommandsAreUnderstood(t *testing.T) {
	dir := build(t)
	seen := 0
	for path, text := range documents(t) {
		for program, stop := range map[string]string{"ringctl": "--help", "tempod": "--config.verify"} {
			for _, args := range commands(text, program) {
				args, _, _ = strings.Cut(args, " | ")
				args, _, _ = strings.Cut(args, " > ")
				seen++
				cmd := exec.CommandContext(t.Context(), filepath.Join(dir, program), append(split(args), stop)...)
				cmd.Dir = t.TempDir()
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %s %s: %v\n%s", path, program, args, err, out)
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d commands found; is this test looking at the right place?", seen)
	}
}

// split splits a command line at spaces outside quotes.
func split(line string) []string {
	var args []string
	quote, open := rune(0), false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
			if !open {
				args, open = append(args, ""), true
			}
		case quote == 0 && c == ' ':
			open = false
		default:
			if !open {
				args, open = append(args, ""), true
			}
			args[len(args)-1] += string(c)
		}
	}
	return args
}

func TestConfigurationsAreAccepted(t *testing.T) {
	seen := 0
	for path, text := range documents(t) {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			if m[1] != "yaml" || !slices.Contains([]string{"configuration.md"}, filepath.Base(path)) {
				continue
			}
			seen++
			var top map[string]yaml.Node
			if err := yaml.Unmarshal([]byte(m[2]), &top); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if _, ok := top["overrides"].Content, top["overrides"].Kind != 0; ok {
				if _, err := tenant.ParseOverrides([]byte(m[2]), tenant.DefaultLimits()); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				continue
			}
			c := engine.Default(engine.TargetAll, t.TempDir())
			if err := engine.ParseConfig(&c, []byte(m[2])); err != nil {
				t.Errorf("%s: %v", path, err)
			} else if err := c.Validate(); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if seen == 0 {
		t.Error("no configuration found; is this test looking at the right place?")
	}
}
