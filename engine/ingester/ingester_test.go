package ingester

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/recent"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/trace"
)

type member ring.State

func (m *member) State() ring.State { return ring.State(*m) }

// export is the OTLP bytes of one span.
func export(id trace.ID, name string) []byte {
	var b trace.Builder
	b.SetResource(&trace.Group{})
	b.SetScope(&trace.Group{})
	now := uint64(time.Now().UnixNano())
	b.AddSpan(&trace.Span{TraceID: id, SpanID: trace.SpanID{1}, Name: []byte(name), Start: now, End: now + 5})
	return b.Append(nil)
}

func open(t *testing.T, cfg recent.Config) *recent.Store {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	store, err := recent.Open(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestSpansAreFoundAtOnceInEveryStateButLeft(t *testing.T) {
	state := member(ring.Active)
	i := New(open(t, recent.Config{}), nil, &state, false, 1)
	for n, s := range []ring.State{ring.Pending, ring.Joining, ring.Active, ring.Leaving} {
		state = member(s)
		id := trace.ID{byte(n), 1}
		if err := i.Push(t.Context(), "x", export(id, "a")); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		a, err := i.Ask(t.Context(), &peer.Question{Tenant: "x", Trace: &id})
		if err != nil || len(a.Trace) == 0 {
			t.Errorf("%s: %v %+v", s, err, a)
		}
	}
	state = member(ring.Left)
	if err := i.Push(t.Context(), "x", export(trace.ID{9}, "a")); status.Code(err) != codes.Unavailable {
		t.Errorf("LEFT: %v", err)
	}
	id := trace.ID{0, 1}
	if a, err := i.Ask(t.Context(), &peer.Question{Tenant: "x", Trace: &id}); err != nil || len(a.Trace) == 0 {
		t.Errorf("LEFT: what it has is not readable: %v %+v", err, a)
	}
	if a, err := i.Ask(t.Context(), &peer.Question{Tenant: "other", Trace: &id}); err != nil || len(a.Trace) != 0 {
		t.Errorf("another tenant's spans: %v %+v", err, a)
	}
}

func TestFullStoreSaysWhenToRetry(t *testing.T) {
	state := member(ring.Active)
	i := New(open(t, recent.Config{TenantBytes: 200, NodeBytes: 1 << 20, PushWait: time.Nanosecond}), nil, &state, false, 1)
	var err error
	for n := range 10 {
		if err = i.Push(t.Context(), "x", export(trace.ID{byte(n), 1}, strings.Repeat("a", 100))); err != nil {
			break
		}
	}
	st := status.Convert(err)
	if st.Code() != codes.ResourceExhausted || len(st.Details()) != 1 {
		t.Errorf("a full store answers %v (details %v)", err, st.Details())
	}
}

// TestRunFlushes stops an ingester: with flush everything is shipped, without it
// waits in the log for the next start.
func TestRunFlushes(t *testing.T) {
	for _, flush := range []bool{true, false} {
		dir, shipped := t.TempDir(), 0
		cfg := recent.Config{Dir: dir, Ship: func(context.Context, string, string, *block.Meta) error { shipped++; return nil }}
		state := member(ring.Active)
		i := New(open(t, cfg), nil, &state, flush, 1)
		otlp := export(trace.ID{1}, "a")
		if err := i.Push(t.Context(), "x", bytes.Clone(otlp)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := i.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 1}[flush]; shipped != want {
			t.Errorf("flush %v: %d blocks shipped, want %d", flush, shipped, want)
		}
		if err := i.Push(t.Context(), "x", otlp); status.Code(err) != codes.Unavailable {
			t.Errorf("after the end: %v", err)
		}
		again := New(open(t, cfg), nil, &state, false, 1)
		id := trace.ID{1}
		if a, err := again.Ask(t.Context(), &peer.Question{Tenant: "x", Trace: &id}); err != nil || len(a.Trace) == 0 {
			t.Errorf("flush %v: gone after a restart: %v %+v", flush, err, a)
		}
	}
}
