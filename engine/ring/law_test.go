package ring_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ring/ringtest"
)

// lawDesc draws rings from a small world, so that they meet: few ids, few
// seconds, few tokens. Entries of one id with one timestamp are equal, as if
// only their owner had written them; that leaves out the known ties.
func lawDesc(rng *rand.Rand) *ring.Desc {
	d := ringtest.Desc(rng, ringtest.Shape{Instances: 1 + rng.IntN(6), Tokens: 6, Space: 40, Now: 1000, States: true, Tombstones: true})
	for id, i := range d.Instances {
		if rng.IntN(3) == 0 {
			delete(d.Instances, id)
			continue
		}
		i.Timestamp = 1000 + rng.Int64N(6)
		if i.State != ring.Left {
			one := rand.New(rand.NewPCG(uint64(i.Timestamp), uint64(id[1])))
			e := ringtest.Desc(one, ringtest.Shape{Instances: 1, Tokens: 6, Space: 40, States: true}).Instances["i0"]
			e.ID, e.Timestamp = id, i.Timestamp
			i = e
		} else {
			i = ring.Instance{ID: id, State: ring.Left, Timestamp: i.Timestamp}
		}
		d.Instances[id] = i
	}
	return d
}

func merged(a, b *ring.Desc) *ring.Desc {
	out := a.Clone()
	ring.Merge(out, b, false, time.Unix(2000, 0))
	return out
}

func same(t *testing.T, seed uint64, law string, a, b *ring.Desc) {
	t.Helper()
	x, _ := a.MarshalBinary()
	y, _ := b.MarshalBinary()
	if !bytes.Equal(x, y) {
		t.Fatalf("seed %d: %s:\n%s\n%s", seed, law, showDesc(a), showDesc(b))
	}
}

func TestMergeIsIdempotent(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b := merged(ring.NewDesc(), lawDesc(rng)), lawDesc(rng)
		once := merged(a, b)
		same(t, seed, "merging twice", once, merged(once, b))
		if c := ring.Merge(once.Clone(), once, false, time.Unix(2000, 0)); c != nil {
			t.Fatalf("seed %d: a ring merged with itself changes:\n%s", seed, showDesc(c))
		}
	}
}

func TestMergeIsCommutative(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		a, b := withoutConflicts(lawDesc(rng)), withoutConflicts(lawDesc(rng))
		x := merged(merged(ring.NewDesc(), a), b)
		y := merged(merged(ring.NewDesc(), b), a)
		same(t, seed, "order of two", x, y)
	}
}

// Losing a token does not change an entry's timestamp, so what a loser held
// before is forgotten on the nodes that saw the conflict: with conflicts the
// order does matter, on every node of the family. Without them it does not.
func TestMergeIsAssociative(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		a, b, c := withoutConflicts(lawDesc(rng)), withoutConflicts(lawDesc(rng)), withoutConflicts(lawDesc(rng))
		same(t, seed, "grouping of three", merged(merged(a, b), c), merged(a, merged(b, c)))
		same(t, seed, "order of three", merged(merged(c, a), b), merged(merged(a, b), c))
	}
}

// withoutConflicts gives every id tokens of its own.
func withoutConflicts(d *ring.Desc) *ring.Desc {
	for id, i := range d.Instances {
		tokens := slices.Clone(i.Tokens)
		for n := range tokens {
			tokens[n] = tokens[n]*100 + uint32(id[1]-'0')
		}
		i.Tokens = tokens
		d.Instances[id] = i
	}
	return d
}

// Whoever applies only the changes ends up where the one that made them is.
func TestChangesCarryTheMerge(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 4))
		sender := merged(ring.NewDesc(), withoutConflicts(lawDesc(rng)))
		follower := sender.Clone()
		for range 4 {
			in := withoutConflicts(lawDesc(rng))
			cas := rng.IntN(4) == 0
			if change := ring.Merge(sender, in, cas, time.Unix(2000, 0)); change != nil {
				ring.Merge(follower, change, false, time.Unix(2000, 0))
			}
		}
		same(t, seed, "follower", sender, follower)
	}
}

