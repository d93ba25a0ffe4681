package distributor

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

var epoch = time.Unix(1_800_000_000, 0)

type fixedRing struct{ r *ring.Ring }

func (f fixedRing) Ring() *ring.Ring { return f.r }

type fixedPartitions struct{ r *partition.Ring }

func (f fixedPartitions) Ring() *partition.Ring { return f.r }

// keepers stores spans in memory; those in down refuse with the error.
type keepers struct {
	mu    sync.Mutex
	spans map[string]map[trace.ID]int
	down  map[string]error
	local string
}

func (k *keepers) Push(_ context.Context, _ Path, to *ring.Instance, _ string, otlp []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.down[to.ID]; err != nil {
		return err
	}
	var b trace.Batch
	if err := b.Reset(otlp); err != nil {
		return err
	}
	if k.spans[to.ID] == nil {
		k.spans[to.ID] = map[trace.ID]int{}
	}
	for t := range b.Traces() {
		k.spans[to.ID][b.TraceID(t)] += b.TraceSpans(t)
	}
	return nil
}

func (k *keepers) Local(to *ring.Instance) bool { return to.ID == k.local }

func instances(n, zones int) *ring.Desc {
	d := &ring.Desc{Instances: map[string]ring.Instance{}}
	dice := rand.New(rand.NewPCG(7, uint64(n)))
	for i := range n {
		id := fmt.Sprintf("ingester-%d", i)
		tokens := make([]uint32, 32)
		for t := range tokens {
			tokens[t] = dice.Uint32()
		}
		slices.Sort(tokens)
		d.Instances[id] = ring.Instance{ID: id, Addr: id + ":9095", Timestamp: epoch.Unix(), State: ring.Active, Tokens: tokens, Zone: fmt.Sprintf("zone-%d", i%zones)}
	}
	return d
}

// exportOf has n traces of m spans each.
func exportOf(dice *rand.Rand, n, m int) ([]byte, []trace.ID) {
	var b trace.Builder
	b.SetResource(&trace.Group{Raw: trace.AppendResource(nil, &trace.Resource{Attrs: []trace.Attr{{Key: []byte("service.name"), Value: trace.StringValue([]byte("cart"))}}})})
	b.SetScope(&trace.Group{})
	ids := make([]trace.ID, n)
	for t := range ids {
		binary.BigEndian.PutUint64(ids[t][:], dice.Uint64()|1)
	}
	for range m {
		for _, id := range ids {
			s := trace.Span{TraceID: id, Name: []byte("op"), Start: 1, End: 2}
			binary.BigEndian.PutUint64(s.SpanID[:], dice.Uint64()|1)
			b.AddSpan(&s)
		}
	}
	return b.Append(nil), ids
}

func newDistributor(t *testing.T, r *ring.Ring, k *keepers, change func(*Config, *Deps)) *Distributor {
	t.Helper()
	limits := tenant.DefaultLimits()
	cfg := Config{Path: Replicated, PushTimeout: time.Minute, RetryHint: 5 * time.Second, MaxInflight: 64 << 20}
	deps := Deps{Ingesters: fixedRing{r}, LiveStores: fixedRing{r}, Pusher: k, Limits: func(string) tenant.Limits { return limits }, Peers: func() int { return 1 },
		Now: func() time.Time { return epoch }, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
	if change != nil {
		change(&cfg, &deps)
	}
	d := New(cfg, deps)
	t.Cleanup(d.Close)
	return d
}

// TestAcknowledgedMeansQuorum throws dice: a ring, who of it is down, an
// export. Acknowledged or not, what the keepers have must agree with it.
func TestAcknowledgedMeansQuorum(t *testing.T) {
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 2))
		zones := 1 + dice.IntN(3)
		cfg := ring.Config{ReplicationFactor: 1 + dice.IntN(3), ZoneAwareness: zones == 3, HeartbeatTimeout: time.Minute}
		r := ring.New(instances(3+dice.IntN(6), zones), cfg)
		k := &keepers{spans: map[string]map[trace.ID]int{}, down: map[string]error{}}
		for _, i := range r.Instances() {
			if dice.IntN(4) == 0 {
				k.down[i.ID] = status.Error(codes.Unavailable, "connection refused")
			}
		}
		otlp, ids := exportOf(dice, 1+dice.IntN(20), 3)
		d := newDistributor(t, r, k, nil)
		out, err := d.Push(t.Context(), "t", otlp)
		d.Close() // pushes that were still under way have arrived now
		lost := 0
		for _, id := range ids {
			rs, getErr := r.Get(trace.Token("t", id), ring.Write, epoch, nil)
			if getErr != nil {
				t.Fatalf("seed %d: %v", seed, getErr)
			}
			stored := 0
			for _, i := range rs.Instances {
				if n := k.spans[i.ID][id]; n == 3 {
					stored++
				} else if n != 0 {
					t.Fatalf("seed %d: %s has %d of 3 spans", seed, i.ID, n)
				}
			}
			if stored < len(rs.Instances)-rs.MaxErrors {
				lost++
			}
		}
		if err == nil && (lost > 0 || out.Accepted != 3*len(ids)) {
			t.Errorf("seed %d: acknowledged %+v, but %d traces have no quorum", seed, out, lost)
		}
		if err != nil && lost == 0 {
			t.Errorf("seed %d: refused though every trace has a quorum: %v", seed, err)
		}
	}
}

