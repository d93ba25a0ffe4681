package membership

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
)

// partitionNode is one node of a gossip store in miniature, for partition rings.
type partitionNode struct {
	desc *partition.Desc
	skew time.Duration
}

func (n *partitionNode) cas(f func(*partition.Desc) bool, others []*partitionNode, now time.Time) (seen bool) {
	in := n.desc.Clone()
	in.RemoveTombstones(time.Time{})
	if !f(in) {
		return false
	}
	change := partition.Merge(n.desc, in, true, now.Add(n.skew))
	if change == nil {
		return false
	}
	for _, o := range others {
		partition.Merge(o.desc, change.Clone(), false, now.Add(o.skew))
	}
	return true
}

// TestPartitionChangesReachEveryNode is TestChangesReachEveryNode for the owners of two partitions, who
// promote, change, leave and come back while their clocks disagree.
func TestPartitionChangesReachEveryNode(t *testing.T) {
	for seed := range uint64(60) {
		dice := rand.New(rand.NewPCG(seed, 5))
		var nodes []*partitionNode
		var owners []steward
		for n := range 2 {
			nodes = append(nodes, &partitionNode{desc: partition.NewDesc(), skew: time.Duration(dice.IntN(9)-4) * time.Second})
			cfg := DefaultPartitionConfig()
			cfg.Key, cfg.OwnerID, cfg.Partition, cfg.MinOwnersDuration = "p", string(rune('a'+n)), int32(n), 2*time.Second
			cfg.DeleteInactiveAfter = 8 * time.Second
			owners = append(owners, steward{cfg: &cfg, create: true, removeOwner: true})
		}
		now := epoch
		for step := range 150 {
			now = now.Add(time.Duration(dice.IntN(900)) * time.Millisecond)
			at, who := dice.IntN(2), dice.IntN(2) // an owner may come back beside another node
			do := randomStep(dice)
			next := owners[who]
			seen := nodes[at].cas(func(d *partition.Desc) bool {
				got, e, err := do(owners[who], d, now.Add(nodes[at].skew))
				if err != nil {
					t.Fatal(err)
				}
				next = got
				return e.changed
			}, []*partitionNode{nodes[1-at]}, now)
			if !seen {
				continue
			}
			owners[who] = next
			if !reflect.DeepEqual(live(nodes[0].desc), live(nodes[1].desc)) {
				t.Fatalf("seed %d, step %d at %v: node 0 %+v, node 1 %+v", seed, step, now.Sub(epoch), live(nodes[0].desc), live(nodes[1].desc))
			}
		}
	}
}

func randomStep(dice *rand.Rand) stewardStep {
	switch dice.IntN(6) {
	case 0:
		return steward.depart
	case 1:
		return steward.sweep
	case 2:
		to := []partition.State{partition.Active, partition.Inactive}[dice.IntN(2)]
		return func(s steward, d *partition.Desc, now time.Time) (steward, effect, error) {
			changed, err := partition.ChangeState(d, s.cfg.Partition, to, now)
			return s, effect{changed: err == nil && changed}, nil
		}
	}
	return steward.reconcile
}

// live is what readers see: states and owners, without tombstones and without the long token lists.
func live(d *partition.Desc) map[string]any {
	c := d.Clone()
	c.RemoveTombstones(time.Time{})
	out := map[string]any{"owners": c.Owners}
	for _, id := range slices.Sorted(maps.Keys(c.Partitions)) {
		p := c.Partitions[id]
		if len(p.Tokens) == 0 {
			out["without tokens"] = id
		}
		p.Tokens = nil
		out[partitionLabel(id)] = p
	}
	return out
}
