package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ringctl/ringctl/tui/terminal"
)

// TestCompletionInBash lets a real bash complete words from a running cluster, with the package bash-completion and without.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash")
	}
	ringctl := program(t, "ringctl")
	cluster := troubled(t)
	complete := func(setup, line string) []string {
		t.Helper()
		script := setup + "\nsource <(ringctl completion bash)\n" + `
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
read -ra COMP_WORDS <<<"$COMP_LINE"; [[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
__start_ringctl
printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, "--norc", "-c", script, "bash", line)
		cmd.Env = []string{"PATH=" + filepath.Dir(ringctl) + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "RINGCTL_SEEDS=" + strings.Join(cluster.Seeds(), ",")}
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil || said.Len() > 0 {
			t.Fatalf("%s: %v: %s", line, err, said.String())
		}
		var words []string
		for w := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
			words = append(words, strings.TrimSpace(strings.Split(w, "  ")[0])) // without the description
		}
		slices.Sort(words)
		return words
	}
	setups := map[string]string{"alone": ""}
	if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); err == nil {
		setups["with bash-completion"] = "source /usr/share/bash-completion/bash_completion"
	}
	cases := map[string]string{
		"ringctl forg":                          "forget",
		"ringctl forget ":                       "ingester live-store",
		"ringctl forget ingester ingester-":     "ingester-0 ingester-1 ingester-2 ingester-3 ingester-4 ingester-5",
		"ringctl forget ingester ingester-1 i":  "ingester-0 ingester-2 ingester-3 ingester-4 ingester-5",
		"ringctl partition drain ":              "0 1",
		"ringctl -o wide members l":             "live-store",
		"ringctl wait --ring live":              "live-store livestore-partitions",
		"ringctl --seeds 127.0.0.1:1 members i": "",
	}
	for name, setup := range setups {
		for line, want := range cases {
			if got := strings.Join(complete(setup, line), " "); got != want {
				t.Errorf("%s: %q becomes %q, want %q", name, line, got, want)
			}
		}
	}
}

var escape = regexp.MustCompile(`\x1b\[`)

// TestPipes: what goes into a pipe or a file has no colours, words stay off it, and a reader that has seen enough ends it.
func TestPipes(t *testing.T) {
	ringctl := program(t, "ringctl")
	cluster := troubled(t)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm-256color", "RINGCTL_SEEDS=" + strings.Join(cluster.Seeds(), ","), "RINGCTL_HEARTBEAT_TIMEOUT=30m"}
	run := func(more []string, args ...string) (out, words string) {
		t.Helper()
		cmd := exec.Command(ringctl, args...)
		cmd.Env = append(slices.Clone(env), more...)
		var o, e bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, &e
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, e.String())
		}
		return o.String(), e.String()
	}
	out, words := run(nil, "status")
	if escape.MatchString(out+words) || !strings.HasPrefix(out, "RING ") || !strings.HasPrefix(words, "view of ") {
		t.Errorf("%q\n%q", out, words)
	}
	if out, _ := run([]string{"CLICOLOR_FORCE=1"}, "status"); !escape.MatchString(out) {
		t.Errorf("forced colours are missing: %q", out)
	}
	if out, words := run([]string{"CLICOLOR_FORCE=1", "NO_COLOR=1"}, "status"); escape.MatchString(out + words) {
		t.Errorf("NO_COLOR has colours: %q", out)
	}
	if out, words := run(nil, "status", "-o", "json", "--quiet"); !strings.HasPrefix(out, "{") || words != "" {
		t.Errorf("%q\n%q", out, words)
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ringctl, "tokens", "ingester", "--raw", "-o", "json", "--watch", "--interval", "1s")
	cmd.Env, cmd.Stdout = env, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil { // as head does
		t.Fatal(err)
	}
	r.Close()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		t.Errorf("a reader that left: %v", err)
	}
}

// TestColorsOnATerminal: a terminal gets colours, unless its user does not want them.
func TestColorsOnATerminal(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("needs script(1) for a terminal")
	}
	ringctl := program(t, "ringctl")
	cluster := troubled(t)
	for _, c := range []struct {
		more  string
		color bool
	}{{"TERM=xterm-256color", true}, {"NO_COLOR=1", false}, {"TERM=dumb", false}, {"RINGCTL_COLOR=never", false}} {
		cmd := exec.Command(script, "-qec", ringctl+" status", "/dev/null")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm", "SHELL=/bin/sh", "RINGCTL_SEEDS=" + strings.Join(cluster.Seeds(), ","), "RINGCTL_HEARTBEAT_TIMEOUT=30m", c.more}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "ingester") || escape.Match(out) != c.color {
			t.Errorf("%s: %v: %q", c.more, err, out)
		}
	}
}

// TestTerminal sits down at a real terminal: completion by the tab key, and the dashboard on the context in use.
func TestTerminal(t *testing.T) {
	ringctl, _ := programs(t)
	cluster := troubled(t)
	home := t.TempDir()
	env := []string{"HOME=" + home, "PATH=" + filepath.Dir(ringctl) + ":" + os.Getenv("PATH"), "PS1=$ "}
	set := exec.Command(ringctl, "context", "set", "night", "--seeds", strings.Join(cluster.Seeds(), ","), "--read-only")
	use := exec.Command(ringctl, "context", "use", "night")
	for _, cmd := range []*exec.Cmd{set, use} {
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	u := sitDown(t, terminal.Config{Env: env, Args: []string{"bash", "--norc", "-i"}})
	u.see("$")
	for _, line := range []struct{ typed, want string }{
		{"source <(ringctl completion bash); clear", "$"},
		{"ringctl members inges\t--state unhealthy", "ingester-1"},
		{"ringctl forget ingester ingester-1 --yes; echo code=$?", "code=5"},
	} {
		if err := u.Type(t.Context(), line.typed); err != nil {
			t.Fatal(err)
		}
		u.press([]string{"Enter"}, line.want)
	}
	u.press([]string{"C-l"})
	if err := u.Type(t.Context(), "ringctl"); err != nil {
		t.Fatal(err)
	}
	u.press([]string{"Enter"}, "night", "ingester", "read-only")
	u.press([]string{"q"}, "$")
}
