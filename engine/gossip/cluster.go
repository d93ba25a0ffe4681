package gossip

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// Cluster is a full member: it knows the other members, keeps the merged values and spreads changes. Open it, let Run
// work, Close it. All methods are safe for concurrent use.
type Cluster struct {
	cfg     Config
	name    string
	log     *slog.Logger
	metrics *metrics
	tls     *tls.Config
	net     network

	transport *transport
	ml        *memberlist.Memberlist
	roster    *roster
	queue     *queue
	watch     *watchers
	sent      *history // nil without history
	received  *history

	mu      sync.Mutex // guards store and the fields below
	store   *Store
	nextMsg int
	leaving bool
	settled bool // the first join is over: from now on everything new is passed on

	inbox   chan []byte // received pairs on their way to the store
	joined  chan struct{}
	once    sync.Once
	closed  chan struct{}
	closing sync.Once
	goodbye sync.Mutex // Leave, Close and the start of wg's goroutines, one at a time

	unregister func() // takes the metrics away again
	wg         sync.WaitGroup
}

// Open starts to listen and returns a member that is alone until Run joins it to others. reg may be nil.
func Open(cfg Config, codecs []Codec, log *slog.Logger, reg prometheus.Registerer) (*Cluster, error) {
	return open(cfg, codecs, log, reg, tcp{})
}

func open(cfg Config, codecs []Codec, logger *slog.Logger, reg prometheus.Registerer, nw network) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	name, err := nodeName(cfg)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	conf, err := cfg.loadTLS()
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	opt := StoreOptions{LeftTimeout: cfg.LeftIngestersTimeout, ObsoleteTimeout: cfg.ObsoleteEntriesTimeout}
	if cfg.MaxHeartbeatAhead > 0 {
		opt.Guard = RefuseAhead(cfg.MaxHeartbeatAhead)
	}
	own := prometheus.NewRegistry() // handed over as a whole once nothing can fail any more
	c := &Cluster{
		cfg: cfg, name: name, log: logger, metrics: newMetrics(own), tls: conf, net: nw,
		queue: newQueue(), roster: newRoster(nil), watch: newWatchers(cfg.NotifyInterval > 0), store: NewStore(append(codecs[:len(codecs):len(codecs)], BeaconCodec{}), opt),
		inbox: make(chan []byte, cfg.ProcessedMessagesQueueSize), joined: make(chan struct{}), closed: make(chan struct{}),
	}
	if cfg.MessageHistoryBufferBytes > 0 {
		c.sent = &history{budget: cfg.MessageHistoryBufferBytes}
		c.received = &history{budget: cfg.MessageHistoryBufferBytes}
	}
	if err := c.listen(); err != nil {
		return nil, err
	}
	registerGauges(own, c)
	c.wg.Go(c.process)
	c.unregister = func() {}
	if reg != nil {
		if err := reg.Register(own); err != nil {
			return nil, errors.Join(fmt.Errorf("gossip: metrics: %w", err), c.Close())
		}
		c.unregister = func() { reg.Unregister(own) }
	}
	return c, nil
}

func (c Config) loadTLS() (*tls.Config, error) {
	if !c.TLSEnabled {
		return nil, nil
	}
	return c.TLS.Load()
}

func nodeName(cfg Config) (string, error) {
	name := cfg.NodeName
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("node_name is empty and the host has no name: %w", err)
		}
	}
	if cfg.RandomizeNodeName {
		name += "-" + randomHex()
	}
	return name, nil
}

func randomHex() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// listen opens the transport and starts memberlist on it.
func (c *Cluster) listen() error {
	t, err := newTransport(c.cfg, c.tls, c.net, c.log, c.metrics.transport)
	if err != nil {
		return err
	}
	mc := memberConfig(c.cfg, c.name, t, clusterDelegate{c}, c.log)
	mc.Events = c.roster
	ml, err := memberlist.Create(mc)
	if err != nil {
		return errors.Join(fmt.Errorf("gossip: %w", err), t.Shutdown())
	}
	c.transport, c.ml = t, ml
	return nil
}

