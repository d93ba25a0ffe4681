package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/ringctl/ringctl/engine/peer"
)

// listen binds a port of the server; the error names the setting to change.
func listen(what, key, host string, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", what, key, err)
	}
	return l, nil
}

// readiness collects what the parts of a process say about being ready.
type readiness struct {
	mu       sync.Mutex
	checks   []readyCheck
	draining bool
}

type readyCheck struct {
	name  string
	check func() error
}

func (r *readiness) add(name string, check func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, readyCheck{name, check})
}

func (r *readiness) drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
}

func (r *readiness) stopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// err is nil when the process is ready, and otherwise what it waits for.
func (r *readiness) err() error {
	r.mu.Lock()
	checks, draining := r.checks, r.draining
	r.mu.Unlock()
	if draining {
		return errors.New("application is stopping")
	}
	var all error
	for _, c := range checks {
		if err := c.check(); err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return all
}

func (r *readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if err := r.err(); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// baseMux serves what every process has.
func baseMux(reg *prometheus.Registry, ready *readiness) *router {
	mux := newRouter()
	mux.Handle("GET /ready", ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /api/status/buildinfo", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, buildInfo()) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// stopGrace is how long requests under way may take when a server stops. What is
// not answered then is cut off: that is no failure of this process, whoever asked
// asks another one.
const stopGrace = 10 * time.Second

// httpPart serves the API until its context ends.
func httpPart(l net.Listener, h http.Handler, log *slog.Logger) part {
	return part{"http server", func(ctx context.Context) error {
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
		failed := make(chan error, 1)
		go func() { failed <- srv.Serve(l) }()
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		err := srv.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			log.Warn("requests under way are cut off", "server", "HTTP API", "after", stopGrace)
			err = srv.Close()
		}
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) { // also of one that was stopped before it began
			err = errors.Join(err, e)
		}
		return err
	}}
}

// grpcPart serves the calls of other nodes until its context ends.
func grpcPart(l net.Listener, c *peer.Client) part {
	// A server that stops waits for connections that have said nothing yet, but not longer than this.
	srv := grpc.NewServer(append(peer.ServerOptions(), grpc.ConnectionTimeout(stopGrace))...)
	peer.Register(srv, c)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	reflection.Register(srv)
	return part{"grpc server", func(ctx context.Context) error {
		failed := make(chan error, 1)
		go func() { failed <- srv.Serve(l) }()
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		t := time.AfterFunc(stopGrace, srv.Stop)
		defer t.Stop()
		srv.GracefulStop()
		if err := <-failed; !errors.Is(err, grpc.ErrServerStopped) { // stopped before it began
			return err
		}
		return nil
	}}
}
