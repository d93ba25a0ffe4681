package engine

import (
	"context"
	"sync"
	"time"
)

// arrivals is the pushes that a keeper has begun and not finished. A push is
// acknowledged when a majority of the keepers has it; a keeper that is asked to
// count may still be writing it, and lets it finish first. The zero value is
// ready; safe for concurrent use.
type arrivals struct {
	mu     sync.Mutex
	open   *wave   // takes those that come now
	sealed []*wave // somebody waits for them, oldest first
}

// wave is the pushes that came between two questions.
type wave struct {
	left int
	done chan struct{} // closed when it is sealed and none is left
}

// begin says that a push has come. The function it returns says that it has ended.
func (a *arrivals) begin() (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open = &wave{done: make(chan struct{})}
	}
	w := a.open
	w.left++
	return func() { a.end(w) }
}

func (a *arrivals) end(w *wave) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.left--
	if w.left > 0 || w == a.open {
		return
	}
	close(w.done)
	for i, s := range a.sealed {
		if s == w {
			a.sealed = append(a.sealed[:i:i], a.sealed[i+1:]...)
			return
		}
	}
}

// seal makes the pushes that have come until now a group to wait for, and lists
// the groups that are not done.
func (a *arrivals) seal() []*wave {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open != nil && a.open.left > 0 {
		a.sealed = append(a.sealed[:len(a.sealed):len(a.sealed)], a.open)
		a.open = nil
	}
	return a.sealed
}

// wait returns when every push that came before it has ended, and at the latest
// when ctx does or after most.
func (a *arrivals) wait(ctx context.Context, most time.Duration) {
	waves := a.seal()
	if len(waves) == 0 {
		return
	}
	t := time.NewTimer(most)
	defer t.Stop()
	for _, w := range waves {
		select {
		case <-w.done:
		case <-ctx.Done():
			return
		case <-t.C:
			return
		}
	}
}
