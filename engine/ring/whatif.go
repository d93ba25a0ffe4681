package ring

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// The functions here answer "what if": they build another snapshot and leave
// the given one alone.

// Without is the ring after these instances were removed, tokens and all.
// Unknown ids are ignored.
func (r *Ring) Without(ids ...string) *Ring {
	return r.filtered(func(i *Instance) bool { return !slices.Contains(ids, i.ID) })
}

// WithoutZone is the ring after a whole zone was removed.
func (r *Ring) WithoutZone(zone string) *Ring {
	return r.filtered(func(i *Instance) bool { return i.Zone != zone })
}

// Down is the ring while these instances do not answer: they keep their tokens
// but their heartbeats are older than any timeout, even none. That is what
// decides a quorum.
func (r *Ring) Down(ids ...string) *Ring {
	return r.changed(func(i *Instance) {
		if slices.Contains(ids, i.ID) {
			i.Timestamp = neverHealthy
		}
	})
}

// DownZone is [Ring.Down] for all instances of a zone.
func (r *Ring) DownZone(zone string) *Ring {
	return r.changed(func(i *Instance) {
		if i.Zone == zone {
			i.Timestamp = neverHealthy
		}
	})
}

// changed gives a ring whose instances differ in what a heartbeat may change.
func (r *Ring) changed(f func(*Instance)) *Ring {
	instances := slices.Clone(r.instances)
	for n := range instances {
		f(&instances[n])
	}
	return &Ring{cfg: r.cfg, topo: r.topo, instances: instances, vitals: newVitals(instances, r.topo, r.cfg.ZoneAwareness)}
}

func (r *Ring) filtered(keep func(*Instance) bool) *Ring {
	var members []Instance
	for n := range r.instances {
		if keep(&r.instances[n]) {
			members = append(members, r.instances[n])
		}
	}
	return fromInstances(members, r.cfg)
}

// With is the ring with further instances; one with a known id replaces it.
func (r *Ring) With(instances ...Instance) *Ring {
	d := &Desc{Instances: make(map[string]Instance, len(r.instances)+len(instances))}
	for _, i := range r.instances {
		d.Instances[i.ID] = i
	}
	for _, i := range instances {
		d.Instances[i.ID] = i
	}
	return New(d, r.cfg)
}

// WithNew is the ring with n further healthy instances of the given number of
// tokens each, named new-0, new-1 and so on, each put in the zone with the
// fewest instances. The tokens follow from the names.
func (r *Ring) WithNew(n, tokens int, now time.Time) *Ring {
	count := make(map[string]int)
	for _, i := range r.instances {
		count[i.Zone]++
	}
	zones := r.Zones()
	if len(zones) == 0 {
		zones = []string{""}
	}
	taken := map[uint32]struct{}{}
	for _, p := range r.topo.index.points {
		taken[p.token()] = struct{}{}
	}
	var added []Instance
	for k := range n {
		zone := slices.MinFunc(zones, func(a, b string) int {
			return cmp.Or(cmp.Compare(count[a], count[b]), strings.Compare(a, b))
		})
		count[zone]++
		id := fmt.Sprintf("new-%d", k)
		added = append(added, Instance{
			ID: id, Zone: zone, State: Active, Timestamp: now.Unix(), RegisteredTimestamp: now.Unix(),
			Tokens: namedTokens(id, tokens, taken),
		})
	}
	return r.With(added...)
}

// WithReplicationFactor is the same ring under another replication factor.
func (r *Ring) WithReplicationFactor(n int) *Ring {
	out := *r
	out.cfg.ReplicationFactor = max(1, n)
	return &out
}

// WithTokens is the ring if every instance had n tokens, drawn anew from its
// name.
func (r *Ring) WithTokens(n int) *Ring {
	taken := map[uint32]struct{}{}
	members := slices.Clone(r.instances)
	for k := range members {
		members[k].Tokens = namedTokens(members[k].ID, n, taken)
	}
	return fromInstances(members, r.cfg)
}

// namedTokens draws tokens from a generator seeded with the name and notes them
// in taken.
func namedTokens(name string, n int, taken map[uint32]struct{}) []uint32 {
	h := fnv.New64a()
	h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(h.Sum64(), 0))
	tokens := make([]uint32, 0, max(n, 0))
	for len(tokens) < n && int64(len(taken)) < keySpace {
		t := rng.Uint32()
		if _, ok := taken[t]; !ok {
			taken[t] = struct{}{}
			tokens = append(tokens, t)
		}
	}
	slices.Sort(tokens)
	return tokens
}

// Movement is how much two rings differ in where keys live.
type Movement struct {
	// Owner is the part of all keys, from 0 to 1, whose first owner differs.
	Owner float64
	// Replicas is the part of all replicas, from 0 to 1, that live on another
	// instance in the second ring than anywhere in the first: the data that
	// moves.
	Replicas float64
}

// MovedKeys compares where keys live in two rings, whatever the state of the
// instances. With a ring without tokens on either side, everything moves.
func MovedKeys(a, b *Ring) Movement {
	pa, pb := a.topo.index.points, b.topo.index.points
	if len(pa) == 0 || len(pb) == 0 {
		if len(pa) == len(pb) {
			return Movement{}
		}
		return Movement{Owner: 1, Replicas: 1}
	}
	nameInA := b.namesIn(a)
	var owner, moved, total float64
	var roomA, roomB [smallWalk]uint32
	for na, nb, from := 0, 0, int64(0); from < keySpace; {
		to := keySpace
		if na < len(pa) {
			to = min(to, int64(pa[na].token()))
		}
		if nb < len(pb) {
			to = min(to, int64(pb[nb].token()))
		}
		if to > from {
			sa := a.walk(na%len(pa), WriteNoExtend, a.cfg.ReplicationFactor, math.MaxInt, roomA[:0])
			sb := b.walk(nb%len(pb), WriteNoExtend, b.cfg.ReplicationFactor, math.MaxInt, roomB[:0])
			keys := float64(to - from)
			if nameInA[sb[0]] != int64(sa[0]) {
				owner += keys
			}
			for _, o := range sb {
				total += keys
				if was := nameInA[o]; was < 0 || !slices.Contains(sa, uint32(was)) {
					moved += keys
				}
			}
		}
		from = to
		for na < len(pa) && int64(pa[na].token()) <= to {
			na++
		}
		for nb < len(pb) && int64(pb[nb].token()) <= to {
			nb++
		}
	}
	return Movement{Owner: owner / float64(keySpace), Replicas: moved / total}
}

// namesIn maps the numbers of r's instances to those of the same ids in other,
// -1 for none.
func (r *Ring) namesIn(other *Ring) []int64 {
	out := make([]int64, len(r.instances))
	for n := range r.instances {
		out[n] = -1
		if k, ok := other.find(r.instances[n].ID); ok {
			out[n] = int64(k)
		}
	}
	return out
}
