package client

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

const (
	// refresh is how often a joined watch compares itself with a member's whole view; with large states less often, so that
	// it reads at most refreshRate bytes per second. When something went wrong, it looks again after refreshSoon.
	refresh     = 30 * time.Second
	refreshRate = 64 << 10
	refreshSoon = 5 * time.Second
	newsFor     = 15 * time.Second
	// silence is how long nothing may be heard before a member is asked whether anybody is still there, and others is how
	// many members are asked when no seed answers.
	silence = 15 * time.Second
	others  = 3
	// gather is how long changes are gathered before the first of them is shown: they rarely come alone.
	gather = 50 * time.Millisecond
)

// hearer is what a follower needs of a guest.
type hearer interface {
	Events() <-chan gossip.Event
	Missed() int
	Name() string
}

// follower keeps a copy of the state that the guest hears about. It never sends any of it.
type follower struct {
	client *Client
	guest  hearer
	yield  func(*Snapshot, error) bool
	seeds  []string

	from  string
	nodes map[string]gossip.Node
	pairs map[string]gossip.Pair // those in values are without value
	// values are what pairs were decoded to. Snapshots share them, so that a change makes a copy once per snapshot.
	values map[string]Value
	own    map[string]bool // rings that no snapshot has yet
	grown  map[string]bool // rings whose size is not that of the value any more
	// scratch are copies of partition rings to try a merge on. They equal the values until a merge changes something.
	scratch map[string]*partition.Desc
	was     *ring.Desc // the entries that the last merge met
	news    ring.News
	// merged are values that were merged already: full exchanges bring the same large partition ring again and again.
	merged map[string]model.Fingerprint
	bytes  int // of the last whole view
	missed int // events, when the last whole view was taken

	// heardAt is when a member was last heard of, or asked with success. lost is true from the moment at which nobody gives a view
	// until a member is heard again: what is known then is shown no more, as it would look fresh.
	heardAt time.Time
	lost    bool

	// asking is true while a whole view is on its way. heard is what came in meanwhile, and before that what changed more
	// than heartbeats within newsFor: the member that is asked may not know it yet, and nobody may tell it again.
	asking bool
	heard  []gossip.Event

	last   *Snapshot
	lastAt time.Time
	// dirty is set by anything new but heartbeats; soon is when to show it.
	dirty bool
	soon  time.Time
	// due is when the next heartbeat times out that was not followed by another one, if expires.
	due     time.Time
	expires bool
}

// run follows until ctx ends, the guest has left, or nobody wants snapshots any more.
func (f *follower) run(ctx context.Context) {
	views := make(chan pulled)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	again, emit := time.NewTimer(0), time.NewTimer(refresh)
	defer again.Stop()
	defer emit.Stop()
	var at time.Time // at which emit fires, if armed
	armed := false
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-f.guest.Events():
			if !ok {
				return
			}
			f.hear(e)
			for range len(f.guest.Events()) { // they come by the packet
				if e, ok = <-f.guest.Events(); !ok {
					return
				}
				f.hear(e)
			}
		case <-again.C:
			f.ask(ctx, views)
		case p := <-views:
			if !f.reload(p) {
				return
			}
			again.Reset(f.pause(p.err))
		case <-emit.C:
			if armed = false; !f.ready() {
				break
			}
			if !f.show() {
				return
			}
			if f.guest.Missed() > f.missed || time.Since(f.heardAt) >= silence {
				again.Reset(0)
			}
		}
		if next, ok := f.next(); ok && (!armed || !next.Equal(at)) {
			at, armed = next, true
			emit.Reset(time.Until(at))
		}
	}
}

// next is when a snapshot is to be shown, or may be; none before the first view, and while there is none.
func (f *follower) next() (time.Time, bool) {
	switch {
	case f.pairs == nil || f.lost:
		return time.Time{}, false
	case f.last == nil:
		return f.soon, true
	}
	next := f.lastAt.Add(f.client.cfg.Poll)
	if f.expires {
		// Heartbeats are dated by the configured clock, which need not run like ours.
		if due := time.Now().Add(f.due.Sub(f.client.cfg.Now())); due.Before(next) {
			next = due.Add(time.Millisecond).Truncate(time.Millisecond)
		}
	}
	if f.dirty && f.soon.Before(next) {
		next = f.soon
	}
	return next, true
}

// ready tells whether there is something to show: a change, a heartbeat that timed out, or ages after a while.
func (f *follower) ready() bool {
	if f.lost {
		return false
	}
	if f.last == nil || f.dirty || time.Since(f.lastAt) >= f.client.cfg.Poll {
		return true
	}
	f.due, f.expires = f.expiry()
	return f.expires && !f.client.cfg.Now().Before(f.due)
}

