package querier

import (
	"sync"
	"time"
)

// behind is the keepers that were down not long ago, and may lack what others took
// meanwhile. Safe for concurrent use.
type behind struct {
	mu    sync.Mutex
	until map[string]time.Time // by id
}

// note remembers what a keeper said of itself.
func (b *behind) note(id string, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until == nil {
		b.until = map[string]time.Time{}
	}
	b.until[id] = time.Now().Add(d)
}

// ids lists them. Those that have caught up are forgotten.
func (b *behind) ids() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, out := time.Now(), make(map[string]bool, len(b.until))
	for id, t := range b.until {
		if out[id] = now.Before(t); !out[id] {
			delete(b.until, id)
		}
	}
	return out
}
