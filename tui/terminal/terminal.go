// Package terminal runs a program in a real terminal and reads its screen, for
// tests and pictures of the dashboard. It needs tmux.
//
// Start with [Open]; press keys with [Terminal.Keys] and [Terminal.Type], and
// wait for what they lead to with [Terminal.Wait]. Nothing here waits for a
// fixed time and hopes.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config says what to run and where.
type Config struct {
	// Args are the program and its arguments.
	Args []string
	// Env is added to the environment; TERM and COLORTERM are those of a terminal with all colours unless given.
	Env []string
	// Width and Height are the size in cells; zero is 130 by 36.
	Width, Height int
}

// Terminal is a running terminal. Its methods may be called from one goroutine
// at a time.
type Terminal struct {
	dir string
}

// settings of tmux: no status line, and a program that has ended stays readable.
const settings = `set -g status off
set -g remain-on-exit on
set -s escape-time 0
set -g default-terminal "tmux-256color"
`

// runAndTell runs a program and leaves its exit code in a file: tmux cannot be
// asked, as it sometimes misses the end of its child.
const (
	runAndTell = `trap : INT; "$@"; echo $? >"$0.new" && mv "$0.new" "$0"`
	exitFile   = "exit"
)

// Open starts a terminal with a program in it. Close it after use.
func Open(ctx context.Context, c Config) (*Terminal, error) {
	dir, err := os.MkdirTemp("", "terminal-")
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	t := &Terminal{dir: dir}
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(settings), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open a terminal: %w", err), os.RemoveAll(dir))
	}
	if c.Width == 0 || c.Height == 0 {
		c.Width, c.Height = 130, 36
	}
	args := []string{"new-session", "-d", "-x", strconv.Itoa(c.Width), "-y", strconv.Itoa(c.Height),
		"env", "-u", "TMUX", "-u", "TMUX_PANE", "TERM=xterm-256color", "COLORTERM=truecolor"}
	args = append(append(args, c.Env...), "sh", "-c", runAndTell, filepath.Join(dir, exitFile))
	if _, err := t.tmux(ctx, append(args, c.Args...)...); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return t, nil
}

func (t *Terminal) tmux(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-S", filepath.Join(t.dir, "socket"), "-f", filepath.Join(t.dir, "conf")}, args...)...)
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, strings.TrimSpace(failed.String()))
	}
	return string(out), nil
}

// escapeAlone is longer than a program waits after an escape for the rest of a
// sequence: what follows it is then a key of its own.
const escapeAlone = 150 * time.Millisecond

// Keys presses keys, by the names that tmux has for them: "j", "Enter",
// "Escape", "C-c", "Tab".
func (t *Terminal) Keys(ctx context.Context, keys ...string) error {
	for _, k := range keys {
		if _, err := t.tmux(ctx, "send-keys", k); err != nil {
			return err
		}
		if k == "Escape" {
			pause(ctx, escapeAlone)
		}
	}
	return nil
}

// Type types a text.
func (t *Terminal) Type(ctx context.Context, text string) error {
	_, err := t.tmux(ctx, "send-keys", "-l", text)
	return err
}

// Text is the screen as lines of text.
func (t *Terminal) Text(ctx context.Context) (string, error) {
	return t.tmux(ctx, "capture-pane", "-p")
}

// Styled is the screen with the escape sequences of its colours.
func (t *Terminal) Styled(ctx context.Context) (string, error) {
	return t.tmux(ctx, "capture-pane", "-e", "-p")
}

const (
	lookAgain = 25 * time.Millisecond
	patience  = time.Minute
)

// Wait looks at the screen until right says so, at most a minute, and returns it.
func (t *Terminal) Wait(ctx context.Context, right func(screen string) bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := ""
	for {
		screen, err := t.Text(ctx)
		switch {
		case err == nil && right(screen):
			return screen, nil
		case err == nil:
			last = screen
		case ctx.Err() == nil:
			return "", err
		}
		if !pause(ctx, lookAgain) {
			return "", fmt.Errorf("the screen never became what was awaited: %w\n%s", ctx.Err(), last)
		}
	}
}

// WaitEnd waits until the program has ended, at most a minute, and returns its
// exit code.
func (t *Terminal) WaitEnd(ctx context.Context) (int, error) {
	code := -1
	_, err := t.Wait(ctx, func(string) bool {
		out, err := os.ReadFile(filepath.Join(t.dir, exitFile))
		if err != nil {
			return false
		}
		n, _ := fmt.Sscan(string(out), &code)
		return n == 1
	})
	return code, err
}

// Close closes the terminal as one closes a window: the program is hung up.
// It does not wait for the program.
func (t *Terminal) Close() error {
	_, err := t.tmux(context.Background(), "kill-server")
	return errors.Join(err, os.RemoveAll(t.dir))
}

// pause waits for d; it is false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Process is a running process.
type Process struct {
	PID int
	// Args are its arguments, without the program.
	Args []string
}

// After is the argument that follows a flag; "" when the flag is not there.
func (p Process) After(flag string) string {
	i := slices.Index(p.Args, flag)
	if i < 0 || i+1 == len(p.Args) {
		return ""
	}
	return p.Args[i+1]
}

// Processes are the running processes of a program, by its path. Arguments with
// spaces in them count as several.
func Processes(ctx context.Context, program string) ([]Process, error) {
	out, err := exec.CommandContext(ctx, "ps", "-axww", "-o", "pid=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []Process
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[1] != program {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		found = append(found, Process{PID: pid, Args: fields[2:]})
	}
	return found, nil
}