// expiry is like that of the last snapshot, with the heartbeats heard since.
func (f *follower) expiry() (at time.Time, expires bool) {
	for i := range f.last.Rings {
		r := &f.last.Rings[i]
		d := f.values[r.Key].Ring
		if d == nil || r.HeartbeatTimeout == 0 {
			continue
		}
		for j := range r.Instances {
			if in := &r.Instances[j]; in.Health == Healthy {
				t := timesOut(time.Unix(d.Instances[in.ID].Timestamp, 0), r)
				if !expires || t.Before(at) {
					at, expires = t, true
				}
			}
		}
	}
	return at, expires
}

func (f *follower) show() bool {
	f.last, f.lastAt, f.dirty = f.snapshot(), time.Now(), false
	f.due, f.expires = expiry(f.last)
	return f.yield(f.last, nil)
}

// ask begins to pull a member's whole view.
func (f *follower) ask(ctx context.Context, views chan<- pulled) {
	if f.asking {
		return
	}
	f.asking, f.missed = true, f.guest.Missed()
	addrs := f.addresses()
	go func() { // ends with ctx at the latest
		p, err := f.client.firstView(ctx, addrs)
		p.err = err
		select {
		case views <- p:
		case <-ctx.Done():
		}
	}()
}

// addresses are the seeds, and a few living members for the time when these are gone.
func (f *follower) addresses() []string {
	out := slices.Clone(f.seeds)
	var more []string
	for _, n := range f.nodes {
		if n.State == gossip.NodeAlive && !model.IsGuest(n.Name) && !slices.Contains(out, n.Addr) {
			more = append(more, n.Addr)
		}
	}
	slices.Sort(more)
	return append(out, more[:min(len(more), others)]...)
}

// pause is how long to wait before the next whole view.
func (f *follower) pause(err error) time.Duration {
	if err != nil || f.guest.Missed() > f.missed {
		return refreshSoon
	}
	return max(refresh, pauseFor(f.bytes, refreshRate))
}

// reload takes one member's whole view, which also drops what was forgotten. It returns false to stop.
func (f *follower) reload(p pulled) bool {
	f.asking = false
	heard := f.heard
	f.heard = nil
	if p.err != nil {
		if f.pairs != nil && time.Since(f.heardAt) < f.client.cfg.Poll {
			return true // members are heard: what is shown is not old
		}
		f.lost = true
		return f.yield(nil, p.err)
	}
	defer f.client.memory.give(p.memory)
	f.heardAt, f.lost = time.Now(), false
	before := f.values
	f.from, f.bytes = p.view.From, p.view.Bytes
	f.change()
	f.nodes, f.pairs = map[string]gossip.Node{}, map[string]gossip.Pair{}
	f.values, f.own, f.grown = map[string]Value{}, map[string]bool{}, map[string]bool{}
	f.scratch, f.merged = map[string]*partition.Desc{}, map[string]model.Fingerprint{}
	for _, n := range p.view.Nodes {
		f.nodes[n.Name] = n
	}
	for _, pair := range p.view.Pairs {
		f.take(pair, before[pair.Key])
	}
	for _, e := range heard {
		f.hear(e)
	}
	return true
}

// take replaces a pair by another one. What cannot be decoded is kept as it is. Of an instance ring that was known before,
// the later heartbeats are kept: the member may hear less than we do.
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
	delete(f.merged, p.Key)
	if err == nil && (v.Ring != nil || v.Partitions != nil) {
		if v.Ring != nil && before.Ring != nil {
			ring.Merge(v.Ring, later(before.Ring, v.Ring), false, f.client.cfg.Now())
			f.own[p.Key] = true
		}
		f.values[p.Key], p.Value = v, nil
	}
	p.Value = bytes.Clone(p.Value)
	f.pairs[p.Key] = p
}

// later are the entries of a that b has, too, with an older heartbeat.
func later(a, b *ring.Desc) *ring.Desc {
	out := ring.NewDesc()
	for id, i := range a.Instances {
		if j, ok := b.Instances[id]; ok && i.Timestamp > j.Timestamp {
			out.Instances[id] = i
		}
	}
	return out
}

