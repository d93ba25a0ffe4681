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
	cost   int
	Budget int
}

// historyBudget is in tokens and entries, roughly eight bytes each: the values
// of a ring are shared with nothing, so a large cluster gets a shorter past.
const historyBudget = 2 << 20

// Add remembers a snapshot. changed says whether it differs from the one before
// in more than heartbeats; the newest snapshot is kept in any case and replaced
// by the next.
func (h *History) Add(s *client.Snapshot, changed bool) {
	if n := len(h.shots); n > 0 && !changed {
		h.cost -= weight(h.shots[n-1])
		h.shots = h.shots[:n-1]
	}
	h.shots = append(h.shots, s)
	h.cost += weight(s)
	budget := h.Budget
	if budget == 0 {
		budget = historyBudget
	}
	for len(h.shots) > 2 && h.cost > budget {
		h.cost -= weight(h.shots[0])
		h.shots[0] = nil
		h.shots = h.shots[1:]
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

// weight is the rough size of a snapshot in words.
func weight(s *client.Snapshot) int {
	n := 64 + 16*len(s.Members)
	for i := range s.Rings {
		n += 32*len(s.Rings[i].Instances) + s.Rings[i].Tokens/2
	}
	for i := range s.PartitionRings {
		n += 24*len(s.PartitionRings[i].Partitions) + 24*s.PartitionRings[i].Owners
	}
	return n
}