func TestQuorumErrorTellsWhoAndWhatToDo(t *testing.T) {
	r := ring.New(instances(3, 3), ring.Config{ReplicationFactor: 3, ZoneAwareness: true, HeartbeatTimeout: time.Minute})
	k := &keepers{spans: map[string]map[trace.ID]int{}, down: map[string]error{
		"ingester-0": status.Error(codes.Unavailable, "connection refused"), "ingester-2": status.Error(codes.Unavailable, "no route to host")}}
	otlp, ids := exportOf(rand.New(rand.NewPCG(1, 1)), 1, 1)
	_, err := newDistributor(t, r, k, nil).Push(t.Context(), "team-a", otlp)
	if status.Code(err) != codes.Unavailable {
		t.Fatalf("err = %v", err)
	}
	for _, want := range []string{"ring ingester", ids[0].String(), "2 of 3 keepers", "ingester-0 (zone zone-0): connection refused", "ingester-2 (zone zone-2): no route to host",
		"ringctl lookup " + ids[0].String() + " --tenant team-a"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in %v", want, err)
		}
	}
}

func TestFullKeepersAreRetriedLater(t *testing.T) {
	full := status.Error(codes.ResourceExhausted, "recent store is full")
	r := ring.New(instances(3, 3), ring.Config{ReplicationFactor: 3, HeartbeatTimeout: time.Minute})
	k := &keepers{spans: map[string]map[trace.ID]int{}, down: map[string]error{"ingester-0": full, "ingester-1": full}}
	otlp, _ := exportOf(rand.New(rand.NewPCG(1, 1)), 1, 1)
	_, err := newDistributor(t, r, k, nil).Push(t.Context(), "t", otlp)
	if status.Code(err) != codes.ResourceExhausted || retryDelay(err) != 5*time.Second {
		t.Errorf("err = %v, retry after %s", err, retryDelay(err))
	}
}

