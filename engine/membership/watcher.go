package membership

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/ring"
)

// Watcher follows one instance ring. Its snapshots are immutable and replaced as a whole.
type Watcher struct {
	key   string
	cfg   ring.Config
	store *kv.Typed[*ring.Desc]
	log   *slog.Logger
	snap  snapshots[ring.Ring]
}

// NewWatcher makes a watcher of the ring under key; name is the ring's name in metrics. Before the first
// value arrives, the snapshot is an empty ring. reg may be nil.
func NewWatcher(key, name string, cfg ring.Config, store kv.Store, log *slog.Logger, reg prometheus.Registerer) (*Watcher, error) {
	w := &Watcher{key: key, cfg: cfg, store: Rings(store), log: log.With("ring", key)}
	w.snap.publish(ring.New(&ring.Desc{}, cfg))
	if err := registerRingMetrics(reg, name, w); err != nil {
		return nil, err
	}
	return w, nil
}

// Ring is the latest snapshot. It is never nil, costs one atomic load, and may be kept.
func (w *Watcher) Ring() *ring.Ring { return w.snap.current() }

// Key is the ring's key in the store.
func (w *Watcher) Key() string { return w.key }

// WaitFor returns as soon as ok holds for a snapshot, at once if it holds for the current one. Its error
// is the context's.
func (w *Watcher) WaitFor(ctx context.Context, ok func(*ring.Ring) bool) error {
	return w.snap.waitFor(ctx, ok)
}

// Run follows the ring until ctx ends. It returns nil then.
func (w *Watcher) Run(ctx context.Context) error {
	w.store.Watch(ctx, w.key, func(d *ring.Desc) bool {
		if d != nil {
			w.snap.publish(ring.WithHeartbeats(w.snap.current(), d))
		}
		return ctx.Err() == nil
	}, func(err error) {
		w.log.WarnContext(ctx, "ring value skipped, the last good one stays in force", "err", err)
	})
	return nil
}

// snapshots publishes the latest of a series of immutable values.
type snapshots[T any] struct {
	latest atomic.Pointer[T]

	mu   sync.Mutex
	next chan struct{} // closed and replaced at each publish; nil while nobody waits
}

func (s *snapshots[T]) current() *T { return s.latest.Load() }

func (s *snapshots[T]) publish(v *T) {
	s.latest.Store(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

func (s *snapshots[T]) waitFor(ctx context.Context, ok func(*T) bool) error {
	for {
		s.mu.Lock()
		if s.next == nil {
			s.next = make(chan struct{})
		}
		next := s.next
		s.mu.Unlock()
		if ok(s.current()) { // after taking the channel: no publish is missed in between
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		}
	}
}
