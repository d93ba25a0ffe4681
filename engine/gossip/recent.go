package gossip

import (
	"hash/maphash"
	"sync"
	"time"
)

// recentFor is how long, at most, a repeated message is known as such; at least half as long.
const recentFor = 10 * time.Second

// recent recognises messages that come again: every member tells each change several times. It forgets them after a while,
// because what comes back later may be news again.
type recent struct {
	mu         sync.Mutex
	seed       maphash.Seed
	young, old map[uint64]struct{}
	turned     time.Time // when young became old
}

func newRecent() *recent { return &recent{seed: maphash.MakeSeed()} }

// again tells whether the message was there a moment ago.
func (r *recent) again(msg []byte, now time.Time) bool {
	h := maphash.Bytes(r.seed, msg)
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) >= recentFor/2 {
		if now.Sub(r.turned) >= recentFor {
			r.young = nil // nobody came to turn it in time
		}
		r.old, r.young, r.turned = r.young, make(map[uint64]struct{}, len(r.young)), now
	}
	if _, ok := r.old[h]; ok {
		return true
	}
	_, ok := r.young[h]
	r.young[h] = struct{}{}
	return ok
}
