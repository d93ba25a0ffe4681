package membership

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/partition"
)

// PartitionWatcher follows one partition ring. Its snapshots are immutable and replaced as a whole.
type PartitionWatcher struct {
	key   string
	store *kv.Typed[*partition.Desc]
	log   *slog.Logger
	snap  snapshots[partition.Ring]
}

// NewPartitionWatcher makes a watcher of the partition ring under key; name is its name in metrics. Before
// the first value arrives, the snapshot is an empty ring. reg may be nil.
func NewPartitionWatcher(key, name string, store kv.Store, log *slog.Logger, reg prometheus.Registerer) (*PartitionWatcher, error) {
	w := &PartitionWatcher{key: key, store: PartitionRings(store), log: log.With("ring", key)}
	w.snap.publish(partition.New(&partition.Desc{}))
	if err := registerPartitionRingMetrics(reg, name, w); err != nil {
		return nil, err
	}
	return w, nil
}

// Ring is the latest snapshot. It is never nil, costs one atomic load, and may be kept.
func (w *PartitionWatcher) Ring() *partition.Ring { return w.snap.current() }

// Key is the ring's key in the store.
func (w *PartitionWatcher) Key() string { return w.key }

// WaitFor returns as soon as ok holds for a snapshot, at once if it holds for the current one. Its error
// is the context's.
func (w *PartitionWatcher) WaitFor(ctx context.Context, ok func(*partition.Ring) bool) error {
	return w.snap.waitFor(ctx, ok)
}

// Run follows the ring until ctx ends. It returns nil then.
func (w *PartitionWatcher) Run(ctx context.Context) error {
	w.store.Watch(ctx, w.key, func(d *partition.Desc) bool {
		if d != nil {
			w.snap.publish(w.snap.current().Next(d))
		}
		return ctx.Err() == nil
	}, func(err error) {
		w.log.WarnContext(ctx, "partition ring value skipped, the last good one stays in force", "err", err)
	})
	return nil
}
