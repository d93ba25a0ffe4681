package recent

import (
	"fmt"
	"time"

	"github.com/ringctl/ringctl/engine/trace"
)

// Limits is what one tenant may have in a store; 0 is no limit. Pushes that are
// under way at the same moment are not counted against each other.
type Limits struct {
	// Traces is the number of live traces. A trace lives while it gets spans, and
	// for Config.HoldBack after the last one.
	Traces int
	// TraceBytes is the size of the spans of a trace. They count until they are in
	// a block, and then on if the trace still lives; of a trace with less than 64
	// KiB at that moment they may be forgotten.
	TraceBytes int64
}

// maxRefused is the most traces that a push is refused for one by one.
const maxRefused = 4096

// RefusedError names the traces of a push that are over a limit of their tenant.
// All others were kept.
type RefusedError struct {
	Tenant            string
	Limits            Limits
	TooMany, TooLarge []trace.ID
}

// Error implements error.
func (e *RefusedError) Error() string {
	switch {
	case len(e.TooMany) == 0:
		return fmt.Sprintf("tenant %s: %d traces would be larger than %d bytes", e.Tenant, len(e.TooLarge), e.Limits.TraceBytes)
	case len(e.TooLarge) == 0:
		return fmt.Sprintf("tenant %s: %d traces are more than the %d live ones allowed here", e.Tenant, len(e.TooMany), e.Limits.Traces)
	}
	return fmt.Sprintf("tenant %s: %d traces are more than the %d live ones allowed here, %d would be larger than %d bytes",
		e.Tenant, len(e.TooMany), e.Limits.Traces, len(e.TooLarge), e.Limits.TraceBytes)
}

// LiveTracesExceeded lists the traces that are one live trace too many.
func (e *RefusedError) LiveTracesExceeded() []trace.ID { return e.TooMany }

// TraceTooLarge lists the traces that have their bytes already.
func (e *RefusedError) TraceTooLarge() []trace.ID { return e.TooLarge }

// crowdError refuses an export whole: it has too many traces over a limit to name
// each of them.
type crowdError struct {
	tenant string
	traces int
}

// Error implements error.
func (e *crowdError) Error() string {
	return fmt.Sprintf("tenant %s: %d traces of one export are over its limits; nothing of it was kept", e.tenant, e.traces)
}

// RetryIn says when to try again.
func (e *crowdError) RetryIn() time.Duration { return time.Second }

// minSpan is less than any span with its ids takes in an export.
const minSpan = 28

// within is what of an export the tenant may push. Most exports are small enough
// to say so without a look inside.
func (s *Store) within(t *tenantState, otlp []byte) ([]byte, *RefusedError, error) {
	l := s.cfg.Limits(t.id)
	if l == (Limits{}) || t.surelyWithin(l, len(otlp)) {
		return otlp, nil, nil
	}
	b, ok := s.batches.Get().(*trace.Batch)
	if !ok {
		b = new(trace.Batch)
	}
	defer s.batches.Put(b)
	if err := b.Reset(otlp); err != nil {
		return nil, nil, err
	}
	refused, keep := t.judge(l, b, s.liveSince(), int64(s.cfg.HoldBack))
	if refused == nil {
		return otlp, nil, nil
	}
	refused.Tenant, refused.Limits = t.id, l
	if n := len(refused.TooMany) + len(refused.TooLarge); n > maxRefused {
		return nil, nil, &crowdError{t.id, n}
	}
	return b.AppendSubset(make([]byte, 0, len(otlp)), func(i int) bool { return keep[i] }), refused, nil
}

// liveSince is the arrival before which a trace is not live any more.
func (s *Store) liveSince() int64 { return s.cfg.Now().Add(-s.cfg.HoldBack).UnixNano() }

// surelyWithin tells whether no export of n bytes can be over a limit.
func (t *tenantState) surelyWithin(l Limits, n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return (l.TraceBytes == 0 || t.head.largest+t.past.largest+int64(n) <= l.TraceBytes) &&
		(l.Traces == 0 || len(t.head.ids)+len(t.past.traces)+n/minSpan <= l.Traces)
}

// judge looks at each trace of an export: which are refused, nil for none, and
// which are kept. A trace lives for hold after its last span, so now for those that
// got one since a time.
func (t *tenantState) judge(l Limits, b *trace.Batch, since, hold int64) (refused *RefusedError, keep []bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	live := 0
	if l.Traces > 0 {
		live = t.liveTraces(since)
	}
	var e RefusedError
	keep = make([]bool, b.Traces())
	for i := range keep {
		id := b.TraceID(i)
		size, last := t.knownOf(id, since, hold)
		switch {
		case l.TraceBytes > 0 && size+int64(b.TraceBytes(i)) > l.TraceBytes:
			e.TooLarge = append(e.TooLarge, id)
			continue
		case l.Traces > 0 && last <= since && live >= l.Traces:
			e.TooMany = append(e.TooMany, id)
			continue
		case last <= since:
			live++
		}
		keep[i] = true
	}
	if len(e.TooLarge)+len(e.TooMany) == 0 {
		return nil, keep
	}
	return &e, keep
}

// knownOf is the size of a trace and when its last span came.
func (t *tenantState) knownOf(id trace.ID, since, hold int64) (size, last int64) {
	if no, ok := t.head.findTrace(id); ok {
		return t.past.lived(id, t.head.came[no]-hold) + t.head.sizes[no], t.head.touched[no]
	}
	return t.past.lived(id, since), t.past.traces[id].last
}

// liveTraces counts the traces that got a span since a time.
func (t *tenantState) liveTraces(since int64) int {
	n := 0
	for _, at := range t.head.touched {
		if at > since {
			n++
		}
	}
	for id, p := range t.past.traces {
		if _, again := t.head.findTrace(id); p.last > since && !again {
			n++
		}
	}
	return n
}

// memory is what stays known of live traces when their spans leave the head.
type memory struct {
	traces  map[trace.ID]past
	largest int64
}

type past struct{ bytes, last int64 }

// notable is the size from which a trace is remembered for its size alone: there
// are never many of them.
const notable = 64 << 10

// lived is the bytes of a trace in earlier heads, if it got a span since a time:
// later it begins anew.
func (m memory) lived(id trace.ID, since int64) int64 {
	if p := m.traces[id]; p.last > since {
		return p.bytes
	}
	return 0
}

// after is the memory when a head is cut. Traces without a span since a time are
// forgotten; with all, every live trace is remembered, for its number. The spans
// of held traces go to the next head and count there.
func (m memory) after(h *head, held []trace.ID, all bool, since, hold int64) memory {
	out := memory{traces: map[trace.ID]past{}}
	note := func(id trace.ID, p past) {
		if p.last > since && (all || p.bytes >= notable) {
			out.traces[id], out.largest = p, max(out.largest, p.bytes)
		}
	}
	for id, p := range m.traces {
		if _, again := h.findTrace(id); !again {
			note(id, p)
		}
	}
	stays := make(map[trace.ID]bool, len(held))
	for _, id := range held {
		stays[id] = true
	}
	for no, id := range h.ids {
		p := past{m.lived(id, h.came[no]-hold), h.touched[no]}
		if !stays[id] {
			p.bytes += h.sizes[no]
		}
		note(id, p)
	}
	return out
}
