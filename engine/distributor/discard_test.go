package distributor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

// strict is keepers of which each refuses some traces.
type strict struct {
	keepers
	refuses map[string]map[trace.ID]peer.Reason // by keeper
}

func (s *strict) Push(ctx context.Context, path Path, to *ring.Instance, tenantID string, otlp []byte) error {
	var b trace.Batch
	if err := b.Reset(otlp); err != nil {
		return err
	}
	over := map[trace.ID]peer.Reason{}
	kept := b.AppendSubset(nil, func(t int) bool {
		why := s.refuses[to.ID][b.TraceID(t)]
		if why != "" {
			over[b.TraceID(t)] = why
		}
		return why == ""
	})
	if err := s.keepers.Push(ctx, path, to, tenantID, kept); err != nil {
		return err
	}
	if len(over) > 0 { // as it comes from another node
		return (&peer.RefusedError{Message: "over", Traces: over}).GRPCStatus().Err()
	}
	return nil
}

// TestRefusedTracesAreToldApart throws dice: who is down, who refuses which
// traces. What is acknowledged has a quorum, what is rejected was refused by
// somebody, and nothing is both.
func TestRefusedTracesAreToldApart(t *testing.T) {
	partly, wholly, failed := 0, 0, 0
	for seed := range uint64(400) {
		dice := rand.New(rand.NewPCG(seed, 3))
		r := ring.New(instances(3+dice.IntN(4), 3), ring.Config{ReplicationFactor: 1 + 2*dice.IntN(2), HeartbeatTimeout: time.Minute})
		s := &strict{keepers: keepers{spans: map[string]map[trace.ID]int{}, down: map[string]error{}}, refuses: map[string]map[trace.ID]peer.Reason{}}
		otlp, ids := exportOf(dice, 1+dice.IntN(6), 2)
		often := 1 + dice.IntN(4)
		for _, i := range r.Instances() {
			if dice.IntN(8) == 0 {
				s.down[i.ID] = status.Error(codes.Unavailable, "connection refused")
			}
			s.refuses[i.ID] = map[trace.ID]peer.Reason{}
			for _, id := range ids {
				if dice.IntN(often) == 0 {
					s.refuses[i.ID][id] = []peer.Reason{peer.LiveTracesExceeded, peer.TraceTooLarge, "of_a_later_release"}[dice.IntN(3)]
				}
			}
		}
		if dice.IntN(2) == 0 {
			s.local = "ingester-0"
		}
		d := newDistributor(t, r, &s.keepers, func(_ *Config, deps *Deps) { deps.Pusher = s })
		out, err := d.Push(t.Context(), "t", otlp)
		d.Close()
		withQuorum, refusedSomewhere := 0, 0
		for _, id := range ids {
			rs, getErr := r.Get(trace.Token("t", id), ring.Write, epoch, nil)
			if getErr != nil {
				t.Fatal(getErr)
			}
			stored, refused := 0, false
			for _, i := range rs.Instances {
				if s.spans[i.ID][id] == 2 {
					stored++
				}
				refused = refused || s.refuses[i.ID][id] != "" && s.down[i.ID] == nil
			}
			if stored >= len(rs.Instances)-rs.MaxErrors {
				withQuorum++
			} else if refused {
				refusedSomewhere++
			}
		}
		switch {
		case err == nil:
			if out.Accepted != 2*withQuorum || out.Rejected != 2*refusedSomewhere || withQuorum+refusedSomewhere != len(ids) {
				t.Errorf("seed %d: told %+v, but of %d traces %d have a quorum and %d were refused", seed, out, len(ids), withQuorum, refusedSomewhere)
			}
			if (out.Message == "") != (out.Rejected == 0) {
				t.Errorf("seed %d: %+v", seed, out)
			}
			if out.Rejected > 0 {
				partly++
			}
		case status.Code(err) == codes.ResourceExhausted:
			if withQuorum > 0 || retryDelay(err) == 0 || !strings.Contains(err.Error(), "LIVE_TRACES_EXCEEDED") {
				t.Errorf("seed %d: %d traces have a quorum, and the answer is %v", seed, withQuorum, err)
			}
			wholly++
		default:
			if withQuorum == len(ids) || len(s.down) == 0 {
				t.Errorf("seed %d: %v", seed, err)
			}
			failed++
		}
	}
	if partly < 20 || wholly < 20 || failed < 20 {
		t.Errorf("the dice were dull: %d, %d, %d", partly, wholly, failed)
	}
}

