// Package clienttest runs small real clusters on loopback, with switches to break them.
//
// [Start] opens gossip members that hold each other for alive. [Cluster.Put] fills the rings; the builders [Ring] and
// [Partitions] make usual ones. By default members do not gossip among themselves: each keeps what it was given, and
// [Cluster.Sync] spreads it when the test says so, so that nothing depends on time. With [Config.Live] they gossip.
//
// Every member stands behind a small proxy of its own, which can be told to be silent, slow or gone.
package clienttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv/gossipkv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// Config describes a cluster.
type Config struct {
	// Names are the members' gossip names; nil is node-0, node-1 and node-2.
	Names []string
	// Label is the cluster label.
	Label string
	// Live makes members gossip; otherwise they only do on Sync.
	Live bool
	// Gossip is how often a member of a live cluster gossips; zero is 20 ms, members in production do it every 200 ms.
	Gossip time.Duration
	// PullPush is how often a member of a live cluster exchanges its whole state with another; zero is 500 ms, members in
	// production do it every 30 s.
	PullPush time.Duration
	// Alone keeps members from joining each other: each is an island of one.
	Alone bool
}

// Cluster is a running cluster. Its methods may be called from any goroutine.
type Cluster struct {
	cfg   Config
	nodes []*node
}

type node struct {
	name    string
	cluster *gossip.Cluster
	proxy   *proxy
	done    chan error
	stop    context.CancelFunc
	cut     bool // neither gives nor takes in Sync
	dead    bool
}

// Start opens the members and waits until all of them hold each other for alive. Close it after use.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if len(cfg.Names) == 0 {
		cfg.Names = []string{"node-0", "node-1", "node-2"}
	}
	c := &Cluster{cfg: cfg}
	for _, name := range cfg.Names {
		n, err := c.open(name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start member %s: %w", name, err), c.Close())
		}
		c.nodes = append(c.nodes, n)
		select {
		case <-n.cluster.Joined():
		case err := <-n.done:
			n.done <- err
			return nil, errors.Join(fmt.Errorf("start member %s: %w", name, err), c.Close())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), c.Close())
		}
	}
	if !cfg.Alone {
		if err := c.acquaint(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (c *Cluster) open(name string) (*node, error) {
	p, err := newProxy()
	if err != nil {
		return nil, err
	}
	cfg := gossip.DefaultConfig()
	cfg.NodeName, cfg.RandomizeNodeName = name, false
	cfg.ClusterLabel, cfg.AllowUnlabelled = c.cfg.Label, true
	cfg.BindAddr, cfg.BindPort = []string{"127.0.0.1"}, 0
	cfg.AdvertiseAddr, cfg.AdvertisePort = "127.0.0.1", p.port()
	cfg.MaxHeartbeatAhead, cfg.RejoinInterval = 0, 0
	cfg.DisableAdvertiseAddressCheck = true
	cfg.BroadcastTimeoutForLocalUpdates, cfg.LeaveTimeout = 0, 100*time.Millisecond
	cfg.StreamTimeout = patience // the exchange at the start is the only one, however slow the machine is
	cfg.GossipInterval, cfg.PullPushInterval = time.Hour, 0
	cfg.RetransmitFactor = 1000 // who joins exchanges states with all others, who would not hear of it otherwise
	if c.cfg.Live {
		cfg.GossipInterval, cfg.PullPushInterval = 20*time.Millisecond, 500*time.Millisecond
		cfg.RetransmitFactor = gossip.DefaultConfig().RetransmitFactor
		if c.cfg.Gossip > 0 {
			cfg.GossipInterval = c.cfg.Gossip
		}
		if c.cfg.PullPush > 0 {
			cfg.PullPushInterval = c.cfg.PullPush
		}
	}
	if !c.cfg.Alone {
		for _, other := range c.nodes {
			cfg.JoinMembers = append(cfg.JoinMembers, other.proxy.addr())
		}
	}
	cl, err := gossip.Open(cfg, gossipkv.Codecs(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.forward(net.JoinHostPort("127.0.0.1", strconv.Itoa(cl.Port())))
	ctx, stop := context.WithCancel(context.Background())
	n := &node{name: name, cluster: cl, proxy: p, done: make(chan error, 1), stop: stop}
	go func() { n.done <- cl.Run(ctx) }()
	return n, nil
}

// patience is how long anything may take.
const patience = time.Minute

// acquaint waits until every member lists all others: each joins all earlier ones at its start.
func (c *Cluster) acquaint(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		complete := true
		for _, n := range c.nodes {
			complete = complete && len(n.cluster.Members()) == len(c.nodes)
		}
		if complete {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("members do not know each other: %w", ctx.Err())
		}
	}
}

// Close stops everything.
func (c *Cluster) Close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.close())
	}
	return errors.Join(errs...)
}

func (n *node) close() error {
	if n.dead {
		return nil
	}
	n.dead = true
	n.stop()
	err := n.cluster.Close()
	<-n.done //nolint:errcheck // why it ended is in the error of Close
	return errors.Join(err, n.proxy.close())
}

// Seeds are the gossip addresses of all members.
func (c *Cluster) Seeds() []string {
	out := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		out[i] = n.proxy.addr()
	}
	return out
}

