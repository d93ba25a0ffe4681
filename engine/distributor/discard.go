package distributor

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

// liveTracesError says that nothing of an export was kept because the tenant has
// too many live traces. Traces end, so trying again helps.
type liveTracesError struct{ text string }

// Error implements error.
func (e *liveTracesError) Error() string { return e.text }

// discarded is the traces of an export that one limit kept out.
type discarded struct {
	traces, spans int
	first         trace.ID
}

// discard counts the spans of traces that are over a limit out of the outcome.
// What was kept is acknowledged, and the sender is told of the rest as OTLP has
// it, so that it does not send all of it again.
func (d *Distributor) discard(tenantID string, l tenant.Limits, b *trace.Batch, over refusals, out *Outcome) error {
	byReason := map[peer.Reason]discarded{}
	for t, why := range over {
		of := byReason[why]
		if id := b.TraceID(int(t)); of.traces == 0 || slices.Compare(id[:], of.first[:]) < 0 {
			of.first = id
		}
		of.traces++
		of.spans += b.TraceSpans(int(t))
		byReason[why] = of
	}
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		of := byReason[why]
		d.metrics.discarded.WithLabelValues(tenantID, string(why)).Add(float64(of.spans))
		out.Accepted -= of.spans
		out.Rejected += of.spans
		if out.Message != "" {
			out.Message += "; "
		}
		out.Message += of.explain(why, tenantID, l)
	}
	if _, live := byReason[peer.LiveTracesExceeded]; live && out.Accepted == 0 {
		return &liveTracesError{out.Message}
	}
	return nil
}

// explain is a sentence for the sender's log. It begins as Tempo's did.
func (of discarded) explain(why peer.Reason, tenantID string, l tenant.Limits) string {
	what := fmt.Sprintf("%d spans of %d traces such as %s", of.spans, of.traces, of.first)
	switch why {
	case peer.LiveTracesExceeded:
		return fmt.Sprintf("LIVE_TRACES_EXCEEDED: %s: tenant %s has as many live traces as it may (ingestion.max_traces_per_user, max_global_traces_per_user)", what, tenantID)
	case peer.TraceTooLarge:
		return fmt.Sprintf("TRACE_TOO_LARGE: %s: a trace of tenant %s may have %d bytes (global.max_bytes_per_trace)", what, tenantID, l.Global.MaxBytesPerTrace)
	}
	return fmt.Sprintf("%s: %s of tenant %s", why, what, tenantID)
}

// spanCounter counts the spans of an export without a look into them.
type spanCounter int

// Resource implements trace.Visitor.
func (*spanCounter) Resource(*trace.Group) error { return nil }

// Scope implements trace.Visitor.
func (*spanCounter) Scope(*trace.Group) error { return nil }

// Span implements trace.Visitor.
func (c *spanCounter) Span([]byte) error {
	*c++
	return nil
}

// countSpans is the number of spans of an export, up to where it stops being one.
func countSpans(otlp []byte) int {
	var c spanCounter
	_ = trace.Walk(otlp, &c) // refused whatever it is
	return int(c)
}

// jitter keeps senders that are delayed from coming back all at once.
const jitter = 0.1

// delay makes a push last as long as the tenant's artificial_delay, more or less a
// tenth: a sender that waits for its answers sends less. An export keeps its
// memory while it waits, so nobody waits when half of what the distributor may
// have under way is taken. An end of ctx ends the wait, not the push: the spans
// are stored.
func (d *Distributor) delay(ctx context.Context, least time.Duration, received time.Time) {
	if least <= 0 || d.inflight.used.Load() > d.inflight.limit/2 && d.inflight.limit > 0 {
		return
	}
	least += time.Duration((2*rand.Float64() - 1) * jitter * float64(least))
	left := least - d.deps.Now().Sub(received)
	if left <= 0 {
		return
	}
	d.metrics.added.Observe(left.Seconds())
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-d.hurried:
	}
}
