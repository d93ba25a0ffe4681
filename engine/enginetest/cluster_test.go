package enginetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// cluster is several tempod processes that share a bucket folder.
type cluster struct {
	t      testing.TB
	dir    string
	config string
	nodes  []*node
}

// tenants of a cluster, one for each write path.
const (
	byRing      = "replicated"
	byPartition = "partitions"
)

// newCluster makes a cluster without nodes. Its members are healthy for longer than a busy machine may hold them up.
func newCluster(t testing.TB) *cluster { return newClusterWhere(t, "40s") }

// newClusterWhere makes one whose members count as unhealthy after a silence of that length.
func newClusterWhere(t testing.TB, silent string) *cluster {
	c := &cluster{t: t, dir: t.TempDir()}
	c.config = filepath.Join(c.dir, "tempod.yaml")
	overrides := filepath.Join(c.dir, "overrides.yaml")
	ring := "{heartbeat_period: 1s, heartbeat_timeout: " + silent + ", auto_forget_unhealthy_periods: 0}"
	yaml := fmt.Sprintf(`multitenancy_enabled: true
server: {http_listen_address: 127.0.0.1, http_listen_port: 0, grpc_listen_address: 127.0.0.1, grpc_listen_port: 0}
memberlist: {cluster_label: enginetest, bind_addr: [127.0.0.1], bind_port: 0, rejoin_interval: 1s}
distributor:
  ring: %[1]s
  remote_timeout: 40s
  receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}}
ingester:
  lifecycler: {num_tokens: 32, ring: {heartbeat_period: 1s, heartbeat_timeout: %[3]s, replication_factor: 3, zone_awareness_enabled: true}}
  max_block_duration: 3s
  trace_idle_period: 500ms
  flush_all_on_shutdown: true
live_store:
  ring: %[1]s
  partition_ring: {min_partition_owners_duration: 1s}
  max_block_duration: 3s
  trace_idle_period: 500ms
  flush_all_on_shutdown: true
querier: {ring: %[1]s, ask_timeout: 40s}
backend_worker: {ring: %[1]s}
storage: {trace: {blocklist_poll: 1s}}
overrides: {per_tenant_override_config: %[2]q}
`, ring, overrides, silent)
	for path, text := range map[string]string{c.config: yaml, overrides: "overrides: {" + byPartition + ": {ingestion: {write_path: partitions}}}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// add starts a process of the cluster.
func (c *cluster) add(target, name, zone string, more ...string) *node {
	c.t.Helper()
	n := newNode(c.t, name, append([]string{"--config.file", c.config, "--target", target, "--instance.id", name, "--instance.zone", zone,
		"--data.dir", filepath.Join(c.dir, name), "--storage.local-path", filepath.Join(c.dir, "blocks")}, more...)...)
	c.launch(n)
	c.nodes = append(c.nodes, n)
	return n
}

// launch starts a process, which joins through all others.
func (c *cluster) launch(n *node) {
	c.t.Helper()
	args := n.args
	for _, other := range c.nodes {
		if other != n {
			n.args = append(n.args[:len(n.args):len(n.args)], "--memberlist.join", other.addr("gossip"))
		}
	}
	n.launch()
	n.args = args
}

func (c *cluster) node(name string) *node {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	c.t.Fatalf("no node %s", name)
	return nil
}

// layout is a small cluster with both write paths in three zones.
var layout = [][3]string{
	{"ingester", "ingester-a", "a"}, {"ingester", "ingester-b", "b"}, {"ingester", "ingester-c", "c"},
	{"live-store", "live-store-a-0", "a"}, {"live-store", "live-store-b-0", "b"}, {"live-store", "live-store-c-0", "c"},
	{"distributor", "distributor", "a"}, {"querier", "querier", "b"}, {"query-frontend", "query-frontend", "c"}, {"backend-worker", "backend-worker", "a"},
}

// startLayout starts the layout and waits until every ring is complete in the
// eyes of every process that uses it.
func startLayout(t testing.TB) *cluster {
	c := newCluster(t)
	for _, l := range layout {
		c.add(l[0], l[1], l[2])
	}
	c.settle()
	return c
}

// settle waits until every node is ready and every ring is complete.
func (c *cluster) settle() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.ready()
	}
	until(c.t, "every ring is complete", c.complete)
}

