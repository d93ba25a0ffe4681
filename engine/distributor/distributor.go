// Package distributor places spans: it checks an export against its tenant's
// limits, asks a ring who keeps each trace, pushes every keeper its part of
// the export, and answers when a quorum of each trace's keepers has the spans
// on disk.
//
// Start with New and Push. Two write paths exist, chosen per tenant: the
// replicated path (ring of ingesters, RF copies) and the partitions path
// (partition ring; the direct carrier pushes to all owners of the partition).
// See place.go for who keeps a trace and quorum.go for when a push is done.
//
// A distributor keeps no spans: what is not acknowledged is the sender's to
// send again.
package distributor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

// Path names a write path.
type Path string

// The write paths.
const (
	Replicated Path = "replicated"
	Partitions Path = "partitions"
)

// InstanceRing publishes the current snapshot of an instance ring.
type InstanceRing interface{ Ring() *ring.Ring }

// PartitionRing publishes the current snapshot of a partition ring.
type PartitionRing interface{ Ring() *partition.Ring }

// Pusher stores spans at one keeper. It returns when the spans are durable
// there; otlp is not used afterwards. Errors carry gRPC codes.
type Pusher interface {
	Push(ctx context.Context, path Path, to *ring.Instance, tenantID string, otlp []byte) error
	// Local reports whether Push to this keeper is a call within the process,
	// which needs no copy of the spans.
	Local(to *ring.Instance) bool
}

