//go:build unix

// Command pictures makes the pictures of the documents: it starts the demo in a
// real terminal, kills one of its members, goes through the screens, and draws
// what the terminal shows. It needs tmux.
//
//	go run ./tui/pictures bin docs/pictures
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ringctl/ringctl/tui/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: pictures BIN OUT: the folder with both programs, and the one for the pictures")
	}
	bin, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(args[1], 0o755); err != nil {
		return err
	}
	s := studio{ringctl: filepath.Join(bin, "ringctl"), tempod: filepath.Join(bin, "tempod"), out: args[1], paper: &dark}
	if s.term, err = terminal.Open(ctx, terminal.Config{Args: []string{s.ringctl, "demo", "--seed", "1"}}); err != nil {
		return err
	}
	if err = s.all(ctx); err == nil {
		err = s.leave(ctx)
	}
	// The demo tidies up when its terminal closes, too.
	return errors.Join(err, s.term.Close()) //nolint:contextcheck // closed even when the context is over
}

// studio takes pictures of one terminal.
type studio struct {
	term                 *terminal.Terminal
	ringctl, tempod, out string
	paper                *paper
}

func (s *studio) leave(ctx context.Context) error {
	if err := s.term.Keys(ctx, "C-c"); err != nil {
		return err
	}
	_, err := s.term.WaitEnd(ctx)
	return err
}

// member finds the process of one member of the demo.
func (s *studio) member(ctx context.Context, name string) (terminal.Process, error) {
	all, err := terminal.Processes(ctx, s.tempod)
	if err != nil {
		return terminal.Process{}, err
	}
	i := slices.IndexFunc(all, func(p terminal.Process) bool { return p.After("--instance.id") == name })
	if i < 0 {
		return terminal.Process{}, fmt.Errorf("no process is %s", name)
	}
	return all[i], nil
}

// signal sends a signal to one member of the demo.
func (s *studio) signal(ctx context.Context, name string, sig syscall.Signal) error {
	p, err := s.member(ctx, name)
	if err != nil {
		return err
	}
	return syscall.Kill(p.PID, sig)
}

// step presses keys and waits for texts, all of them; with a name it draws what
// is there then.
type step struct {
	keys  []string
	typed string
	await []string
	name  string
	title string
	do    func(ctx context.Context) error
}

func (s *studio) take(ctx context.Context, steps []step) error {
	for _, st := range steps {
		if err := s.one(ctx, st); err != nil {
			return fmt.Errorf("picture %q, keys %v: %w", st.name, st.keys, err)
		}
	}
	return nil
}

func (s *studio) one(ctx context.Context, st step) error {
	if st.do != nil {
		if err := st.do(ctx); err != nil {
			return err
		}
	}
	if st.typed != "" {
		if err := s.term.Type(ctx, st.typed); err != nil {
			return err
		}
	}
	if err := s.term.Keys(ctx, st.keys...); err != nil {
		return err
	}
	if _, err := s.term.Wait(ctx, func(screen string) bool { return shows(screen, st.await) }); err != nil {
		return err
	}
	if st.name == "" {
		return nil
	}
	screen, err := s.term.Styled(ctx)
	if err != nil {
		return err
	}
	fmt.Println(st.name)
	return os.WriteFile(filepath.Join(s.out, st.name+".svg"), []byte(svg(s.paper, screen, st.title)), 0o644)
}

// shows tells whether all texts are on a screen, however their words are spaced.
func shows(screen string, texts []string) bool {
	screen = strings.Join(strings.Fields(screen), " ")
	for _, t := range texts {
		if !strings.Contains(screen, t) {
			return false
		}
	}
	return true
}