// memberConfig translates the settings. Labels and compression are the transport's business, so memberlist has none.
func memberConfig(cfg Config, name string, t memberlist.Transport, d memberlist.Delegate, logger *slog.Logger) *memberlist.Config {
	mc := memberlist.DefaultLANConfig()
	mc.Name = name
	mc.Transport = t
	mc.Delegate = d
	mc.Logger = log.New(io.Writer(logWriter{logger}), "", 0)
	mc.TCPTimeout = cfg.StreamTimeout
	mc.RetransmitMult = cfg.RetransmitFactor
	mc.PushPullInterval = cfg.PullPushInterval
	mc.GossipInterval = cfg.GossipInterval
	mc.GossipNodes = cfg.GossipNodes
	mc.GossipToTheDeadTime = cfg.GossipToDeadNodesTime
	mc.DeadNodeReclaimTime = cfg.DeadNodeReclaimTime
	mc.HandoffQueueDepth = cfg.ReceivedMessagesQueueSize
	mc.AdvertiseAddr = cfg.AdvertiseAddr
	mc.AdvertisePort = cfg.AdvertisePort
	mc.EnableCompression = false
	mc.UDPBufferSize = packetSize
	mc.ProbeInterval = max(5*time.Second, cfg.GossipInterval) // a probe carries news too
	mc.ProbeTimeout = 2 * time.Second
	mc.DisableTcpPings = true // every ping is TCP here
	return mc
}

// Name returns this member's name.
func (c *Cluster) Name() string { return c.name }

// Addr returns the advertised "ip:port" of this member.
func (c *Cluster) Addr() string {
	c.transport.mu.Lock()
	defer c.transport.mu.Unlock()
	return c.transport.advertise
}

// Port is the port this member listens on: the configured one, or the one the system chose for 0. It is not the
// advertised port where that was configured.
func (c *Cluster) Port() int { return c.transport.port() }

// Members returns the members this node knows to be alive, itself included, sorted by name.
func (c *Cluster) Members() []Node { return c.roster.alive() }

// process merges received pairs, one after the other, until the cluster is closed.
func (c *Cluster) process() {
	for {
		select {
		case b := <-c.inbox:
			var p Pair
			err := p.UnmarshalBinary(b)
			if err == nil {
				err = c.receive(p)
			}
			if err != nil {
				c.refused(err)
			}
		case <-c.closed:
			return
		}
	}
}

func (c *Cluster) refused(err error) {
	c.metrics.receivedBroadcastsInvalid.Inc()
	level := slog.LevelWarn
	if errors.Is(err, ErrUnknownCodec) {
		level = slog.LevelDebug // somebody else's values, which we neither store nor pass on
	}
	c.log.Log(context.Background(), level, "gossip: received pair ignored", "err", err)
}

// receive merges one pair and passes on what was new in it.
func (c *Cluster) receive(p Pair) error {
	u, err := c.store.Decode(p)
	if err != nil {
		return err
	}
	c.mu.Lock()
	change, refused, err := c.store.Apply(u, time.Now())
	quiet := !c.settled && change != nil && change.Created
	c.mu.Unlock()
	if len(refused) > 0 {
		c.metrics.entriesRefused.WithLabelValues(p.Key).Add(float64(len(refused)))
		c.log.Warn("gossip: entries dated too far in the future were refused; if these are many, this node's clock is behind",
			"key", p.Key, "entries", refused, "limit", c.cfg.MaxHeartbeatAhead)
	}
	c.record(c.received, p, change)
	if err != nil {
		return err
	}
	c.spread(change, false, quiet)
	return nil
}

// record writes a message into the history, if there is one.
func (c *Cluster) record(h *history, p Pair, change *Change) {
	if h == nil {
		return
	}
	c.mu.Lock()
	c.nextMsg++
	m := Message{ID: c.nextMsg, At: time.Now(), Pair: p}
	c.mu.Unlock()
	if change != nil {
		m.Version, m.Changes = change.Version, change.Entries
	}
	h.add(m)
}

