package querier

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
)

func came(turn chan struct{}) bool {
	select {
	case <-turn:
		return true
	default:
		return false
	}
}

// A tenant with a hundred questions leaves a place free, and the one that comes
// last is next but one.
func TestTenantsTakeTurns(t *testing.T) {
	w := newTurns(4, 3)
	var loud []chan struct{}
	for range 100 {
		loud = append(loud, w.ask("loud"))
	}
	in := func() (n int) {
		for _, turn := range loud {
			if came(turn) {
				n++
			}
		}
		return n
	}
	if in() != 3 || !came(loud[0]) || came(loud[3]) {
		t.Errorf("%d of the first tenant are in", in())
	}
	calm, other := w.ask("calm"), w.ask("other")
	if !came(calm) || came(other) {
		t.Error("the fourth place is for the next tenant alone")
	}
	w.put("loud")
	if in() != 4 || came(other) {
		t.Errorf("the line of the first tenant began earlier: %d are in", in())
	}
	w.put("loud")
	if !came(other) || in() != 4 {
		t.Errorf("then it is the other's turn: %d are in", in())
	}
	w.put("calm")
	w.put("other")
	if in() != 5 || w.free != 1 {
		t.Errorf("%d are in, %d places are free", in(), w.free)
	}
}

func TestATurnThatIsNotTakenIsNotLost(t *testing.T) {
	w := newTurns(1, 0)
	if err := w.take(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.take(ctx, "b"); !errors.Is(err, context.Canceled) || len(w.lines) != 0 || len(w.order) != 0 {
		t.Errorf("%v, %v, %v", err, w.lines, w.order)
	}
	w.put("a")
	if w.free != 1 || len(w.held) != 0 {
		t.Errorf("%d free, held %v", w.free, w.held)
	}
}

func TestTurnsOfMany(t *testing.T) {
	w := newTurns(3, 2)
	var mu sync.Mutex
	in := map[string]int{}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			id := []string{"a", "b", "c"}[i%3]
			for range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(3) == 0 {
					go cancel()
				}
				if w.take(ctx, id) == nil {
					mu.Lock()
					if in[id]++; in[id] > 2 || in["a"]+in["b"]+in["c"] > 3 {
						t.Errorf("too many at once: %v", in)
					}
					mu.Unlock()
					mu.Lock()
					in[id]--
					mu.Unlock()
					w.put(id)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if w.free != 3 || len(w.held)+len(w.lines)+len(w.order) != 0 {
		t.Errorf("at the end: %d free, %v, %v, %v", w.free, w.held, w.lines, w.order)
	}
}
