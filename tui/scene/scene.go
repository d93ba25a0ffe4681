// Package scene turns what the client fetched into what the dashboard draws.
//
// A [Scene] is one moment: a snapshot with everything worked out that is too
// dear to work out while drawing. It is built aside and never changes. Around
// it are the [Feed] of events, the [History] to step back through, and the
// [Filter] that a search box holds.
//
// Nothing here draws, does I/O or reads a clock.
package scene

import (
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
)

// Scene is everything the screens show about one moment. It is immutable and
// may be shared.
type Scene struct {
	// Snap is the view that is shown.
	Snap *client.Snapshot
	// Maps are drawings of the rings, by the index of the ring in Snap.Rings;
	// nil for rings without tokens.
	Maps []*Map
	// Poll is the latest answer of all members; nil before the first.
	Poll *Poll
}

// Poll is one round of asking every member for its view.
type Poll struct {
	At         time.Time
	Views      []*client.Snapshot
	Agreements []client.Agreement
	Islands    [][]string
	// Disputes are the differences of every view from the largest group's.
	Disputes []Dispute
	Findings []Finding
	// Err says who did not answer, in words. When Failed, nobody did, and the rest
	// is from the round before.
	Err    string
	Failed bool
}

// Dispute is one field in which members disagree with the majority.
type Dispute struct {
	client.Difference
	// Members are those who say B, where the majority says A.
	Members []string
	// Ring is the short name of the ring.
	Ring string
}

// Build makes the scene of a snapshot. Drawings are taken over from an earlier
// scene where nothing they depend on has changed.
func Build(snap *client.Snapshot, prev *Scene) *Scene {
	s := &Scene{Snap: snap, Maps: make([]*Map, len(snap.Rings))}
	if prev != nil {
		s.Poll = prev.Poll
	}
	for i := range snap.Rings {
		s.Maps[i] = buildMap(&snap.Rings[i], prev.mapOf(snap.Rings[i].Key))
	}
	return s
}

// WithPoll is the scene with the answer of a later round.
func (s *Scene) WithPoll(p *Poll) *Scene {
	c := *s
	c.Poll = p
	return &c
}

func (s *Scene) mapOf(key string) *Map {
	if s == nil {
		return nil
	}
	for i := range s.Snap.Rings {
		if s.Snap.Rings[i].Key == key {
			return s.Maps[i]
		}
	}
	return nil
}

// NewPoll works out who agrees with whom.
func NewPoll(at time.Time, views []*client.Snapshot, findings []Finding) *Poll {
	p := &Poll{At: at, Views: views, Agreements: client.Agreements(views), Islands: client.Islands(views), Findings: findings}
	p.Disputes = disputes(views, p.Agreements)
	return p
}

// disputeLimit bounds the differences kept per pair of views: what is beyond
// it no one reads.
const disputeLimit = 2000

// disputes compares every view with one of the largest group per ring.
func disputes(views []*client.Snapshot, agreements []client.Agreement) []Dispute {
	byName := map[string]*client.Snapshot{}
	for _, v := range views {
		byName[v.From] = v
	}
	merged := map[client.Difference]*Dispute{}
	var order []*Dispute
	for i := range agreements {
		a := &agreements[i]
		if a.Agreed() || len(a.Groups) == 0 {
			continue
		}
		truth := byName[a.Groups[0].Members[0]]
		for _, g := range a.Groups[1:] {
			order = compareGroup(truth, byName[g.Members[0]], a, g.Members, merged, order)
		}
		for _, m := range a.Missing {
			order = compareGroup(truth, byName[m], a, []string{m}, merged, order)
		}
	}
	out := make([]Dispute, 0, len(order))
	for _, d := range order {
		slices.Sort(d.Members)
		out = append(out, *d)
	}
	return out
}

func compareGroup(truth, other *client.Snapshot, a *client.Agreement, members []string, merged map[client.Difference]*Dispute, order []*Dispute) []*Dispute {
	if truth == nil || other == nil {
		return order
	}
	for _, d := range client.Compare(truth, other, false, 0) {
		if d.Key != a.Key || len(order) >= disputeLimit {
			continue
		}
		if known := merged[d]; known != nil {
			known.Members = append(known.Members, members...)
			continue
		}
		fresh := &Dispute{Difference: d, Members: slices.Clone(members), Ring: a.Name}
		merged[d], order = fresh, append(order, fresh)
	}
	return order
}

// Disagreeing is the number of rings about which views differ.
func (p *Poll) Disagreeing() int {
	if p == nil {
		return 0
	}
	n := 0
	for i := range p.Agreements {
		if !p.Agreements[i].Agreed() {
			n++
		}
	}
	return n
}

// ShortKey is a ring's key without the part that all keys share.
func ShortKey(key string) string {
	return key[strings.LastIndexByte(key, '/')+1:]
}
