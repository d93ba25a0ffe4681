package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
)

type emptyKeeper struct{ peer.Keeper }

func (emptyKeeper) Ask(context.Context, *peer.Question) (*peer.Answer, error) {
	return &peer.Answer{}, nil
}

// slowKeeper takes as many milliseconds to write a push as its first byte says.
type slowKeeper struct{ written, seen atomic.Int64 }

func (k *slowKeeper) Push(_ context.Context, _ string, otlp []byte) error {
	<-time.After(time.Duration(otlp[0]) * time.Millisecond)
	k.written.Add(1)
	return nil
}

func (k *slowKeeper) Ask(context.Context, *peer.Question) (*peer.Answer, error) {
	k.seen.Store(k.written.Load())
	return &peer.Answer{}, nil
}

// A push may be acknowledged by the other keepers while this one still writes it: whoever
// counts waits for it, but not for pushes that come later, and not forever.
func TestKeeperCountsWhatItWrites(t *testing.T) {
	counting, byID := &peer.Question{Metrics: &query.MetricsRequest{}}, &peer.Question{}
	for _, tt := range []struct {
		name         string
		q            *peer.Question
		before       []byte // pushes that have begun when the question comes
		after        []byte // pushes that begin ten milliseconds later
		seen, waited int64
	}{
		{"nothing under way", counting, nil, nil, 0, 0},
		{"two pushes", counting, []byte{20, 50}, nil, 2, 50},
		{"one that comes later", counting, []byte{50}, []byte{100}, 1, 50},
		{"one that hangs", counting, []byte{50, 255}, nil, 1, 200},
		{"all keepers are asked", byID, []byte{20}, nil, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &slowKeeper{}
				k := &keeper{Keeper: store}
				push := func(all []byte) {
					for _, ms := range all {
						go func() {
							if err := k.Push(t.Context(), "t", []byte{ms}); err != nil {
								t.Error(err)
							}
						}()
					}
				}
				push(tt.before)
				time.AfterFunc(10*time.Millisecond, func() { push(tt.after) })
				synctest.Wait()
				began := time.Now()
				if _, err := k.Ask(t.Context(), tt.q); err != nil {
					t.Fatal(err)
				}
				if seen, waited := store.seen.Load(), time.Since(began).Milliseconds(); seen != tt.seen || waited != tt.waited {
					t.Errorf("saw %d pushes after %d ms, want %d after %d ms", seen, waited, tt.seen, tt.waited)
				}
				<-time.After(time.Second)
				if left := k.arrivals.seal(); len(left) > 0 {
					t.Errorf("%d groups are left when all is written", len(left))
				}
			})
		})
	}
}

// A keeper is behind those with copies until their blocks of the time when it was down are seen by all.
func TestKeeperSaysThatItIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Default(TargetIngester, t.TempDir())
		r := c.Ingester.Recent
		r.MaxBlockAge, c.Storage.Trace.Poll = time.Minute, time.Second
		k := &keeper{Keeper: emptyKeeper{}, caughtUp: c.caughtUp(r)}
		for _, want := range []time.Duration{122 * time.Second, 61 * time.Second, 0, 0} {
			a, err := k.Ask(t.Context(), &peer.Question{})
			if err != nil || a.Behind != want {
				t.Errorf("behind for %s, want %s: %v", a.Behind, want, err)
			}
			<-time.After(61 * time.Second)
		}
	})
}