// Deps is what a distributor works with. Ingesters is needed on the replicated
// path, LiveStores and Partitions on the partitions path.
type Deps struct {
	Ingesters  InstanceRing
	LiveStores InstanceRing
	Partitions PartitionRing
	Pusher     Pusher
	Limits     func(tenantID string) tenant.Limits
	Peers      func() int // healthy distributors, for the global rate strategy; at least 1
	Now        func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Config says how to place.
type Config struct {
	Path        Path          // for tenants that name none
	PushTimeout time.Duration // one push to one keeper
	RetryHint   time.Duration // told to senders that are refused for now
	MaxInflight int64         // bytes of exports being pushed at once; more are refused
}

// Outcome says what became of the spans of one export.
type Outcome struct {
	Accepted, Rejected int
	Message            string
}

// Distributor places spans. Safe for concurrent use.
type Distributor struct {
	cfg      Config
	deps     Deps
	rate     rateLimiter
	inflight inflight
	batches  sync.Pool // *trace.Batch
	pushes   sync.WaitGroup
	hurried  chan struct{} // closed by Hurry
	hurry    sync.Once
	metrics  metrics
}

// New makes a distributor. Close waits for pushes that outlive their export.
func New(cfg Config, deps Deps) *Distributor {
	d := &Distributor{cfg: cfg, deps: deps, hurried: make(chan struct{}), metrics: newMetrics(deps.Registerer)}
	d.inflight.limit = cfg.MaxInflight
	d.batches.New = func() any { return new(trace.Batch) }
	return d
}

// Hurry ends every artificial delay, now and from now on: whoever stops should
// answer for spans that are stored, and not let their senders send them again.
func (d *Distributor) Hurry() { d.hurry.Do(func() { close(d.hurried) }) }

// Close waits until no push is under way. No Push may be called after it.
func (d *Distributor) Close() { d.pushes.Wait() }

// Push stores the spans of one OTLP export and returns when a quorum of the
// keepers of each trace has them. Spans that can never be stored (a wrong id)
// are counted as rejected and the rest is kept. The bytes are the caller's
// again when Push returns. Traces that are over a limit of the tenant are
// rejected too; an export of which nothing was kept because the tenant has too
// many live traces may be sent again. Errors are gRPC statuses: InvalidArgument
// for what is no OTLP, ResourceExhausted (with RetryInfo) over a limit,
// Unavailable when too few keepers answered.
func (d *Distributor) Push(ctx context.Context, tenantID string, otlp []byte) (Outcome, error) {
	if len(otlp) == 0 {
		return Outcome{}, nil
	}
	received := d.deps.Now()
	limits := d.deps.Limits(tenantID)
	d.metrics.bytes.WithLabelValues(tenantID).Add(float64(len(otlp)))
	if err := d.admit(tenantID, limits, otlp); err != nil {
		return Outcome{}, err
	}
	defer d.inflight.release(int64(len(otlp)))
	b := d.batches.Get().(*trace.Batch)
	defer d.batches.Put(b)
	if err := b.ResetChecked(otlp); err != nil {
		return Outcome{}, status.Errorf(codes.InvalidArgument, "not an OTLP trace export: %v", err)
	}
	otlp, err := d.truncate(tenantID, limits.Ingestion.MaxAttributeBytes, b, otlp)
	if err != nil {
		return Outcome{}, status.Errorf(codes.InvalidArgument, "not an OTLP trace export: %v", err)
	}
	out := Outcome{Accepted: b.Spans(), Rejected: b.Rejected()}
	if out.Rejected > 0 {
		out.Message = rejectMessage(b)
		for _, r := range []trace.Reason{trace.BadTraceID, trace.BadSpanID, trace.BadParentID, trace.TooManyAttributes} {
			if n := b.RejectedFor(r); n > 0 {
				d.metrics.discarded.WithLabelValues(tenantID, r.String()).Add(float64(n))
			}
		}
	}
	if out.Accepted == 0 {
		return out, nil
	}
	d.metrics.spans.WithLabelValues(tenantID).Add(float64(out.Accepted))
	began := d.deps.Now()
	over, err := d.store(ctx, tenantID, limits, b, otlp)
	d.metrics.push.Observe(d.deps.Now().Sub(began).Seconds())
	if err == nil {
		err = d.discard(tenantID, limits, b, over, &out)
	}
	if err != nil {
		return Outcome{Rejected: out.Rejected, Message: out.Message}, d.statusOf(limits, err)
	}
	d.delay(ctx, limits.Ingestion.ArtificialDelay.Std(), received)
	return out, nil
}

// truncate cuts attributes that are longer than the tenant's limit and indexes
// the export again if there were any.
func (d *Distributor) truncate(tenantID string, limit int, b *trace.Batch, otlp []byte) ([]byte, error) {
	if limit <= 0 || b.LargestField() <= limit {
		return otlp, nil
	}
	short, cuts, err := trace.Truncate(make([]byte, 0, len(otlp)), otlp, limit)
	if err != nil || cuts.Total() == 0 {
		return otlp, err
	}
	for scope, n := range map[string]int{"resource": cuts.Resource, "scope": cuts.Scope, "span": cuts.Span} {
		d.metrics.truncated.WithLabelValues(tenantID, scope).Add(float64(n))
	}
	return short, b.Reset(short)
}

// rejectMessage names a few of the spans left out and why, for the sender's log.
func rejectMessage(b *trace.Batch) string {
	const few = 3
	bad := b.Bad()
	msg := fmt.Sprintf("%d spans rejected:", b.Rejected())
	for i, s := range bad[:min(few, len(bad))] {
		if i > 0 {
			msg += ";"
		}
		msg += " " + s.String()
	}
	return msg
}

// admit applies the limits that need only the size of an export.
func (d *Distributor) admit(tenantID string, l tenant.Limits, otlp []byte) error {
	size := len(otlp)
	if !d.inflight.take(int64(size)) {
		d.metrics.refused.WithLabelValues(tenantID, "inflight").Inc()
		return d.retryLater(l, codes.ResourceExhausted, fmt.Sprintf("distributor has %d bytes of exports under way, the most it takes at once", d.cfg.MaxInflight))
	}
	if err := d.rate.take(d.deps.Now(), tenantID, l, size, max(1, d.deps.Peers())); err != nil {
		d.inflight.release(int64(size))
		d.metrics.refused.WithLabelValues(tenantID, "rate_limited").Inc()
		d.metrics.discarded.WithLabelValues(tenantID, "rate_limited").Add(float64(countSpans(otlp)))
		if errors.Is(err, errNeverFits) {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		return d.retryLater(l, codes.ResourceExhausted, err.Error())
	}
	return nil
}

// retryLater is a status that OTLP senders retry after the hint. Without the hint,
// which a tenant may have turned off, most drop the spans.
func (d *Distributor) retryLater(l tenant.Limits, c codes.Code, msg string) error {
	if !l.Ingestion.RetryInfoEnabled {
		return status.Error(c, msg)
	}
	st, err := status.New(c, msg).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(d.cfg.RetryHint)})
	if err != nil {
		return status.Error(c, msg)
	}
	return st.Err()
}

// statusOf turns a failed store into what the sender sees.
func (d *Distributor) statusOf(l tenant.Limits, err error) error {
	var q *QuorumError
	var live *liveTracesError
	if errors.As(err, &live) || errors.As(err, &q) && q.exhausted() {
		return d.retryLater(l, codes.ResourceExhausted, err.Error())
	}
	if errors.Is(err, context.Canceled) {
		return status.FromContextError(err).Err()
	}
	return d.retryLater(l, codes.Unavailable, err.Error())
}

// store places the traces of a batch and pushes them. It returns the traces that
// are over a limit of the tenant.
func (d *Distributor) store(ctx context.Context, tenantID string, l tenant.Limits, b *trace.Batch, otlp []byte) (refusals, error) {
	plan, err := d.place(tenantID, l, b)
	if err != nil {
		return nil, err
	}
	if to := plan.only(); to != nil && b.Rejected() == 0 && d.deps.Pusher.Local(to) {
		err := d.deps.Pusher.Push(ctx, plan.path, to, tenantID, otlp)
		if refused := peer.Refused(err); refused != nil {
			return plan.find(refused), nil
		}
		if err != nil {
			return nil, plan.failed(0, tenantID, []replyOf{{to, err}})
		}
		return nil, nil
	}
	return d.pushAll(ctx, tenantID, plan, b, otlp)
}