func retryDelay(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

func TestPartitionsPathFollowsTheState(t *testing.T) {
	stores, parts := instances(6, 3), &partition.Desc{}
	for p := range int32(2) {
		if _, err := partition.AddPartition(parts, p, partition.Active, epoch); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		partition.AddOwner(parts, fmt.Sprintf("ingester-%d", i), int32(i/3), partition.OwnerActive, epoch)
	}
	r := ring.New(stores, ring.Config{ReplicationFactor: 1, HeartbeatTimeout: time.Minute})
	push := func(k *keepers) error {
		otlp, _ := exportOf(rand.New(rand.NewPCG(3, 3)), 40, 1)
		d := newDistributor(t, r, k, func(c *Config, deps *Deps) {
			c.Path, deps.Partitions = Partitions, fixedPartitions{partition.New(parts)}
		})
		_, err := d.Push(t.Context(), "t", otlp)
		d.Close()
		return err
	}
	both := &keepers{spans: map[string]map[trace.ID]int{}}
	if err := push(both); err != nil || len(both.spans) != 6 {
		t.Fatalf("%d keepers have spans, %v", len(both.spans), err)
	}
	if _, err := partition.ChangeState(parts, 1, partition.Inactive, epoch.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	one := &keepers{spans: map[string]map[trace.ID]int{}}
	if err := push(one); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(one.spans)); !slices.Equal(got, []string{"ingester-0", "ingester-1", "ingester-2"}) {
		t.Errorf("keepers with spans after partition 1 went inactive: %v", got)
	}
	two := &keepers{spans: map[string]map[trace.ID]int{}, down: map[string]error{"ingester-0": status.Error(codes.Unavailable, "down"), "ingester-1": status.Error(codes.Unavailable, "down")}}
	if err := push(two); err == nil || !strings.Contains(err.Error(), "partition 0") {
		t.Errorf("two of three owners down: %v", err)
	}
}

func TestLimits(t *testing.T) {
	limits := tenant.DefaultLimits()
	limits.Ingestion.RateLimitBytes, limits.Ingestion.BurstSizeBytes = 1000, 3000
	now := epoch
	r := ring.New(instances(3, 3), ring.Config{ReplicationFactor: 1, HeartbeatTimeout: time.Minute})
	k := &keepers{spans: map[string]map[trace.ID]int{}}
	d := newDistributor(t, r, k, func(_ *Config, deps *Deps) {
		deps.Limits, deps.Now = func(string) tenant.Limits { return limits }, func() time.Time { return now }
	})
	small, _ := exportOf(rand.New(rand.NewPCG(1, 1)), 2, 10) // about a kilobyte
	many, _ := exportOf(rand.New(rand.NewPCG(1, 1)), 2, 30)
	for _, tt := range []struct {
		name  string
		after time.Duration
		otlp  []byte
		code  codes.Code
	}{
		{"within the burst", 0, small, codes.OK},
		{"within the burst again", 0, small, codes.OK},
		{"over the rate", 0, make([]byte, 2500), codes.ResourceExhausted},
		{"tokens are back", 3 * time.Second, small, codes.OK},
		{"never fits", 0, make([]byte, 4000), codes.InvalidArgument},
		{"not OTLP", 3 * time.Second, []byte{0xff, 0xff}, codes.InvalidArgument},
	} {
		now = now.Add(tt.after)
		if _, err := d.Push(t.Context(), "t", tt.otlp); status.Code(err) != tt.code {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.code)
		}
	}
	if _, err := d.Push(t.Context(), "t", many); status.Code(err) != codes.ResourceExhausted && status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
	if n := testutil.ToFloat64(d.metrics.discarded.WithLabelValues("t", "rate_limited")); n != 60 {
		t.Errorf("%v spans are counted as rate_limited", n)
	}
}

// An export that is refused because too much is under way has not used up the
// tenant's rate.
func TestInflightIsBeforeTheRate(t *testing.T) {
	limits := tenant.DefaultLimits()
	limits.Ingestion.RateLimitBytes, limits.Ingestion.BurstSizeBytes = 1, 1000
	r := ring.New(instances(1, 1), ring.Config{ReplicationFactor: 1, HeartbeatTimeout: time.Minute})
	d := newDistributor(t, r, &keepers{spans: map[string]map[trace.ID]int{}}, func(c *Config, deps *Deps) {
		c.MaxInflight = 1000
		deps.Limits = func(string) tenant.Limits { return limits }
	})
	otlp, _ := exportOf(rand.New(rand.NewPCG(1, 1)), 1, 10)
	if len(otlp) < 501 || len(otlp) > 1000 {
		t.Fatalf("%d bytes", len(otlp))
	}
	d.inflight.take(500)
	for range 3 {
		if _, err := d.Push(t.Context(), "t", otlp); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "under way") {
			t.Error(err)
		}
	}
	d.inflight.release(500)
	if out, err := d.Push(t.Context(), "t", otlp); err != nil || out.Accepted != 10 {
		t.Errorf("%+v %v", out, err)
	}
	if _, err := d.Push(t.Context(), "t", otlp); !strings.Contains(fmt.Sprint(err), "RATE_LIMITED") || d.inflight.used.Load() != 0 {
		t.Errorf("%v; %d bytes under way", err, d.inflight.used.Load())
	}
}

func TestInflightBound(t *testing.T) {
	f := inflight{limit: 10}
	if !f.take(6) || f.take(6) {
		t.Error("the second six must be refused")
	}
	f.release(6)
	if !f.take(10) {
		t.Error("released bytes must be free again")
	}
}
