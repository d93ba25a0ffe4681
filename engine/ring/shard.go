package ring

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand"
	"slices"
	"time"
)

// ShuffleSeed is the seed of the random walk that picks the shard of an
// identifier in a zone; an empty zone stands for a ring without zones.
func ShuffleSeed(identifier, zone string) int64 {
	text := []byte(identifier)
	if zone != "" {
		text = append(append(text, 0), zone...)
	}
	sum := md5.Sum(text)
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// ShuffleRandom is the generator that walk uses, the exact stream of math/rand
// seeded with [ShuffleSeed].
func ShuffleRandom(identifier, zone string) *rand.Rand {
	return rand.New(rand.NewSource(ShuffleSeed(identifier, zone)))
}

// ShuffleShard gives the part of the ring that identifier uses: the same size
// instances every time, changing by one when one instance comes or goes. A size
// of zero or less means all instances. Read-only instances are left out.
func (r *Ring) ShuffleShard(identifier string, size int) *Ring {
	return r.ShuffleShardWithLookback(identifier, size, 0, time.Time{})
}

// ShuffleShardWithLookback gives all instances that may hold data identifier
// wrote within lookback before now: the shard, and whatever was in it before
// instances registered or became read-only in that time.
func (r *Ring) ShuffleShardWithLookback(identifier string, size int, lookback time.Duration, now time.Time) *Ring {
	w := shardWalk{r: r, identifier: identifier, lookback: lookback > 0, chosen: make([]bool, len(r.instances))}
	w.until = now.Add(-lookback).Unix()
	if oldest := r.oldestRegistered(); oldest > 0 && oldest >= w.until && w.lookback {
		return r
	}
	if size <= 0 {
		for n := range r.instances {
			w.chosen[n] = w.includes(&r.instances[n])
		}
		return w.ring()
	}
	if !r.cfg.ZoneAwareness {
		w.pick("", size, func(uint32) bool { return true })
		return w.ring()
	}
	zones := r.topo.zones
	perZone := size / max(1, len(zones))
	if size%max(1, len(zones)) > 0 {
		perZone++
	}
	for z, name := range zones {
		w.zone(uint32(z), name, perZone)
	}
	return w.ring()
}

// oldestRegistered is the oldest registration, 0 when any is unknown.
func (r *Ring) oldestRegistered() int64 {
	oldest := int64(0)
	for n := range r.instances {
		t := r.instances[n].RegisteredTimestamp
		if t == 0 {
			return 0
		}
		if oldest == 0 || t < oldest {
			oldest = t
		}
	}
	return oldest
}

type shardWalk struct {
	r          *Ring
	identifier string
	lookback   bool
	until      int64
	chosen     []bool
}

func (w *shardWalk) zone(z uint32, name string, size int) {
	var members []int
	for n, in := range w.r.topo.zoneOf {
		if in == z {
			members = append(members, n)
		}
	}
	if size < len(members) {
		w.pick(name, size, func(owner uint32) bool { return w.r.topo.zoneOf[owner] == z })
		return
	}
	for _, n := range members {
		w.chosen[n] = w.includes(&w.r.instances[n])
	}
}

// pick draws size times: a random key, then the first instance after it that is
// not chosen yet. Instances that changed within the lookback are chosen on the
// way without ending the draw.
func (w *shardWalk) pick(zone string, size int, in func(owner uint32) bool) {
	x := &w.r.topo.index
	if x.Len() == 0 {
		return
	}
	random := ShuffleRandom(w.identifier, zone)
	for ; size > 0; size-- {
		if !w.draw(x.Search(random.Uint32()), in) {
			return
		}
	}
}

func (w *shardWalk) draw(start int, in func(owner uint32) bool) (found bool) {
	points := w.r.topo.index.points
	for n := range points {
		at := start + n
		if at >= len(points) {
			at -= len(points)
		}
		owner := points[at].owner()
		i := &w.r.instances[owner]
		if w.chosen[owner] || !in(owner) || !w.includes(i) {
			continue
		}
		w.chosen[owner] = true
		if !w.changed(i) {
			return true
		}
	}
	return false
}

// includes leaves read-only instances out, unless they may have been written to
// within the lookback.
func (w *shardWalk) includes(i *Instance) bool {
	if !i.ReadOnly {
		return true
	}
	since := i.ReadOnlyUpdatedTimestamp
	return w.lookback && (since == 0 || since >= w.until)
}

func (w *shardWalk) changed(i *Instance) bool {
	return w.lookback && (i.RegisteredTimestamp >= w.until || i.ReadOnly || i.ReadOnlyUpdatedTimestamp >= w.until)
}

func (w *shardWalk) ring() *Ring {
	if !slices.Contains(w.chosen, false) {
		return w.r
	}
	var members []Instance
	for n, chosen := range w.chosen {
		if chosen {
			members = append(members, w.r.instances[n])
		}
	}
	return fromInstances(members, w.r.cfg)
}
