package ring

import (
	"errors"
	"fmt"
	"math"
)

// Owner is one instance's share of the keys.
type Owner struct {
	ID, Zone string
	// Tokens is the number of tokens the instance has on the ring.
	Tokens int
	// Range is the number of keys the instance owns among the instances of its
	// zone.
	Range uint64
	// Percent is Range in percent. As on every node of the family it is taken
	// of 2^32-1, so a lone instance owns 100.00000002.
	Percent float64
}

// Ownership gives every instance's share, sorted by id. Each zone divides the
// whole key space among its instances, because each holds one replica; without
// zones the shares add up to one hundred percent.
func (r *Ring) Ownership() []Owner {
	t := r.topo
	owners := make([]Owner, len(r.instances))
	for n := range owners {
		owners[n] = Owner{ID: r.instances[n].ID, Zone: r.instances[n].Zone}
	}
	points := t.index.points
	last := make([]int64, len(t.zones)) // previous token of the zone
	first := make([]int, len(t.zones))
	for z := range last {
		last[z], first[z] = -1, -1
	}
	for n, p := range points {
		z := t.zoneOf[p.owner()]
		owners[p.owner()].Tokens++
		if last[z] < 0 {
			first[z] = n
		} else {
			owners[p.owner()].Range += uint64(int64(p.token()) - last[z])
		}
		last[z] = int64(p.token())
	}
	for z, n := range first {
		if n >= 0 {
			owners[points[n].owner()].Range += uint64(keySpace + int64(points[n].token()) - last[z])
		}
	}
	for n := range owners {
		owners[n].Percent = Percent(owners[n].Range)
	}
	return owners
}

const keySpace = int64(1) << 32

// Percent is a number of keys in percent of all, the way the family counts; see
// [Owner].
func Percent(keys uint64) float64 { return float64(keys) / math.MaxUint32 * 100 }

// TokenRange is a range of keys, both ends included.
type TokenRange struct{ First, Last uint32 }

// Keys is the number of keys in the range.
func (t TokenRange) Keys() uint64 { return uint64(t.Last) - uint64(t.First) + 1 }

// ErrNoTokenRanges: the ring does not give each instance ranges of its own.
var ErrNoTokenRanges = errors.New("token ranges need zone awareness and as many zones as replicas")

// TokenRanges are the keys the instance holds a replica of, in order. That is
// well defined only with zone awareness and as many zones as replicas, where
// every zone divides all keys among its own instances; otherwise the error is
// [ErrNoTokenRanges].
func (r *Ring) TokenRanges(id string) ([]TokenRange, error) {
	n, ok := r.find(id)
	if !ok {
		return nil, fmt.Errorf("token ranges: no instance %q in the ring", id)
	}
	if !r.cfg.ZoneAwareness || r.cfg.ReplicationFactor != len(r.topo.zones) {
		return nil, ErrNoTokenRanges
	}
	zone := r.topo.zoneOf[n]
	return r.topo.index.Ranges(
		func(owner uint32) bool { return r.topo.zoneOf[owner] == zone },
		func(owner uint32) bool { return owner == uint32(n) }), nil
}

// Ranges gives the keys that belong to the owners mine accepts when only the
// points of owners that among accepts exist; in order, neighbours joined.
func (x *Index) Ranges(among, mine func(owner uint32) bool) []TokenRange {
	var out []TokenRange
	add := func(from, to uint32) { // keys from up to, not including, to
		if from == to {
			return
		}
		if k := len(out); k > 0 && out[k-1].Last == from-1 {
			out[k-1].Last = to - 1
			return
		}
		out = append(out, TokenRange{First: from, Last: to - 1})
	}
	prev, firstOwner, any := uint32(0), uint32(0), false
	for _, p := range x.points {
		if !among(p.owner()) {
			continue
		}
		if !any {
			firstOwner, any = p.owner(), true
		}
		if mine(p.owner()) {
			add(prev, p.token())
		}
		prev = p.token()
	}
	if any && mine(firstOwner) {
		// The keys from the last token on wrap around to the first owner.
		if k := len(out); k > 0 && out[k-1].Last == prev-1 && prev != 0 {
			out[k-1].Last = math.MaxUint32
		} else {
			out = append(out, TokenRange{First: prev, Last: math.MaxUint32})
		}
	}
	return out
}
