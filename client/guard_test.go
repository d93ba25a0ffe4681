package client_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/engine/ring"
)

// forgotten starts a cluster in which ingester-2 is dead, lets prepare break it, forgets ingester-2, which so many members
// hear, and returns what is needed to guard that.
func forgotten(t *testing.T, hear int, prepare func(*clienttest.Cluster)) (*clienttest.Cluster, *client.Client, *client.Plan, ring.Instance) {
	t.Helper()
	cluster := start(t, clienttest.Config{})
	now := time.Now()
	d := clienttest.Edit(clienttest.Ring("ingester", 4, 16, now), "ingester-2", clienttest.Aged(now, time.Hour))
	old := d.Clone().Instances["ingester-2"]
	must(t, cluster.Put(ingester, d))
	prepare(cluster)
	c := dial(t, client.Config{Seeds: cluster.Seeds()})
	p, err := c.PlanForget(t.Context(), client.ForgetRequest{Ring: "ingester", IDs: []string{"ingester-2"}})
	must(t, err)
	ctx := untilAgreed(t, hear)
	_, err = c.Apply(ctx, p, ctx.options())
	if err != nil && client.CodeOf(err) != client.CodeNotConverged {
		t.Fatal(err)
	}
	return cluster, c, p, old
}

// TestGuardNamesTheCarrier: the member that missed the removal is told from those that took the entry over from it.
func TestGuardNamesTheCarrier(t *testing.T) {
	cluster, c, p, _ := forgotten(t, 2, func(c *clienttest.Cluster) { c.Deafen("node-1") })
	var seen []client.Resurrection
	err := c.Guard(t.Context(), p, 2500*time.Millisecond, func(r client.Resurrection) {
		seen = append(seen, r)
		cluster.Heal("node-1")
	})
	must(t, err)
	if len(seen) == 0 || seen[0].Member != "node-1" || !seen[0].Missed || seen[0].Alive || !slices.Equal(seen[0].Holders, []string{"node-1"}) {
		t.Errorf("seen %+v", seen)
	}
	if e := cluster.Ring("node-1", ingester).Instances["ingester-2"]; e.State != ring.Left {
		t.Errorf("node-1 still has %+v", e)
	}
}

// TestGuardTellsTheLiving: an instance that registers again is no ghost, and is left alone.
func TestGuardTellsTheLiving(t *testing.T) {
	cluster, c, p, old := forgotten(t, 3, func(*clienttest.Cluster) {})
	old.Timestamp = time.Now().Unix() + 1
	must(t, cluster.Put(ingester, &ring.Desc{Instances: map[string]ring.Instance{old.ID: old}}, "node-2"))
	var seen []client.Resurrection
	err := c.Guard(t.Context(), p, time.Second, func(r client.Resurrection) { seen = append(seen, r) })
	if client.CodeOf(err) != client.CodeNotConverged || len(seen) == 0 || !seen[0].Alive || seen[0].Member != "node-2" {
		t.Errorf("%v, seen %+v", err, seen)
	}
	if e := cluster.Ring("node-2", ingester).Instances["ingester-2"]; e.State != ring.Active {
		t.Errorf("the living instance became %s", e.State)
	}
}

// TestRestartedMemberIsNotMissed: the name under which a member ran before it was started again is no member that gives no view.
func TestRestartedMemberIsNotMissed(t *testing.T) {
	for _, c := range []struct {
		old    string
		missed int
	}{{"a-0123abcd", 0}, {"c-0123abcd", 1}} {
		cluster := start(t, clienttest.Config{Names: []string{c.old, "a-89ef4567", "b-4567cdef"}})
		must(t, cluster.Put(ingester, clienttest.Ring("ingester", 3, 4, time.Now())))
		must(t, cluster.Kill(c.old))
		views, err := dial(t, client.Config{Seeds: cluster.Seeds()[1:2]}).Views(t.Context())
		var u *client.Unreached
		if missed := errors.As(err, &u); len(views) != 2 || missed != (c.missed > 0) || missed && len(u.Members) != c.missed {
			t.Errorf("%s: %d views, %v", c.old, len(views), err)
		}
	}
}

// TestSilentAfterThePlan: a member that was read for the plan and is silent when the change is made counts as one that does
// not agree, and is named.
func TestSilentAfterThePlan(t *testing.T) {
	cluster := start(t, clienttest.Config{})
	now := time.Now()
	d := clienttest.Edit(clienttest.Ring("ingester", 4, 16, now), "ingester-2", clienttest.Aged(now, time.Hour))
	must(t, cluster.Put(ingester, d))
	c := dial(t, client.Config{Seeds: cluster.Seeds()})
	p, err := c.PlanForget(t.Context(), client.ForgetRequest{Ring: "ingester", IDs: []string{"ingester-2"}})
	must(t, err)
	must(t, cluster.Kill("node-0"))
	ctx := untilAgreed(t, 2)
	res, err := c.Apply(ctx, p, ctx.options())
	if client.CodeOf(err) != client.CodeNotConverged || res.Converged != 2 || res.Total != 3 || len(res.Laggards) != 1 || res.Laggards[0].Member != "node-0" {
		t.Fatalf("%v, %+v", err, res)
	}
	if !slices.Equal(res.Sent, []string{"node-1", "node-2"}) {
		t.Errorf("sent to %v", res.Sent)
	}
}
