package ring

import (
	"math"
	"time"
)

// ReplicationSet is a set of instances to call, and how many may fail.
type ReplicationSet struct {
	// Instances point into the snapshot and must not be changed.
	Instances []*Instance
	// MaxErrors is the number of instances that may fail.
	MaxErrors int
	// MaxUnavailableZones is the number of whole zones that may fail; it
	// replaces MaxErrors when ZoneAware is set.
	MaxUnavailableZones int
	ZoneAware           bool
}

// Get finds the instances that own key, for op at now. They come in order of
// the ring walk, healthy ones only. buf is overwritten and returned in the
// set; with room for the replicas nothing is allocated:
//
//	var buf [8]*ring.Instance
//	set, err := r.Get(key, ring.Write, now, buf[:0])
//
// The error is [ErrEmptyRing] or a [NotEnoughError].
func (r *Ring) Get(key uint32, op Operation, now time.Time, buf []*Instance) (ReplicationSet, error) {
	return r.GetRF(key, op, now, r.cfg.ReplicationFactor, buf)
}

// GetRF is [Ring.Get] with its own replication factor, at least the ring's.
// A larger one needs the strategy [IgnoreUnhealthy], and with zone awareness
// places several replicas per zone.
func (r *Ring) GetRF(key uint32, op Operation, now time.Time, rf int, buf []*Instance) (ReplicationSet, error) {
	if r.topo.index.Len() == 0 {
		return ReplicationSet{}, ErrEmptyRing
	}
	rf = max(rf, r.cfg.ReplicationFactor)
	if rf > r.cfg.ReplicationFactor && r.cfg.Strategy != IgnoreUnhealthy {
		return ReplicationSet{}, ErrExpandedReplication
	}
	var room [smallWalk]uint32
	owners := r.walk(r.topo.index.Search(key), op, rf, math.MaxInt, room[:0])
	oldest := oldestHealthy(r.cfg.HeartbeatTimeout, now)
	set := ReplicationSet{Instances: buf[:0]}
	for _, o := range owners {
		if v := &r.vitals[o]; v.state&op != 0 && v.timestamp >= oldest {
			set.Instances = append(set.Instances, &r.instances[o])
		}
	}
	need := r.need(rf, len(owners))
	if len(set.Instances) < need {
		return ReplicationSet{}, r.notEnough(key, need, owners, set.Instances)
	}
	set.MaxErrors = len(set.Instances) - need
	return set, nil
}

// need is how many of a replica set must be healthy.
func (r *Ring) need(rf, replicas int) int {
	if r.cfg.Strategy == IgnoreUnhealthy {
		return 1
	}
	return max(rf, replicas)/2 + 1
}

func (r *Ring) notEnough(key uint32, need int, owners []uint32, healthy []*Instance) error {
	e := &NotEnoughError{Key: key, Need: need, Live: len(healthy)}
	for _, o := range owners {
		if len(healthy) > 0 && healthy[0] == &r.instances[o] {
			healthy = healthy[1:]
			continue
		}
		e.Unhealthy = append(e.Unhealthy, r.instances[o].ID)
	}
	return e
}

// smallWalk is the size of a replica set up to which a walk allocates nothing;
// smallZones the number of zones.
const (
	smallWalk  = 16
	smallZones = 16
)

// walk appends the owners of a key, from the point start on. A zone is left
// alone once it has its share of replicas or all its instances were seen; the
// walk ends when that is so for all zones, or when the set is complete. An
// instance in a state that op extends on makes the set one larger and does not
// count as a replica of its zone. No more than most owners are looked for.
func (r *Ring) walk(start int, op Operation, rf, most int, out []uint32) []uint32 {
	t := r.topo
	var leftRoom, foundRoom [smallZones]uint32
	left, found := leftRoom[:], foundRoom[:]
	if len(t.placed) > smallZones {
		left, found = make([]uint32, len(t.placed)), make([]uint32, len(t.placed))
	}
	share := uint32(max(1, rf/r.cfg.ReplicationFactor))
	open := 0
	for z, n := range t.placed {
		left[z] = n
		if n > 0 {
			open++
		}
	}
	points := t.index.points
	seen := seenSet{}
	for i := start; open > 0 && len(out) < min(rf, most); i++ {
		if i == len(points) {
			i = 0
		}
		o := points[i].owner()
		v := &r.vitals[o]
		z := v.zone
		if found[z] >= share || seen.has(o, out) {
			continue
		}
		out = append(out, o)
		seen.add(out, len(r.vitals))
		left[z]--
		if op>>16&v.state != 0 {
			rf++
		} else if t.named[z] {
			found[z]++
		}
		if left[z] == 0 || found[z] >= share {
			open--
		}
	}
	return out
}

// seenSet remembers the owners of a walk: by looking through them while there
// are few, in a bitmap once there are many.
type seenSet struct{ bits []uint64 }

func (s *seenSet) has(o uint32, out []uint32) bool {
	if s.bits != nil {
		return s.bits[o>>6]&(1<<(o&63)) != 0
	}
	for _, p := range out {
		if p == o {
			return true
		}
	}
	return false
}

// add notes the last of out.
func (s *seenSet) add(out []uint32, instances int) {
	if len(out) < smallWalk {
		return
	}
	if s.bits == nil {
		s.bits = make([]uint64, (instances+63)/64)
		for _, o := range out {
			s.bits[o>>6] |= 1 << (o & 63)
		}
		return
	}
	o := out[len(out)-1]
	s.bits[o>>6] |= 1 << (o & 63)
}
