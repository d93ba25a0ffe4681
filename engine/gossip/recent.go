package gossip

import (
	"hash/maphash"
	"sync"
	"time"
)

// recentFor is how long, at most, a repeated message is known as such; at least half as long.
const recentFor = 10 * time.Second

// recentSlots is how many messages are remembered at most in half that time; a power of two.
const recentSlots = 1 << 13

// recent recognises messages that come again: every member tells each change several times. It forgets them after a while,
// because what comes back later may be news again, and earlier where two have to share a slot.
type recent struct {
	mu         sync.Mutex
	seed       maphash.Seed
	young, old *[recentSlots]uint64 // the messages' hashes, each in the slot that it names or beside it
	turned     time.Time            // when young became old
}

func newRecent() *recent {
	return &recent{seed: maphash.MakeSeed(), young: new([recentSlots]uint64), old: new([recentSlots]uint64)}
}

// again tells whether the message was there a moment ago.
func (r *recent) again(msg []byte, now time.Time) bool {
	h := maphash.Bytes(r.seed, msg) | recentSlots // no slot is empty with this bit
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) >= recentFor/2 {
		if now.Sub(r.turned) >= recentFor {
			clear(r.young[:]) // nobody came to turn it in time
		}
		r.old, r.young, r.turned = r.young, r.old, now
		clear(r.young[:])
	}
	slot := h % recentSlots
	beside := slot ^ 1
	if r.old[slot] == h || r.old[beside] == h {
		return true
	}
	if r.young[slot] == h || r.young[beside] == h {
		return true
	}
	if r.young[slot] != 0 {
		slot = beside
	}
	r.young[slot] = h
	return false
}
