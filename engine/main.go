package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Exit codes of tempod.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// gcPercent trades a little CPU for much memory: heads and merges keep their
// buffers, so there is little garbage, and collecting it at half the live heap
// costs nothing that can be measured while the peak falls by a fifth. GOGC
// overrides it. Near the bound of memory (see MemoryConfig) the collector works
// more, whatever this says.
const gcPercent = 50

// Version, Revision and BuildDate are set by the release build.
var (
	Version   = "dev"
	Revision  = ""
	BuildDate = ""
)

// Main is the tempod command: it turns arguments into a configuration, runs
// the engine until ctx ends, and returns the exit code. The ready line goes to
// stdout, logs and errors go to stderr.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseArgs(args, os.LookupEnv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "tempod: %v\n", err)
		return exitUsage
	case o.version:
		fmt.Fprintln(stdout, versionLine())
		return exitOK
	}
	if err := o.config.Validate(); err != nil {
		fmt.Fprintf(stderr, "tempod: the configuration has mistakes:\n%v\n", err)
		return exitUsage
	}
	if o.verify {
		fmt.Fprint(stdout, o.config.String())
		return exitOK
	}
	if _, ok := os.LookupEnv("GOGC"); !ok {
		debug.SetGCPercent(gcPercent)
	}
	log := newLogger(o.config.Server, stderr)
	boundMemory(o.config.Memory, os.Getenv("GOMEMLIMIT"), os.DirFS("/"), log)
	if o.stdinEOF {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() { // ends with the process
			io.Copy(io.Discard, os.Stdin) //nolint:errcheck // an error is an end too
			cancel()
		}()
	}
	e, err := Open(ctx, o.config, log)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		log.Info("stopped while starting", "during", err)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "tempod: %v\n%s", err, hint(err))
		return exitFailed
	}
	fmt.Fprintln(stdout, e.ReadyLine())
	if err := e.Run(ctx); err != nil {
		fmt.Fprintf(stderr, "tempod: %v\n%s", err, hint(err))
		return exitFailed
	}
	return exitOK
}

type options struct {
	config          Config
	version, verify bool
	stdinEOF        bool
}

