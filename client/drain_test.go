package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

const (
	parts  = "collectors/livestore-partitions"
	stores = "collectors/live-store"
)

// drained is a cluster with two partitions, each with an owner.
func drained(t *testing.T) (*clienttest.Cluster, *client.Client) {
	t.Helper()
	cluster := start(t, clienttest.Config{})
	now := time.Now()
	d, err := clienttest.Partitions(2, now, []string{"live-store-0"}, []string{"live-store-1"})
	must(t, err)
	must(t, cluster.Put(stores, clienttest.Ring("live-store", 2, 0, now, "a")))
	must(t, cluster.PutPartitions(parts, d))
	return cluster, dial(t, client.Config{Seeds: cluster.Seeds()})
}

// leave takes the owner of partition 1 out of all rings, as a stop for good does.
func leave(t *testing.T, cluster *clienttest.Cluster) {
	t.Helper()
	d := cluster.Partitions("node-0", parts)
	d.Owners = map[string]partition.Owner{"live-store-1": {OwnedPartition: 1, State: partition.OwnerDeleted, UpdatedTimestamp: time.Now().Unix() + 1}}
	d.Partitions = nil
	must(t, cluster.PutPartitions(parts, d))
	gone := clienttest.Edit(clienttest.Ring("live-store", 2, 0, time.Now(), "a"), "live-store-1", func(i *ring.Instance) { i.State = ring.Left })
	must(t, cluster.Put(stores, gone))
}

// waitsFor is the first stage that is not done.
func waitsFor(s *client.DrainStatus) client.DrainStage {
	i := slices.IndexFunc(s.Steps, func(st client.DrainStep) bool { return !st.Done })
	if i < 0 {
		return ""
	}
	return s.Steps[i].Stage
}

// TestDrain follows a scale-down to its end, through an owner that still holds data and a moment without any view. Each thing that it
// waits for happens when it says that it waits for it.
func TestDrain(t *testing.T) {
	cluster, c := drained(t)
	var holds atomic.Int64
	holds.Store(42)
	owner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		must(t, json.NewEncoder(w).Encode(ringapi.DrainStatus{Unshipped: holds.Load()}))
	}))
	defer owner.Close()
	var stages []client.DrainStage
	var made []client.Action
	blind := 0
	req := client.DrainRequest{Partition: 1, Ask: []string{owner.URL}, Remove: true}
	s, err := c.Drain(t.Context(), req, client.DrainOptions{
		Every: time.Millisecond,
		CarryOut: func(ctx context.Context, p *client.Plan) error {
			made = append(made, p.Action)
			_, err := c.Apply(ctx, p, client.ApplyOptions{})
			return err
		},
		Report: func(s *client.DrainStatus, err error) {
			if err != nil {
				if blind++; client.CodeOf(err) != client.CodeNoView {
					t.Errorf("without a view: %v", err)
				}
				for _, n := range cluster.Names() {
					cluster.Heal(n)
				}
				return
			}
			stage := waitsFor(s)
			if len(stages) == 0 || stages[len(stages)-1] != stage {
				stages = append(stages, stage)
			}
			switch {
			case stage == client.DrainBlocks && blind == 0:
				for _, n := range cluster.Names() {
					cluster.Cut(n)
				}
			case stage == client.DrainBlocks:
				holds.Store(0)
			case stage == client.DrainOwners:
				leave(t, cluster)
			}
		},
	})
	must(t, err)
	if want := []client.DrainStage{client.DrainBlocks, client.DrainOwners, ""}; !slices.Equal(stages, want) || blind != 1 {
		t.Errorf("it waited for %v, want %v, and was blind %d times", stages, want, blind)
	}
	if want := []client.Action{client.Deactivate, client.RemovePartition}; !slices.Equal(made, want) || s.State != client.StateGone {
		t.Errorf("it made %v, want %v, and ended with %+v", made, want, s)
	}
	again, err := c.DrainStatus(t.Context(), req)
	if err != nil || !again.Finished(req) {
		t.Errorf("after its removal: %+v, %v", again, err)
	}
	if _, err := c.DrainStatus(t.Context(), client.DrainRequest{Partition: 7}); client.CodeOf(err) != client.CodeNotFound {
		t.Errorf("a partition that never was: %v", err)
	}
}

