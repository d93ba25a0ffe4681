package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
	"github.com/ringctl/ringctl/cmd/ringctl/settings"
	"github.com/ringctl/ringctl/engine/gossip"
)

// flags are the flags of all commands.
type flags struct {
	seeds, http        []string
	context, label     string
	product            string
	tls                settings.TLS
	timeout, heartbeat time.Duration
	replicas           int
	zoneAware          string
	from               string
	join, observe      bool
	advertise          string
	output, color      string
	noHeaders, quiet   bool
	watch              bool
	interval           time.Duration
	stream             bool
	reason             string
	yes, force, dryRun bool
	confirm            string
	wait               time.Duration
	noWait             bool
	guard              time.Duration
	maxChanges         int
}

const rootLong = `ringctl shows and operates the hash rings of tempod, Tempo, Mimir, Loki, Pyroscope and Cortex.

It asks a member on the gossip port for its whole view, without joining the cluster, and works out health, ownership
and quorum. Changes are checked first, sent to every member that can be reached, and read back until all agree.

Where to look comes from --seeds (or --http), else RINGCTL_SEEDS, else the context in use, else 127.0.0.1:7946, there also
with the label tempod.`

const rootExample = `  ringctl status                                   every ring, one line each
  ringctl members ingester -o wide                 who is in the ring, and how healthy
  ringctl forget ingester ingester-3 --dry-run     what would happen
  ringctl can-stop ingester-0 ingester-1           may these two restart together?
  ringctl --seeds dns+gossip.tempo.svc:7946 --label prod status`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "ringctl",
		Short:             "Show and operate the rings of a cluster",
		Long:              rootLong + "\n\n" + exitCodes(),
		Example:           rootExample,
		Version:           readBuild().Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              a.unknown,
		PersistentPreRunE: a.prepare,
		RunE:              a.runRoot,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &client.Error{Code: client.CodeUsage, Err: flagHint(c, err), Hint: c.CommandPath() + " --help lists the flags"}
	})
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
	a.addGlobals(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "ask", Title: "Ask:"},
		&cobra.Group{ID: "change", Title: "Change:"},
		&cobra.Group{ID: "other", Title: "Other:"},
	)
	for group, commands := range a.commands() {
		for _, c := range commands {
			c.GroupID = []string{"look", "ask", "change", "other"}[group]
			root.AddCommand(c)
		}
	}
	for _, c := range a.env.Extra {
		c.GroupID = "other"
		root.AddCommand(c)
	}
	root.SetHelpCommandGroupID("other")
	a.finish(root)
	_ = root.RegisterFlagCompletionFunc("context", a.completeContexts)
	_ = root.RegisterFlagCompletionFunc("output", fixed("table", "wide", "json", "yaml", "name", "csv", "jsonpath=", "go-template="))
	_ = root.RegisterFlagCompletionFunc("product", fixed(client.Products()...))
	_ = root.RegisterFlagCompletionFunc("from", a.completeGossip)
	_ = root.RegisterFlagCompletionFunc("color", fixed("auto", "always", "never"))
	_ = root.RegisterFlagCompletionFunc("zone-aware", fixed("auto", "true", "false"))
	return root
}

// unknown rejects words after ringctl that are no command, with the nearest ones.
func (a *app) unknown(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := &client.Error{Code: client.CodeUsage, Err: fmt.Errorf("unknown command %q", args[0]), Hint: "ringctl --help lists the commands"}
	var names []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if near := client.Nearest(args[0], names); len(near) > 0 {
		e.Hint = "did you mean " + strings.Join(near, ", ") + "?"
	}
	return e
}

