package scene

import (
	"slices"

	"github.com/ringctl/ringctl/client"
)

// Impact is what would happen to a cluster if some members of a ring stopped.
type Impact struct {
	// Map is the drawing of the ring without them; nil without tokens.
	Map *Map
	// Lost and Edge are the shares of keys, in percent, that would have no
	// write quorum, and none to spare; LostNow is the share without one already.
	Lost, Edge, LostNow float64
	// Ranges of keys were examined, RangesLost of them would lose their quorum;
	// when not Exact they are an even sample of a very large ring.
	Ranges, RangesLost int
	Exact              bool
	// Worst are the replicas of the worst range.
	Worst []string
	// Orphaned and Last are the partitions that would have no healthy owner, and
	// one, by partition ring.
	Partitions []PartitionImpact
}

// PartitionImpact is the part of an impact that is about one partition ring.
type PartitionImpact struct {
	Ring           string
	Orphaned, Last []int32
}

// sampleAbove is the number of tokens above which not every range is examined:
// the answer must be there before the key that asked for it is released.
const sampleAbove = 16_000

// Imagine works out what stopping the given members of a ring would do.
func Imagine(s *Scene, ringKey string, ids map[string]bool) *Impact {
	im := &Impact{Exact: true}
	for i := range s.Snap.Rings {
		if r := &s.Snap.Rings[i]; r.Key == ringKey {
			if m := s.Maps[i]; m != nil {
				im.withMap(m, without(r, ids))
			}
		}
	}
	for i := range s.Snap.PartitionRings {
		if pr := &s.Snap.PartitionRings[i]; pr.InstanceRing == ringKey {
			im.Partitions = append(im.Partitions, partitionImpact(pr, ids))
		}
	}
	return im
}

// without is the ring in which the given instances do not answer any more.
// They keep their tokens: stopping a process does not take its entry away.
func without(r *client.Ring, ids map[string]bool) *client.Ring {
	c := *r
	c.Instances = slices.Clone(r.Instances)
	for i := range c.Instances {
		if ids[c.Instances[i].ID] {
			c.Instances[i].Health = client.Unhealthy
			c.Instances[i].CountsForWrite, c.Instances[i].CountsForRead = false, false
		}
	}
	return &c
}

func (im *Impact) withMap(m *Map, after *client.Ring) {
	drawn := *m
	drawn.place.of = after
	drawn.health, drawn.Lost, drawn.Edge = "", 0, 0
	drawn.fill()
	im.Map = &drawn
	p, now := &drawn.place, &m.place
	n := p.index.Len()
	step := (n + sampleAbove - 1) / sampleAbove
	im.Exact = step <= 1
	var total, lost, edge, lostNow uint64
	var set []int
	worst := 1 << 30
	for i := 0; i < n; i += max(step, 1) {
		from := p.index.At((i + n - 1) % n).Token
		width := uint64(p.index.At(i).Token - from)
		if n == 1 {
			width = 1 << 32
		}
		set = p.get(from, set[:0])
		healthy, need := p.quorum(set)
		total += width
		im.Ranges++
		if healthy-need < worst {
			worst = healthy - need
			im.Worst = names(after, set)
		}
		switch {
		case healthy < need:
			lost += width
			im.RangesLost++
			if h, q := now.quorum(set); h < q {
				lostNow += width
			}
		case healthy == need:
			edge += width
		}
	}
	if total > 0 {
		share := 100 / float64(total)
		im.Lost, im.Edge, im.LostNow = float64(lost)*share, float64(edge)*share, float64(lostNow)*share
	}
}

func names(r *client.Ring, set []int) []string {
	out := make([]string, len(set))
	for i, in := range set {
		out[i] = r.Instances[in].ID
	}
	return out
}

func partitionImpact(pr *client.PartitionRing, ids map[string]bool) PartitionImpact {
	im := PartitionImpact{Ring: pr.Name}
	for i := range pr.Partitions {
		p := &pr.Partitions[i]
		left, hit := 0, false
		for _, o := range p.Owners {
			switch {
			case ids[o.Instance]:
				hit = true
			case o.Health == client.Healthy:
				left++
			}
		}
		switch {
		case hit && left == 0:
			im.Orphaned = append(im.Orphaned, p.ID)
		case hit && left == 1:
			im.Last = append(im.Last, p.ID)
		}
	}
	return im
}
