package livestore

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/recent"
	"github.com/ringctl/ringctl/engine/trace"
)

type owned struct {
	state partition.State
	since time.Time
	gone  bool
}

func (o *owned) ID() int32 { return 3 }

func (o *owned) Current() (partition.Partition, bool) {
	return partition.Partition{ID: 3, State: o.state, StateTimestamp: o.since.Unix()}, !o.gone
}

func export(id trace.ID) []byte {
	var b trace.Builder
	b.SetResource(&trace.Group{})
	b.SetScope(&trace.Group{})
	now := uint64(time.Now().UnixNano())
	b.AddSpan(&trace.Span{TraceID: id, SpanID: trace.SpanID{1}, Name: []byte("a"), Start: now, End: now + 5})
	return b.Append(nil)
}

func TestInactivePartitionTakesNoSpans(t *testing.T) {
	store, err := recent.Open(recent.Config{Dir: t.TempDir()}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.Unix(1_800_000_000, 0)
	o := &owned{since: now}
	l := New(store, nil, o, false, 1, func() time.Time { return now })
	for n, tt := range []struct {
		name  string
		state partition.State
		ago   time.Duration
		gone  bool
		code  codes.Code
	}{
		{"pending", partition.Pending, time.Hour, false, codes.OK},
		{"active", partition.Active, time.Hour, false, codes.OK},
		{"inactive, which distributors may not know yet", partition.Inactive, spreading, false, codes.OK},
		{"inactive", partition.Inactive, spreading + time.Second, false, codes.Unavailable},
		{"not in the ring yet", partition.Inactive, time.Hour, true, codes.OK},
	} {
		o.state, o.since, o.gone = tt.state, now.Add(-tt.ago), tt.gone
		id := trace.ID{byte(n), 1}
		err := l.Push(t.Context(), "x", export(id))
		if status.Code(err) != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "partition 3 is INACTIVE") {
			t.Errorf("%s: %v does not say why", tt.name, err)
		}
		a, err := l.Ask(t.Context(), &peer.Question{Tenant: "x", Trace: &id})
		if err != nil || (len(a.Trace) > 0) != (tt.code == codes.OK) {
			t.Errorf("%s: %v %+v", tt.name, err, a)
		}
	}
	first := trace.ID{0, 1} // readable whatever the state
	o.state, o.gone = partition.Inactive, false
	if a, err := l.Ask(t.Context(), &peer.Question{Tenant: "x", Trace: &first}); err != nil || len(a.Trace) == 0 {
		t.Errorf("inactive partition cannot be read: %v %+v", err, a)
	}
}