func TestMergeLeavesNoConflicts(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		d := merged(merged(ring.NewDesc(), lawDesc(rng)), lawDesc(rng))
		if dup := d.DuplicateTokens(); dup != nil {
			t.Fatalf("seed %d: %v in\n%s", seed, dup, showDesc(d))
		}
		for id, i := range d.Instances {
			if !slices.IsSorted(i.Tokens) || i.State == ring.Left && len(i.Tokens) > 0 {
				t.Fatalf("seed %d: %s is not normalised: %v", seed, id, i)
			}
		}
	}
}

// A large ring takes another way to find conflicts than a small one.
func TestConflictsInALargeRing(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	d := ring.NewDesc()
	var taken []uint32
	for n := range 60 {
		tokens := ring.RandomTokens(128, taken, rng)
		taken = append(taken, tokens...)
		d.Instances[string(rune('A'+n))] = ring.Instance{Timestamp: 10, Tokens: tokens}
	}
	if dup := d.DuplicateTokens(); dup != nil {
		t.Fatalf("no duplicates, found %d", len(dup))
	}
	stolen := []uint32{d.Instances["B"].Tokens[5], d.Instances["C"].Tokens[77], d.Instances["Z"].Tokens[0]}
	slices.Sort(stolen)
	in := &ring.Desc{Instances: map[string]ring.Instance{"Bz": {Timestamp: 20, Tokens: stolen}}}
	change := ring.Merge(d, in, false, time.Unix(20, 0))
	kept := change.Instances["Bz"].Tokens
	if len(kept) != 2 || len(d.Instances["B"].Tokens) != 128 || len(d.Instances["C"].Tokens) != 127 || len(d.Instances["Z"].Tokens) != 127 {
		t.Errorf("B keeps its token, C and Z lose theirs; got %d, %d, %d, Bz has %d", len(d.Instances["B"].Tokens),
			len(d.Instances["C"].Tokens), len(d.Instances["Z"].Tokens), len(kept))
	}
	if d.DuplicateTokens() != nil {
		t.Error("duplicates are left")
	}
}

// Every node that drops tombstones by its own clock keeps the live entries.
func TestRemoveTombstones(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 8))
		d := lawDesc(rng)
		limit := time.Unix(1000+rng.Int64N(7), 0)
		live, old, young := 0, 0, 0
		for _, i := range d.Instances {
			switch {
			case i.State != ring.Left:
				live++
			case i.Timestamp < limit.Unix():
				old++
			default:
				young++
			}
		}
		total, removed := d.RemoveTombstones(limit)
		if total != young || removed != old || len(d.Instances) != live+young {
			t.Fatalf("seed %d: %d left, %d removed, %d entries; want %d, %d, %d", seed, total, removed, len(d.Instances), young, old, live+young)
		}
	}
}

func TestHashes(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	d := ringtest.Desc(rng, ringtest.Shape{Instances: 9, Zones: 3, Tokens: 9, Now: 1000})
	if d.Hash() != d.Clone().Hash() || d.TopologyHash() != d.Clone().TopologyHash() {
		t.Error("a clone has another hash")
	}
	beat := d.Clone()
	i := beat.Instances["i3"]
	i.Timestamp++
	beat.Instances["i3"] = i
	beat.Instances["gone"] = ring.Instance{State: ring.Left, Timestamp: 5}
	if beat.TopologyHash() != d.TopologyHash() {
		t.Error("a heartbeat and a tombstone change the topology")
	}
	if beat.Hash() == d.Hash() {
		t.Error("a heartbeat does not change the full hash")
	}
	i.Zone = "other"
	beat.Instances["i3"] = i
	if beat.TopologyHash() == d.TopologyHash() {
		t.Error("another zone does not change the topology hash")
	}
	if len(d.Hash().String()) != 12 {
		t.Errorf("hash prints as %q", d.Hash())
	}
}

func TestCloneIsApart(t *testing.T) {
	d := ring.NewDesc()
	d.Instances["a"] = ring.Instance{Tokens: make([]uint32, 1, 10), Unknown: make([]byte, 1, 10)}
	c := d.Clone()
	i := c.Instances["a"]
	i.State = ring.Leaving
	c.Instances["a"] = i
	c.Instances["b"] = ring.Instance{}
	if len(d.Instances) != 1 || d.Instances["a"].State != ring.Active {
		t.Error("the original changed with its clone")
	}
}
