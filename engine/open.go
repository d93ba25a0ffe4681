package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/bucket/local"
	"github.com/ringctl/ringctl/engine/bucket/s3"
	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/control"
	"github.com/ringctl/ringctl/engine/folderlock"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/querier"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/receiver"
)

// Engine is one tempod process. Make one with Open, then Run it.
type Engine struct {
	cfg      Config
	log      *slog.Logger
	reg      *prometheus.Registry
	ready    readiness
	http     net.Listener
	grpc     net.Listener
	rings    *rings
	bucket   bucket.Bucket
	catalog  *catalog.Catalog
	peers    *peer.Client
	querier  *querier.Querier
	memory   query.Bounds // of questions
	receiver *receiver.Receiver
	receive  func(ctx context.Context) error // runs the receiver
	limits   *overrides
	keepers  map[peer.Role]*keeper
	mux      *router
	parts    []part         // in flow order
	closers  []func() error // for what has no part, in reverse
}

// Open binds every port, opens what is on disk, and puts the parts of the
// configured target together. Nothing answers yet: Run starts the parts. The
// error says what to change, or is that of ctx, when that ends first; what was
// opened is closed again.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Engine, error) {
	e := &Engine{cfg: cfg, log: log, reg: prometheus.NewRegistry(), keepers: map[peer.Role]*keeper{}}
	e.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) error {
	storage := func() error { return e.openStorage(ctx) }
	steps := []func() error{e.openServers, storage, e.openRings, e.openKeepers, e.openQuerier, e.openFrontend, e.openWorker, e.openWrite, e.openPages}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// openServers binds the ports that every process has.
func (e *Engine) openServers() (err error) {
	s := e.cfg.Server
	host := func(configured string) string {
		if configured == "" && !e.cfg.Clustered() {
			return "127.0.0.1"
		}
		return configured
	}
	if e.http, err = listen("HTTP API", "server.http_listen_port", host(s.HTTPAddress), s.HTTPPort); err != nil {
		return err
	}
	e.closers = append(e.closers, e.http.Close)
	if e.grpc, err = listen("gRPC for other nodes", "server.grpc_listen_port", host(s.GRPCAddress), s.GRPCPort); err != nil {
		return err
	}
	e.closers = append(e.closers, e.grpc.Close)
	e.mux = baseMux(e.reg, &e.ready)
	return nil
}

// openStorage opens the bucket, its catalogue and the tenants' limits.
func (e *Engine) openStorage(ctx context.Context) (err error) {
	if e.limits, err = openOverrides(e.cfg.Overrides, e.log, e.reg); err != nil {
		return err
	}
	e.parts = append(e.parts, part{"memory at rest", giveBack}, part{"overrides", e.limits.run})
	e.memory = queryMemory(&e.cfg, e.limits, e.reg)
	if e.bucket, err = openBucket(ctx, e.cfg.Storage); err != nil {
		return err
	}
	cfg := e.cfg.Storage.Trace
	cache := cacheBytes(cfg.CacheBytes, debug.SetMemoryLimit(-1), os.DirFS("/"))
	e.catalog, err = catalog.Open(e.bucket, catalog.Config{Poll: cfg.Poll, CacheBytes: cache, FewReads: cfg.Backend != "local"}, e.log, e.reg)
	if err != nil {
		return err
	}
	e.parts = append(e.parts, part{"catalog", e.catalog.Run})
	e.ready.add("catalog", e.catalog.Ready)
	return nil
}

// openTimeout is how long the bucket may take to answer at the start.
const openTimeout = 30 * time.Second

func openBucket(ctx context.Context, c StorageConfig) (bucket.Bucket, error) {
	if c.Trace.Backend == "s3" {
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		return s3.Open(ctx, c.Trace.S3)
	}
	return local.Open(c.Trace.Local.Path)
}

func (e *Engine) openRings() (err error) {
	grpcPort := e.grpc.Addr().(*net.TCPAddr).Port
	if e.rings, err = openRings(&e.cfg, grpcPort, &e.ready, e.log, e.reg); err != nil {
		return err
	}
	e.parts = append(e.parts, e.rings.parts...)
	e.rings.parts = nil
	e.closers = append(e.closers, e.rings.close)
	e.peers = peer.NewClient(nil)
	e.peers.Bound(e.memory)
	e.closers = append(e.closers, e.peers.Close)
	e.parts = append(e.parts, part{"idle connections", e.closeIdle})
	return nil
}

// take moves the parts that rings gathered behind what is there.
func (e *Engine) take() {
	e.parts = append(e.parts, e.rings.parts...)
	e.rings.parts = nil
}

const idleFor = 10 * time.Minute

func (e *Engine) closeIdle(ctx context.Context) error {
	tick := time.NewTicker(idleFor / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := e.peers.CloseIdle(now.Add(-idleFor)); err != nil {
				e.log.Warn("closing idle connections", "err", err)
			}
		}
	}
}

