// Command ringctl shows and operates the hash rings of tempod, Tempo, Mimir, Loki, Pyroscope and Cortex.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ringctl/ringctl/cmd/ringctl/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	env := environment()
	env.Top, env.Extra = top, []*cobra.Command{demoCommand(env)}
	code := command.Run(ctx, env)
	stop()
	os.Exit(code)
}

func environment() command.Env {
	terminal := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	return command.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now,
		StdinTerminal: terminal(os.Stdin), StdoutTerminal: terminal(os.Stdout), StderrTerminal: terminal(os.Stderr),
	}
}
