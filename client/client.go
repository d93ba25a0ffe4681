package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
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
	// parallelPulls bounds how many members are asked at once: a pull makes the member encode its whole state.
	parallelPulls = 16
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

// Client asks and changes the rings of one cluster. It keeps no connection and no state between calls, and is
// safe for concurrent use.
type Client struct {
	cfg Config
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
	view, err := c.firstView(ctx, seeds)
	if err != nil {
		return nil, err
	}
	return c.build(view, Observe, before), nil
}

// build judges a view as of the moment at which it arrived: others may take much longer to answer.
func (c *Client) build(v *gossip.View, mode Mode, before *Snapshot) *Snapshot {
	o := c.options(mode)
	o.Now, o.Before = v.At, before
	return Build(v, o)
}

// pull reads the view of one member, dated by the configured clock.
func (c *Client) pull(ctx context.Context, addr string, timeout time.Duration) (*gossip.View, error) {
	v, err := c.dialer(timeout).Pull(ctx, addr)
	if err != nil {
		return nil, err
	}
	v.At = c.cfg.Now()
	return v, nil
}

// SnapshotFrom asks one particular member, by its gossip name or address.
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
	view, err := c.pull(ctx, addr, c.cfg.Timeout)
	if err != nil {
		return nil, noView(err)
	}
	return c.build(view, Observe, before), nil
}

