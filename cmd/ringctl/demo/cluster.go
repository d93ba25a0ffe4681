package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ringctl/ringctl/engine/folderlock"
)

// node is one tempod process.
type node struct {
	name  string
	args  []string
	cmd   *exec.Cmd
	stdin io.Closer         // closing it asks the process to stop; the system closes it if we die
	addrs map[string]string // from the ready line: http, grpc, gossip, otlp-http, …
	log   string            // path of its log
	ended chan struct{}     // closed when the process is gone
}

// cluster is the processes of a demo, in the order they were started.
type cluster struct {
	tempod string
	dir    string
	lock   *folderlock.Lock // of dir; the nodes have it too
	config string
	silent time.Duration // heartbeat timeout
	nodes  []*node
	seed   string // gossip address of the first node
}

// startTimeout is how long a node may take until its ready line.
const startTimeout = 2 * time.Minute

// newCluster makes the demo's folder and writes the nodes' configuration.
func newCluster(tempod string, silent time.Duration) (*cluster, error) {
	dir, lock, err := makeFolder()
	if err != nil {
		return nil, err
	}
	c := &cluster{tempod: tempod, dir: dir, lock: lock, config: filepath.Join(dir, configName), silent: silent}
	err = errors.Join(os.WriteFile(c.config, []byte(configYAML(dir, silent)), 0o600), os.WriteFile(overridesFile(dir), []byte(overridesYAML), 0o600))
	if err != nil {
		return nil, errors.Join(err, lock.Close(), os.RemoveAll(dir))
	}
	return c, nil
}

// configName is the name of the nodes' configuration in the folder.
const configName = "tempod.yaml"

// Label is the cluster label of a demo.
const Label = "ringctl-demo"

// When a silent member of a demo counts as unhealthy: far sooner than in
// production, so that a kill is seen while one watches. Nobody watches the script:
// there a machine that is busy elsewhere for a while changes nothing.
const (
	livelyTimeout = 6 * time.Second
	calmTimeout   = 16 * time.Second
)

// tenantReplicated and tenantPartitions take one write path each.
const (
	tenantReplicated = "replicated"
	tenantPartitions = "partitions"
)

// nodeEnv is the variable in which a node finds its name: all of them are on
// one host, so that the host's name would not tell them apart.
const nodeEnv = "RINGCTL_DEMO_NODE"

// configYAML is the configuration that all nodes share.
func configYAML(dir string, silent time.Duration) string {
	ring := fmt.Sprintf("{heartbeat_period: 1s, heartbeat_timeout: %s, auto_forget_unhealthy_periods: 0}", silent)
	return fmt.Sprintf(`multitenancy_enabled: true
server: {http_listen_address: 127.0.0.1, http_listen_port: 0, grpc_listen_address: 127.0.0.1, grpc_listen_port: 0, log_level: info}
memberlist: {node_name: "${%[6]s}", cluster_label: %[1]s, bind_addr: [127.0.0.1], bind_port: 0, rejoin_interval: 5s}
distributor:
  ring: %[2]s
  receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}}
ingester:
  lifecycler: {num_tokens: 64, ring: {heartbeat_period: 1s, heartbeat_timeout: %[3]s, replication_factor: 3, zone_awareness_enabled: true}}
  max_block_duration: 30s
live_store:
  ring: %[2]s
  partition_ring: {min_partition_owners_duration: 1s}
  max_block_duration: 30s
querier: {ring: %[2]s}
backend_worker: {ring: %[2]s}
storage: {trace: {backend: local, local: {path: %[4]q}, blocklist_poll: 5s}}
overrides: {per_tenant_override_config: %[5]q}
`, Label, ring, silent, filepath.Join(dir, "blocks"), overridesFile(dir), nodeEnv)
}

func overridesFile(dir string) string { return filepath.Join(dir, "overrides.yaml") }

// overridesYAML sends one tenant's spans down the partitions path.
const overridesYAML = "overrides: {" + tenantPartitions + ": {ingestion: {write_path: partitions}}}\n"

// start runs one node and waits for its ready line.
func (c *cluster) start(ctx context.Context, target, name, zone string) (*node, error) {
	dir := filepath.Join(c.dir, name)
	n := &node{name: name, log: filepath.Join(c.dir, name+".log")}
	n.args = []string{"--config.file", c.config, "--config.expand-env", "--target", target, "--instance.id", name, "--instance.zone", zone,
		"--data.dir", dir, "--storage.local-path", filepath.Join(c.dir, "blocks"), "--stop-on-stdin-eof"}
	if c.seed != "" {
		n.args = append(n.args, "--memberlist.join", c.seed)
	}
	if err := c.launch(ctx, n); err != nil {
		return nil, err
	}
	c.nodes = append(c.nodes, n)
	if c.seed == "" {
		c.seed = n.addrs["gossip"]
	}
	return n, nil
}

func (c *cluster) launch(ctx context.Context, n *node) error {
	logFile, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()                     //nolint:errcheck // the child has its own handle
	n.cmd = exec.Command(c.tempod, n.args...) // stopped through its stdin, so that it can flush
	n.cmd.Env = append(os.Environ(), nodeEnv+"="+n.name)
	n.cmd.Stderr = logFile
	ownGroup(n.cmd)
	shareLock(n.cmd, c.lock)
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if n.stdin, err = n.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	ready := make(chan map[string]string, 1)
	n.ended = make(chan struct{})
	go func() {
		defer close(n.ended)
		watchReady(stdout, ready)
		n.cmd.Wait() //nolint:errcheck // how a node ends is in its log
	}()
	return n.awaitReady(ctx, ready)
}

// watchReady reports the addresses of the ready line, then drains the rest.
func watchReady(stdout io.Reader, ready chan<- map[string]string) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "tempod ready"); ok {
			ready <- parseReady(rest)
			break
		}
	}
	io.Copy(io.Discard, stdout) //nolint:errcheck // nothing more is expected
}

func parseReady(line string) map[string]string {
	addrs := map[string]string{}
	for f := range strings.FieldsSeq(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			addrs[k] = v
		}
	}
	return addrs
}

func (n *node) awaitReady(ctx context.Context, ready <-chan map[string]string) error {
	t := time.NewTimer(startTimeout)
	defer t.Stop()
	select {
	case n.addrs = <-ready:
		return nil
	case <-n.ended:
		return fmt.Errorf("%s ended while starting:\n%s", n.name, tail(n.log))
	case <-t.C:
		n.kill()
		return fmt.Errorf("%s was not ready within %s:\n%s", n.name, startTimeout, tail(n.log))
	case <-ctx.Done():
		n.kill()
		return ctx.Err()
	}
}

// tail is the last lines of a log, for an error.
func tail(path string) string {
	const last = 2000
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[max(0, len(b)-last):]))
}

// kill ends the process at once, as a crash would, and waits for it.
func (n *node) kill() {
	n.cmd.Process.Kill() //nolint:errcheck // it may be gone already
	<-n.ended
}

// node finds a node by name.
func (c *cluster) node(name string) *node {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// stopTimeout is how long a node may take to stop before it is killed: it leaves its
// rings and tells the others, and all nodes of the machine do so at once.
const stopTimeout = time.Minute

// close stops every node and removes the folder.
func (c *cluster) close() error {
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		wg.Go(func() {
			n.stdin.Close() //nolint:errcheck // the process may be gone already
			t := time.NewTimer(stopTimeout)
			defer t.Stop()
			select {
			case <-n.ended:
			case <-t.C:
				n.kill()
			}
		})
	}
	wg.Wait()
	return errors.Join(c.lock.Close(), os.RemoveAll(c.dir))
}
