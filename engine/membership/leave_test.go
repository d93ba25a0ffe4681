package membership

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// contended is a store in which others are faster, for some compare-and-swaps.
type contended struct {
	kv.Store
	lose atomic.Int32
}

func (c *contended) CAS(ctx context.Context, key string, f func([]byte) ([]byte, bool, error)) error {
	if c.lose.Add(-1) >= 0 {
		return fmt.Errorf("compare-and-swap %s: %w", key, kv.ErrConflict)
	}
	return c.Store.CAS(ctx, key, f)
}

// TestLeaveAmongMany: a member that stops takes itself off its rings although others, which stop too, are faster.
func TestLeaveAmongMany(t *testing.T) {
	store := &contended{Store: memkv.New()}
	inst, err := New(configFrom([]string{"live-store-0", "tokens=8", "zone=z"}), store, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pcfg := DefaultPartitionConfig()
	pcfg.Key, pcfg.OwnerID = "collectors/partitions", "live-store-0"
	part, err := NewPartition(pcfg, store, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	run := func(run func(context.Context) error, in func(context.Context) error) {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		if err := in(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.lose.Store(5)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	run(inst.Run, func(ctx context.Context) error {
		return inst.WaitFor(ctx, func(r *ring.Ring) bool { return len(r.Instances()) == 1 })
	})
	run(part.Run, func(ctx context.Context) error {
		return part.WaitFor(ctx, func(r *partition.Ring) bool { return len(r.OwnersOf(0)) == 1 })
	})
	d, err := Rings(store).Get(t.Context(), inst.cfg.Key)
	if err != nil || len(d.Instances) != 0 {
		t.Errorf("left behind: %+v, %v", d, err)
	}
	p, err := PartitionRings(store).Get(t.Context(), pcfg.Key)
	if err != nil || len(p.Owners) != 0 {
		t.Errorf("left behind: %+v, %v", p, err)
	}
}