// TestPlanDrain confirms once, stops in the middle, and goes on with a new plan.
func TestPlanDrain(t *testing.T) {
	cluster, c := drained(t)
	req := client.DrainRequest{Partition: 1, Remove: true}
	p, err := c.PlanDrain(t.Context(), req)
	must(t, err)
	if p.Action != client.Drain || p.Danger != client.Severe || p.Confirm != "1" || p.Pending() != 1 || p.Allowed(false) != nil {
		t.Fatalf("the plan is %+v", p)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var made []client.Action
	_, err = c.Apply(ctx, p, client.ApplyOptions{Every: time.Millisecond, Progress: func(pr client.Progress) {
		if pr.Made != nil {
			made = append(made, pr.Made.Plan.Action)
		}
		if pr.Drain != nil && waitsFor(pr.Drain) == client.DrainOwners {
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	if _, err := c.Apply(t.Context(), p, client.ApplyOptions{}); client.CodeOf(err) != client.CodeRefused {
		t.Errorf("a plan of before was carried out: %v", err)
	}
	leave(t, cluster)
	p, err = c.PlanDrain(t.Context(), req)
	must(t, err)
	res, err := c.Apply(t.Context(), p, client.ApplyOptions{Every: time.Millisecond, Progress: func(pr client.Progress) {
		if pr.Made != nil {
			made = append(made, pr.Made.Plan.Action)
		}
	}})
	must(t, err)
	if want := []client.Action{client.Deactivate, client.RemovePartition}; !slices.Equal(made, want) || res.Converged != 3 {
		t.Errorf("it made %v, want %v: %+v", made, want, res)
	}
	if p, err = c.PlanDrain(t.Context(), req); err != nil || p.Pending() != 0 {
		t.Errorf("once it is gone: %+v, %v", p, err)
	}
}

// TestPlanDrainRefuses names what must not begin: the last ACTIVE partition, and one whose state somebody holds.
func TestPlanDrainRefuses(t *testing.T) {
	cluster, c := drained(t)
	d := cluster.Partitions("node-0", parts)
	_, err := partition.ChangeAndLock(d, 0, partition.Inactive, time.Now())
	must(t, err)
	must(t, cluster.PutPartitions(parts, d))
	for id, want := range map[int32]string{1: "active", 0: "lock"} {
		p, err := c.PlanDrain(t.Context(), client.DrainRequest{Partition: id, Remove: true})
		must(t, err)
		if p.Allowed(false) == nil || !slices.ContainsFunc(p.Checks, func(ch client.Check) bool { return ch.Name == want && ch.Level != client.Pass }) {
			t.Errorf("partition %d may be drained: %+v", id, p.Checks)
		}
	}
}

// TestDrainGivesWay ends when somebody activates the partition again.
func TestDrainGivesWay(t *testing.T) {
	cluster, c := drained(t)
	made := 0
	_, err := c.Drain(t.Context(), client.DrainRequest{Partition: 1, Remove: true}, client.DrainOptions{
		Every: time.Millisecond,
		CarryOut: func(ctx context.Context, p *client.Plan) error {
			made++
			_, err := c.Apply(ctx, p, client.ApplyOptions{})
			return err
		},
		Report: func(s *client.DrainStatus, _ error) {
			d := cluster.Partitions("node-0", parts)
			if _, err := partition.ChangeState(d, 1, partition.Active, time.Now().Add(time.Second)); err != nil {
				t.Error(err)
			}
			must(t, cluster.PutPartitions(parts, d))
		},
	})
	if client.CodeOf(err) != client.CodeRefused || made != 1 {
		t.Errorf("after %d changes: %v", made, err)
	}
}
