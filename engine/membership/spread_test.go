package membership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// gossipNode is one node of a gossip store in miniature: a merged value with tombstones, and a clock that
// may be wrong.
type gossipNode struct {
	desc *ring.Desc
	skew time.Duration
}

// cas is the compare-and-swap of a gossip store: f sees no tombstones, what it leaves out becomes one, and
// what changed is merged by the others. It tells whether the store saw any change.
func (n *gossipNode) cas(f func(*ring.Desc) bool, others []*gossipNode, now time.Time) (wanted, seen bool) {
	in := n.desc.Clone()
	in.RemoveTombstones(time.Time{})
	if !f(in) {
		return false, true
	}
	change := ring.Merge(n.desc, in, true, now.Add(n.skew))
	if change == nil {
		return true, false
	}
	for _, o := range others {
		ring.Merge(o.desc, change.Clone(), false, now.Add(o.skew))
	}
	return true, true
}

// TestChangesReachEveryNode lives random lives on nodes whose clocks disagree by seconds, with several
// changes in one second, and checks after each write that every node has exactly what was written. This is
// what whole-second timestamps make hard: a tie keeps the old entry on other nodes, silently.
func TestChangesReachEveryNode(t *testing.T) {
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 3))
		nodes := []*gossipNode{{desc: ring.NewDesc()}, {desc: ring.NewDesc()}, {desc: ring.NewDesc()}}
		for _, n := range nodes {
			n.skew = time.Duration(dice.IntN(9)-4) * time.Second
		}
		cfg := configFrom(args{"a", "tokens=4", "join=1s", "observe=1s"})
		m, now := machine{cfg: &cfg}, epoch
		for step := range 80 {
			now = now.Add(time.Duration(dice.IntN(700)) * time.Millisecond)
			at := dice.IntN(len(nodes)) // the process may talk to another node each time, as with a shared store
			ev := randomEvent(dice, m)
			next := m
			wanted, seen := nodes[at].cas(func(d *ring.Desc) bool {
				got, e, err := m.step(ev, d, now.Add(nodes[at].skew), rand.New(rand.NewPCG(seed, uint64(step))))
				if err != nil {
					return false
				}
				next = got
				return e.changed
			}, slices.Concat(nodes[:at], nodes[at+1:]), now)
			if !seen {
				continue // the store says so, and the shell tries again: nothing is lost silently
			}
			if m = next; m.phase == gone {
				m = machine{cfg: &cfg}
			}
			if wanted {
				if err := allSame(nodes, "a"); err != nil {
					t.Fatalf("seed %d, step %d, %T at %v: %v", seed, step, ev, now.Sub(epoch), err)
				}
			}
		}
	}
}

func randomEvent(dice *rand.Rand, m machine) any {
	switch n := dice.IntN(12); {
	case n < 3:
		return setReadOnly{n == 0}
	case n == 3:
		return leave{}
	case n == 4 || m.phase == leaving:
		return depart{}
	}
	return tick{}
}

func allSame(nodes []*gossipNode, id string) error {
	want := nodes[0].desc.Instances[id]
	for n, node := range nodes[1:] {
		got := node.desc.Instances[id]
		if got.Timestamp != want.Timestamp || !sameContent(got, want) {
			return fmt.Errorf("node 0 has %+v, node %d has %+v", want, n+1, got)
		}
	}
	return nil
}
