package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/monitor"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
	"github.com/ringctl/ringctl/cmd/ringctl/settings"
)

// Env is the world a command runs in. Tests fill it by hand; main fills it from the process.
type Env struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
	// Dial replaces the network dial; nil is the network.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// StdinTerminal, StdoutTerminal and StderrTerminal say which streams are terminals.
	StdinTerminal, StdoutTerminal, StderrTerminal bool
	// Top opens the dashboard; nil where there is none.
	Top func(ctx context.Context, t Top) error
	// Extra are further commands, made elsewhere.
	Extra []*cobra.Command
}

// Top is what the dashboard needs to know.
type Top struct {
	// Client asks a running cluster; Recording is used instead where it is set.
	Client    *client.Client
	Recording iter.Seq2[*client.Snapshot, error]
	// Name is the context in use, or where the views come from. ReadOnly turns every change off.
	Name     string
	ReadOnly bool
	// Color is false where the terminal or the user does not want it; ASCII asks for plain characters.
	Color, ASCII bool
	// Audit writes a change to the audit log.
	Audit func(*client.Result, error) error
	// In and Out are the terminal.
	In  io.Reader
	Out io.Writer
}

// Run executes a command line and returns the exit code.
func Run(ctx context.Context, env Env) int {
	a := newApp(env)
	root := a.root()
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	return a.exit(ctx, err)
}

// exit prints an error and turns it into the exit code.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return client.CodeOK.Exit()
	}
	var nagios monitor.State
	if errors.As(err, &nagios) {
		return nagios.Exit
	}
	code := client.CodeOf(err)
	var typed *client.Error
	if !errors.As(err, &typed) && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		code = client.CodeUsage // everything that is not a client's answer is a mistake in flags or files
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		fmt.Fprintln(a.env.Stderr, "interrupted")
		return client.CodeInterrupted.Exit()
	}
	prefix := "error: "
	switch code {
	case client.CodeNo:
		prefix = "no: "
	case client.CodeRefused:
		prefix = "refused: "
	default:
	}
	fmt.Fprintln(a.env.Stderr, render.Paint(a.errColor(), render.Bad, strings.TrimSuffix(prefix, " "))+" "+strings.TrimSpace(err.Error()))
	if hint := client.HintOf(err); hint != "" {
		fmt.Fprintln(a.env.Stderr, "hint: "+hint)
	}
	return code.Exit()
}

// app is one run of ringctl.
type app struct {
	env    Env
	flags  flags
	dirs   settings.Dirs
	format render.Format
	// chosen is the context in use and its name; both are empty when none is.
	chosen  settings.Context
	context string
	// bare is true when nothing at all says where and what the cluster is.
	bare bool
}

func newApp(env Env) *app {
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Getenv == nil {
		env.Getenv = os.Getenv
	}
	return &app{env: env, dirs: settings.FindDirs(env.Getenv)}
}

// usage is a mistake on the command line.
func usage(format string, args ...any) error {
	return &client.Error{Code: client.CodeUsage, Err: fmt.Errorf(format, args...)}
}

// colors decides by flag, then environment, then terminal.
func (a *app) colors(terminal bool) bool {
	switch a.flags.color {
	case "always":
		return true
	case "never":
		return false
	}
	if a.env.Getenv("NO_COLOR") != "" || a.env.Getenv("TERM") == "dumb" {
		return false
	}
	if v := a.env.Getenv("CLICOLOR_FORCE"); v != "" && v != "0" {
		return true
	}
	return terminal
}

func (a *app) outColor() bool { return a.colors(a.env.StdoutTerminal) }
func (a *app) errColor() bool { return a.colors(a.env.StderrTerminal) }

// say prints words for people.
func (a *app) say(format string, args ...any) {
	if !a.flags.quiet {
		fmt.Fprintf(a.env.Stderr, format+"\n", args...)
	}
}

// print writes a document in the chosen format.
func (a *app) print(d *render.Document) error {
	return a.format.Write(a.env.Stdout, d, render.Layout{NoHeaders: a.flags.noHeaders, Color: a.outColor()}, a.flags.stream)
}