func TestDiscardedSpansAreCountedAndExplained(t *testing.T) {
	r := ring.New(instances(1, 1), ring.Config{ReplicationFactor: 1, HeartbeatTimeout: time.Minute})
	otlp, ids := exportOf(rand.New(rand.NewPCG(1, 1)), 6, 3)
	s := &strict{keepers: keepers{spans: map[string]map[trace.ID]int{}, local: "ingester-0"}, refuses: map[string]map[trace.ID]peer.Reason{
		"ingester-0": {ids[1]: peer.LiveTracesExceeded, ids[2]: peer.LiveTracesExceeded, ids[4]: peer.TraceTooLarge}}}
	d := newDistributor(t, r, &s.keepers, func(_ *Config, deps *Deps) { deps.Pusher = s })
	out, err := d.Push(t.Context(), "team-a", otlp)
	if err != nil || out.Accepted != 9 || out.Rejected != 9 {
		t.Fatalf("%+v, %v", out, err)
	}
	first := slices.MinFunc(ids[1:3], func(a, b trace.ID) int { return slices.Compare(a[:], b[:]) })
	want := fmt.Sprintf("LIVE_TRACES_EXCEEDED: 6 spans of 2 traces such as %s: tenant team-a has as many live traces as it may (ingestion.max_traces_per_user, max_global_traces_per_user); "+
		"TRACE_TOO_LARGE: 3 spans of 1 traces such as %s: a trace of tenant team-a may have 5000000 bytes (global.max_bytes_per_trace)", first, ids[4])
	if out.Message != want {
		t.Errorf("message\n%s\nwant\n%s", out.Message, want)
	}
	for reason, n := range map[peer.Reason]float64{peer.LiveTracesExceeded: 6, peer.TraceTooLarge: 3} {
		if got := testutil.ToFloat64(d.metrics.discarded.WithLabelValues("team-a", string(reason))); got != n {
			t.Errorf("%s: %v", reason, got)
		}
	}
}

// A tenant can have the hint turned off: its senders then drop what is refused.
func TestRetryInfoCanBeOff(t *testing.T) {
	limits := tenant.DefaultLimits()
	limits.Ingestion.RateLimitBytes, limits.Ingestion.BurstSizeBytes = 10, 2000
	for _, enabled := range []bool{true, false} {
		limits.Ingestion.RetryInfoEnabled = enabled
		r := ring.New(instances(1, 1), ring.Config{ReplicationFactor: 1, HeartbeatTimeout: time.Minute})
		full := &keepers{spans: map[string]map[trace.ID]int{}, down: map[string]error{"ingester-0": status.Error(codes.ResourceExhausted, "full")}}
		d := newDistributor(t, r, full, func(_ *Config, deps *Deps) { deps.Limits = func(string) tenant.Limits { return limits } })
		otlp, _ := exportOf(rand.New(rand.NewPCG(1, 1)), 1, 1)
		_, err := d.Push(t.Context(), "t", otlp)
		_, err2 := d.Push(t.Context(), "t", make([]byte, 1950))
		for what, err := range map[string]error{"full keeper": err, "rate": err2} {
			if status.Code(err) != codes.ResourceExhausted || (retryDelay(err) > 0) != enabled {
				t.Errorf("%s, enabled %v: %v, retry in %s", what, enabled, err, retryDelay(err))
			}
		}
	}
}

// A delayed tenant waits for its answers, but nobody waits when the distributor
// has much under way, and who leaves is not kept.
func TestArtificialDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := tenant.DefaultLimits()
		limits.Ingestion.ArtificialDelay = tenant.Duration(10 * time.Second)
		desc := instances(1, 1)
		for id, i := range desc.Instances {
			i.Timestamp = time.Now().Unix()
			desc.Instances[id] = i
		}
		r := ring.New(desc, ring.Config{ReplicationFactor: 1, HeartbeatTimeout: time.Hour})
		k := &keepers{spans: map[string]map[trace.ID]int{}}
		d := newDistributor(t, r, k, func(c *Config, deps *Deps) {
			c.MaxInflight = 10_000
			deps.Limits, deps.Now = func(string) tenant.Limits { return limits }, time.Now
		})
		otlp, _ := exportOf(rand.New(rand.NewPCG(1, 1)), 1, 1)
		took := func(ctx context.Context) time.Duration {
			began := time.Now()
			if out, err := d.Push(ctx, "t", otlp); err != nil || out.Accepted != 1 {
				t.Errorf("%+v %v", out, err)
			}
			return time.Since(began)
		}
		if d := took(t.Context()); d < 9*time.Second || d > 11*time.Second {
			t.Errorf("delayed by %s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if d := took(ctx); d != time.Second {
			t.Errorf("a sender that waits a second is kept for %s", d)
		}
		d.inflight.take(6000)
		if d := took(t.Context()); d != 0 {
			t.Errorf("delayed by %s while much is under way", d)
		}
		d.inflight.release(6000)
		time.AfterFunc(2*time.Second, d.Hurry)
		if d := took(t.Context()); d != 2*time.Second {
			t.Errorf("delayed by %s by one that stops after two seconds", d)
		}
		d.Hurry()
		if d := took(t.Context()); d != 0 {
			t.Errorf("delayed by %s by one that stops", d)
		}
	})
}
