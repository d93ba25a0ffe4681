package ringtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ringctl/ringctl/engine/ring"
)

// Shape says what a random ring may contain.
type Shape struct {
	Instances int
	// Zones is the number of zones, 0 for none; EmptyZone lets some instances
	// have no zone.
	Zones     int
	EmptyZone bool
	// Tokens is the largest number of tokens per instance; some have fewer or
	// none. They are below Space if it is not 0, so that small spaces give
	// conflicts.
	Tokens int
	Space  uint32
	// Now is about when heartbeats happen; some are old, some far ahead.
	Now int64
	// States lets instances be in any state but LEFT; Tombstones adds LEFT.
	States, Tombstones bool
}

// Desc draws a ring. Its entries are normalised: tokens sorted and without
// repeats, none for tombstones.
func Desc(rng *rand.Rand, s Shape) *ring.Desc {
	d := ring.NewDesc()
	for n := range s.Instances {
		id := fmt.Sprintf("i%d", n)
		d.Instances[id] = instance(rng, id, s)
	}
	return d
}

func instance(rng *rand.Rand, id string, s Shape) ring.Instance {
	i := ring.Instance{ID: id, Addr: id + ":9095", Timestamp: s.Now - rng.Int64N(5), ReadOnly: rng.IntN(8) == 0}
	switch rng.IntN(12) {
	case 0:
		i.Timestamp -= 1000
	case 1:
		i.Timestamp += 100000
	}
	if s.Zones > 0 {
		i.Zone = fmt.Sprintf("z%d", rng.IntN(s.Zones))
		if s.EmptyZone && rng.IntN(4) == 0 {
			i.Zone = ""
		}
	}
	if s.States && rng.IntN(2) == 0 {
		i.State = ring.State(rng.IntN(4))
	}
	if s.Tombstones && rng.IntN(5) == 0 {
		i.State = ring.Left
		return i
	}
	if rng.IntN(6) > 0 {
		i.Tokens = tokens(rng, 1+rng.IntN(max(1, s.Tokens)), s.Space)
	}
	if rng.IntN(3) > 0 {
		i.RegisteredTimestamp = s.Now - rng.Int64N(2000)
	}
	if i.ReadOnly && rng.IntN(4) > 0 {
		i.ReadOnlyUpdatedTimestamp = s.Now - rng.Int64N(2000)
	}
	return i
}

func tokens(rng *rand.Rand, n int, space uint32) []uint32 {
	var out []uint32
	for range n {
		t := rng.Uint32()
		if space > 0 {
			t %= space
		}
		out = append(out, t)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
