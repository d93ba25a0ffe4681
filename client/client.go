package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
)

// DefaultSeed is asked when no seed is configured.
const DefaultSeed = "127.0.0.1:7946"

const (
	defaultTimeout = 10 * time.Second
	defaultPoll    = 5 * time.Second
	// hedge is how long a seed may be silent before the next one is asked too.
	hedge = time.Second
	// parallelPulls bounds how many members are asked at once: a pull makes the member encode its whole state. Together
	// the states that are read at once have at most pullBytes, unless a single one is larger.
	parallelPulls = 16
	pullBytes     = 8 << 20
)

// Config says where a cluster is and what is known about it. The zero value asks [DefaultSeed].
type Config struct {
	// Seeds are gossip addresses: host:port, dns+host:port, dnssrv+name.
	Seeds []string
	// HTTP are base URLs of members, used instead of gossip when Seeds is empty.
	HTTP []string
	// HTTPClient is used for them; nil is a client with Timeout and TLS.
	HTTPClient *http.Client
	// Label is the cluster label.
	Label string
	// TLS turns on TLS for gossip; nil is plain TCP.
	TLS *tls.Config
	// Timeout bounds each exchange with one member; zero is 10 s.
	Timeout time.Duration
	// Product selects usual settings (see [Products]); "" recognises what can be recognised.
	Product string
	// HeartbeatTimeout overrides the timeout of all rings; zero leaves each its own.
	HeartbeatTimeout time.Duration
	// ReplicationFactor and ZoneAware override those of all rings that keep replicas.
	ReplicationFactor int
	ZoneAware         *bool
	// Profiles override single rings, by key or short name.
	Profiles map[string]Profile
	// Join makes Watch a guest member where that works; Advertise is the ip:port at which members reach it.
	Join      bool
	Advertise string
	// Poll is how often Watch asks when it observes; zero is 5 s, and less than 1 s becomes 1 s.
	Poll time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Dial replaces the network dial, for example with one through a tunnel.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Client asks and changes the rings of one cluster. It keeps no connection and nothing that it was told between calls,
// and is safe for concurrent use.
type Client struct {
	cfg    Config
	memory memory
}

// New checks the configuration and returns a client. Nothing is dialed.
func New(cfg Config) (*Client, error) {
	var errs []error
	if len(cfg.Seeds) > 0 && len(cfg.HTTP) > 0 {
		errs = append(errs, errors.New("both gossip seeds and HTTP addresses are given; choose one way"))
	}
	if cfg.Product != "" && !slices.Contains(Products(), cfg.Product) {
		errs = append(errs, fmt.Errorf("unknown product %q; known are %s", cfg.Product, strings.Join(Products(), ", ")))
	}
	if len(cfg.Label) > 255 {
		errs = append(errs, errors.New("the cluster label is longer than 255 bytes"))
	}
	if cfg.Timeout < 0 || cfg.HeartbeatTimeout < 0 {
		errs = append(errs, errors.New("a timeout is negative"))
	}
	if len(errs) > 0 {
		return nil, model.Fail(CodeUsage, "configure client", "", "%w", errors.Join(errs...))
	}
	if len(cfg.Seeds) == 0 && len(cfg.HTTP) == 0 {
		cfg.Seeds = []string{DefaultSeed}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Poll == 0 {
		cfg.Poll = defaultPoll
	}
	return &Client{cfg: cfg}, nil
}

// Config returns the configuration with defaults filled in.
func (c *Client) Config() Config { return c.cfg }

func (c *Client) dialer(timeout time.Duration) gossip.Dialer {
	return gossip.Dialer{Label: c.cfg.Label, TLS: c.cfg.TLS, Timeout: timeout, Dial: c.cfg.Dial}
}

func (c *Client) options(mode Mode) Options {
	return Options{
		Now: c.cfg.Now(), Mode: mode, Label: c.cfg.Label, Product: c.cfg.Product,
		HeartbeatTimeout: c.cfg.HeartbeatTimeout, Profiles: c.cfg.Profiles,
		ReplicationFactor: c.cfg.ReplicationFactor, ZoneAware: c.cfg.ZoneAware,
	}
}

// Snapshot asks one member: the first seed that answers. Seeds are asked in order, the next one as soon as one
// fails or is silent for a second.
func (c *Client) Snapshot(ctx context.Context) (*Snapshot, error) { return c.snapshotLike(ctx, nil) }

func (c *Client) snapshotLike(ctx context.Context, before *Snapshot) (*Snapshot, error) {
	if len(c.cfg.HTTP) > 0 {
		return c.httpSnapshot(ctx)
	}
	seeds, err := c.seeds(ctx)
	if err != nil {
		return nil, err
	}
	first, err := c.firstView(ctx, seeds)
	if err != nil {
		return nil, err
	}
	defer c.memory.give(first.memory)
	return c.build(first.view, Observe, before), nil
}

// build judges a view as of the moment at which it arrived: others may take much longer to answer.
func (c *Client) build(v *gossip.View, mode Mode, before *Snapshot) *Snapshot {
	o := c.options(mode)
	o.Now, o.Before = v.At, before
	return Build(v, o)
}

// pulled is the answer of one member. The values of the view lie in the memory, which may be given back when they are not
// needed any more.
type pulled struct {
	addr   string
	view   *gossip.View
	memory []byte
	err    error
}

// pull reads the view of one member, dated by the configured clock.
func (c *Client) pull(ctx context.Context, addr string, timeout time.Duration) pulled {
	p := pulled{addr: addr}
	p.view, p.memory, p.err = c.dialer(timeout).PullInto(ctx, addr, c.memory.take())
	if p.err != nil {
		c.memory.give(p.memory)
		return pulled{addr: addr, err: p.err}
	}
	p.view.At = c.cfg.Now()
	return p
}

// SnapshotFrom asks one particular member, by its gossip name, with or without the random part, or address.
func (c *Client) SnapshotFrom(ctx context.Context, name string) (*Snapshot, error) {
	return c.SnapshotFromLike(ctx, name, nil)
}

// SnapshotFromLike is [Client.SnapshotFrom] for those who hold an earlier snapshot of the cluster, see [Options.Before].
func (c *Client) SnapshotFromLike(ctx context.Context, name string, before *Snapshot) (*Snapshot, error) {
	addr := name
	if !strings.Contains(name, ":") {
		s, err := c.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		m, ok := member(s, name)
		if !ok {
			return nil, model.Fail(CodeNotFound, "ask "+name, "ringctl views lists the members", "no gossip member has this name")
		}
		addr = m.Addr
	}
	p := c.pull(ctx, addr, c.cfg.Timeout)
	if p.err != nil {
		return nil, noView(p.err)
	}
	defer c.memory.give(p.memory)
	return c.build(p.view, Observe, before), nil
}

// member finds a gossip member by its name or address, or by its name without the random part when only one that is not gone
// has it.
func member(s *Snapshot, name string) (*Member, bool) {
	var same []*Member
	for i := range s.Members {
		m := &s.Members[i]
		if m.Name == name || m.Addr == name {
			return m, true
		}
		if model.Stem(m.Name) == name && (m.State == "alive" || m.State == "suspect") {
			same = append(same, m)
		}
	}
	if len(same) != 1 {
		return nil, false
	}
	return same[0], true
}

func noView(err error) error {
	if CodeOf(err) == CodeInterrupted {
		return err
	}
	return &Error{Code: CodeNoView, Op: "get a view", Err: err,
		Hint: "check --seeds (gossip port, 7946 by default), --label and --tls-*; through a tunnel: kubectl port-forward POD 7946"}
}

// seeds resolves the configured seeds to addresses, in order and without repetition.
func (c *Client) seeds(ctx context.Context) ([]string, error) {
	var out []string
	var errs []error
	for _, s := range c.cfg.Seeds {
		addrs, err := gossip.Resolve(ctx, s)
		if err != nil {
			errs = append(errs, err)
		}
		for _, a := range addrs {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	if len(out) == 0 {
		return nil, noView(errors.Join(errs...))
	}
	return out, nil
}

// firstView hedges over the addresses and returns the first answer.
func (c *Client) firstView(ctx context.Context, addrs []string) (pulled, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan pulled, len(addrs))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	next := 0
	start := func() {
		addr := addrs[next]
		next++
		wg.Go(func() {
			answers <- c.pull(ctx, addr, c.cfg.Timeout)
		})
	}
	start()
	timer := time.NewTimer(hedge)
	defer timer.Stop()
	var errs []error
	for {
		select {
		case a := <-answers:
			if a.err == nil {
				return a, nil
			}
			errs = append(errs, a.err)
			if len(errs) == len(addrs) {
				return pulled{}, noView(errors.Join(errs...))
			}
			if next < len(addrs) {
				start()
			}
		case <-timer.C:
			if next < len(addrs) {
				start()
				timer.Reset(hedge)
			}
		}
	}
}
