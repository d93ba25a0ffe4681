package gossip

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// GuestConfig says how a guest reaches a cluster and how the cluster reaches the guest.
type GuestConfig struct {
	Name          string   // "": ringctl-<host>-<random>; never reuse one
	Seeds         []string // see Resolve
	Label         string
	TLS           *tls.Config   // needs a certificate: members connect to the guest
	BindAddr      string        // "": every interface
	BindPort      int           // 0: any free port
	AdvertiseAddr string        // "": found out
	AdvertisePort int           // 0: the bound port
	Timeout       time.Duration // for each exchange while joining; 0: 5 s
	Buffer        int           // events that may wait; 0: 4096
}

// ErrUnreachable reports that members cannot reach the guest, so it must not join: they would take it for dead, and
// their attempts to reach it would hold up other messages.
var ErrUnreachable = errors.New("members cannot reach this program at the advertised address")

// Event is something that a guest has heard: a pair, or a member that came, changed or went. The value of a pair lies in
// the memory of the whole message: who keeps it copies it. What gossip repeats within a few seconds is one event.
type Event struct {
	At   time.Time
	Pair *Pair // a change, or with Full one key of a full state
	Full bool
	Node *Node // alive: it came or changed; dead: it left or died
}

// Guest is a member that only listens. It keeps no values, so it can bring nothing back; it forwards nothing but its own
// explicit changes; it probes nobody, so it can accuse nobody; and it always leaves. It looks five times a second for what
// members send (on Linux; elsewhere it is woken), so they wait that long for its answers.
type Guest struct {
	name   string
	ml     *memberlist.Memberlist
	events chan Event
	missed atomic.Int64
	queue  *queue
	roster *roster
	recent *recent

	mu     sync.Mutex
	closed bool
	once   sync.Once
	err    error
}

const (
	guestLeave    = 5 * time.Second
	guestExchange = 2 * time.Minute
)

// JoinAsGuest checks that members can reach us, and joins. Nothing is announced before that check has passed; whatever
// fails afterwards, the guest leaves again. Always call Leave.
func JoinAsGuest(ctx context.Context, cfg GuestConfig, log *slog.Logger) (*Guest, error) {
	nw := &inRounds{}
	nw.look(joiningRound)
	defer nw.look(listeningRound)
	return joinAsGuest(ctx, cfg, log, nw)
}

func joinAsGuest(ctx context.Context, cfg GuestConfig, log *slog.Logger, nw network) (*Guest, error) {
	seeds, err := resolveAll(ctx, cfg.Seeds)
	if err != nil {
		return nil, fmt.Errorf("join as guest: %w", err)
	}
	conf, err := guestSettings(cfg)
	if err != nil {
		return nil, fmt.Errorf("join as guest: %w", err)
	}
	g := &Guest{name: conf.NodeName, queue: newQueue(), recent: newRecent(), events: make(chan Event, conf.ProcessedMessagesQueueSize)}
	conf.hear = g.hear
	t, err := newTransport(conf, cfg.TLS, nw, log, newTransportMetrics(nil))
	if err != nil {
		return nil, fmt.Errorf("join as guest: %w", err)
	}
	if err := checkReachable(ctx, t, conf, seeds); err != nil {
		return nil, errors.Join(fmt.Errorf("join as guest: %w", err), t.Shutdown())
	}
	mc := memberConfig(conf, conf.NodeName, t, guestDelegate{g}, log)
	g.roster = newRoster(func(n Node) { g.emit(Event{Node: &n}) })
	mc.Events = g.roster
	// A full exchange brings the guest back when members have lost it. For the state itself they send theirs often enough.
	mc.PushPullInterval = guestExchange
	// Never probe: a guest that cannot reach a member would have it declared dead for all. Not 0 either: then every
	// suspicion heard would become a death at once.
	mc.ProbeInterval = 24 * time.Hour
	if g.ml, err = memberlist.Create(mc); err != nil {
		return nil, errors.Join(fmt.Errorf("join as guest: %w", err), t.Shutdown())
	}
	if err := g.join(ctx, seeds); err != nil {
		g.retract(t, seeds)
		return nil, errors.Join(fmt.Errorf("join as guest: %w", err), g.Leave(context.WithoutCancel(ctx)))
	}
	return g, nil
}