func member(s *Snapshot, name string) (*Member, bool) {
	for i := range s.Members {
		if s.Members[i].Name == name || s.Members[i].Addr == name {
			return &s.Members[i], true
		}
	}
	return nil, false
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

type pulled struct {
	addr string
	view *gossip.View
	err  error
}

// firstView hedges over the addresses and returns the first answer.
func (c *Client) firstView(ctx context.Context, addrs []string) (*gossip.View, error) {
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
			v, err := c.pull(ctx, addr, c.cfg.Timeout)
			answers <- pulled{addr, v, err}
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
				return a.view, nil
			}
			errs = append(errs, a.err)
			if len(errs) == len(addrs) {
				return nil, noView(errors.Join(errs...))
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

// Unreached is the error of [Client.Views] when model.Some members gave no view. The views of the others are good.
type Unreached struct {
	// Members maps the name (or address) of a member to the reason.
	Members map[string]error
}

// Error names how many members and one of them.
func (u *Unreached) Error() string {
	names := u.Names()
	return fmt.Sprintf("no view from %s: %s: %v", model.Plural(len(names), "member"), names[0], u.Members[names[0]])
}

// Names are the members without a view, sorted.
func (u *Unreached) Names() []string {
	names := make([]string, 0, len(u.Members))
	for n := range u.Members {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Views asks every member that the first seed holds for alive, and the other seeds. The snapshots are sorted
// by the name of the member. When model.Some members do not answer, the views of the others are returned together
// with an *[Unreached]; when none does, the error has [CodeNoView].
func (c *Client) Views(ctx context.Context) ([]*Snapshot, error) { return c.ViewsLike(ctx, nil) }

// ViewsLike is [Client.Views] for those who hold an earlier snapshot of the cluster, see [Options.Before].
func (c *Client) ViewsLike(ctx context.Context, before *Snapshot) ([]*Snapshot, error) {
	if len(c.cfg.HTTP) > 0 {
		return c.httpViews(ctx)
	}
	views, failed, err := c.pullAll(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*Snapshot, len(views))
	// Each view is built on its own; they are many when clusters are large.
	var wg sync.WaitGroup
	limit := make(chan struct{}, 4)
	for i, v := range views {
		wg.Go(func() {
			limit <- struct{}{}
			out[i] = c.build(v, Observe, before)
			<-limit
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b *Snapshot) int { return strings.Compare(a.From, b.From) })
	if len(failed) > 0 {
		return out, &Unreached{Members: failed}
	}
	return out, nil
}

// pullAll asks the seeds for the members, then all members, and returns their views.
func (c *Client) pullAll(ctx context.Context) ([]*gossip.View, map[string]error, error) {
	return c.pullSome(ctx, func(addrs []string) []string { return addrs })
}

// pullSome asks the seeds for the members, then the chosen ones of them.
func (c *Client) pullSome(ctx context.Context, choose func([]string) []string) ([]*gossip.View, map[string]error, error) {
	seeds, err := c.seeds(ctx)
	if err != nil {
		return nil, nil, err
	}
	first, err := c.firstView(ctx, seeds)
	if err != nil {
		return nil, nil, err
	}
	asked := &census{names: map[string]string{}}
	got, failed := c.pullMembers(ctx, choose(asked.take(first)), first)
	// A seed that is no member in the first view is a member behind a tunnel, or of another island: with several seeds,
	// or when members cannot be reached at their own address, it is asked too, and so are the members it knows.
	for _, s := range seeds {
		if asked.known(s) || len(failed) == 0 && len(seeds) == 1 && len(got) > 0 {
			continue
		}
		v := first
		if s != first.From {
			if v, err = c.pull(ctx, s, c.cfg.Timeout); err != nil {
				failed[s] = err
				continue
			}
		}
		asked.names[s] = s
		got = append(got, v)
		more, lost := c.pullMembers(ctx, choose(asked.take(v)), v)
		got = append(got, more...)
		maps.Copy(failed, lost)
	}
	named := map[string]error{}
	for addr, err := range failed {
		if !asked.restarted(addr, got) {
			named[or(asked.names[addr], addr)] = err
		}
	}
	if len(got) == 0 {
		return nil, nil, noView(&Unreached{Members: named})
	}
	return got, named, nil
}

// census is the members that were asked already: names by address.
type census struct{ names map[string]string }

func (c *census) known(addr string) bool { return c.names[addr] != "" }

// restarted tells whether a member that gave no view gave one under the name that it has since it was started again. Others
// go on listing the old name until they miss it.
func (c *census) restarted(addr string, got []*gossip.View) bool {
	name := c.names[addr]
	if model.Stem(name) == name {
		return false
	}
	return slices.ContainsFunc(got, func(v *gossip.View) bool {
		other := c.names[v.From]
		return other != name && model.Stem(other) == model.Stem(name)
	})
}

// take returns the addresses of living members that are new here, and notes them.
func (c *census) take(v *gossip.View) []string {
	var out []string
	for _, n := range v.Nodes {
		if (n.State == gossip.NodeAlive || n.State == gossip.NodeSuspect) && !model.IsGuest(n.Name) && !c.known(n.Addr) {
			c.names[n.Addr] = n.Name
			out = append(out, n.Addr)
		}
	}
	return out
}

// pullMembers asks all addresses, a few at a time. When the first ones all model.Fail it stops: the addresses are
// then out of reach from here, and each attempt would cost a timeout.
func (c *Client) pullMembers(ctx context.Context, addrs []string, first *gossip.View) ([]*gossip.View, map[string]error) {
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		views  []*gossip.View
		failed = map[string]error{}
		limit  = make(chan struct{}, parallelPulls)
	)
	hopeless := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(views) == 0 && len(failed) >= 2*parallelPulls
	}
	for _, addr := range addrs {
		if addr == first.From {
			mu.Lock()
			views = append(views, first)
			mu.Unlock()
			continue
		}
		limit <- struct{}{}
		if hopeless() || ctx.Err() != nil {
			mu.Lock()
			failed[addr] = errors.New("not tried: no other member could be reached at its own address")
			mu.Unlock()
			<-limit
			continue
		}
		wg.Go(func() {
			defer func() { <-limit }()
			v, err := c.pull(ctx, addr, min(c.cfg.Timeout, 5*time.Second))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[addr] = err
				return
			}
			views = append(views, v)
		})
	}
	wg.Wait()
	return views, failed
}