// complete is nil when every ring is, in the eyes of those who use it.
func (c *cluster) complete() error {
	var all error
	for _, w := range []struct {
		node, page string
		members    int
	}{
		{"distributor", "/ingester/ring", 3}, {"distributor", "/live-store/ring", 3}, {"querier", "/ingester/ring", 3},
		{"querier", "/live-store/ring", 3}, {"query-frontend", "/querier/ring", 1},
	} {
		if err := ringComplete(c.node(w.node), w.page, w.members); err != nil {
			all = errors.Join(all, fmt.Errorf("%s sees %s: %w", w.node, w.page, err))
		}
	}
	for _, name := range []string{"distributor", "querier"} {
		if err := partitionComplete(c.node(name), 3); err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", name, err))
		}
	}
	return all
}

// page reads a ring page as JSON.
func page(n *node, path string, into any) error {
	req, err := http.NewRequest(http.MethodGet, n.http()+path, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: %s: %w", path, resp.Status, err)
	}
	return nil
}

// ringComplete is nil when a node sees that many members, all healthy.
func ringComplete(n *node, path string, want int) error {
	var r ringapi.RingPage
	if err := page(n, path, &r); err != nil {
		return err
	}
	active := 0
	for _, s := range r.Shards {
		if s.State == "ACTIVE" {
			active++
		}
	}
	if active != want || len(r.Shards) != want {
		return fmt.Errorf("%d of %d members are ACTIVE, want %d", active, len(r.Shards), want)
	}
	return nil
}

// partitionComplete is nil when a node sees one active partition with that many
// healthy owners.
func partitionComplete(n *node, owners int) error {
	var r ringapi.PartitionPage
	if err := page(n, "/partition-ring", &r); err != nil {
		return err
	}
	if len(r.Partitions) != 1 {
		return fmt.Errorf("%d partitions, want 1", len(r.Partitions))
	}
	if p := r.Partitions[0]; p.State != int32(partition.Active) || p.HealthyOwners != owners {
		return fmt.Errorf("partition 0 is %s with %d healthy owners of %v", p.StateName, p.HealthyOwners, p.OwnerIDs)
	}
	return nil
}

// TestKillingEachNodeLosesNothing kills one node of each kind after the other
// while spans come in on both write paths, and starts it again.
func TestKillingEachNodeLosesNothing(t *testing.T) {
	c := startLayout(t)
	otlp := func() string { return c.node("distributor").addr("otlp-http") }
	frontend := func() string { return c.node("query-frontend").http() }
	paths := []*traffic{newTraffic(t, otlp, byRing, "killed"), newTraffic(t, otlp, byPartition, "killed")}
	stop := make(chan struct{})
	for _, tr := range paths {
		senders := tr.flood(1, stop)
		defer senders.Wait()
	}
	defer func() { // before the senders are waited for
		select {
		case <-stop:
		default:
			close(stop)
		}
	}()
	for _, victim := range []string{"ingester-b", "live-store-b-0", "distributor", "querier", "query-frontend", "backend-worker", "ingester-a"} {
		n := c.node(victim)
		n.kill()
		for _, tr := range paths {
			if victim != "distributor" {
				tr.awaitAcks(20) // the others go on
			}
		}
		c.launch(n)
		n.ready()
		for _, tr := range paths {
			tr.awaitAcks(20)
		}
	}
	close(stop)
	c.settle()
	for _, tr := range paths {
		acked, doubtful := tr.count()
		t.Logf("%s: %d exports acknowledged, %d in doubt", tr.tenant, acked, doubtful)
		tr.checkCopies(frontend, 3)
	}
}
