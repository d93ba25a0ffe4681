// Package receiver is the door: it takes OTLP exports over gRPC and HTTP and
// hands the bytes of each export to a Sink without decoding them.
//
// Start with Open, which binds the listeners so that a port in use is an error
// at once, then Run, which serves until its context ends and then lets the
// exports in flight finish. The receiver knows nothing of rings or storage; an
// export is answered when the Sink has answered.
//
// Protocol: OTLP 1.x, https://opentelemetry.io/docs/specs/otlp/.
package receiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/ringctl/ringctl/engine/tenant"
)

// Outcome says what became of the spans of one export.
type Outcome struct {
	Accepted int    // spans kept
	Rejected int    // spans refused for good; the sender must not send them again
	Message  string // why spans were rejected, for the sender's log; empty when none were
}

// Sink keeps the spans of one export. The bytes are one OTLP
// ExportTraceServiceRequest and belong to the receiver: they are valid until
// the call returns. An error carries a gRPC status; one without is answered as
// Unavailable, which senders retry. Calls run at once from many goroutines.
type Sink func(ctx context.Context, tenantID string, otlp []byte) (Outcome, error)

// Config says where to listen and how much to take. An empty endpoint turns
// that protocol off.
type Config struct {
	GRPCEndpoint string // host:port of OTLP/gRPC
	HTTPEndpoint string // host:port of OTLP/HTTP, path /v1/traces
	MaxMessage   int    // largest export taken, in bytes after decompression
	MultiTenant  bool   // take the tenant from X-Scope-OrgID; otherwise all spans belong to tenant.Default
	GRPCTLS      *tls.Config
	HTTPTLS      *tls.Config
}

// DefaultMaxMessage is the largest export taken when the config says nothing:
// the 16 MiB that a Kafka-era Tempo accepts in one record.
const DefaultMaxMessage = 16 << 20

// Receiver serves the OTLP protocols. Make one with Open.
type Receiver struct {
	cfg     Config
	sink    Sink
	log     *slog.Logger
	metrics metrics
	grpcLis net.Listener
	httpLis net.Listener
}

type metrics struct {
	accepted, refused *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tempo_receiver_accepted_spans", Help: "Spans taken from senders."}, []string{"receiver", "transport"}),
		refused:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tempo_receiver_refused_spans", Help: "Spans answered with an error or rejected for good."}, []string{"receiver", "transport"}),
	}
	reg.MustRegister(m.accepted, m.refused)
	return m
}

// Open binds the listeners. The error names the endpoint and what to do about
// it. Run must be called to serve and to release them.
func Open(cfg Config, sink Sink, log *slog.Logger, reg prometheus.Registerer) (*Receiver, error) {
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = DefaultMaxMessage
	}
	r := &Receiver{cfg: cfg, sink: sink, log: log, metrics: newMetrics(reg)}
	var err error
	if r.grpcLis, err = listen("otlp gRPC", cfg.GRPCEndpoint); err != nil {
		return nil, err
	}
	if r.httpLis, err = listen("otlp HTTP", cfg.HTTPEndpoint); err != nil {
		if r.grpcLis != nil {
			err = errors.Join(err, r.grpcLis.Close())
		}
		return nil, err
	}
	return r, nil
}

func listen(what, endpoint string) (net.Listener, error) {
	if endpoint == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", endpoint)
	if err != nil {
		return nil, fmt.Errorf("receiver: %s endpoint: %w", what, err)
	}
	return l, nil
}

// GRPCAddr is the bound OTLP/gRPC address, nil when off.
func (r *Receiver) GRPCAddr() net.Addr { return addrOf(r.grpcLis) }

// HTTPAddr is the bound OTLP/HTTP address, nil when off.
func (r *Receiver) HTTPAddr() net.Addr { return addrOf(r.httpLis) }

func addrOf(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// stopGrace bounds how long exports in flight may take when the receiver stops,
// and how long a connection may take to say its first word. What is not answered
// then is the sender's to send again.
const stopGrace = 10 * time.Second

// Run serves until ctx ends, then refuses new exports, waits up to ten seconds
// for those in flight, and returns nil, also when some of them were cut off. A
// server that fails ends the run with its error.
func (r *Receiver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2)
	servers := 0
	if r.grpcLis != nil {
		srv := r.grpcServer()
		servers++
		go func() { failed <- serveGRPC(ctx, srv, r.grpcLis) }()
	}
	if r.httpLis != nil {
		srv := r.httpServer()
		servers++
		go func() { failed <- r.serveHTTP(ctx, srv, r.httpLis) }()
	}
	var all error
	for range servers {
		if err := <-failed; err != nil {
			all = errors.Join(all, err)
			cancel()
		}
	}
	if servers == 0 {
		<-ctx.Done()
	}
	return all
}

func serveGRPC(ctx context.Context, srv *grpc.Server, l net.Listener) error {
	stopped := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-stopped:
		case <-ctx.Done():
			t := time.AfterFunc(stopGrace, srv.Stop)
			srv.GracefulStop()
			t.Stop()
		}
	}()
	err := srv.Serve(l)
	close(stopped)
	<-done
	if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("receiver: otlp gRPC server: %w", err)
	}
	return nil
}

func (r *Receiver) serveHTTP(ctx context.Context, srv *http.Server, l net.Listener) error {
	stopped := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		select {
		case <-stopped:
			done <- nil
		case <-ctx.Done():
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
			defer cancel()
			done <- srv.Shutdown(grace)
		}
	}()
	err := srv.Serve(l)
	close(stopped)
	shutdown := <-done
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("receiver: otlp HTTP server: %w", err)
	}
	if errors.Is(shutdown, context.DeadlineExceeded) {
		r.log.Warn("exports under way are cut off", "server", "otlp HTTP", "after", stopGrace)
		shutdown = srv.Close()
	}
	if shutdown != nil {
		return fmt.Errorf("receiver: otlp HTTP server: %w", shutdown)
	}
	return nil
}

// tenantOf is the tenant an export belongs to.
func (r *Receiver) tenantOf(header string) (string, error) {
	if !r.cfg.MultiTenant {
		return tenant.Default, nil
	}
	if header == "" {
		return "", errors.New("no org id: set the X-Scope-OrgID header (gRPC: x-scope-orgid metadata) to the tenant of these spans")
	}
	if err := tenant.Valid(header); err != nil {
		return "", err
	}
	return header, nil
}