// spread tells watchers and queues the change for others. quiet leaves out the latter.
func (c *Cluster) spread(change *Change, own, quiet bool) {
	if change == nil {
		return
	}
	if change.Removed > 0 {
		c.metrics.tombstonesRemoved.WithLabelValues(change.Key).Add(float64(change.Removed))
	}
	c.watch.changed(change.Key)
	if quiet {
		return
	}
	c.mu.Lock()
	leaving := c.leaving
	c.mu.Unlock()
	if own && leaving {
		c.metrics.broadcastsDropped.Inc()
		return
	}
	for _, part := range split(change) {
		b, err := part.pair.MarshalBinary()
		if err != nil {
			c.log.Error("gossip: encode change", "key", change.Key, "err", err)
			continue
		}
		c.queue.put(part.id, b, own)
		if own {
			c.record(c.sent, part.pair, change)
		}
	}
}

type part struct {
	id   entryID
	pair Pair
}

// split cuts a change into one message per entry. Values merge entry by entry, so the parts together mean the same.
func split(change *Change) []part {
	picker, ok := change.Value.(Picker)
	if !ok || len(change.Entries) == 0 {
		return []part{{entryID{key: change.Key}, change.Pair()}}
	}
	parts := make([]part, 0, len(change.Entries))
	for _, name := range change.Entries {
		if v := picker.Pick([]string{name}); v != nil {
			parts = append(parts, part{entryID{change.Key, name}, change.pair(v)})
		}
	}
	return parts
}

// transmissions is how often each member that heard of a change tells it. The factor works as in memberlist; below the
// second number somebody would be left out: if all of n members tell a change k times to members chosen at random, about
// n/e^k of them never hear it before the next full exchange, half a minute or minutes later.
func transmissions(factor, members int) int {
	return max(scaled(factor, members), int(math.Ceil(math.Log(float64(max(members, 1)))))+6)
}

// scaled is memberlist's way to let a number grow with the cluster.
func scaled(factor, members int) int {
	return factor * int(math.Ceil(math.Log10(float64(members+1))))
}

func (c *Cluster) transmissions() int { return transmissions(c.cfg.RetransmitFactor, c.roster.count()) }

// clusterDelegate is what memberlist calls.
type clusterDelegate struct{ c *Cluster }

// NodeMeta implements memberlist.Delegate: without a zone of its own a member is chosen by everybody.
func (d clusterDelegate) NodeMeta(int) []byte { return nil }

// NotifyMsg implements memberlist.Delegate. It must not block, so a full queue loses the message; the next full exchange
// brings it back.
func (d clusterDelegate) NotifyMsg(b []byte) {
	d.c.metrics.receivedBroadcasts.Inc()
	d.c.metrics.receivedBroadcastsBytes.Add(float64(len(b)))
	select {
	case d.c.inbox <- append([]byte(nil), b...):
	default:
		d.c.metrics.receivedBroadcastsDropped.Inc()
	}
}

// GetBroadcasts implements memberlist.Delegate.
func (d clusterDelegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.c.queue.take(overhead, limit, d.c.transmissions())
}

// LocalState implements memberlist.Delegate.
func (d clusterDelegate) LocalState(bool) []byte {
	d.c.mu.Lock()
	pairs := d.c.store.Pairs()
	d.c.mu.Unlock()
	b := wire.AppendState(nil, pairs...)
	d.c.metrics.statePushes.Inc()
	d.c.metrics.statePushesBytes.Add(float64(len(b)))
	return b
}

// MergeRemoteState implements memberlist.Delegate.
func (d clusterDelegate) MergeRemoteState(b []byte, _ bool) {
	d.c.metrics.statePulls.Inc()
	d.c.metrics.statePullsBytes.Add(float64(len(b)))
	pairs, err := wire.DecodeState(b)
	if err != nil {
		d.c.refused(err) // the pairs before the damage still count
	}
	for _, p := range pairs {
		if err := d.c.receive(p); err != nil {
			d.c.refused(err)
		}
	}
}
