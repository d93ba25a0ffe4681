package gossip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

// The reasons why Run gives up at start.
var (
	ErrJoin         = errors.New("could not join the cluster")
	ErrAdvertise    = errors.New("the advertised address does not lead here")
	errNoAddress    = errors.New("join_members have no address")
	errOnlySelf     = errors.New("join_members name only this member")
	errAloneMembers = errors.New("no other member answered")
)

// Joined is closed once the first join is over: a few members have answered, or there are none to ask. Before that
// the values here are those of a node that knows nobody, so wait for it before reading or writing them.
func (c *Cluster) Joined() <-chan struct{} { return c.joined }

// Run checks the advertised address, joins, keeps joined and cleans up until ctx ends; then it lets own changes out,
// leaves, and returns nil. It returns an error early when the address is wrong or when joining fails and the
// settings say that this is fatal.
func (c *Cluster) Run(ctx context.Context) error {
	err := c.checkAdvertised(ctx)
	if err == nil {
		err = c.fastJoin(ctx)
	}
	if ctx.Err() != nil {
		c.goodbyes()
		return nil
	}
	if err != nil {
		return fmt.Errorf("gossip: %w", errors.Join(err, c.Leave()))
	}
	c.mu.Lock()
	c.settled = true
	c.mu.Unlock()

	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !c.keep(inner, cancel) {
		return nil
	}
	c.once.Do(func() { close(c.joined) }) // who waited for it may close the cluster, which waits for all of the above
	select {
	case <-inner.Done():
	case <-c.closed:
		return nil
	}
	if err := context.Cause(inner); ctx.Err() == nil {
		return fmt.Errorf("gossip: %w", err)
	}
	c.drain()
	c.goodbyes()
	return nil
}

// goodbyes leaves, as well as that is possible: when a whole cluster stops, nobody is left to hear the last one.
func (c *Cluster) goodbyes() {
	if err := c.Leave(); err != nil {
		c.log.Warn("gossip: nobody heard the goodbye; those who are left will notice by themselves", "err", err)
	}
}

// keep starts what a running member does besides answering, unless Close was faster: it waits for all that was started
// before it.
func (c *Cluster) keep(ctx context.Context, cancel context.CancelCauseFunc) bool {
	c.goodbye.Lock()
	defer c.goodbye.Unlock()
	select {
	case <-c.closed:
		return false
	default:
	}
	c.wg.Go(func() {
		if err := c.fullJoin(ctx); err != nil && c.cfg.AbortIfClusterJoinFails {
			cancel(err)
			return
		}
		c.rejoin(ctx)
	})
	c.wg.Go(func() { c.every(ctx, max(c.cfg.ObsoleteEntriesTimeout/2, time.Second), c.expire) })
	c.wg.Go(func() { c.every(ctx, c.cfg.GossipInterval, c.sendLarge) })
	if c.cfg.NotifyInterval > 0 {
		c.wg.Go(func() { c.every(ctx, c.cfg.NotifyInterval, c.watch.flush) })
	}
	return true
}

func (c *Cluster) every(ctx context.Context, d time.Duration, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f()
		case <-ctx.Done():
			return
		case <-c.closed:
			return
		}
	}
}

func (c *Cluster) expire() {
	c.mu.Lock()
	gone := c.store.Expire(time.Now())
	c.mu.Unlock()
	for _, key := range gone {
		c.log.Info("gossip: deleted key dropped", "key", key)
		c.watch.changed(key)
	}
}

// sendLarge sends the next change that is too large for packets to a few members over streams.
func (c *Cluster) sendLarge() {
	msg := c.queue.takeLarge(c.transmissions())
	if msg == nil {
		return
	}
	others := c.roster.others(c.name)
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, n := range others[:min(c.cfg.GossipNodes, len(others))] {
		if err := c.ml.SendReliable(n, msg); err != nil {
			c.log.Warn("gossip: large change not sent", "to", n.Name, "bytes", len(msg), "err", err)
		}
	}
}

// A check of the advertised address that fails at once is made again so often, after a pause.
const (
	checksAgain = 2
	checkPause  = 200 * time.Millisecond
)

