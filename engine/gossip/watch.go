package gossip

import (
	"context"
	"sync"
)

// watchers tells those who watch a key that it changed. Several changes may be told as one, none is forgotten.
type watchers struct {
	mu      sync.Mutex
	byKey   map[string]map[chan struct{}]bool
	pending map[string]bool // changed keys, while notifications are being gathered
	gather  bool
}

func newWatchers(gather bool) *watchers {
	return &watchers{byKey: map[string]map[chan struct{}]bool{}, pending: map[string]bool{}, gather: gather}
}

// add returns a channel that holds a token whenever the key changed since the last receive, and a function to end it.
func (w *watchers) add(key string) (changed <-chan struct{}, remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := make(chan struct{}, 1)
	if w.byKey[key] == nil {
		w.byKey[key] = map[chan struct{}]bool{}
	}
	w.byKey[key][ch] = true
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byKey[key], ch)
		if len(w.byKey[key]) == 0 {
			delete(w.byKey, key)
		}
	}
}

// changed tells the watchers of a key, now or with the next flush.
func (w *watchers) changed(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gather {
		w.pending[key] = true
		return
	}
	w.tell(key)
}

// flush tells the watchers of all keys that changed since the last flush.
func (w *watchers) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.pending {
		w.tell(key)
	}
	clear(w.pending)
}

func (w *watchers) tell(key string) {
	for ch := range w.byKey[key] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (w *watchers) pendingKeys() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending)
}

// Watch calls f with the current value of key, if there is one, and then after changes, always with a copy without
// tombstones. It returns when f returns false, ctx ends, or the cluster is closed.
func (c *Cluster) Watch(ctx context.Context, key string, f func(Value) bool) {
	changed, remove := c.watch.add(key)
	defer remove()
	for seen := uint64(0); ; {
		if v, version := c.get(key); v != nil && version != seen {
			seen = version
			if !f(v) {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-c.closed:
			return
		}
	}
}
