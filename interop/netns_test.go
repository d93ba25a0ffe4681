package interop

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cutLabel is the label of the clusters in network namespaces.
const cutLabel = "cut"

// network is a set of network namespaces, one per node, joined by two bridges in a namespace of their own: a node hangs
// on one bridge or the other, or on none. Nothing outside these namespaces is touched.
type network struct {
	hub   string
	nodes []*host
}

// host is a namespace with one node in it, dskit's or ours.
type host struct {
	name, space, ip string
	proc            *peer
}

// newNetwork creates the namespaces and removes them after the test.
func newNetwork(t *testing.T, names ...string) *network {
	t.Helper()
	if os.Getenv("RINGCTL_TEST_NETNS") == "" {
		t.Skip("set RINGCTL_TEST_NETNS=1 (and be root) to cut real networks between real processes")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces need ip(8), from iproute2")
	}
	prefix := fmt.Sprintf("ringctl-%d-%s", os.Getpid(), t.Name())
	n := &network{hub: prefix}
	n.space(t, n.hub)
	for _, bridge := range []string{"left", "right"} {
		ip(t, "-n", n.hub, "link", "add", bridge, "type", "bridge")
		ip(t, "-n", n.hub, "link", "set", bridge, "up")
	}
	for i, name := range names {
		h := &host{name: name, space: prefix + "-" + name, ip: fmt.Sprintf("10.77.0.%d", i+1)}
		n.space(t, h.space)
		ip(t, "link", "add", "eth0", "netns", h.space, "type", "veth", "peer", "name", name, "netns", n.hub)
		ip(t, "-n", n.hub, "link", "set", name, "master", "left", "up")
		ip(t, "-n", h.space, "addr", "add", h.ip+"/24", "dev", "eth0")
		ip(t, "-n", h.space, "link", "set", "eth0", "up")
		ip(t, "-n", h.space, "link", "set", "lo", "up")
		n.nodes = append(n.nodes, h)
	}
	return n
}

func (n *network) space(t *testing.T, name string) {
	t.Helper()
	ip(t, "netns", "add", name)
	t.Cleanup(func() { ip(t, "netns", "del", name) })
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// island moves hosts to the bridge called left or right: those on different ones cannot talk.
func (n *network) island(t *testing.T, bridge string, hosts ...*host) {
	t.Helper()
	for _, h := range hosts {
		ip(t, "-n", n.hub, "link", "set", h.name, "master", bridge)
	}
}

// link pulls a host's cable or plugs it in again.
func (n *network) link(t *testing.T, h *host, state string) {
	t.Helper()
	ip(t, "-n", n.hub, "link", "set", h.name, state)
}

// run starts a node in a process of its own: dskit's when its name begins with d, ours otherwise. It joins all others.
func (n *network) run(t *testing.T, h *host, keepTombstones time.Duration) {
	t.Helper()
	cmd := memberCommand(t)
	if strings.HasPrefix(h.name, "d") {
		bin, err := buildPeer()
		if err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(bin)
	}
	inside := exec.Command("ip", append([]string{"netns", "exec", h.space}, cmd.Args...)...)
	inside.Env = cmd.Env
	h.proc = startProcess(t, inside)
	start := request{Op: "start", Node: h.name, Label: cutLabel, Bind: h.ip, KeepTombstones: keepTombstones}
	for _, other := range n.nodes {
		if other != h && other.proc != nil {
			start.Join = append(start.Join, other.ip+":7946")
		}
	}
	h.proc.ask(t, start)
}

// start runs all nodes and waits until they know each other.
func (n *network) start(t *testing.T, keepTombstones time.Duration) {
	t.Helper()
	for _, h := range n.nodes {
		n.run(t, h, keepTombstones)
	}
	await(t, "all nodes know each other", n.nodes, func(h *host) bool { return h.members(t) == len(n.nodes) })
}

func (h *host) members(t *testing.T) int {
	t.Helper()
	return h.proc.ask(t, request{Op: "members", Node: h.name}).Members
}

func (h *host) set(t *testing.T, instance string) {
	t.Helper()
	h.proc.ask(t, request{Op: "set", Node: h.name, Ring: ringKey, Instance: instance, State: "ACTIVE", Tokens: []uint32{1, 2}})
}

func (h *host) forget(t *testing.T, instance string) {
	t.Helper()
	h.proc.ask(t, request{Op: "forget", Node: h.name, Ring: ringKey, Instance: instance})
}

// sees reports whether the node shows exactly these instances.
func (h *host) sees(t *testing.T, want ...string) bool {
	t.Helper()
	got := h.proc.ask(t, request{Op: "ring", Node: h.name, Ring: ringKey}).Instances
	if len(got) != len(want) {
		return false
	}
	for _, id := range want {
		if _, ok := got[id]; !ok {
			return false
		}
	}
	return true
}

// await waits until f holds for all hosts. A node holds a lost one for dead only after one to two minutes.
func await(t *testing.T, what string, hosts []*host, f func(*host) bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.After(4 * time.Minute)
	for _, h := range hosts {
		for !f(h) {
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("%s: never: %s", h.name, what)
			}
		}
	}
}

