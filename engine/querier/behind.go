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

// note remembers what a keeper said of itself, and reports whether that is news.
func (b *behind) note(id string, d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until == nil {
		b.until = map[string]time.Time{}
	}
	_, known := b.until[id]
	b.until[id] = time.Now().Add(d)
	return !known
}

// by is how long each keeper is behind, as of now. Those that have caught up are
// forgotten.
func (b *behind) by() map[string]time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, out := time.Now(), make(map[string]time.Duration, len(b.until))
	for id, t := range b.until {
		if out[id] = t.Sub(now); out[id] <= 0 {
			delete(b.until, id)
			delete(out, id)
		}
	}
	return out
}