// Addr is the gossip address of a member.
func (c *Cluster) Addr(name string) string { return c.node(name).proxy.addr() }

func (c *Cluster) node(name string) *node {
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.name == name })
	if i < 0 {
		panic("clienttest: no member " + name)
	}
	return c.nodes[i]
}

// Put merges a ring into the named members, or into all.
func (c *Cluster) Put(key string, d *ring.Desc, names ...string) error {
	return c.PutPair(gossip.Pair{Key: key, Codec: ring.Codec, Value: ring.EncodeValue(d)}, names...)
}

// PutPartitions merges a partition ring into the named members, or into all.
func (c *Cluster) PutPartitions(key string, d *partition.Desc, names ...string) error {
	return c.PutPair(gossip.Pair{Key: key, Codec: partition.Codec, Value: partition.EncodeValue(d)}, names...)
}

// PutPair merges any pair into the named members, or into all.
func (c *Cluster) PutPair(p gossip.Pair, names ...string) error {
	for _, n := range c.nodes {
		if n.dead || len(names) > 0 && !slices.Contains(names, n.name) {
			continue
		}
		if err := n.cluster.Merge(p); err != nil {
			return fmt.Errorf("put %s into %s: %w", p.Key, n.name, err)
		}
	}
	return nil
}

// Names are the gossip names of the members.
func (c *Cluster) Names() []string { return slices.Clone(c.cfg.Names) }

// Ring is what a member has under a key, tombstones included; nil when it has nothing.
func (c *Cluster) Ring(name, key string) *ring.Desc {
	p, ok := c.node(name).cluster.Raw(key)
	if !ok {
		return nil
	}
	d, err := ring.DecodeValue(p.Value)
	if err != nil {
		return nil
	}
	return d
}

// Partitions is what a member has under a key, tombstones included; nil when it has nothing.
func (c *Cluster) Partitions(name, key string) *partition.Desc {
	p, ok := c.node(name).cluster.Raw(key)
	if !ok {
		return nil
	}
	d, err := partition.DecodeValue(p.Value)
	if err != nil {
		return nil
	}
	return d
}

// Members is how many members a member counts, itself included.
func (c *Cluster) Members(name string) int { return len(c.node(name).cluster.Members()) }

// Sync gives every member everything that the others have, except members that are cut off or dead.
func (c *Cluster) Sync() error {
	for _, from := range c.nodes {
		for _, to := range c.nodes {
			if from == to || from.cut || to.cut || from.dead || to.dead {
				continue
			}
			for _, p := range from.cluster.Pairs() {
				if err := to.cluster.Merge(p); err != nil {
					return fmt.Errorf("sync %s to %s: %w", from.name, to.name, err)
				}
			}
		}
	}
	return nil
}

// Cut keeps a member out of Sync, and closes its port to everybody, until Heal.
func (c *Cluster) Cut(name string) {
	n := c.node(name)
	n.cut = true
	n.proxy.refuse(true)
}

// Heal undoes Cut and Deafen.
func (c *Cluster) Heal(name string) {
	n := c.node(name)
	n.cut = false
	n.proxy.refuse(false)
	n.proxy.mute(false)
}

// Deafen makes a member lose everything that is sent to it, and keeps it out of Sync, while it still answers questions: it
// misses what happens elsewhere.
func (c *Cluster) Deafen(name string) {
	n := c.node(name)
	n.cut = true
	n.proxy.mute(true)
}

// Delay makes a member's port slow.
func (c *Cluster) Delay(name string, d time.Duration) { c.node(name).proxy.slow(d) }

// Kill stops a member without a goodbye: its port refuses, and the others hold it for alive for a while.
func (c *Cluster) Kill(name string) error { return c.node(name).close() }

// proxy stands in front of a member.
type proxy struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	target  string
	refused bool
	muted   bool
	delay   time.Duration
	conns   map[net.Conn]bool
	closed  bool
}

func newProxy() (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }
func (p *proxy) port() int    { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *proxy) forward(target string) { p.set(func() { p.target = target }) }
func (p *proxy) refuse(on bool)        { p.set(func() { p.refused = on }) }
func (p *proxy) mute(on bool)          { p.set(func() { p.muted = on }) }
func (p *proxy) slow(d time.Duration)  { p.set(func() { p.delay = d }) }

func (p *proxy) close() error {
	err := p.listener.Close()
	p.set(func() {
		p.closed = true
		for conn := range p.conns {
			conn.Close()
		}
	})
	p.wg.Wait()
	return err
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(conn) })
	}
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	p.mu.Lock()
	target, refused, muted, delay := p.target, p.refused || p.closed, p.muted, p.delay
	p.conns[conn] = true
	p.mu.Unlock()
	defer p.set(func() { delete(p.conns, conn) })
	if refused {
		// A reset, as from a port that nobody listens on.
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return
	}
	if delay > 0 {
		time.Sleep(delay)
	}
	back, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer back.Close()
	p.set(func() { p.conns[back] = true })
	defer p.set(func() { delete(p.conns, back) })
	relay(conn.(*net.TCPConn), back.(*net.TCPConn), muted)
}
