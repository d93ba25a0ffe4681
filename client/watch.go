package client

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

const (
	// calm is the least time between two snapshots of a joined watch: changes in between arrive as one. When only
	// heartbeats came in, which nobody needs to see at once, it is calmBeats.
	calm      = 500 * time.Millisecond
	calmBeats = 2 * time.Second
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
	var last *Snapshot
	for {
		s, err := c.snapshotLike(ctx, last)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			last = s
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

	from  string
	nodes map[string]gossip.Node
	pairs map[string]gossip.Pair // those in values are without value
	// values are what pairs were decoded to. Snapshots share them, so that a change makes a copy once per snapshot.
	values map[string]Value
	own    map[string]bool // rings that no snapshot has yet
	grown  map[string]bool // rings whose size is not that of the value any more
	// scratch are copies of partition rings to try a merge on. They equal the values until a merge changes something.
	scratch map[string]*partition.Desc
	last    *Snapshot
	// dirty is set by anything new, beats by heartbeats alone.
	dirty, beats bool
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
			still := time.Since(quiet)
			late := still >= f.client.cfg.Poll || f.beats && still >= min(calmBeats, f.client.cfg.Poll)
			if !f.dirty && !late && (!expires || f.client.cfg.Now().Before(due)) {
				continue
			}
			quiet, f.dirty, f.beats = time.Now(), false, false
			f.last = f.snapshot()
			due, expires = expiry(f.last)
			if !f.yield(f.last, nil) {
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
	before := f.values
	f.from, f.dirty = view.From, true
	f.nodes, f.pairs = map[string]gossip.Node{}, map[string]gossip.Pair{}
	f.values, f.own, f.grown = map[string]Value{}, map[string]bool{}, map[string]bool{}
	f.scratch = map[string]*partition.Desc{}
	for _, n := range view.Nodes {
		f.nodes[n.Name] = n
	}
	for _, p := range view.Pairs {
		f.take(p, before[p.Key])
	}
	return true
}

// take replaces a pair by another one. What cannot be decoded is kept as it is.
func (f *follower) take(p gossip.Pair, before Value) {
	v, err := Value{Bytes: len(p.Value)}, error(nil)
	switch p.Codec {
	case ring.Codec:
		v.Ring, err = ring.DecodeValueLike(p.Value, before.Ring)
	case partition.Codec:
		v.Partitions, err = partition.DecodeValueLike(p.Value, before.Partitions)
	}
	delete(f.values, p.Key)
	delete(f.own, p.Key)
	delete(f.grown, p.Key)
	delete(f.scratch, p.Key)
	if err == nil && (v.Ring != nil || v.Partitions != nil) {
		f.values[p.Key], p.Value = v, nil
	}
	f.pairs[p.Key] = p
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
	v := f.values[in.Key]
	switch {
	case !known || in.Codec != cur.Codec:
		if !in.Deleted {
			f.take(in, Value{})
			f.dirty = true
		}
		return
	case v.Ring != nil:
		f.mergeRing(in, v)
	case v.Partitions != nil:
		f.mergePartitions(in, v)
	case !bytes.Equal(in.Value, cur.Value):
		f.take(in, Value{})
		f.dirty = true
	}
	if in.Deleted && in.UpdateTimeMillis > cur.UpdateTimeMillis {
		cur.Deleted, cur.UpdateTimeMillis = true, in.UpdateTimeMillis
		f.pairs[in.Key], f.dirty = cur, true
	}
}

func (f *follower) mergeRing(in gossip.Pair, v Value) {
	news, err := ring.DecodeNews(in.Value, v.Ring)
	if err != nil || len(news.Instances) == 0 {
		return
	}
	if !f.own[in.Key] {
		v.Ring, f.own[in.Key] = v.Ring.Clone(), true
	}
	was := &ring.Desc{Instances: make(map[string]ring.Instance, len(news.Instances))}
	for id := range news.Instances {
		if i, ok := v.Ring.Instances[id]; ok {
			was.Instances[id] = i
		}
	}
	change := ring.Merge(v.Ring, news, false, f.client.cfg.Now())
	switch {
	case change == nil:
	case !ring.SameButHeartbeats(was, change):
		f.grown[in.Key], f.dirty = true, true
	case f.awaited(in.Key, change):
		f.dirty = true
	default:
		f.beats = true
	}
	f.values[in.Key] = v
}

// awaited tells whether a heartbeat came from an instance that was not healthy: it is news then.
func (f *follower) awaited(key string, beats *ring.Desc) bool {
	if f.last == nil {
		return false
	}
	r, ok := f.last.Ring(key)
	return ok && r.HealthyCount < len(r.Instances) && slices.ContainsFunc(r.Instances, func(i Instance) bool {
		_, beat := beats.Instances[i.ID]
		return beat && i.Health != Healthy
	})
}

func (f *follower) mergePartitions(in gossip.Pair, v Value) {
	change, err := partition.DecodeValueLike(in.Value, v.Partitions)
	if err != nil || change == v.Partitions {
		return
	}
	d := f.scratch[in.Key]
	if d == nil {
		d = v.Partitions.Clone()
		f.scratch[in.Key] = d
	}
	if partition.Merge(d, change, false, f.client.cfg.Now()) != nil {
		delete(f.scratch, in.Key)
		f.values[in.Key], f.grown[in.Key], f.dirty = Value{Partitions: d}, true, true
	}
}

func (f *follower) snapshot() *Snapshot {
	v := &gossip.View{From: f.from, At: f.client.cfg.Now()}
	for _, n := range f.nodes {
		v.Nodes = append(v.Nodes, n)
	}
	for _, p := range f.pairs {
		v.Pairs = append(v.Pairs, p)
	}
	for key := range f.grown {
		v := f.values[key]
		if v.Ring != nil {
			v.Bytes = len(ring.EncodeValue(v.Ring))
		} else {
			v.Bytes = len(partition.EncodeValue(v.Partitions))
		}
		f.values[key] = v
	}
	clear(f.grown)
	o := f.client.options(Join)
	o.Note = "joined as " + f.guest.Name()
	o.Before, o.Values = f.last, f.values
	clear(f.own)
	return Build(v, o)
}
