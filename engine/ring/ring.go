package ring

import (
	"slices"
	"strings"
	"time"
)

// Strategy decides how many instances of a replica set must answer.
type Strategy int8

// The replication strategies.
const (
	// Quorum needs a majority of the replica set.
	Quorum Strategy = iota
	// IgnoreUnhealthy needs one healthy instance.
	IgnoreUnhealthy
)

// Config says how a ring is used. The same value of a ring may be used with
// different configs; they are not part of what nodes exchange.
type Config struct {
	// ReplicationFactor is the number of instances that own a key; below 1
	// means 1.
	ReplicationFactor int
	// ZoneAwareness spreads the replicas of a key over zones.
	ZoneAwareness bool
	// HeartbeatTimeout is the age from which an instance is unhealthy; 0
	// ignores heartbeats.
	HeartbeatTimeout time.Duration
	// ExcludedZones are left out of the ring altogether.
	ExcludedZones []string
	Strategy      Strategy
}

// Ring is an immutable snapshot of a ring under a [Config]. It may be used by
// any number of goroutines at once.
type Ring struct {
	cfg       Config
	topo      *topology
	instances []Instance // sorted by id
	vitals    []vital    // what a lookup needs of each instance
}

// vital is the part of an instance that changes with every heartbeat.
type vital struct {
	timestamp int64
	state     Operation // the state's bit
	zone      uint32    // walk zone: 0 for all without zone awareness
}

// topology is what stays the same while only heartbeats and states change.
type topology struct {
	index  Index
	zones  []string // sorted distinct zones of all instances
	zoneOf []uint32 // zone of each instance
	placed []uint32 // instances per walk zone that own at least one point
	named  []bool   // whether the walk zone restricts the walk
	// contested: some token has two holders, so that their states decide who
	// owns it.
	contested bool
}

// New builds a snapshot. Tombstones are left out, as readers of a ring never
// see them. d is not kept, but the token slices are shared with it. Of two
// holders of a token, the one that [Merge] would choose owns it.
func New(d *Desc, cfg Config) *Ring {
	if cfg.ReplicationFactor < 1 {
		cfg.ReplicationFactor = 1
	}
	instances := make([]Instance, 0, len(d.Instances))
	for id, i := range d.Instances {
		if !cfg.member(&i) {
			continue
		}
		i.ID = id
		instances = append(instances, i)
	}
	slices.SortFunc(instances, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	return fromInstances(instances, cfg)
}

// fromInstances builds a snapshot and keeps the slice.
func fromInstances(instances []Instance, cfg Config) *Ring {
	r := &Ring{cfg: cfg, instances: instances, topo: newTopology(instances, cfg.ZoneAwareness)}
	r.vitals = newVitals(instances, r.topo, cfg.ZoneAwareness)
	return r
}

func newTopology(instances []Instance, zoneAware bool) *topology {
	t := &topology{zoneOf: make([]uint32, len(instances))}
	lists := make([][]uint32, len(instances))
	for n := range instances {
		lists[n] = instances[n].Tokens
		t.zones = append(t.zones, instances[n].Zone)
	}
	slices.Sort(t.zones)
	t.zones = slices.Clip(slices.Compact(t.zones))
	t.index = NewIndex(lists, func(a, b uint32) uint32 {
		if la, lb := instances[a].State == Leaving, instances[b].State == Leaving; la != lb {
			if la {
				return b
			}
			return a
		}
		return min(a, b)
	})
	for n := range instances {
		z, _ := slices.BinarySearch(t.zones, instances[n].Zone)
		t.zoneOf[n] = uint32(z)
	}
	t.placeZones(lists, zoneAware)
	return t
}

// placeZones counts the instances per walk zone that a walk can meet. One that
// lost all its tokens to others is not among them.
func (t *topology) placeZones(lists [][]uint32, zoneAware bool) {
	walkZones := 1
	if zoneAware {
		walkZones = max(1, len(t.zones))
	}
	t.placed, t.named = make([]uint32, walkZones), make([]bool, walkZones)
	for z := range t.named {
		t.named[z] = zoneAware && z < len(t.zones) && t.zones[z] != ""
	}
	onRing, contested := t.index.owners(lists)
	t.contested = contested
	for n, on := range onRing {
		switch {
		case !on:
		case zoneAware:
			t.placed[t.zoneOf[n]]++
		default:
			t.placed[0]++
		}
	}
}

func newVitals(instances []Instance, t *topology, zoneAware bool) []vital {
	vitals := make([]vital, len(instances))
	for n := range instances {
		vitals[n] = vital{timestamp: instances[n].Timestamp, state: stateBit(instances[n].State)}
		if zoneAware {
			vitals[n].zone = t.zoneOf[n]
		}
	}
	return vitals
}

// WithHeartbeats gives a snapshot of d under the config of prev. When only
// heartbeats, states, addresses or flags differ from prev it shares prev's
// lookup tables; otherwise it does the work of [New].
func WithHeartbeats(prev *Ring, d *Desc) *Ring {
	if prev.cfg.members(d) != len(prev.instances) {
		return New(d, prev.cfg)
	}
	instances := make([]Instance, len(prev.instances))
	for n := range prev.instances {
		old, i := &prev.instances[n], &instances[n]
		var ok bool
		*i, ok = d.Instances[old.ID]
		if !ok || i.State == Left || i.Zone != old.Zone || !sameTokens(i.Tokens, old.Tokens) ||
			prev.topo.contested && i.State != old.State {
			return New(d, prev.cfg)
		}
		i.ID, i.Tokens = old.ID, old.Tokens
	}
	return &Ring{
		cfg: prev.cfg, topo: prev.topo, instances: instances,
		vitals: newVitals(instances, prev.topo, prev.cfg.ZoneAwareness),
	}
}

// members counts the entries that [New] keeps.
func (cfg *Config) members(d *Desc) int {
	n := 0
	for _, i := range d.Instances {
		if cfg.member(&i) {
			n++
		}
	}
	return n
}

func (cfg *Config) member(i *Instance) bool {
	return i.State != Left && !slices.Contains(cfg.ExcludedZones, i.Zone)
}

// Config is the config of the snapshot.
func (r *Ring) Config() Config { return r.cfg }

// Instances are all instances, sorted by id. The slice and what it holds belong
// to the snapshot and must not be changed.
func (r *Ring) Instances() []Instance { return r.instances }

// Zones are the zones of all instances, sorted; an empty zone is one too.
func (r *Ring) Zones() []string { return slices.Clone(r.topo.zones) }

// TokenCount is the number of distinct tokens on the ring.
func (r *Ring) TokenCount() int { return r.topo.index.Len() }

// InstanceByID finds an instance. It belongs to the snapshot and must not be
// changed.
func (r *Ring) InstanceByID(id string) (*Instance, bool) {
	n, ok := r.find(id)
	if !ok {
		return nil, false
	}
	return &r.instances[n], true
}

func (r *Ring) find(id string) (int, bool) {
	return slices.BinarySearchFunc(r.instances, id, func(i Instance, id string) int {
		return strings.Compare(i.ID, id)
	})
}

// Owner is the instance whose token comes right after key, in whatever state it
// is; nil on a ring without tokens.
func (r *Ring) Owner(key uint32) *Instance {
	x := &r.topo.index
	if x.Len() == 0 {
		return nil
	}
	return &r.instances[x.points[x.Search(key)].owner()]
}
