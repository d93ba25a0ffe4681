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
	ctx, stop := untilSignal()
	env := environment()
	env.Top, env.Extra = top, []*cobra.Command{demoCommand(env)}
	code := command.Run(ctx, env)
	stop()
	os.Exit(code)
}

// untilSignal ends with the first signal to stop; a second one then ends the
// process at once. A terminal that is closed hangs up more than once and means
// it only once, so that there is time to leave the cluster and tidy up.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if signal.Ignored(syscall.SIGHUP) { // nohup
		return ctx, stop
	}
	ctx, quit := signal.NotifyContext(ctx, syscall.SIGHUP)
	return ctx, func() { quit(); stop() }
}

func environment() command.Env {
	terminal := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	return command.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now,
		StdinTerminal: terminal(os.Stdin), StdoutTerminal: terminal(os.Stdout), StderrTerminal: terminal(os.Stderr),
	}
}
