package scene

import (
	"slices"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/ring"
)

// Slots is the number of equally spaced keys at which a ring is looked up for
// its drawing: key i is i·2³²/Slots.
const Slots = 512

// maxCircles bounds the replicas of one key that are drawn.
const maxCircles = 5

// HotAbove is the share of keys, relative to the mean of the zone, above which
// a member is called hot.
const HotAbove = 1.25

// Map is the drawing of a ring: who holds the key at each slot. One circle
// stands for each zone where replicas are spread over zones, and for each
// replica in order of preference where they are not.
type Map struct {
	// Circles is the number of circles, ZoneCircles whether they are zones.
	Circles     int
	ZoneCircles bool
	// Points are the slots, clockwise from key 0.
	Points [Slots]Point
	// Hot tells for each instance of the ring whether it owns far more than its share.
	Hot []bool
	// Lost and Edge count the slots without a write quorum, and with none to spare.
	Lost, Edge int

	hash, health string
	place        placement
}

// Point is the replica set of one key.
type Point struct {
	// Replicas are indexes into the ring's instances by circle, -1 where a circle has none.
	Replicas [maxCircles]int32
	// Margin is how many more of them may fail before a write does; negative without a quorum.
	Margin int8
}

// Arc explains one place of a ring in full.
type Arc struct {
	Key uint32
	// First and Last bound the keys with the same owner, both included.
	First, Last uint32
	// Owner is the instance whose token ends the arc; Replicas is the whole set, owner first.
	Owner    int
	Replicas []int
	// Healthy of the replicas take writes, Need of them must.
	Healthy, Need int
}

// Margin is how many more replicas may fail before a write to the arc does.
func (a *Arc) Margin() int { return a.Healthy - a.Need }

// buildMap looks the ring up at every slot. A map of the same placement and the
// same health is taken over as it is; one of the same placement lends its
// tokens, which are the dear part.
func buildMap(r *client.Ring, prev *Map) *Map {
	if r.Tokens == 0 {
		return nil
	}
	health := healthOf(r)
	if prev != nil && prev.hash == r.Hash && prev.health == health {
		return prev
	}
	m := &Map{hash: r.Hash, health: health}
	if prev != nil && prev.hash == r.Hash && r.Hash != "" {
		m.place = prev.place
	} else {
		m.place = newPlacement(r)
	}
	m.place.of = r
	if m.place.index.Len() == 0 {
		return nil
	}
	m.ZoneCircles = r.ZoneAware && len(r.Zones) > 1 && len(r.Zones) <= maxCircles
	m.Circles = min(max(r.ReplicationFactor, 1), maxCircles)
	if m.ZoneCircles {
		m.Circles = len(r.Zones)
	}
	m.Hot = make([]bool, len(r.Instances))
	for i := range r.Instances {
		m.Hot[i] = hot(r, &r.Instances[i])
	}
	m.fill()
	return m
}

// healthOf is one letter per instance: whether it takes writes.
func healthOf(r *client.Ring) string {
	b := make([]byte, len(r.Instances))
	for i := range r.Instances {
		b[i] = '-'
		if r.Instances[i].CountsForWrite {
			b[i] = '+'
		}
	}
	return string(b)
}

func hot(r *client.Ring, in *client.Instance) bool {
	mean := r.Spread.Mean
	for i := range r.Zones {
		if r.Zones[i].Name == in.Zone {
			mean = r.Zones[i].Spread.Mean
		}
	}
	return mean > 0 && in.Ownership > HotAbove*mean
}

func (m *Map) fill() {
	var set []int
	for i := range m.Points {
		p := &m.Points[i]
		for c := range p.Replicas {
			p.Replicas[c] = -1
		}
		set = m.place.get(SlotKey(i), set[:0])
		for order, in := range set {
			if c := m.circle(order, in); c < maxCircles && p.Replicas[c] < 0 {
				p.Replicas[c] = int32(in)
			}
		}
		healthy, need := m.place.quorum(set)
		p.Margin = int8(healthy - need)
		switch {
		case p.Margin < 0:
			m.Lost++
		case p.Margin == 0:
			m.Edge++
		}
	}
}

// circle is the circle on which a replica is drawn, maxCircles for none.
func (m *Map) circle(order, in int) int {
	switch {
	case !m.ZoneCircles:
		return order
	case m.place.zone[in] < 0:
		return maxCircles // a zone that the snapshot does not list
	}
	return int(m.place.zone[in])
}