// parseArgs builds the configuration: defaults of the target, then the file,
// then TEMPOD_ variables, then flags.
func parseArgs(args []string, env func(string) (string, bool), stderr io.Writer) (*options, error) {
	o := &options{}
	file, expand, dataDir, target := "", false, "tempod-data", TargetAll
	probe := flag.NewFlagSet("tempod", flag.ContinueOnError)
	probe.SetOutput(io.Discard)
	early := func(fs *flag.FlagSet) {
		fs.StringVar(&file, "config.file", file, "read the configuration from `FILE` (YAML, Tempo's key names)")
		fs.BoolVar(&expand, "config.expand-env", expand, "replace ${VAR} and ${VAR:default} in the file")
		fs.BoolVar(&o.verify, "config.verify", false, "check the configuration, print it, and exit")
		fs.BoolVar(&o.version, "version", false, "print the version and exit")
		fs.BoolVar(&o.stdinEOF, "stop-on-stdin-eof", false, "stop when standard input is closed, for programs that start tempod")
		fs.StringVar(&dataDir, "data.dir", dataDir, "keep write-ahead log, blocks and tokens under `DIR`")
		fs.StringVar(&target, "target", target, "run these parts: a comma-separated `LIST` of "+strings.Join(Targets(), ", "))
	}
	early(probe)
	bindFlags(probe, &Config{})
	if err := applyEnv(probe, env); err != nil {
		return nil, err
	}
	if err := probe.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			printHelp(stderr, probe)
		}
		return nil, err
	}
	if probe.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q; tempod takes flags only (see --help)", probe.Arg(0))
	}
	if o.version {
		return o, nil
	}
	o.config = Default(target, dataDir)
	if file != "" {
		if err := ReadConfigFile(&o.config, file, expand); err != nil {
			return nil, err
		}
	}
	fs := flag.NewFlagSet("tempod", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	early(fs)
	bindFlags(fs, &o.config)
	if err := applyEnv(fs, env); err != nil {
		return nil, err
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	fs.Visit(func(f *flag.Flag) { // the file may name a target too
		if f.Name == "target" {
			o.config.Target = target
		}
	})
	return o, nil
}

// bindFlags binds the flags that have a key in the configuration.
func bindFlags(fs *flag.FlagSet, c *Config) {
	fs.StringVar(&c.Instance.ID, "instance.id", c.Instance.ID, "`NAME` of this process in its rings")
	fs.StringVar(&c.Instance.Zone, "instance.zone", c.Instance.Zone, "availability `ZONE`")
	fs.StringVar(&c.Instance.Addr, "instance.addr", c.Instance.Addr, "`HOST` that peers reach this process at")
	fs.StringVar(&c.Server.HTTPAddress, "server.http-listen-address", c.Server.HTTPAddress, "`HOST` of the HTTP API")
	fs.IntVar(&c.Server.HTTPPort, "server.http-listen-port", c.Server.HTTPPort, "`PORT` of the HTTP API")
	fs.StringVar(&c.Server.GRPCAddress, "server.grpc-listen-address", c.Server.GRPCAddress, "`HOST` for other nodes")
	fs.IntVar(&c.Server.GRPCPort, "server.grpc-listen-port", c.Server.GRPCPort, "`PORT` for other nodes")
	fs.StringVar(&c.Server.LogLevel, "log.level", c.Server.LogLevel, "debug, info, warn or error")
	fs.BoolVar(&c.MultiTenant, "multitenancy.enabled", c.MultiTenant, "take tenants from the X-Scope-OrgID header")
	fs.StringVar(&c.Distributor.Receivers.OTLP.Protocols.GRPC.Endpoint, "otlp.grpc-endpoint", c.Distributor.Receivers.OTLP.Protocols.GRPC.Endpoint, "`HOST:PORT` of OTLP/gRPC")
	fs.StringVar(&c.Distributor.Receivers.OTLP.Protocols.HTTP.Endpoint, "otlp.http-endpoint", c.Distributor.Receivers.OTLP.Protocols.HTTP.Endpoint, "`HOST:PORT` of OTLP/HTTP")
	fs.StringVar(&c.Distributor.WritePath, "distributor.write-path", c.Distributor.WritePath, "replicated or partitions")
	fs.IntVar(&c.Ingester.Lifecycler.Ring.ReplicationFactor, "ingester.replication-factor", c.Ingester.Lifecycler.Ring.ReplicationFactor, "copies of each span on the replicated path; 0 is 3 in a cluster and 1 alone")
	fs.BoolVar(&c.Ingester.Lifecycler.Ring.ZoneAwareness, "ingester.zone-awareness", c.Ingester.Lifecycler.Ring.ZoneAwareness, "put the copies into different zones")
	fs.StringVar(&c.Storage.Trace.Local.Path, "storage.local-path", c.Storage.Trace.Local.Path, "`DIR` of the blocks when they are kept locally")
	fs.Var((*listFlag)(&c.Memberlist.JoinMembers), "memberlist.join", "join the cluster through `HOST:PORT` (dns+ and dnssrv+ too); may be given several times")
	fs.Var((*listFlag)(&c.Memberlist.BindAddr), "memberlist.bind-addr", "`IP` of the gossip port")
	fs.IntVar(&c.Memberlist.BindPort, "memberlist.bind-port", c.Memberlist.BindPort, "gossip `PORT`")
	fs.StringVar(&c.Memberlist.AdvertiseAddr, "memberlist.advertise-addr", c.Memberlist.AdvertiseAddr, "`HOST` that other members gossip to")
	fs.StringVar(&c.Memberlist.ClusterLabel, "memberlist.cluster-label", c.Memberlist.ClusterLabel, "`NAME` of the cluster; members with another are refused")
}

type listFlag []string

func (l *listFlag) String() string { return strings.Join(*l, ",") }

func (l *listFlag) Set(s string) error {
	*l = append(*l, strings.Split(s, ",")...)
	return nil
}

// envName is the variable of a flag: TEMPOD_SERVER_HTTP_LISTEN_PORT.
func envName(flagName string) string {
	return "TEMPOD_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(flagName))
}

func applyEnv(fs *flag.FlagSet, env func(string) (string, bool)) error {
	var all error
	fs.VisitAll(func(f *flag.Flag) {
		if v, ok := env(envName(f.Name)); ok {
			if err := fs.Set(f.Name, v); err != nil {
				all = errors.Join(all, fmt.Errorf("%s=%s: %w", envName(f.Name), strconv.Quote(v), err))
			}
		}
	})
	return all
}

func printHelp(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprint(w, `tempod is a distributed trace engine: OTLP in, TraceQL out, rings in between.

  tempod                                 all in one process, data under ./tempod-data
  tempod --config.file tempod.yaml       as the file says
  tempod --target ingester --instance.zone a --memberlist.join 10.0.0.1:7946

Each flag can be given as a variable too: --server.http-listen-port is
TEMPOD_SERVER_HTTP_LISTEN_PORT. A flag wins over the variable, the variable
over the file.

`)
	fs.SetOutput(w)
	fs.PrintDefaults()
}

func newLogger(c ServerConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func versionLine() string {
	b := buildInfo()
	return fmt.Sprintf("tempod %s (revision %s, built %s, %s %s/%s)", b.Version, orUnknown(b.Revision), orUnknown(b.BuildDate), b.GoVersion, runtime.GOOS, runtime.GOARCH)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// BuildInfo is the answer of /api/status/buildinfo.
type BuildInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildDate string `json:"buildDate"`
	BuildUser string `json:"buildUser"`
	GoVersion string `json:"goVersion"`
}

func buildInfo() BuildInfo {
	b := BuildInfo{Version: Version, Revision: Revision, BuildDate: BuildDate, GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "dev" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && b.Revision == "":
			b.Revision = s.Value
		case s.Key == "vcs.time" && b.BuildDate == "":
			b.BuildDate = s.Value
		}
	}
	return b
}