// openPages shows the rings that the other steps joined or watched, and mounts
// the last handlers.
func (e *Engine) openPages() error {
	e.rings.pages.Home = e.home()
	pages, err := control.New(e.rings.pages, e.log, e.reg)
	if err != nil {
		return err
	}
	h := pages.Handler()
	for _, path := range pages.Paths() {
		e.mux.Handle(path, h)
	}
	e.statusRoutes()
	parts := map[peer.Role]peer.Keeper{}
	for role, k := range e.keepers {
		parts[role] = k
	}
	e.peers.Serve(e.rings.addr, parts, e.answerer())
	e.parts = append(e.parts, grpcPart(e.grpc, e.peers), httpPart(e.http, e.mux, e.log))
	if e.receiver != nil {
		e.parts = append(e.parts, part{"receiver", e.receive})
	}
	return nil
}

// close releases what open got, for an engine that never runs.
func (e *Engine) close() error {
	var all error
	for i := len(e.closers) - 1; i >= 0; i-- {
		all = errors.Join(all, e.closers[i]())
	}
	return all
}

// Run works until ctx ends, then stops the parts in reverse order and returns
// what went wrong.
func (e *Engine) Run(ctx context.Context) error {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	drained := context.AfterFunc(ctx, func() {
		e.ready.drain()
		t := time.NewTimer(e.cfg.ShutdownWait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-running.Done():
		}
		cancel()
	})
	defer drained()
	err := runParts(running, e.parts, e.log)
	for i := len(e.closers) - 1; i >= 0; i-- {
		if cerr := e.closers[i](); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}
	return err
}

// ReadyLine says what listens where, for people and for programs that start
// tempod: fields of the form name=value after the words "tempod ready".
func (e *Engine) ReadyLine() string {
	var b strings.Builder
	b.WriteString("tempod ready")
	for _, f := range e.facts() {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
	}
	return b.String()
}

// facts are what runs here, what listens where, and where the blocks are.
func (e *Engine) facts() []control.Fact {
	facts := []control.Fact{{Name: "target", Value: e.cfg.Target}, {Name: "http", Value: e.http.Addr().String()}, {Name: "grpc", Value: e.grpc.Addr().String()}}
	listens := func(name string, a net.Addr) {
		if a != nil {
			facts = append(facts, control.Fact{Name: name, Value: a.String()})
		}
	}
	if e.rings.cluster != nil {
		facts = append(facts, control.Fact{Name: "gossip", Value: e.rings.cluster.Addr()})
	}
	if e.receiver != nil {
		listens("otlp-grpc", e.receiver.GRPCAddr())
		listens("otlp-http", e.receiver.HTTPAddr())
	}
	data := e.cfg.Storage.Trace.Local.Path
	if e.cfg.Storage.Trace.Backend != "local" {
		data = "s3://" + e.cfg.Storage.Trace.S3.Bucket
	}
	return append(facts, control.Fact{Name: "data", Value: data})
}

// home is what the first page tells of this process.
func (e *Engine) home() control.Home {
	h := control.Home{Facts: append([]control.Fact{{Name: "version", Value: Version}}, e.facts()...), Ready: e.ready.err}
	if e.cfg.Has(TargetFrontend) {
		h.Links = append(h.Links,
			control.Link{Path: "/api/search", Title: "Search", About: "the newest traces as JSON; ?q= takes TraceQL"},
			control.Link{Path: "/api/v2/search/tags", Title: "Tags", About: "attributes and where they occur"})
	}
	h.Links = append(h.Links,
		control.Link{Path: "/ready", Title: "Ready", About: "200 when it takes requests, otherwise what it waits for"},
		control.Link{Path: "/metrics", Title: "Metrics", About: "for Prometheus"},
		control.Link{Path: "/status", Title: "Status", About: "all of the following pages in one"},
		control.Link{Path: "/status/services", Title: "Services", About: "the parts of this process, and what it waits for"},
		control.Link{Path: "/status/endpoints", Title: "Endpoints", About: "the paths that are served here"},
		control.Link{Path: "/status/config", Title: "Configuration", About: "in force, with defaults filled in and without secrets"},
		control.Link{Path: "/status/version", Title: "Version", About: "as JSON at /api/status/buildinfo"},
		control.Link{Path: "/debug/pprof/", Title: "Profiles", About: "processor time, memory, goroutines"})
	return h
}

// hint is what to do about an error that ends the process, one line or none.
func hint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "hint: another program has this port; stop it, or choose another port (0 for any free one), see tempod --help\n"
	case errors.Is(err, folderlock.ErrHeld):
		return "hint: two processes on one folder would damage each other's spans; stop the other one, or choose another folder with --data.dir or storage.trace.wal.path\n"
	case errors.Is(err, os.ErrPermission):
		return "hint: tempod needs to write to its data folder; see --data.dir and storage.trace\n"
	case errors.Is(err, syscall.ENOSPC):
		return "hint: the disk is full; nothing that was acknowledged is lost, make space and start tempod again\n"
	}
	return ""
}
