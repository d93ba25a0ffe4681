package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/engine/ring"
)

const ingester = "collectors/ring"

func start(t *testing.T, cfg clienttest.Config) *clienttest.Cluster {
	t.Helper()
	c, err := clienttest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func dial(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// agreed is a context whose time is up when so many members agree: a deadline would be too early on a slow machine, and too
// late on a quick one.
type agreed struct {
	context.Context
	want int
	up   chan struct{}
}

func untilAgreed(t *testing.T, members int) agreed {
	return agreed{t.Context(), members, make(chan struct{})}
}

func (a agreed) Done() <-chan struct{} { return a.up }

func (a agreed) Err() error {
	select {
	case <-a.up:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// options wait for long, and tell the context.
func (a agreed) options() client.ApplyOptions {
	return client.ApplyOptions{Wait: time.Minute, Progress: func(p client.Progress) {
		if p.Done == a.want && a.Err() == nil {
			close(a.up)
		}
	}}
}

func TestObservingLeavesNoTrace(t *testing.T) {
	cluster := start(t, clienttest.Config{Label: "prod"})
	must(t, cluster.Put(ingester, clienttest.Ring("ingester", 3, 64, time.Now(), "a", "b", "c")))
	c := dial(t, client.Config{Seeds: cluster.Seeds()[:1], Label: "prod"})
	s, err := c.Snapshot(t.Context())
	must(t, err)
	if s.From != "node-0" || len(s.Members) != 3 || s.Verdict != client.OK {
		t.Errorf("from %s, %d members, %s %s", s.From, len(s.Members), s.Verdict, s.Problem)
	}
	r, ok := s.Ring("ingester")
	if !ok || len(r.Instances) != 3 || r.Write.Margin != 1 || !r.ZoneAware || r.ReplicationFactor != 3 {
		t.Fatalf("ring %+v, write %+v", r, r.Write)
	}
	views, err := c.Views(t.Context())
	must(t, err)
	if len(views) != 3 {
		t.Errorf("%d views", len(views))
	}
	for _, name := range []string{"node-0", "node-1", "node-2"} {
		if n := cluster.Members(name); n != 3 {
			t.Errorf("%s counts %d members after being observed", name, n)
		}
	}
}

func TestForgetDead(t *testing.T) {
	cluster := start(t, clienttest.Config{})
	now := time.Now()
	d := clienttest.Edit(clienttest.Ring("ingester", 4, 16, now), "ingester-2", clienttest.Aged(now, time.Hour))
	must(t, cluster.Put(ingester, d))
	c := dial(t, client.Config{Seeds: cluster.Seeds()})
	p, err := c.PlanForget(t.Context(), client.ForgetRequest{Ring: "ingester", IDs: []string{"ingester-2"}})
	must(t, err)
	if err := p.Allowed(false); err != nil || p.Danger != client.Moderate {
		t.Fatalf("%v, danger %s, checks %+v", err, p.Danger, p.Checks)
	}
	res, err := c.Apply(t.Context(), p, client.ApplyOptions{})
	must(t, err)
	if res.Converged != 3 || res.Total != 3 {
		t.Errorf("%d of %d converged", res.Converged, res.Total)
	}
	for _, name := range []string{"node-0", "node-1", "node-2"} {
		got := cluster.Ring(name, ingester)
		if e := got.Instances["ingester-2"]; e.State != ring.Left || len(e.Tokens) != 0 {
			t.Errorf("%s has %+v", name, e)
		}
		if len(got.Instances) != 4 || got.Instances["ingester-1"].State != ring.Active {
			t.Errorf("%s: other entries were touched", name)
		}
	}
}

func TestForgetRefusesTheLiving(t *testing.T) {
	cluster := start(t, clienttest.Config{})
	must(t, cluster.Put(ingester, clienttest.Ring("ingester", 4, 16, time.Now())))
	c := dial(t, client.Config{Seeds: cluster.Seeds()})
	_, err := c.Forget(t.Context(), client.ForgetRequest{Ring: "ingester", IDs: []string{"ingester-2"}}, false)
	if client.CodeOf(err) != client.CodeRefused {
		t.Fatalf("got %v", err)
	}
	if e := cluster.Ring("node-1", ingester).Instances["ingester-2"]; e.State != ring.Active {
		t.Errorf("changed to %s", e.State)
	}
}

func TestForgetTellsWhoDidNotHear(t *testing.T) {
	cluster := start(t, clienttest.Config{})
	now := time.Now()
	d := clienttest.Edit(clienttest.Ring("ingester", 4, 16, now), "ingester-2", clienttest.Aged(now, time.Hour))
	must(t, cluster.Put(ingester, d))
	cluster.Deafen("node-1")
	c := dial(t, client.Config{Seeds: cluster.Seeds()})
	p, err := c.PlanForget(t.Context(), client.ForgetRequest{Ring: "ingester", IDs: []string{"ingester-2"}})
	must(t, err)
	ctx := untilAgreed(t, 2)
	res, err := c.Apply(ctx, p, ctx.options())
	if client.CodeOf(err) != client.CodeNotConverged || res.Converged != 2 || len(res.Laggards) != 1 || res.Laggards[0].Member != "node-1" {
		t.Fatalf("%v, %+v", err, res)
	}
}

func TestWrongLabelIsNoView(t *testing.T) {
	cluster := start(t, clienttest.Config{Label: "prod", Names: []string{"one"}})
	c := dial(t, client.Config{Seeds: cluster.Seeds(), Label: "test", Timeout: time.Second})
	_, err := c.Snapshot(t.Context())
	if client.CodeOf(err) != client.CodeNoView {
		t.Fatalf("got %v", err)
	}
}

func TestPartitionEdits(t *testing.T) {
	cluster := start(t, clienttest.Config{})
	now := time.Now()
	must(t, cluster.Put("collectors/live-store", clienttest.Ring("live-store", 2, 0, now, "a", "b")))
	d, err := clienttest.Partitions(2, now, []string{"live-store-0", "live-store-1"}, []string{"live-store-1"})
	must(t, err)
	must(t, cluster.PutPartitions("collectors/livestore-partitions", d))
	c := dial(t, client.Config{Seeds: cluster.Seeds()})
	ctx := t.Context()
	apply := func(req client.PartitionRequest) error {
		p, err := c.PlanPartition(ctx, req)
		if err != nil {
			return err
		}
		_, err = c.Apply(ctx, p, client.ApplyOptions{})
		return err
	}
	must(t, apply(client.PartitionRequest{Partition: 1, Action: client.Deactivate, AndLock: true}))
	got := cluster.Partitions("node-2", "collectors/livestore-partitions").Partitions[1]
	if got.State.String() != "PartitionInactive" || !got.StateChangeLocked || len(got.Tokens) != 512 {
		t.Errorf("got %v locked %v, %d tokens", got.State, got.StateChangeLocked, len(got.Tokens))
	}
	for _, req := range []client.PartitionRequest{
		{Partition: 1, Action: client.Activate},        // locked
		{Partition: 0, Action: client.Deactivate},      // the last active one
		{Partition: 1, Action: client.RemovePartition}, // has an owner
		{Owner: "live-store-1", Action: client.RemoveOwner},
	} {
		if err := apply(req); client.CodeOf(err) != client.CodeRefused {
			t.Errorf("%s %d: %v", req.Action, req.Partition, err)
		}
	}
	if err := apply(client.PartitionRequest{Partition: 7, Action: client.Lock}); client.CodeOf(err) != client.CodeNotFound {
		t.Errorf("unknown partition: %v", err)
	}
}

func TestWatchAsGuest(t *testing.T) {
	cluster := start(t, clienttest.Config{Live: true, Names: []string{"one", "two"}})
	now := time.Now()
	must(t, cluster.Put(ingester, clienttest.Ring("ingester", 3, 4, now)))
	c := dial(t, client.Config{Seeds: cluster.Seeds(), Join: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for s, err := range c.Watch(ctx) {
		must(t, err)
		if s.Mode != client.Join {
			t.Fatalf("mode %s: %s", s.Mode, s.Note)
		}
		r, _ := s.Ring("ingester")
		if len(r.Instances) == 4 {
			return
		}
		must(t, cluster.Put(ingester, clienttest.Ring("ingester", 4, 4, now), "one"))
	}
	t.Fatal("the change was not seen")
}
