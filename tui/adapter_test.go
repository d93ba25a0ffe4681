package tui

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// realCluster is three gossip members on loopback with a dead ingester and a
// partition ring, and a source on it.
func realCluster(t *testing.T, about About) (*clienttest.Cluster, Source) {
	t.Helper()
	cluster, err := clienttest.Start(t.Context(), clienttest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	now := time.Now()
	dead := clienttest.Edit(clienttest.Ring("ingester", 6, 16, now, "a", "b", "c"), "ingester-4", clienttest.Aged(now, time.Hour))
	parts, err := clienttest.Partitions(2, now, []string{"live-store-0"}, []string{"live-store-1"})
	for _, err := range []error{err, cluster.Put("collectors/ring", dead), cluster.Put("collectors/live-store", clienttest.Ring("live-store", 2, 0, now, "a")),
		cluster.PutPartitions("collectors/livestore-partitions", parts)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(client.Config{Seeds: cluster.Seeds()})
	if err != nil {
		t.Fatal(err)
	}
	return cluster, NewSource(c, about, nil)
}

// TestSourceOnACluster watches, plans and applies through a real client.
func TestSourceOnACluster(t *testing.T) {
	cluster, src := realCluster(t, About{Name: "loopback"})
	for snap, err := range src.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := snap.Ring("ingester"); !ok || len(r.Instances) != 6 {
			t.Fatalf("the first snapshot has %+v", snap.Rings)
		}
		break
	}
	views, err := src.Views(t.Context())
	if err != nil || len(views) != 3 {
		t.Fatalf("%d views, %v", len(views), err)
	}
	apply(t, src, Change{Action: client.Forget, Ring: "collectors/ring", IDs: []string{"ingester-4"}})
	apply(t, src, Change{Action: client.Deactivate, Ring: "collectors/livestore-partitions", IDs: []string{"1"}})
	for _, node := range cluster.Names() {
		if got := cluster.Ring(node, "collectors/ring").Instances["ingester-4"].State; got != ring.Left {
			t.Errorf("%s has ingester-4 as %s", node, got)
		}
		if got := cluster.Partitions(node, "collectors/livestore-partitions").Partitions[1].State; got != partition.Inactive {
			t.Errorf("%s has partition 1 as %s", node, got)
		}
	}
}

func apply(t *testing.T, src Source, c Change) {
	t.Helper()
	p, err := src.Plan(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	res, err := src.Apply(t.Context(), p, func(client.Progress) { told++ })
	if err != nil || res.Converged != 3 || told == 0 {
		t.Fatalf("%s: %+v, %v, told %d times", c.Action, res, err, told)
	}
}

// TestLargeStatesAreSampled asks a few members at a time, others each time.
func TestLargeStatesAreSampled(t *testing.T) {
	nodes, src := realCluster(t, About{Name: "loopback"})
	c := src.(*cluster)
	for snap, err := range src.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		large := *snap
		large.StateBytes = viewsBudget / 2
		for i := range 3 { // six members that answer at three addresses
			m := large.Members[i]
			m.Name += "-twin"
			large.Members = append(large.Members, m)
		}
		c.last.Store(&large)
		break
	}
	asked := map[string]bool{}
	for range 3 {
		views, err := src.Views(t.Context())
		var s sampled
		if !errors.As(err, &s) || s.asked != sampleLeast || s.of != 6 || len(views) != sampleLeast {
			t.Fatalf("%d views, %v", len(views), err)
		}
		for _, v := range views {
			asked[v.From] = true
		}
	}
	if len(asked) != len(nodes.Names()) {
		t.Errorf("only %v were asked in three rounds", asked)
	}
}

// TestSourceRefuses plans what must not be, or cannot be read.
func TestSourceRefuses(t *testing.T) {
	_, src := realCluster(t, About{Name: "loopback"})
	for _, c := range []Change{
		{Action: client.Activate, Ring: "collectors/livestore-partitions", IDs: []string{"0", "1"}},
		{Action: client.Activate, Ring: "collectors/livestore-partitions", IDs: []string{"one"}},
		{Action: client.Activate, Ring: "collectors/livestore-partitions"},
		{Action: client.Forget, Ring: "collectors/ring", IDs: []string{"nobody"}},
	} {
		if p, err := src.Plan(t.Context(), c); err == nil {
			t.Errorf("%v gave the plan %+v", c, p)
		}
	}
	_, closed := realCluster(t, About{Name: "loopback", ReadOnly: "it says so"})
	if _, err := closed.Plan(t.Context(), Change{Action: client.Forget, Ring: "collectors/ring", IDs: []string{"ingester-4"}}); !errors.Is(err, errReadOnly) {
		t.Errorf("a read-only source plans: %v", err)
	}
	if _, err := closed.Apply(t.Context(), &client.Plan{}, nil); !errors.Is(err, errReadOnly) {
		t.Errorf("a read-only source applies: %v", err)
	}
}

func TestReplay(t *testing.T) {
	snapshots := func(yield func(*client.Snapshot, error) bool) {
		_ = yield(calm().snapshot(), nil) && yield(troubled().snapshot(), nil)
	}
	src := NewReplay("friday", iter.Seq2[*client.Snapshot, error](snapshots), func(v []*client.Snapshot) []Finding {
		return []Finding{{Rule: fmt.Sprint(len(v))}}
	})
	if a := src.About(); !a.Recorded || a.ReadOnly == "" {
		t.Errorf("a recording says %+v", a)
	}
	n := 0
	for _, err := range src.Watch(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 || src.Examine(make([]*client.Snapshot, 3))[0].Rule != "3" {
		t.Errorf("%d snapshots", n)
	}
	if _, err := src.Plan(context.Background(), Change{}); err == nil || !strings.Contains(err.Error(), "recording") {
		t.Errorf("a recording plans: %v", err)
	}
}
