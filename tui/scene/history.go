package scene

import (
	"time"

	"github.com/ringctl/ringctl/client"
)

// History is the recent past of a cluster, for stepping back through it. It
// keeps the last snapshot of every stretch in which nothing but heartbeats
// changed, within a budget of memory. The zero value is ready.
type History struct {
	shots  []*client.Snapshot
	costs  []int // of each shot
	cost   int   // of all
	Budget int
}

// historyBudget is in tokens and entries, roughly eight bytes each: a large
// cluster gets a shorter past.
const historyBudget = 1 << 20

// Add remembers a snapshot. changed says whether it differs from the one before
// in more than heartbeats; the newest snapshot is kept in any case and replaced
// by the next.
func (h *History) Add(s *client.Snapshot, changed bool) {
	n := len(h.shots)
	var before *client.Snapshot
	if n > 0 {
		before = h.shots[n-1]
	}
	w := weight(s, before)
	if n > 0 && !changed {
		w = max(w, h.costs[n-1]) // it takes over what the one before brought
		h.cost -= h.costs[n-1]
		h.shots, h.costs = h.shots[:n-1], h.costs[:n-1]
	}
	h.shots, h.costs = append(h.shots, s), append(h.costs, w)
	h.cost += w
	budget := h.Budget
	if budget == 0 {
		budget = historyBudget
	}
	for len(h.shots) > 2 && h.cost > budget {
		h.cost -= h.costs[0]
		h.shots[0] = nil
		h.shots, h.costs = h.shots[1:], h.costs[1:]
	}
}

// Len is the number of steps kept.
func (h *History) Len() int { return len(h.shots) }

// At is the i-th snapshot, oldest first.
func (h *History) At(i int) *client.Snapshot { return h.shots[i] }

// Span is the time between the oldest and the newest snapshot.
func (h *History) Span() time.Duration {
	if len(h.shots) == 0 {
		return 0
	}
	return h.shots[len(h.shots)-1].At.Sub(h.shots[0].At)
}

// weight is the rough size of a snapshot in words. Tokens count where they are
// not those of the snapshot before, with which they are shared.
func weight(s, before *client.Snapshot) int {
	n := 64 + 16*len(s.Members)
	for i := range s.Rings {
		r := &s.Rings[i]
		n += 64 * len(r.Instances)
		if !sharesTokens(r, before) {
			n += r.Tokens / 2
		}
	}
	for i := range s.PartitionRings {
		n += 24*len(s.PartitionRings[i].Partitions) + 24*s.PartitionRings[i].Owners
	}
	return n
}

func sharesTokens(r *client.Ring, before *client.Snapshot) bool {
	if before == nil {
		return false
	}
	old, ok := before.Ring(r.Key)
	return ok && old.Hash == r.Hash && r.Hash != ""
}