// flagHint adds the nearest flag to an error about an unknown one.
func flagHint(c *cobra.Command, err error) error {
	_, name, found := strings.Cut(err.Error(), "unknown flag: --")
	if !found {
		return err
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := client.Nearest(name, names); len(near) > 0 {
		return fmt.Errorf("%w; did you mean --%s?", err, near[0])
	}
	return err
}

// exitCodes is the table of exit codes for help texts.
func exitCodes() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, c := range client.Codes() {
		fmt.Fprintf(&b, "  %-4d %s\n", c.Exit(), c.Meaning())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (a *app) addGlobals(f *pflag.FlagSet) {
	v := &a.flags
	f.StringSliceVar(&v.seeds, "seeds", nil, "gossip `addresses` to ask: host:port, dns+host:port, dnssrv+name")
	f.StringSliceVar(&v.http, "http", nil, "base `URLs` of members, when the gossip port is out of reach")
	f.StringVar(&v.context, "context", "", "use the cluster with this `name` (ringctl context list)")
	f.StringVar(&v.label, "label", "", "cluster `label`")
	f.StringVar(&v.product, "product", "", "product whose usual settings apply: "+strings.Join(client.Products(), ", "))
	f.BoolVar(&v.tls.Enabled, "tls", false, "use TLS for gossip")
	f.StringVar(&v.tls.CA, "tls-ca", "", "`file` with the certificate authority")
	f.StringVar(&v.tls.Cert, "tls-cert", "", "`file` with the client certificate")
	f.StringVar(&v.tls.Key, "tls-key", "", "`file` with the client key")
	f.StringVar(&v.tls.ServerName, "tls-server-name", "", "`name` expected in the members' certificates")
	f.BoolVar(&v.tls.Insecure, "tls-insecure-skip-verify", false, "do not check the members' certificates")
	f.DurationVar(&v.timeout, "timeout", 0, "how long one exchange with a member may take (default 10s)")
	f.DurationVar(&v.heartbeat, "heartbeat-timeout", 0, "age from which a heartbeat is unhealthy (default: usual for the ring)")
	f.IntVar(&v.replicas, "rf", 0, "replication `factor` of the rings (default: usual for the ring)")
	f.StringVar(&v.zoneAware, "zone-aware", "auto", "whether replicas are spread over zones: true, false, auto")
	f.StringVar(&v.from, "from", "", "ask this `member` (gossip name or address) instead of the first seed that answers")
	f.StringVarP(&v.output, "output", "o", "table", "output `format`: table, wide, json, yaml, name, csv, jsonpath=…, go-template=…")
	f.BoolVar(&v.noHeaders, "no-headers", false, "leave out the header line of tables and CSV")
	f.StringVar(&v.color, "color", "auto", "colours: auto, always, never")
	f.BoolVarP(&v.quiet, "quiet", "q", false, "no words on standard error, except errors")
}

// prepare fills flags from the environment and the context, and checks them.
func (a *app) prepare(c *cobra.Command, _ []string) error {
	if c.Name() == cobra.ShellCompRequestCmd || c.Name() == cobra.ShellCompNoDescRequestCmd {
		return nil // the flags of the line to complete are parsed later, see live
	}
	if err := a.fromEnvironment(c); err != nil {
		return err
	}
	var err error
	if a.format, err = render.ParseFormat(a.flags.output); err != nil {
		return usage("%w", err)
	}
	if !slices.Contains([]string{"auto", "always", "never"}, a.flags.color) {
		return usage("--color is auto, always or never, not %q", a.flags.color)
	}
	if _, err := zoneAware(a.flags.zoneAware); err != nil {
		return err
	}
	if err := a.chooseContext(); err != nil {
		return err
	}
	f := c.Root().PersistentFlags()
	a.bare = a.context == "" && !f.Changed("seeds") && !f.Changed("http") && !f.Changed("label")
	return nil
}

func zoneAware(s string) (*bool, error) {
	if s == "auto" {
		return nil, nil
	}
	v, err := strconv.ParseBool(s)
	if err != nil {
		return nil, usage("--zone-aware is true, false or auto, not %q", s)
	}
	return &v, nil
}

// fromEnvironment sets flags that were not given from RINGCTL_<NAME>. A variable does not say where to look when the command
// line does: what is meant for one cluster must not reach another.
func (a *app) fromEnvironment(c *cobra.Command) error {
	var errs []error
	all := c.Root().PersistentFlags()
	byContext := all.Changed("context")
	where := map[string]bool{"seeds": all.Changed("http") || byContext, "http": all.Changed("seeds") || byContext}
	all.VisitAll(func(f *pflag.Flag) {
		if where[f.Name] || byContext && (f.Name == "label" || f.Name == "from" || f.Name == "product" || strings.HasPrefix(f.Name, "tls")) {
			return
		}
		name := "RINGCTL_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v := a.env.Getenv(name)
		if v == "" || f.Changed {
			return
		}
		if err := f.Value.Set(v); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", name, v, err))
			return
		}
		f.Changed = true
	})
	if len(errs) > 0 {
		return usage("environment: %w", errors.Join(errs...))
	}
	return nil
}

// chooseContext finds the context to use: the named one, else the current one unless the command line says where to look.
func (a *app) chooseContext() error {
	file, err := a.dirs.Load()
	if err != nil {
		return usage("%w", err)
	}
	name := a.flags.context
	if name == "" && len(a.flags.seeds) == 0 && len(a.flags.http) == 0 {
		name = file.Current
	}
	if name == "" {
		return nil
	}
	ctx, ok := file.Contexts[name]
	if !ok {
		e := &client.Error{Code: client.CodeNotFound, Op: "context " + name, Err: errors.New("no such context"), Hint: "ringctl context list shows them"}
		if near := client.Nearest(name, file.Names()); len(near) > 0 {
			e.Hint = "did you mean " + strings.Join(near, ", ") + "?"
		}
		return e
	}
	a.chosen, a.context = ctx, name
	return nil
}

// config merges flags over the context.
func (a *app) config() (client.Config, error) {
	f, ctx := a.flags, a.chosen
	cfg := client.Config{
		Seeds: f.seeds, HTTP: f.http, Label: or(f.label, ctx.Label), Product: or(f.product, ctx.Product),
		Timeout:          or(f.timeout, time.Duration(ctx.Timeout)),
		HeartbeatTimeout: or(f.heartbeat, time.Duration(ctx.HeartbeatTimeout)),
		Join:             f.join, Advertise: f.advertise, Poll: f.interval, Now: a.env.Now, Dial: a.env.Dial, Profiles: map[string]client.Profile{},
	}
	if len(cfg.Seeds) == 0 && len(cfg.HTTP) == 0 {
		cfg.Seeds, cfg.HTTP = ctx.Seeds, ctx.HTTP
	}
	var err error
	if cfg.TLS, err = or(f.tls, ctx.TLS).Load(); err != nil {
		return cfg, usage("%w", err)
	}
	for name, r := range ctx.Rings {
		cfg.Profiles[name] = client.Profile{ReplicationFactor: r.ReplicationFactor, ZoneAware: r.ZoneAware,
			HeartbeatTimeout: time.Duration(r.HeartbeatTimeout), Stateless: r.Stateless}
	}
	zones, err := zoneAware(f.zoneAware)
	if err != nil {
		return cfg, err
	}
	if f.replicas < 0 {
		return cfg, usage("--rf is the number of replicas, not %d", f.replicas)
	}
	cfg.ReplicationFactor, cfg.ZoneAware = f.replicas, zones
	return cfg, nil
}

// or returns the first value unless it is the zero value.
func or[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// localLabel is the cluster label of a tempod that was started without a configuration.
const localLabel = "tempod"

// locate is config for a running cluster. Where nobody said anything about the cluster and the member on this machine
// refuses those without a label, it is asked with the label that tempod has when nobody gave it one.
func (a *app) locate(ctx context.Context) (client.Config, error) {
	cfg, err := a.config()
	if err != nil || !a.bare {
		return cfg, err
	}
	d := gossip.Dialer{Timeout: min(or(cfg.Timeout, localTimeout), localTimeout), TLS: cfg.TLS, Dial: cfg.Dial}
	if _, err := d.Pull(ctx, client.DefaultSeed); !errors.Is(err, gossip.ErrWrongLabel) {
		return cfg, nil // it answers, or has another reason that the command itself will meet
	}
	d.Label = localLabel
	if _, err := d.Pull(ctx, client.DefaultSeed); err == nil {
		cfg.Label = localLabel
		a.say("%s wants a cluster label; using --label %s", client.DefaultSeed, localLabel)
	}
	return cfg, nil
}

// localTimeout bounds the look for a member on this machine.
const localTimeout = 2 * time.Second

// client returns a client for the flags.
func (a *app) client(ctx context.Context) (*client.Client, error) {
	cfg, err := a.locate(ctx)
	if err != nil {
		return nil, err
	}
	return client.New(cfg)
}

// snapshot asks for one view, as --from says.
func (a *app) snapshot(ctx context.Context) (*client.Snapshot, error) {
	c, err := a.client(ctx)
	if err != nil {
		return nil, err
	}
	if a.flags.from != "" {
		return c.SnapshotFrom(ctx, a.flags.from)
	}
	return c.Snapshot(ctx)
}
