package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
)

func testEnv(args ...string) (Env, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" },
		Top: func(context.Context, Top) error { return nil }}, &out, &errs
}

// each calls f for every command of the tree.
func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.Name() != "help" {
			each(sub, f)
		}
	}
}

// TestHelp compares the help of every command with testdata/help; -rewrite writes them.
func TestHelp(t *testing.T) {
	env, _, _ := testEnv()
	var paths [][]string
	each(newApp(env).root(), func(c *cobra.Command) { paths = append(paths, strings.Fields(c.CommandPath())[1:]) })
	for _, path := range paths {
		env, out, _ := testEnv(append(path, "--help")...)
		if code := Run(t.Context(), env); code != 0 {
			t.Fatalf("%v --help: exit code %d", path, code)
		}
		file := filepath.Join("testdata", "help", strings.Join(append([]string{"ringctl"}, path...), "-")+".txt")
		if *rewrite {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != out.String() {
			t.Errorf("help of %v changed (go test ./cmd/ringctl/command -rewrite writes it): %v\n%s", path, err, out)
		}
	}
	files, err := filepath.Glob("testdata/help/*.txt")
	if err != nil || len(files) != len(paths) {
		t.Errorf("%d files for %d commands: %v", len(files), len(paths), err)
	}
}

// TestHelpHasExamples: every command that does something shows how, and says what it is.
func TestHelpHasExamples(t *testing.T) {
	env, _, _ := testEnv()
	each(newApp(env).root(), func(c *cobra.Command) {
		if c.Short == "" || c.Runnable() && c.Example == "" && !c.HasSubCommands() {
			t.Errorf("%s has no example", c.CommandPath())
		}
		if strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the short text is a title, not a sentence", c.CommandPath())
		}
	})
}

// TestExitCodes is the contract of exit codes.
func TestExitCodes(t *testing.T) {
	want := "ok 0, no 1, usage 2, no-view 3, not-found 4, refused 5, confirmation-needed 6, timeout 7, not-converged 8, interrupted 130"
	var got []string
	for _, c := range client.Codes() {
		got = append(got, fmt.Sprintf("%s %d", c, c.Exit()))
	}
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	for code, err := range map[int]error{
		0:   nil,
		1:   &client.Error{Code: client.CodeNo, Err: fmt.Errorf("x")},
		2:   fmt.Errorf("bad flag"),
		5:   fmt.Errorf("wrapped: %w", &client.Error{Code: client.CodeRefused, Err: fmt.Errorf("x")}),
		7:   context.DeadlineExceeded,
		130: context.Canceled,
	} {
		env, _, _ := testEnv()
		if got := newApp(env).exit(t.Context(), err); got != code {
			t.Errorf("%v: exit code %d, want %d", err, got, code)
		}
	}
}

// TestColors is the precedence of flag, environment and terminal.
func TestColors(t *testing.T) {
	cases := []struct {
		flag     string
		env      map[string]string
		terminal bool
		want     bool
	}{
		{"auto", nil, true, true},
		{"auto", nil, false, false},
		{"auto", map[string]string{"NO_COLOR": "1"}, true, false},
		{"auto", map[string]string{"TERM": "dumb"}, true, false},
		{"auto", map[string]string{"CLICOLOR_FORCE": "1"}, false, true},
		{"auto", map[string]string{"CLICOLOR_FORCE": "0"}, false, false},
		{"auto", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, true, false},
		{"always", map[string]string{"NO_COLOR": "1"}, false, true},
		{"never", nil, true, false},
	}
	for _, c := range cases {
		env, _, _ := testEnv()
		env.Getenv = func(k string) string { return c.env[k] }
		a := newApp(env)
		a.flags.color = c.flag
		if got := a.colors(c.terminal); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

// TestPrompts: a yes from a terminal goes on, everything else changes nothing.
func TestPrompts(t *testing.T) {
	moderate := &client.Plan{Action: client.Forget, Ring: "ingester", Danger: client.Moderate, Steps: []client.Step{{ID: "i-1"}}}
	severe := &client.Plan{Action: client.Forget, Ring: "ingester", Danger: client.Severe, Confirm: "i-1", Steps: []client.Step{{ID: "i-1"}}}
	cases := []struct {
		plan   *client.Plan
		typed  string
		accept bool
	}{
		{moderate, "y\n", true}, {moderate, "YES\n", true}, {moderate, "\n", false}, {moderate, "", false}, {moderate, "n\n", false},
		{severe, "i-1\n", true}, {severe, "y\n", false}, {severe, "i-2\n", false},
	}
	for _, c := range cases {
		env, _, _ := testEnv()
		env.Stdin, env.StdinTerminal = strings.NewReader(c.typed), true
		err := newApp(env).confirm(t.Context(), c.plan)
		if (err == nil) != c.accept || err != nil && client.CodeOf(err) != client.CodeConfirm {
			t.Errorf("%s, typed %q: %v", c.plan.Danger, c.typed, err)
		}
	}
}
