package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// commands are all commands by group: look, ask, change, other.
func (a *app) commands() [4][]*cobra.Command {
	all := [4][]*cobra.Command{
		{a.statusCommand(), a.ringsCommand(), a.membersCommand(), a.tokensCommand(), a.partitionsCommand(), a.viewsCommand(), a.diffCommand(), a.watchCommand(),
			a.recordCommand(), a.replayCommand(), a.eventsCommand(), a.serveCommand()},
		{a.lookupCommand(), a.doctorCommand(), a.explainCommand(), a.simulateCommand(), a.canStopCommand(), a.waitCommand(), a.checkCommand()},
		{a.forgetCommand(), a.partitionCommand(), a.repairCommand(), a.planCommand(), a.applyCommand(), a.undoCommand(), a.rolloutCommand()},
		{a.contextCommand(), a.versionCommand(), a.completionCommand(), a.manCommand()},
	}
	if a.env.Top != nil {
		all[0] = append(all[0], a.topCommand())
	}
	return all
}

// runRoot is ringctl without a command: the dashboard on a terminal, else help.
func (a *app) runRoot(c *cobra.Command, _ []string) error {
	if a.env.Top == nil || !a.env.StdoutTerminal || !a.env.StdinTerminal {
		return c.Help()
	}
	return a.runTop(c)
}

// runTop opens the dashboard. It joins if it can, because it needs every change.
func (a *app) runTop(c *cobra.Command) error {
	cfg, err := a.locate(c.Context())
	if err != nil {
		return err
	}
	cfg.Join = !a.flags.observe
	cl, err := client.New(cfg)
	if err != nil {
		return err
	}
	t := a.top()
	t.Client, t.Name, t.ReadOnly = cl, or(a.context, strings.Join(append(cl.Config().Seeds, cl.Config().HTTP...), ",")), a.chosen.ReadOnly
	return a.env.Top(c.Context(), t)
}

// top is what every dashboard gets.
func (a *app) top() Top {
	return Top{Color: a.outColor(), ASCII: a.env.Getenv("RINGCTL_ASCII") != "", In: a.env.Stdin, Out: a.env.Stdout,
		Audit: func(r *client.Result, err error) error { return a.audit(r, "ringctl top", err) }}
}

func (a *app) topCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "top",
		Short: "Open the dashboard",
		Long: `Open the dashboard: overview, rings, partitions, views, doctor, events and what-if, live.

It joins the cluster as a guest where members can reach this machine, and observes otherwise. Press ? for the keys.

The theme follows the terminal: dark or light, with as many colours as there are; t goes through all of them (dark, light, 16,
mono), and :theme NAME chooses one. With NO_COLOR set (or --color never) nothing is told by colour; with RINGCTL_ASCII=1 only
seven-bit characters are drawn.`,
		Example: "  ringctl top\n  ringctl --context prod top --observe",
		RunE: func(c *cobra.Command, _ []string) error {
			if !a.env.StdoutTerminal || !a.env.StdinTerminal {
				return usage("the dashboard needs a terminal; ringctl status --watch prints lines instead")
			}
			return a.runTop(c)
		},
	}
	a.addStay(c)
	return c
}

// addStay adds the flags of commands that stay.
func (a *app) addStay(c *cobra.Command) {
	c.Flags().BoolVar(&a.flags.join, "join", false, "become a guest member, to hear of changes as they spread")
	c.Flags().BoolVar(&a.flags.observe, "observe", false, "ask again and again, without becoming a member")
	c.Flags().StringVar(&a.flags.advertise, "advertise", "", "`ip:port` at which members reach this machine, for --join")
	c.Flags().DurationVar(&a.flags.interval, "interval", 0, "how often to ask when observing (default 5s)")
	c.MarkFlagsMutuallyExclusive("join", "observe")
}

// addWatch adds --watch and what goes with it.
func (a *app) addWatch(c *cobra.Command) {
	c.Flags().BoolVarP(&a.flags.watch, "watch", "w", false, "print again whenever something changed; JSON becomes one line each")
	a.addStay(c)
}

// show prints one document of a snapshot, or one after each change with --watch.
func (a *app) show(c *cobra.Command, build func(*client.Snapshot) (*render.Document, error)) error {
	if a.flags.watch {
		return a.showEach(c.Context(), build)
	}
	s, err := a.snapshot(c.Context())
	if err != nil {
		return err
	}
	d, err := build(s)
	if err != nil {
		return err
	}
	a.provenance(s)
	return a.print(d)
}

// provenance says whose view it is, how old it is, how it was obtained, and by what heartbeats are judged.
func (a *app) provenance(s *client.Snapshot) {
	if !a.format.ForPeople() {
		return
	}
	line := fmt.Sprintf("view of %s", s.From)
	if s.Addr != s.From {
		line += " (" + s.Addr + ")"
	}
	line += fmt.Sprintf(", %s, %s", s.Mode, s.At.UTC().Format("2006-01-02 15:04:05Z"))
	if s.Label != "" {
		line += ", label " + s.Label
	}
	if timeouts := document.Timeouts(s); timeouts != "" {
		line += ", " + timeouts
	}
	if s.Note != "" {
		line += "; " + s.Note
	}
	a.say("%s", render.Paint(a.errColor(), render.Dim, line))
}

// showEach follows the cluster until the context ends. A moment without a view is said and passes.
func (a *app) showEach(ctx context.Context, build func(*client.Snapshot) (*render.Document, error)) error {
	a.flags.stream = true
	cfg, err := a.locate(ctx)
	if err != nil {
		return err
	}
	cl, err := client.New(cfg)
	if err != nil {
		return err
	}
	for s, err := range cl.Watch(ctx) {
		if err != nil {
			a.say("no view: %v", err)
			continue
		}
		d, err := build(s)
		if err != nil {
			return err
		}
		if a.format.ForPeople() && a.env.StdoutTerminal {
			if _, err := io.WriteString(a.env.Stdout, "\x1b[H\x1b[2J"); err != nil {
				return err
			}
		}
		a.provenance(s)
		if err := a.print(d); err != nil {
			return err
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}

// helpTemplate puts what a command is and how it is used first, and examples before flags.
const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

// usageTemplate shows the global flags only where they are defined: they would bury a command's own ones.
const usageTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{if eq (len .Groups) 0}}

Commands:{{range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{else}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Where to look (--seeds, --context, --label, …) and output (-o, --color, …): ringctl --help{{end}}
`
