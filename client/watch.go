package client

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

const (
	// calm is the least time between two snapshots of a joined watch: changes in between arrive as one.
	calm = 500 * time.Millisecond
	// refresh is how often a joined watch compares itself with a member's whole view.
	refresh = 30 * time.Second
)

// Watch yields a snapshot now and then whenever something may have changed, until ctx ends or the loop breaks.
// With [Config.Join] it becomes a guest member and hears of changes as they spread; where that is impossible it
// observes instead and says so in [Snapshot.Note]. When observing, it asks every [Config.Poll].
//
// An error is a moment without a view, not the end: the sequence goes on. It ends with ctx, without an error.
func (c *Client) Watch(ctx context.Context) iter.Seq2[*Snapshot, error] {
	return func(yield func(*Snapshot, error) bool) {
		note := ""
		if c.cfg.Join && len(c.cfg.HTTP) == 0 {
			err := c.watchAsGuest(ctx, yield)
			if err == nil || ctx.Err() != nil {
				return
			}
			note = "observing: " + err.Error()
		}
		c.poll(ctx, note, yield)
	}
}

// poll asks the seeds again and again, always in the same order, so that one member's view is followed.
func (c *Client) poll(ctx context.Context, note string, yield func(*Snapshot, error) bool) {
	for {
		s, err := c.Snapshot(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil && note != "" {
			s.Note = note
		}
		if !yield(s, err) {
			return
		}
		wait := max(c.cfg.Poll, time.Second)
		if due, expires := expiry(s); expires {
			wait = min(wait, max(due.Sub(c.cfg.Now()), calm))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// expiry is the moment after which the next healthy instance counts as unhealthy, unless it is heard of before.
// Somebody who watches should look then, and not later.
func expiry(s *Snapshot) (at time.Time, expires bool) {
	if s == nil {
		return at, false
	}
	for i := range s.Rings {
		r := &s.Rings[i]
		for j := range r.Instances {
			in := &r.Instances[j]
			if in.Health != Healthy || r.HeartbeatTimeout == 0 {
				continue
			}
			if t := in.Heartbeat.Add(time.Duration(r.HeartbeatTimeout) + time.Millisecond); !expires || t.Before(at) {
				at, expires = t, true
			}
		}
	}
	return at, expires
}

// watchAsGuest joins and follows. It returns an error only when nothing was yielded and observing is worth a try.
func (c *Client) watchAsGuest(ctx context.Context, yield func(*Snapshot, error) bool) error {
	seeds, err := c.seeds(ctx)
	if err != nil {
		return err
	}
	cfg := gossip.GuestConfig{Seeds: seeds, Label: c.cfg.Label, TLS: c.cfg.TLS, Timeout: min(c.cfg.Timeout, 5*time.Second)}
	if c.cfg.Advertise != "" {
		host, port, err := net.SplitHostPort(c.cfg.Advertise)
		if err != nil {
			return fmt.Errorf("advertised address %q: %w", c.cfg.Advertise, err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return fmt.Errorf("advertised address %q: %w", c.cfg.Advertise, err)
		}
		cfg.AdvertiseAddr, cfg.AdvertisePort, cfg.BindPort = host, int(n), int(n)
	}
	guest, err := gossip.JoinAsGuest(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	// The context may be over when we leave; leaving is then still owed to the members.
	defer func() { _ = guest.Leave(context.WithoutCancel(ctx)) }()
	f := follower{client: c, guest: guest, yield: yield}
	f.run(ctx, seeds)
	return nil
}

// follower keeps a copy of the state that the guest hears about. It never sends any of it.
type follower struct {
	client *Client
	guest  *gossip.Guest
	yield  func(*Snapshot, error) bool

	from       string
	nodes      map[string]gossip.Node
	pairs      map[string]gossip.Pair
	rings      map[string]*ring.Desc
	partitions map[string]*partition.Desc
	changed    map[string]bool // keys whose pair is older than the decoded value
	dirty      bool
}

func (f *follower) run(ctx context.Context, seeds []string) {
	again := time.NewTicker(refresh)
	defer again.Stop()
	emit := time.NewTicker(calm)
	defer emit.Stop()
	quiet := time.Now()
	var due time.Time // of the next heartbeat timeout, if any expires
	expires := false
	if !f.reload(ctx, seeds) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-f.guest.Events():
			if !ok {
				return
			}
			f.hear(e)
		case <-again.C:
			if !f.reload(ctx, seeds) {
				return
			}
		case <-emit.C:
			if !f.dirty && time.Since(quiet) < f.client.cfg.Poll && (!expires || f.client.cfg.Now().Before(due)) {
				continue
			}
			quiet, f.dirty = time.Now(), false
			s := f.snapshot()
			due, expires = expiry(s)
			if !f.yield(s, nil) {
				return
			}
		}
	}
}

// reload takes one member's whole view, which also drops what was forgotten. It returns false to stop.
func (f *follower) reload(ctx context.Context, seeds []string) bool {
	view, err := f.client.firstView(ctx, seeds)
	if err != nil {
		return ctx.Err() == nil && f.yield(nil, err)
	}
	f.from = view.From
	f.nodes, f.pairs = map[string]gossip.Node{}, map[string]gossip.Pair{}
	f.rings, f.partitions = map[string]*ring.Desc{}, map[string]*partition.Desc{}
	f.changed, f.dirty = map[string]bool{}, true
	for _, n := range view.Nodes {
		f.nodes[n.Name] = n
	}
	for _, p := range view.Pairs {
		f.pairs[p.Key] = p
	}
	return true
}

func (f *follower) hear(e gossip.Event) {
	if e.Node != nil {
		f.nodes[e.Node.Name] = *e.Node
		f.dirty = true
	}
	if e.Pair != nil {
		f.merge(*e.Pair)
	}
}

// merge takes a pair in as a member would. What cannot be read is left as it was.
func (f *follower) merge(in gossip.Pair) {
	cur, known := f.pairs[in.Key]
	switch {
	case !known || in.Codec != cur.Codec:
		if !in.Deleted {
			f.pairs[in.Key], f.dirty = in, true
		}
		return
	case in.Codec == ring.Codec:
		f.mergeRing(cur, in)
	case in.Codec == partition.Codec:
		f.mergePartitions(cur, in)
	default:
		f.pairs[in.Key], f.dirty = in, true
	}
	if in.Deleted && in.UpdateTimeMillis > cur.UpdateTimeMillis {
		cur.Deleted, cur.UpdateTimeMillis = true, in.UpdateTimeMillis
		f.pairs[in.Key], f.dirty = cur, true
	}
}

func (f *follower) mergeRing(cur, in gossip.Pair) {
	d := f.rings[in.Key]
	if d == nil {
		var err error
		if d, err = ring.DecodeValue(cur.Value); err != nil {
			f.pairs[in.Key] = in
			return
		}
		f.rings[in.Key] = d
	}
	if change, err := ring.DecodeValue(in.Value); err == nil && ring.Merge(d, change, false, f.client.cfg.Now()) != nil {
		f.changed[in.Key], f.dirty = true, true
	}
}

func (f *follower) mergePartitions(cur, in gossip.Pair) {
	d := f.partitions[in.Key]
	if d == nil {
		var err error
		if d, err = partition.DecodeValue(cur.Value); err != nil {
			f.pairs[in.Key] = in
			return
		}
		f.partitions[in.Key] = d
	}
	if change, err := partition.DecodeValue(in.Value); err == nil && partition.Merge(d, change, false, f.client.cfg.Now()) != nil {
		f.changed[in.Key], f.dirty = true, true
	}
}

func (f *follower) snapshot() *Snapshot {
	v := &gossip.View{From: f.from, At: f.client.cfg.Now()}
	for _, n := range f.nodes {
		v.Nodes = append(v.Nodes, n)
	}
	for key, p := range f.pairs {
		if f.changed[key] {
			if d := f.rings[key]; d != nil {
				p.Value = ring.EncodeValue(d)
			}
			if d := f.partitions[key]; d != nil {
				p.Value = partition.EncodeValue(d)
			}
			f.pairs[key] = p
			delete(f.changed, key)
		}
		v.Pairs = append(v.Pairs, p)
	}
	o := f.client.options(Join)
	o.Note = "joined as " + f.guest.Name()
	return Build(v, o)
}