func guestSettings(cfg GuestConfig) (Config, error) {
	c := DefaultConfig()
	if t := cfg.TLS; t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil {
		return c, fmt.Errorf("%w: they connect over TLS and we have no certificate to show", ErrUnreachable)
	}
	c.ClusterLabel, c.AllowUnlabelled = cfg.Label, true
	c.BindPort, c.AdvertiseAddr, c.AdvertisePort = cfg.BindPort, cfg.AdvertiseAddr, cfg.AdvertisePort
	if cfg.BindAddr != "" {
		c.BindAddr = []string{cfg.BindAddr}
	}
	if cfg.Timeout > 0 {
		c.StreamTimeout = cfg.Timeout
	} else {
		c.StreamTimeout = 5 * time.Second
	}
	c.ProcessedMessagesQueueSize = cfg.Buffer
	if cfg.Buffer <= 0 {
		c.ProcessedMessagesQueueSize = 4096
	}
	c.ReceivedMessagesQueueSize = c.ProcessedMessagesQueueSize
	c.NodeName, c.RandomizeNodeName = cfg.Name, false
	if cfg.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		c.NodeName = "ringctl-" + host + "-" + randomHex()
	}
	return c, c.Validate()
}

func resolveAll(ctx context.Context, names []string) ([]string, error) {
	var out []string
	var errs []error
	for _, n := range names {
		addrs, err := resolver{net.DefaultResolver}.addresses(ctx, n)
		out, errs = append(out, addrs...), append(errs, err)
	}
	if len(out) == 0 {
		return nil, errors.Join(append(errs, errors.New("no seeds to ask"))...)
	}
	return out, nil
}

// checkReachable asks a member to answer to our advertised address: it sends a ping that names this address as its
// source, and waits for the acknowledgement to come in there. A ping adds nobody to a member list.
func checkReachable(ctx context.Context, t *transport, cfg Config, seeds []string) error {
	ip, port, err := t.FinalAdvertiseAddr(cfg.AdvertiseAddr, cfg.AdvertisePort)
	if err != nil {
		return err
	}
	d := Dialer{Label: cfg.ClusterLabel, TLS: t.tls, Timeout: cfg.StreamTimeout, Dial: t.net.Dial}
	var last error
	for i, seed := range seeds {
		if i == 3 {
			break
		}
		view, err := d.Pull(ctx, seed)
		if err != nil {
			last = err
			continue
		}
		if last = t.pinged(ctx, view.Nodes, ip, port, cfg); last == nil {
			return nil
		}
	}
	return last
}

// pinged pings a few living members and waits for the first acknowledgement. Packets get lost, so it pings twice.
func (t *transport) pinged(ctx context.Context, nodes []Node, ip net.IP, port int, cfg Config) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.StreamTimeout)
	defer cancel()
	again := time.NewTimer(cfg.StreamTimeout / 2)
	defer again.Stop()
	for {
		asked := 0
		for _, n := range nodes {
			if n.State != NodeAlive || asked == 3 {
				continue
			}
			asked++
			ping := wire.AppendPing(nil, uint32(asked), n.Name, ip, port, cfg.NodeName)
			if _, err := t.WriteTo(ping, n.Addr); err != nil {
				return err
			}
		}
		select {
		case <-t.packets: // an acknowledgement, alone or with gossip; anything else from a member proves it, too
			return nil
		case <-again.C:
			continue
		case <-ctx.Done():
		}
		return fmt.Errorf("%w %s: none of %d members answered there within %s; name a reachable address, or only observe",
			ErrUnreachable, net.JoinHostPort(ip.String(), strconv.Itoa(port)), asked, cfg.StreamTimeout)
	}
}

