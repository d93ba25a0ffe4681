// Package frontend takes questions, cuts them into pieces for queriers, gathers
// the answers, and speaks Tempo's HTTP API.
//
// Start with New and Handler. ask.go cuts and gathers, api.go has the routes,
// params.go reads their parameters, and json.go writes their answers.
package frontend

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/tenant"
)

// Block is a block of the bucket, as the frontend needs to know it.
type Block struct {
	ID         string
	Replaces   []string // blocks whose spans are all in this one; keepers may still have them
	Start, End int64    // Unix ns
	Bytes      int64
}

// Blocks lists the blocks of a tenant with spans in [start, end] (Unix ns; an
// end of 0 is open), newest first.
type Blocks interface {
	Overlapping(tenantID string, start, end int64) []Block
}

// Queriers lists the addresses of queriers that are up, as far as anybody knows.
type Queriers interface{ Healthy() []string }

// Answerer asks the querier at an address.
type Answerer interface {
	Answer(ctx context.Context, addr string, p *peer.Piece) (*peer.Answer, error)
}

// Config bounds questions.
type Config struct {
	MultiTenant  bool
	Timeout      time.Duration
	DefaultLimit int
	MaxLimit     int
	MaxSearch    time.Duration // longest time range of a search, where the tenant has none of its own
	MaxMetrics   time.Duration // longest time range of a metrics query, likewise
	// Limits is what a tenant may ask for; nil is the defaults for all.
	Limits func(tenantID string) tenant.Limits
	// MaxOutstanding bounds the questions of a tenant that are under way; 0 is no bound.
	MaxOutstanding int
	Memory         query.Bounds
	// Copies says that keepers hold copies of each other's spans, so that blocks
	// younger than Young may hold copies of what is recent.
	Copies bool
	Young  time.Duration
}

// Frontend answers questions. Safe for concurrent use.
type Frontend struct {
	cfg         Config
	blocks      Blocks
	queriers    Queriers
	answerer    Answerer
	load        load
	outstanding outstanding
	now         func() time.Time
	log         *slog.Logger
	metrics     metrics
}

type metrics struct {
	queries  *prometheus.CounterVec   // op, result
	duration *prometheus.HistogramVec // op
	partial  *prometheus.CounterVec   // op
}

// New makes a frontend.
func New(cfg Config, blocks Blocks, queriers Queriers, answerer Answerer, now func() time.Time, log *slog.Logger, reg prometheus.Registerer) *Frontend {
	if cfg.Limits == nil {
		cfg.Limits = func(string) tenant.Limits { return tenant.DefaultLimits() }
	}
	f := &Frontend{cfg: cfg, blocks: blocks, queriers: queriers, answerer: answerer, now: now, log: log}
	f.metrics = metrics{
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tempo_query_frontend_queries_total", Help: "Questions answered, by operation and result."}, []string{"op", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tempo_query_frontend_query_duration_seconds", Help: "Time to answer a question.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}, []string{"op"}),
		partial: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tempo_query_frontend_partial_answers_total", Help: "Answers with something missing."}, []string{"op"}),
	}
	reg.MustRegister(f.metrics.queries, f.metrics.duration, f.metrics.partial)
	return f
}

// tenants reads whose spans are asked for. Several are joined with "|".
func (f *Frontend) tenants(r *http.Request) ([]string, error) {
	if !f.cfg.MultiTenant {
		return []string{tenant.Default}, nil
	}
	header := r.Header.Get("X-Scope-OrgID")
	if header == "" {
		return nil, errNoTenant
	}
	ids, err := tenant.Split(header)
	if err != nil {
		return nil, badRequest{err}
	}
	return ids, nil
}

var errNoTenant = errors.New("no org id: set the X-Scope-OrgID header to the tenant whose spans you ask for")

// httpCode is the HTTP status of an error.
func httpCode(err error) int {
	var b badRequest
	switch {
	case errors.As(err, &b):
		return http.StatusBadRequest
	case errors.Is(err, errNoTenant):
		return http.StatusUnauthorized
	case errors.Is(err, errNotFound):
		return http.StatusNotFound
	case errors.Is(err, errTooMany):
		return http.StatusTooManyRequests
	case errors.Is(err, errTraceTooLarge):
		return http.StatusUnprocessableEntity
	}
	switch codeOf(err) {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.ResourceExhausted:
		return http.StatusUnprocessableEntity
	case codes.Aborted:
		return http.StatusTooManyRequests
	case codes.NotFound:
		return http.StatusNotFound
	case codes.Canceled:
		return statusClientClosed
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// codeOf is the gRPC code of an error, also of one that never left this process.
func codeOf(err error) codes.Code {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Code()
	}
	return status.Code(err)
}

// statusClientClosed is nginx's code for a client that did not wait.
const statusClientClosed = 499

var (
	errNotFound      = errors.New("trace not found")
	errTraceTooLarge = errors.New("trace is too large")
)

// message is the text of an error without gRPC's decoration.
func message(err error) string {
	if codeOf(err) == codes.DeadlineExceeded {
		return "the query took longer than query_frontend.api_timeout; ask for a shorter time range, or raise it"
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		return s.Message()
	}
	return strings.TrimPrefix(err.Error(), "frontend: ")
}

func (f *Frontend) fail(w http.ResponseWriter, err error) {
	code := httpCode(err)
	if code >= http.StatusInternalServerError {
		f.log.Error("question failed", "err", err)
	}
	http.Error(w, message(err), code)
}

// errNoQuerier says that nobody can answer.
func errNoQuerier() error {
	return status.Error(codes.Unavailable, "no querier is up; see: ringctl members querier")
}

// checkRange refuses time ranges that are too long.
func checkRange(w window, most longest) error {
	if most.d > 0 && w.end != 0 && time.Duration(w.end-w.start) > most.d {
		return bad("the time range is %s, the longest allowed is %s (%s)", time.Duration(w.end-w.start), most.d, most.key)
	}
	return nil
}