// SlotKey is the key in the middle of a slot.
func SlotKey(slot int) uint32 {
	const width = 1 << 32 / Slots
	return uint32((slot%Slots+Slots)%Slots)*width + width/2
}

// Explain tells everything about the key at a slot.
func (m *Map) Explain(slot int) Arc {
	key := SlotKey(slot)
	at, n := m.place.index.Search(key), m.place.index.Len()
	a := Arc{Key: key, First: m.place.index.At((at + n - 1) % n).Token, Last: m.place.index.At(at%n).Token - 1, Owner: m.place.owner(key)}
	a.Replicas = m.place.get(key, nil)
	a.Healthy, a.Need = m.place.quorum(a.Replicas)
	return a
}

// Next is the first slot after slot, in the given direction, at which the owner
// is a different one or, with a member given, at which the member holds a
// replica; slot itself when there is none.
func (m *Map) Next(slot, step, member int) int {
	from := m.ownerAt(slot)
	for i := 1; i < Slots; i++ {
		at := ((slot+i*step)%Slots + Slots) % Slots
		if member < 0 && m.ownerAt(at) != from || member >= 0 && m.Points[at].has(member) {
			return at
		}
	}
	return slot
}

func (m *Map) ownerAt(slot int) int {
	return m.place.owner(SlotKey(slot))
}

func (p *Point) has(in int) bool { return slices.Contains(p.Replicas[:], int32(in)) }

// everyone accepts instances in all states and, as a write does, lets another
// one stand in for each that is not ACTIVE: it gives whole replica sets.
const everyone = ring.Write | ring.Reporting

// placement looks up replica sets in a ring, and knows its tokens.
type placement struct {
	ring  *ring.Ring
	index ring.Index
	zone  []int32          // of each instance
	byID  map[string]int32 // number of each instance
	of    *client.Ring
}

func newPlacement(r *client.Ring) placement {
	d := ring.NewDesc()
	p := placement{zone: make([]int32, len(r.Instances)), byID: make(map[string]int32, len(r.Instances))}
	for i := range r.Instances {
		in := &r.Instances[i]
		p.zone[i] = int32(slices.IndexFunc(r.Zones, func(z client.Zone) bool { return z.Name == in.Zone }))
		state, _ := ring.ParseState(in.State)
		p.byID[in.ID] = int32(i)
		d.Instances[in.ID] = ring.Instance{ID: in.ID, State: state, Zone: in.Zone, Tokens: in.TokenValues}
	}
	// Without a timeout heartbeats are ignored: who is healthy is asked of the snapshot.
	// Ignoring the unhealthy makes every set complete, however small.
	p.ring = ring.New(d, ring.Config{ReplicationFactor: r.ReplicationFactor, ZoneAwareness: r.ZoneAware, Strategy: ring.IgnoreUnhealthy})
	placed := p.ring.Instances()
	lists := make([][]uint32, len(placed))
	for i := range placed {
		lists[i] = placed[i].Tokens
	}
	p.index = ring.NewIndex(lists, func(a, b uint32) uint32 { return min(a, b) })
	return p
}

// owner is the instance whose token comes after the key.
func (p *placement) owner(key uint32) int { return int(p.byID[p.ring.Owner(key).ID]) }

// get appends the replicas of a key for writing, healthy or not, first choice
// first.
func (p *placement) get(key uint32, set []int) []int {
	var buf [16]*ring.Instance
	found, err := p.ring.Get(key, everyone, time.Time{}, buf[:0])
	if err != nil { // no tokens: nobody
		return set
	}
	for _, in := range found.Instances {
		set = append(set, int(p.byID[in.ID]))
	}
	return set
}

// quorum counts the replicas that take writes and those that must.
func (p *placement) quorum(set []int) (healthy, need int) {
	for _, in := range set {
		if p.of.Instances[in].CountsForWrite {
			healthy++
		}
	}
	return healthy, max(p.of.ReplicationFactor, len(set))/2 + 1
}

// NextWeak is the next slot whose arc has no replica to spare, slot itself when
// there is none.
func (m *Map) NextWeak(slot int, forward bool) int {
	step := 1
	if !forward {
		step = Slots - 1
	}
	best := slot
	for i := 1; i < Slots; i++ {
		at := (slot + i*step) % Slots
		switch margin := m.Points[at].Margin; {
		case margin < 0:
			return at
		case margin == 0 && best == slot:
			best = at
		}
	}
	return best
}