func (g *Guest) join(ctx context.Context, seeds []string) error {
	var errs []error
	for _, s := range seeds {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := g.ml.Join([]string{s}); err != nil {
			errs = append(errs, err)
			continue
		}
		return nil
	}
	return fmt.Errorf("%w: %w", ErrJoin, errors.Join(errs...))
}

// retract tells the seeds that the guest is gone. A seed reads who joins before it answers: when the answer is lost, it
// has the guest in its list, and the guest knows no member to say goodbye to.
func (g *Guest) retract(t *transport, seeds []string) {
	gone := wire.AppendDead(nil, wire.FirstIncarnation, g.name)
	for _, s := range seeds {
		// A packet has no answer: what can be done has been done, and the seeds find out by themselves otherwise.
		_, _ = t.WriteTo(gone, s)
	}
}

// Events returns what the guest hears. The channel is closed when the guest has left. A reader that is too slow misses
// events; Missed tells how many, and a Pull brings it up to date.
func (g *Guest) Events() <-chan Event { return g.events }

// Missed returns how many events were lost because nobody read them in time.
func (g *Guest) Missed() int { return int(g.missed.Load()) }

// Name returns the guest's name in the member list.
func (g *Guest) Name() string { return g.name }

// Members returns the members known to be alive, the guest included, sorted by name.
func (g *Guest) Members() []Node { return g.roster.alive() }

// Announce gossips one explicit change. It is for repairs of single entries; larger pairs go through Dialer.Send.
func (g *Guest) Announce(p Pair) error {
	b, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	if len(b) >= maxGossip {
		return fmt.Errorf("announce %s: %d bytes do not fit into gossip, send them to members directly", p.Key, len(b))
	}
	g.queue.put(entryID{p.Key, randomHex()}, b, true)
	return nil
}

// Leave says goodbye, stops listening and closes the event channel. It may be called more than once.
func (g *Guest) Leave(ctx context.Context) error {
	g.once.Do(func() {
		timeout := guestLeave
		if t, ok := ctx.Deadline(); ok {
			timeout = min(timeout, time.Until(t))
		}
		g.err = errors.Join(g.ml.Leave(max(timeout, time.Millisecond)), g.ml.Shutdown())
		g.mu.Lock()
		defer g.mu.Unlock()
		g.closed = true
		close(g.events)
	})
	return g.err
}

func (g *Guest) emit(e Event) {
	e.At = time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	select {
	case g.events <- e:
	default:
		g.missed.Add(1)
	}
}

// hear takes in a message, which is void afterwards. Most say again what others have said.
func (g *Guest) hear(b []byte) {
	if g.recent.again(b, time.Now()) {
		return
	}
	var p Pair
	if p.UnmarshalInPlace(bytes.Clone(b)) == nil {
		g.emit(Event{Pair: &p})
	}
}

// guestDelegate listens to what memberlist hears.
type guestDelegate struct{ g *Guest }

// NodeMeta implements memberlist.Delegate.
func (guestDelegate) NodeMeta(int) []byte { return nil }

// LocalState implements memberlist.Delegate. A guest that slept for an hour would bring back what was forgotten
// meanwhile, so it never has a state.
func (guestDelegate) LocalState(bool) []byte { return nil }

// GetBroadcasts implements memberlist.Delegate: own explicit changes only.
func (d guestDelegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.g.queue.take(overhead, limit, transmissions(4, d.g.roster.count()))
}

// NotifyMsg implements memberlist.Delegate: what came over a stream, or not in a packet as it should be.
func (d guestDelegate) NotifyMsg(b []byte) { d.g.hear(b) }

// MergeRemoteState implements memberlist.Delegate. The pairs before a damage count.
func (d guestDelegate) MergeRemoteState(b []byte, _ bool) {
	pairs, _ := wire.DecodeStateInPlace(b)
	for _, p := range pairs {
		d.g.emit(Event{Pair: &p, Full: true})
	}
}
