package engine

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restPeriod is how often the process looks whether it rests.
	restPeriod = 30 * time.Second
	// restAllocates is the most that a process allocates in this time which has
	// nothing to do but gossip and answer scrapes.
	restAllocates = 32 << 20
	// restGain is the least garbage and free memory that is worth a collection.
	restGain = 64 << 20
)

// memoryUse is what the runtime says about the heap, in bytes.
type memoryUse struct {
	allocated uint64 // since the start
	objects   uint64 // live ones and garbage
	live      uint64 // at the last collection
	free      uint64 // held for later
}

// atRest tells whether a process that had before used memory so should give back
// what it does not need: it does nothing, and there is much to give.
func atRest(before, now memoryUse) bool {
	garbage := now.objects - min(now.objects, now.live)
	return now.allocated-before.allocated < restAllocates && garbage+now.free >= restGain
}

func readMemory() memoryUse {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(s)
	value := func(i int) uint64 {
		if s[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return s[i].Value.Uint64()
	}
	return memoryUse{value(0), value(1), value(2), value(3)}
}

// giveBack returns memory to the system when the process rests after work. By
// itself the runtime keeps as much as the work needed: half as much again as is
// live.
func giveBack(ctx context.Context) error {
	tick := time.NewTicker(restPeriod)
	defer tick.Stop()
	before := readMemory()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := readMemory()
		if atRest(before, now) {
			debug.FreeOSMemory()
			now = readMemory()
		}
		before = now
	}
}