func (f *follower) hear(e gossip.Event) {
	f.heardAt, f.lost = time.Now(), false
	news := f.asking
	if f.pairs != nil && e.Node != nil {
		n := *e.Node
		if n.State == gossip.NodeDead && model.IsGuest(n.Name) {
			n.State = gossip.NodeLeft // gossip does not tell which of the two; of a guest, nobody misses it
		}
		f.nodes[n.Name], news = n, true
		f.change()
	}
	if f.pairs != nil && e.Pair != nil && f.merge(*e.Pair) {
		news = true
	}
	if news {
		for !f.asking && len(f.heard) > 0 && e.At.Sub(f.heard[0].At) > newsFor {
			f.heard = f.heard[1:]
		}
		f.heard = append(f.heard, e)
	}
}

// change notes something new. The first change after a calm waits for those that come with it.
func (f *follower) change() {
	if f.dirty {
		return
	}
	f.dirty, f.soon = true, time.Now().Add(gather)
	if calmed := f.lastAt.Add(calm); f.soon.Before(calmed) {
		f.soon = calmed
	}
}

// merge takes a pair in as a member would, and tells whether it changed more than heartbeats. What cannot be read is left as
// it was.
func (f *follower) merge(in gossip.Pair) (news bool) {
	cur, known := f.pairs[in.Key]
	v := f.values[in.Key]
	switch {
	case !known || in.Codec != cur.Codec:
		if news = !in.Deleted; news {
			f.take(in, Value{})
			f.change()
		}
		return news
	case v.Ring != nil:
		news = f.mergeRing(in, v)
	case v.Partitions != nil:
		news = f.mergePartitions(in, v)
	case !bytes.Equal(in.Value, cur.Value):
		news = true
		f.take(in, Value{})
		f.change()
	}
	if in.Deleted && in.UpdateTimeMillis > cur.UpdateTimeMillis {
		cur, news = f.pairs[in.Key], true
		cur.Deleted, cur.UpdateTimeMillis = true, in.UpdateTimeMillis
		f.pairs[in.Key] = cur
		f.change()
	}
	return news
}

func (f *follower) mergeRing(in gossip.Pair, v Value) (news bool) {
	entries, err := f.news.Decode(in.Value, v.Ring)
	if err != nil || len(entries.Instances) == 0 {
		return false
	}
	if !f.own[in.Key] {
		v.Ring, f.own[in.Key] = v.Ring.Clone(), true
		f.values[in.Key] = v
	}
	if ring.Beat(v.Ring, entries) {
		if f.awaited(in.Key, entries) {
			f.change()
		}
		return false
	}
	if f.was == nil {
		f.was = ring.NewDesc()
	}
	was := f.was
	clear(was.Instances)
	for id := range entries.Instances {
		if i, ok := v.Ring.Instances[id]; ok {
			was.Instances[id] = i
		}
	}
	change := ring.Merge(v.Ring, entries, false, f.client.cfg.Now())
	switch {
	case change == nil:
	case !ring.SameButHeartbeats(was, change):
		f.grown[in.Key], news = true, true
		f.change()
	case f.awaited(in.Key, change):
		f.change()
	}
	return news
}

// awaited tells whether a heartbeat came from an instance that was not healthy: it is news then.
func (f *follower) awaited(key string, beats *ring.Desc) bool {
	if f.last == nil {
		return false
	}
	r, ok := f.last.Ring(key)
	if !ok || r.HealthyCount == len(r.Instances) {
		return false
	}
	for id := range beats.Instances {
		i, ok := slices.BinarySearchFunc(r.Instances, id, func(in Instance, id string) int { return cmp.Compare(in.ID, id) })
		if ok && r.Instances[i].Health != Healthy {
			return true
		}
	}
	return false
}

func (f *follower) mergePartitions(in gossip.Pair, v Value) (news bool) {
	print := model.FingerprintOf(in.Value)
	if f.merged[in.Key] == print {
		return false
	}
	f.merged[in.Key] = print
	change, err := partition.DecodeValueLike(in.Value, v.Partitions)
	if err != nil || change == v.Partitions {
		return false
	}
	d := f.scratch[in.Key]
	if d == nil {
		d = v.Partitions.Clone()
		f.scratch[in.Key] = d
	}
	if partition.Merge(d, change, false, f.client.cfg.Now()) != nil {
		delete(f.scratch, in.Key)
		f.values[in.Key], f.grown[in.Key] = Value{Partitions: d}, true
		f.change()
		return true
	}
	return false
}

func (f *follower) snapshot() *Snapshot {
	v := &gossip.View{From: f.from, At: f.client.cfg.Now()}
	for _, n := range f.nodes {
		v.Nodes = append(v.Nodes, n)
	}
	for _, p := range f.pairs {
		v.Pairs = append(v.Pairs, p)
	}
	slices.SortFunc(v.Pairs, func(a, b gossip.Pair) int { return strings.Compare(a.Key, b.Key) })
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
