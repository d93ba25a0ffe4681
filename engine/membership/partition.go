package membership

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/partition"
)

// Partition looks after one partition that this process owns, and follows the ring like a
// [PartitionWatcher].
//
// Run does the work; all other methods may be called from anywhere.
type Partition struct {
	*PartitionWatcher
	cfg     PartitionConfig
	log     *slog.Logger
	metrics *partitionMetrics

	prepared  atomic.Bool // a downscale is prepared
	preparing sync.Mutex  // one prepare or cancel at a time
	steward   steward     // of the goroutine in Run
}

// NewPartition makes an owner; nothing is written before Run. A marker file left by a prepared downscale
// is obeyed: the partition is not created again and the owner is removed at the end. reg may be nil.
func NewPartition(cfg PartitionConfig, store kv.Store, log *slog.Logger, reg prometheus.Registerer) (*Partition, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w, err := NewPartitionWatcher(cfg.Key, cfg.name(), store, log, reg)
	if err != nil {
		return nil, err
	}
	p := &Partition{PartitionWatcher: w, cfg: cfg,
		log: log.With("ring", cfg.Key, "partition", cfg.Partition, "owner", cfg.OwnerID)}
	p.steward.cfg = &p.cfg
	marked, err := hasMarker(cfg.MarkerFile)
	if err != nil {
		return nil, fmt.Errorf("own partition %d: %w", cfg.Partition, err)
	}
	p.prepared.Store(marked)
	if p.metrics, err = newPartitionMetrics(reg, cfg); err != nil {
		return nil, err
	}
	return p, nil
}

// ID is the number of the partition.
func (p *Partition) ID() int32 { return p.cfg.Partition }

// OwnerID is this process's name among the owners.
func (p *Partition) OwnerID() string { return p.cfg.OwnerID }

// Current is the partition as the latest snapshot has it; ok is false when it is not there.
func (p *Partition) Current() (part partition.Partition, ok bool) {
	if part, ok := p.Ring().Partition(p.cfg.Partition); ok {
		return *part, true
	}
	return partition.Partition{}, false
}

// Ready is nil when the partition exists and we are among its owners; otherwise a [NotReadyError]. A
// partition that is not ACTIVE is ready: it still answers reads.
func (p *Partition) Ready() error {
	if _, ok := p.Current(); !ok {
		return &NotReadyError{Ring: p.cfg.Key, Rule: "partition-exists",
			Detail: fmt.Sprintf("partition %d is not in the ring", p.cfg.Partition)}
	}
	for _, owner := range p.Ring().OwnersOf(p.cfg.Partition) {
		if owner == p.cfg.OwnerID {
			return nil
		}
	}
	return &NotReadyError{Ring: p.cfg.Key, Rule: "partition-owned",
		Detail: fmt.Sprintf("%s is not among the owners of partition %d", p.cfg.OwnerID, p.cfg.Partition)}
}

// ChangeState moves the own partition to another state, if the table of allowed changes and the lock
// permit it. The errors are those of package partition. The same state again is no error.
func (p *Partition) ChangeState(ctx context.Context, to partition.State) error {
	err := p.store.CAS(ctx, p.cfg.Key, func(d *partition.Desc) (*partition.Desc, bool, error) {
		if d == nil {
			d = &partition.Desc{}
		}
		changed, err := partition.ChangeState(d, p.cfg.Partition, to, time.Now())
		if err != nil || !changed {
			return nil, false, err
		}
		return d, true, nil
	})
	if err != nil {
		return fmt.Errorf("ring %q: change partition %d to %s: %w", p.cfg.Key, p.cfg.Partition, to, err)
	}
	return nil
}

// Run creates the partition or waits for it, owns it, and looks after the ring until ctx ends; then it
// removes the owner if that is wanted. It returns nil after an orderly end.
func (p *Partition) Run(ctx context.Context) error {
	watchCtx, stopWatch := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() { // the one goroutine: Run waits for it below
		defer close(watched)
		_ = p.PartitionWatcher.Run(watchCtx)
	}()
	p.live(ctx)
	err := p.stop(context.WithoutCancel(ctx))
	stopWatch()
	<-watched
	return err
}

// live looks after the own partition, then after the others, each poll interval. Failures are counted and
// tried again at the next look.
func (p *Partition) live(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		p.look(ctx, reconcileMain, steward.reconcile)
		p.look(ctx, reconcileOther, steward.sweep)
		timer.Reset(p.cfg.PollInterval)
	}
}

// look runs one decision and counts it.
func (p *Partition) look(ctx context.Context, kind string, step stewardStep) {
	p.metrics.done.WithLabelValues(kind).Inc()
	if err := p.apply(ctx, step); err != nil && ctx.Err() == nil {
		p.metrics.failed.WithLabelValues(kind).Inc()
		p.log.WarnContext(ctx, "partition not reconciled, will try again", "type", kind, "in", p.cfg.PollInterval, "err", err)
	}
}

func (p *Partition) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := insist(ctx, func() error { return p.apply(ctx, steward.depart) }); err != nil {
		return fmt.Errorf("ring %q: remove owner %s of partition %d: %w (ringctl partition owner remove does it by hand)",
			p.cfg.Key, p.cfg.OwnerID, p.cfg.Partition, err)
	}
	if p.prepared.Load() && p.cfg.MarkerFile != "" {
		return removeMarker(p.cfg.MarkerFile) // done; a volume that is used again later starts afresh
	}
	return nil
}

// stewardStep is one of the steward's decisions.
type stewardStep func(s steward, d *partition.Desc, now time.Time) (steward, effect, error)

// apply runs one step inside a compare-and-swap and tells what happened. Only the goroutine in Run calls it.
func (p *Partition) apply(ctx context.Context, step stewardStep) error {
	before := p.steward
	before.create, before.removeOwner = p.createsPartition(), p.removesOwner()
	if p.cfg.Instances != nil {
		before.instances = p.cfg.Instances()
	}
	next, e := before, effect{}
	err := p.store.CAS(ctx, p.cfg.Key, func(d *partition.Desc) (*partition.Desc, bool, error) {
		if d == nil {
			d = &partition.Desc{}
		}
		var err error
		next, e, err = step(before, d, time.Now())
		if err != nil || !e.changed {
			return nil, false, err
		}
		return d, true, nil
	})
	if err != nil {
		return err
	}
	p.steward = next
	for _, n := range e.notes {
		n.log(ctx, p.log)
	}
	return nil
}