// checkAdvertised dials the advertised address and looks whether we answer there ourselves. That somebody else
// answers, or that an address of this machine refuses, is a mistake that nobody would notice otherwise: members would
// list each other and never talk. An address beyond this machine that cannot be reached from here may be fine (not every
// network lets a node call itself from outside), so that is only a warning.
func (c *Cluster) checkAdvertised(ctx context.Context) error {
	if c.cfg.DisableAdvertiseAddressCheck {
		return nil
	}
	addr := c.Addr()
	d := Dialer{Label: c.cfg.ClusterLabel, TLS: c.tls, Timeout: c.cfg.StreamTimeout, Dial: c.net.Dial}
	var certificate *tls.CertificateVerificationError
	view, err := d.Pull(ctx, addr)
	for again := 0; err != nil && ctx.Err() == nil && !errors.Is(err, ErrTimeout) && again < checksAgain; again++ {
		if pause(ctx, checkPause) == nil { // one exchange may break off, as under a load that is all others' fault
			view, err = d.Pull(ctx, addr)
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && slices.ContainsFunc(view.Nodes, func(n Node) bool { return n.Name == c.name }):
		return nil
	case err == nil:
		return fmt.Errorf("%w: another member answers at %s; check advertise_addr and advertise_port", ErrAdvertise, addr)
	case isLocal(addr) && !errors.Is(err, ErrTimeout) && !errors.As(err, &certificate):
		return fmt.Errorf("%w: %s is an address of this machine, but we listen on port %d; check advertise_port: %w",
			ErrAdvertise, addr, c.transport.port(), err)
	}
	c.log.Warn("gossip: this node does not reach itself at its advertised address; if the others do not either, they will hold it for dead",
		"addr", addr, "err", err)
	return nil
}

// isLocal tells whether the address of "ip:port" is one of this machine.
func isLocal(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

// seeds resolves addresses. Those that cannot be resolved are logged and left out, and so is our own; the error says when
// nothing is left.
func (c *Cluster) seeds(ctx context.Context, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		addrs, err := resolver{net.DefaultResolver}.addresses(ctx, name)
		if err != nil {
			c.log.Warn("gossip: seed", "err", err)
		}
		out = append(out, addrs...)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) == 0 {
		return nil, errNoAddress
	}
	out = slices.DeleteFunc(out, func(a string) bool { return a == c.Addr() })
	if len(out) == 0 {
		return nil, errOnlySelf
	}
	return out, nil
}

// fastJoin asks a few members, so that the node is not alone when its other parts start.
func (c *Cluster) fastJoin(ctx context.Context) error {
	if len(c.cfg.JoinMembers) == 0 {
		return nil
	}
	want := max(c.cfg.AbortIfClusterFastJoinMinNodes, 1)
	var joined int
	var last error
	backoff := c.cfg.MinJoinBackoff
	for try := 0; ; try++ {
		seeds, none := c.seeds(ctx, c.cfg.JoinMembers)
		rand.Shuffle(len(seeds), func(i, j int) { seeds[i], seeds[j] = seeds[j], seeds[i] })
		few := max(scaled(c.cfg.RetransmitFactor, len(seeds)), want)
		if joined, last = c.join(ctx, seeds, few); none != nil {
			last = none
		}
		if errors.Is(last, errOnlySelf) && want == 1 { // others find the cluster through the first member, which finds nobody
			c.log.Info("gossip: the first member, as it seems: join_members name only this one", "addr", c.Addr())
			return nil
		}
		if joined >= want || !c.cfg.AbortIfClusterFastJoinFails || try >= c.cfg.MaxJoinRetries {
			break
		}
		if err := pause(ctx, jitter(backoff)); err != nil {
			return err
		}
		backoff = min(2*backoff, c.cfg.MaxJoinBackoff)
	}
	if joined >= want {
		c.log.Info("gossip: joined", "members", c.roster.count(), "asked", joined)
		return nil
	}
	if c.cfg.AbortIfClusterFastJoinFails {
		return fmt.Errorf("%w: %d of at least %d members answered: %w", ErrJoin, joined, want, last)
	}
	c.log.Warn("gossip: nobody answered yet, joining goes on in the background", "answered", joined, "want", want, "err", last)
	return nil
}

// join asks the addresses one after the other until enough have answered or ctx has ended.
func (c *Cluster) join(ctx context.Context, addrs []string, enough int) (joined int, last error) {
	last = errAloneMembers
	for _, a := range addrs {
		if joined >= enough || ctx.Err() != nil {
			break
		}
		n, err := c.ml.Join([]string{a})
		if n > 0 {
			joined++
		} else if err != nil {
			last = err
		}
	}
	return joined, last
}

// fullJoin asks all seeds, with retries until at least one has answered.
func (c *Cluster) fullJoin(ctx context.Context) error {
	if len(c.cfg.JoinMembers) == 0 {
		return nil
	}
	backoff := c.cfg.MinJoinBackoff
	for try := 0; ; try++ {
		seeds, none := c.seeds(ctx, c.cfg.JoinMembers)
		joined, err := c.join(ctx, c.strangers(seeds), len(seeds))
		if joined > 0 || c.roster.count() > 1 {
			return nil
		}
		if none != nil {
			err = none
		}
		if c.cfg.MaxJoinRetries > 0 && try >= c.cfg.MaxJoinRetries {
			if errors.Is(err, errOnlySelf) {
				return nil // that was told, and is no failure
			}
			err = fmt.Errorf("%w after %d tries: %w", ErrJoin, try+1, err)
			c.log.Error("gossip: joining failed", "err", err, "abort", c.cfg.AbortIfClusterJoinFails)
			return err
		}
		if pause(ctx, jitter(backoff)) != nil {
			return nil
		}
		backoff = min(2*backoff, c.cfg.MaxJoinBackoff)
	}
}

// rejoin asks seeds again and again, so that two halves of a cluster that forgot each other find together.
func (c *Cluster) rejoin(ctx context.Context) {
	names := c.cfg.RejoinSeedNodes
	if len(names) == 0 {
		names = c.cfg.JoinMembers
	}
	if c.cfg.RejoinInterval <= 0 || len(names) == 0 {
		return
	}
	for pause(ctx, jitter(c.cfg.RejoinInterval)) == nil {
		seeds, _ := c.seeds(ctx, names) // none: all the better
		strangers := c.strangers(seeds)
		if len(strangers) == 0 {
			continue
		}
		if n, err := c.join(ctx, strangers, len(strangers)); n > 0 {
			c.log.Info("gossip: rejoined", "answered", n)
		} else {
			c.log.Debug("gossip: rejoin", "err", err)
		}
	}
}

// strangers leaves out the addresses of members already known to be alive.
func (c *Cluster) strangers(addrs []string) []string {
	known := map[string]bool{}
	for _, n := range c.Members() {
		known[n.Addr] = true
	}
	return slices.DeleteFunc(addrs, func(a string) bool { return known[a] })
}

// jitter spreads a wait over ±20 %, so that nodes started together do not act together.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1)
}