func all(t *testing.T, hosts []*host, want ...string) {
	t.Helper()
	await(t, fmt.Sprintf("shows %q", want), hosts, func(h *host) bool { return h.sees(t, want...) })
}

// TestCutTombstoneWins cuts a cluster of two dskit nodes and two of ours in two, one of each on either side, until each
// side holds the other for dead. One side forgets an instance, the other goes on showing it and adds another. After the
// cut the tombstone wins, nothing else is lost, and the sides know each other again: our members look for lost ones.
func TestCutTombstoneWins(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "d1", "o1", "d2", "o2")
	n.start(t, 0)
	left, right := n.nodes[:2], n.nodes[2:]
	left[0].set(t, "dead")
	left[1].set(t, "kept")
	all(t, n.nodes, "dead", "kept")

	n.island(t, "right", right...)
	waitSecond(t)
	left[1].forget(t, "dead")
	all(t, left, "kept")
	right[0].set(t, "new")
	all(t, right, "dead", "kept", "new")
	await(t, "the other side is held for dead", n.nodes, func(h *host) bool { return h.members(t) == 2 })

	n.island(t, "left", right...)
	all(t, n.nodes, "kept", "new")
	await(t, "all are back", n.nodes, func(h *host) bool { return h.members(t) == 4 })
	for _, h := range n.nodes { // as an observer in one of the namespaces sees it
		seen := left[1].proc.ask(t, request{Op: "pull", Label: cutLabel, Ring: ringKey, Join: []string{h.ip + ":7946"}}).Instances
		if seen["dead"].State != "LEFT" {
			t.Errorf("%s holds %+v, not a tombstone", h.name, seen["dead"])
		}
	}
}

// TestCutOutlivesTombstone cuts one node off for longer than tombstones are kept. What was forgotten meanwhile comes
// back with it; forgotten once more, it is gone for good.
func TestCutOutlivesTombstone(t *testing.T) {
	t.Parallel()
	const keep = 5 * time.Second
	n := newNetwork(t, "d1", "o1", "o2", "d2")
	n.start(t, keep)
	rest, cut := n.nodes[:3], n.nodes[3]
	rest[0].set(t, "dead")
	all(t, n.nodes, "dead")

	n.link(t, cut, "down")
	waitSecond(t)
	rest[1].forget(t, "dead")
	all(t, rest)
	began := time.Now()
	eventually(t, "the tombstone is older than tombstones get", func() bool { return time.Since(began) > keep+2*time.Second })
	rest[2].set(t, "new") // merging something is what removes it
	all(t, rest, "new")
	all(t, []*host{cut}, "dead")

	n.link(t, cut, "up")
	all(t, n.nodes, "dead", "new")
	waitSecond(t)
	rest[1].forget(t, "dead")
	all(t, n.nodes, "new")
}

// TestKillAndSuspend kills one node of each kind without a word and starts them again, and stops another one for a while
// in the middle of its work.
func TestKillAndSuspend(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "d1", "o1", "d2", "o2")
	n.start(t, 0)
	n.nodes[0].set(t, "dead")
	all(t, n.nodes, "dead")

	suspended := n.nodes[1]
	suspended.proc.signal(t, syscall.SIGSTOP)
	waitSecond(t)
	n.nodes[0].forget(t, "dead")
	n.nodes[3].set(t, "a")
	others := []*host{n.nodes[0], n.nodes[2], n.nodes[3]}
	all(t, others, "a")
	suspended.proc.signal(t, syscall.SIGCONT)
	all(t, n.nodes, "a")

	for _, h := range n.nodes[2:] {
		h.proc.signal(t, syscall.SIGKILL)
		h.proc = nil
	}
	n.nodes[0].set(t, "b")
	all(t, n.nodes[:2], "a", "b")
	await(t, "the killed ones are held for dead", n.nodes[:2], func(h *host) bool { return h.members(t) == 2 })
	for _, h := range n.nodes[2:] {
		n.run(t, h, 0)
	}
	all(t, n.nodes, "a", "b")
	await(t, "all are back", n.nodes, func(h *host) bool { return h.members(t) == 4 })
	want := n.nodes[0].proc.ask(t, request{Op: "ring", Node: n.nodes[0].name, Ring: ringKey}).Instances
	for _, h := range n.nodes[1:] {
		if got := h.proc.ask(t, request{Op: "ring", Node: h.name, Ring: ringKey}).Instances; !maps.Equal(got, want) {
			t.Errorf("%s shows %v, %s %v", h.name, got, n.nodes[0].name, want)
		}
	}
}
