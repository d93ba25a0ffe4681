package enginetest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// TestPartitionsComeAndGo makes one of two partitions INACTIVE and ACTIVE again, as
// rollout tools do: its writes stop and begin, and every span counts once at every
// step, although the keepers hold spans of tokens that now belong to others.
func TestPartitionsComeAndGo(t *testing.T) {
	c := newCluster(t)
	config, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	calm := strings.ReplaceAll(string(config), "max_block_duration: 3s", "max_block_duration: 1h") + "ring_admin: {downscale_without_credential: true}\n"
	if err := os.WriteFile(c.config, []byte(calm), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"live-store-a-0", "live-store-b-0", "live-store-a-1", "live-store-b-1"} {
		c.add("live-store", name, name[len("live-store-"):len("live-store-a")])
	}
	front := c.add("distributor,querier,query-frontend", "front", "a")
	mover := c.node("live-store-b-1")
	seen := func(want partition.State) func() error {
		return func() error { return partitionStates(front, 2, partition.Active, want) }
	}
	until(t, "both partitions are active", seen(partition.Active))
	front.ready()
	tr := newTraffic(t, func() string { return front.addr("otlp-http") }, byPartition, "partitions")
	a := api{front.http, byPartition}
	dice := rand.New(rand.NewPCG(3, 4))
	before := map[string]float64{}
	for _, step := range []struct {
		method string
		want   partition.State
		takes  bool // partition 1 takes spans
	}{{"", partition.Active, true}, {http.MethodPost, partition.Inactive, false}, {http.MethodDelete, partition.Active, true}, {http.MethodPost, partition.Inactive, false}} {
		if step.method != "" {
			downscale(t, mover, step.method)
		}
		until(t, "the distributor knows", seen(step.want))
		until(t, "writes follow", func() error { // its distributor may hear of it a moment later than its pages
			for range 20 {
				if err := tr.send(t.Context(), dice, 2, 4); err != nil {
					t.Fatal(err)
				}
			}
			var wrong error
			for name, takes := range map[string]bool{"live-store-a-0": true, "live-store-a-1": step.takes} {
				_, text, err := c.node(name).get("/metrics")
				if err != nil {
					return err
				}
				now := value(text, "tempod_recent_spans_total")
				if took := now > before[name]; took != takes {
					wrong = fmt.Errorf("partition 1 is %s: %s took spans: %v", step.want, name, took)
				}
				before[name] = now
			}
			return wrong
		})
		until(t, "every span is counted once", func() error { return a.allCounted(tr) }) // the last owner may still be writing
		a.allWhole(t, tr.acknowledged())
	}
}

// downscale asks a live-store to make its partition INACTIVE (POST) or ACTIVE (DELETE).
func downscale(t *testing.T, n *node, method string) {
	t.Helper()
	req, err := http.NewRequest(method, n.http()+"/live-store/prepare-partition-downscale", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s (%v)", method, resp.Status, body, err)
	}
}

// partitionStates is nil when a node sees that many healthy owners of partitions in
// these states, in the order of their numbers.
func partitionStates(n *node, owners int, states ...partition.State) error {
	var r ringapi.PartitionPage
	if err := page(n, "/partition-ring", &r); err != nil {
		return err
	}
	if len(r.Partitions) != len(states) {
		return fmt.Errorf("%d partitions, want %d", len(r.Partitions), len(states))
	}
	var all error
	for i, p := range r.Partitions {
		if p.State != int32(states[i]) || p.HealthyOwners != owners {
			all = errors.Join(all, fmt.Errorf("partition %d is %s with %d healthy owners of %v", i, p.StateName, p.HealthyOwners, p.OwnerIDs))
		}
	}
	return all
}