// drain waits until own changes have been told, within the configured time.
func (c *Cluster) drain() {
	deadline := time.Now().Add(c.cfg.BroadcastTimeoutForLocalUpdates)
	c.mu.Lock()
	c.leaving = true
	c.mu.Unlock()
	for time.Now().Before(deadline) {
		if _, own, _ := c.queue.size(); own == 0 || c.roster.count() < 2 {
			return
		}
		select {
		case <-time.After(min(c.cfg.GossipInterval, 50*time.Millisecond)):
		case <-c.closed: // nobody tells anything any more
			return
		}
		c.sendLarge()
	}
	_, own, _ := c.queue.size()
	c.log.Warn("gossip: leaving although not all own changes have been told", "left", own)
}

// Leave says goodbye to the others. The member goes on answering until Close.
func (c *Cluster) Leave() error {
	c.goodbye.Lock() // memberlist panics when it is told to leave after its shutdown
	defer c.goodbye.Unlock()
	select {
	case <-c.closed:
		return nil
	default:
	}
	if err := c.ml.Leave(c.cfg.LeaveTimeout); err != nil {
		return fmt.Errorf("gossip: leave: %w", err)
	}
	return nil
}

// Close stops listening and ends all goroutines of the member. It does not say goodbye: Run does that when its context
// ends, and Leave does it at once.
func (c *Cluster) Close() error {
	var err error
	c.closing.Do(func() {
		c.goodbye.Lock()
		defer c.goodbye.Unlock()
		close(c.closed)
		err = c.ml.Shutdown()
		c.wg.Wait()
		c.unregister()
	})
	return err
}
