package membership

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv/gossipkv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// gossipMember is a process with an instance and a partition on a gossip cluster over loopback.
type gossipMember struct {
	cluster *gossip.Cluster
	inst    *Instance
	part    *Partition
	cancel  context.CancelFunc
	done    chan error
}

func startGossipMember(t *testing.T, n int, join ...string) *gossipMember {
	t.Helper()
	g := gossip.DefaultConfig()
	g.ClusterLabel, g.BindAddr, g.BindPort, g.JoinMembers = "membership-test", []string{"127.0.0.1"}, 0, join
	g.NodeName, g.GossipInterval = fmt.Sprintf("node-%d", n), 20*time.Millisecond
	c, err := gossip.Open(g, gossipkv.Codecs(), quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &gossipMember{cluster: c, done: make(chan error, 3)}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	id := fmt.Sprintf("live-store-%d", n)
	cfg := configFrom(args{id, "tokens=8", "zone=z"})
	if m.inst, err = New(cfg, gossipkv.New(c, gossipkv.RingCodec{}), quiet(), nil); err != nil {
		t.Fatal(err)
	}
	pcfg := DefaultPartitionConfig()
	pcfg.Key, pcfg.Partition, pcfg.OwnerID, pcfg.Instances = "collectors/partitions", int32(n), id, m.inst.Ring
	if m.part, err = NewPartition(pcfg, gossipkv.New(c, gossipkv.PartitionCodec{}), quiet(), nil); err != nil {
		t.Fatal(err)
	}
	gctx, gcancel := context.WithCancel(context.Background())
	gdone := make(chan error, 1)
	go func() { gdone <- c.Run(gctx) }()
	<-c.Joined()
	go func() { m.done <- m.inst.Run(ctx) }()
	go func() { m.done <- m.part.Run(ctx) }()
	t.Cleanup(func() {
		m.cancel()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		gcancel()
		if err := <-gdone; err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestOverGossip lets three processes find each other over real gossip on loopback. Several changes within
// one second must reach everybody, and so must a goodbye right after them.
func TestOverGossip(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	a := startGossipMember(t, 0)
	b := startGossipMember(t, 1, a.cluster.Addr())
	c := startGossipMember(t, 2, a.cluster.Addr())
	members := []*gossipMember{a, b, c}
	everybody := func(what string, ok func(*ring.Ring) bool) {
		t.Helper()
		for n, m := range members {
			if err := m.inst.WaitFor(ctx, ok); err != nil {
				t.Fatalf("%s: member %d: %v, its ring: %+v", what, n, err, m.inst.Ring().Instances())
			}
		}
	}
	everybody("joined", func(r *ring.Ring) bool { return len(r.Instances()) == 3 && r.TokenCount() == 24 })
	for _, on := range []bool{true, false, true} {
		if err := b.inst.SetReadOnly(ctx, on); err != nil {
			t.Fatal(err)
		}
	}
	everybody("read-only", func(r *ring.Ring) bool {
		i, ok := r.InstanceByID("live-store-1")
		return ok && i.ReadOnly
	})
	if err := c.part.WaitFor(ctx, func(r *partition.Ring) bool { return len(r.Owned()) == 3 }); err != nil {
		t.Fatalf("partitions: %v, %v", err, c.part.Ring().Partitions())
	}
	if err := b.inst.Ready(); err != nil {
		t.Error(err)
	}
	b.cancel()
	for range 2 {
		if err := <-b.done; err != nil {
			t.Error(err)
		}
	}
	members = []*gossipMember{a, c}
	everybody("left", func(r *ring.Ring) bool {
		_, ok := r.InstanceByID("live-store-1")
		return !ok
	})
	if err := c.part.WaitFor(ctx, func(r *partition.Ring) bool { return len(r.OwnersOf(1)) == 0 }); err != nil {
		t.Errorf("owner removed: %v", err)
	}
}
