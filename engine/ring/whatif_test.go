package ring_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ring/ringtest"
)

// The moved share must agree with lookups of many keys in both rings.
func TestMovedKeysLikeLookups(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := ringtest.Desc(rng, ringtest.Shape{Instances: 3 + rng.IntN(8), Zones: 3, Tokens: 20})
		a := ring.New(d, ring.Config{ReplicationFactor: 1 + rng.IntN(3), ZoneAwareness: rng.IntN(2) == 0, Strategy: ring.IgnoreUnhealthy})
		if a.TokenCount() == 0 {
			continue
		}
		b := a.Without("i0")
		switch rng.IntN(3) {
		case 0:
			b = a.WithNew(2, 20, storyNow)
		case 1:
			b = a.WithReplicationFactor(2)
		}
		if b.TokenCount() == 0 {
			continue
		}
		const samples = 4000
		owner, moved, total := 0.0, 0.0, 0.0
		for n := range samples {
			key := uint32(n) * (1 << 32 / samples)
			was, _ := a.GetRF(key, ring.WriteNoExtend, storyNow, 0, nil)
			is, _ := b.GetRF(key, ring.WriteNoExtend, storyNow, 0, nil)
			if len(was.Instances) == 0 || len(is.Instances) == 0 {
				t.Fatalf("seed %d: key %d has no replicas", seed, key)
			}
			if was.Instances[0].ID != is.Instances[0].ID {
				owner++
			}
			for _, id := range names(is) {
				total++
				if !slices.Contains(names(was), id) {
					moved++
				}
			}
		}
		m := ring.MovedKeys(a, b)
		if math.Abs(m.Owner-owner/samples) > 0.02 || math.Abs(m.Replicas-moved/total) > 0.02 {
			t.Fatalf("seed %d: %+v, counted %.3f and %.3f", seed, m, owner/samples, moved/total)
		}
	}
}

func TestMovedKeysAtTheEdges(t *testing.T) {
	empty := ring.New(ring.NewDesc(), ring.Config{})
	one := empty.WithNew(1, 4, storyNow)
	for _, c := range []struct {
		name string
		a, b *ring.Ring
		want ring.Movement
	}{
		{"nothing to nothing", empty, empty, ring.Movement{}},
		{"nothing to one", empty, one, ring.Movement{Owner: 1, Replicas: 1}},
		{"one to nothing", one, empty, ring.Movement{Owner: 1, Replicas: 1}},
		{"the same", one, one, ring.Movement{}},
	} {
		if got := ring.MovedKeys(c.a, c.b); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestWhatIfLeavesTheRingAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	d := ringtest.Desc(rng, ringtest.Shape{Instances: 9, Zones: 3, Tokens: 20, Now: storyNow.Unix()})
	r := ring.New(d, ring.Config{ReplicationFactor: 3, ZoneAwareness: true, HeartbeatTimeout: time.Minute})
	before := r.Quorum(ring.Read, storyNow)
	tokens := r.TokenCount()
	all := members(r)
	r.Without("i0", "i1")
	r.WithoutZone("z0")
	r.Down(all...)
	r.DownZone("z1")
	r.WithNew(3, 10, storyNow)
	r.WithReplicationFactor(5)
	r.WithTokens(4)
	after := r.Quorum(ring.Read, storyNow)
	if !slices.Equal(before.Margins, after.Margins) || r.TokenCount() != tokens || !slices.Equal(members(r), all) {
		t.Error("a what-if changed its ring")
	}
}

func TestWithNewAndTokens(t *testing.T) {
	r := ring.New(ring.NewDesc(), ring.Config{ReplicationFactor: 3, ZoneAwareness: true})
	for _, zone := range []string{"a", "a", "b", "c"} {
		r = r.With(ring.Instance{ID: zone + strings.Repeat("x", len(r.Instances())), Zone: zone})
	}
	r = r.WithNew(5, 16, storyNow)
	count := map[string]int{}
	for _, i := range r.Instances() {
		count[i.Zone]++
	}
	if count["a"] != 3 || count["b"] != 3 || count["c"] != 3 {
		t.Errorf("new instances go to the smallest zones; got %v", count)
	}
	if r.TokenCount() != 5*16 {
		t.Errorf("%d tokens, want 80", r.TokenCount())
	}
	more := r.WithTokens(64)
	again := r.WithTokens(64)
	if more.TokenCount() != 9*64 || ring.MovedKeys(more, again) != (ring.Movement{}) {
		t.Errorf("%d tokens, want %d, the same every time", more.TokenCount(), 9*64)
	}
}

// More tokens spread the keys better.
func TestWithTokensEvensOut(t *testing.T) {
	r := ring.New(ring.NewDesc(), ring.Config{ReplicationFactor: 1}).WithNew(10, 1, storyNow)
	spread := func(r *ring.Ring) float64 {
		low, high := math.Inf(1), 0.0
		for _, o := range r.Ownership() {
			low, high = min(low, o.Percent), max(high, o.Percent)
		}
		return high - low
	}
	if few, many := spread(r.WithTokens(4)), spread(r.WithTokens(512)); many > few/3 {
		t.Errorf("a spread of %.2f %% with 512 tokens, %.2f %% with 4", many, few)
	}
}

func TestSpreadMinimizingIsEven(t *testing.T) {
	s := ring.NewSpreader(0)
	d := ring.NewDesc()
	for n := range 40 {
		tokens, err := s.Tokens(n)
		if err != nil {
			t.Fatal(err)
		}
		d.Instances[string(rune('A'+n))] = ring.Instance{Tokens: tokens}
	}
	for _, o := range ring.New(d, ring.Config{ReplicationFactor: 1}).Ownership() {
		if math.Abs(o.Percent-2.5) > 0.1 {
			t.Errorf("%s owns %.4f %%, want about 2.5", o.ID, o.Percent)
		}
	}
	if _, err := ring.NewSpreader(8).Tokens(0); err == nil {
		t.Error("a ninth zone was accepted")
	}
	if _, err := s.Tokens(ring.MaxSpreadInstances); err == nil {
		t.Error("an instance beyond the limit was accepted")
	}
}

func TestRandomTokens(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	taken := ring.RandomTokens(1000, nil, rng)
	got := ring.RandomTokens(1000, taken, rng)
	if len(got) != 1000 || !slices.IsSorted(got) {
		t.Fatalf("%d tokens, sorted %v", len(got), slices.IsSorted(got))
	}
	for _, tok := range got {
		if slices.Contains(taken, tok) {
			t.Fatalf("token %d was taken", tok)
		}
	}
	if got := ring.RandomTokens(-1, nil, rng); len(got) != 0 {
		t.Errorf("minus one tokens gave %v", got)
	}
}

func TestDownNeedsNoTimeout(t *testing.T) {
	r := ring.New(ring.NewDesc(), ring.Config{ReplicationFactor: 3}).WithNew(3, 8, storyNow)
	if q := r.Quorum(ring.Write, storyNow); !q.OK() || q.Worst != 1 {
		t.Fatalf("all well: %+v", q)
	}
	if q := r.Down("new-0", "new-2").Quorum(ring.Write, storyNow); q.OK() || q.Worst != -1 || q.LostKeys() != 1<<32 {
		t.Errorf("two of three down: %+v", q)
	}
}

// With two zones of three gone every range is lost, for many different pairs of
// instances. The report stays short and complete.
func TestQuorumReportStaysShort(t *testing.T) {
	r := ring.New(ring.NewDesc(), ring.Config{ReplicationFactor: 3, ZoneAwareness: true})
	for _, zone := range []string{"a", "b", "c"} {
		r = r.With(ring.Instance{ID: zone, Zone: zone})
	}
	r = r.WithNew(87, 32, storyNow).Without("a", "b", "c")
	q := r.DownZone("a").DownZone("b").Quorum(ring.Write, storyNow)
	if q.LostKeys() != 1<<32 || q.Worst != -1 || len(q.Lost) != 65 {
		t.Fatalf("%d keys lost, worst %d, %d groups", q.LostKeys(), q.Worst, len(q.Lost))
	}
	ranges := 0
	for n, l := range q.Lost {
		ranges += l.Ranges
		if l.Combined != (n == 64) || !l.Combined && len(l.Unhealthy) != 2 {
			t.Errorf("group %d: combined %v, %q", n, l.Combined, l.Unhealthy)
		}
	}
	if ranges != q.Ranges {
		t.Errorf("%d ranges in groups, %d in all", ranges, q.Ranges)
	}
}

// A zone that leaves makes the replica sets as large as the zone. The margins
// are bounds then, but the verdict is the same and comes soon.
func TestQuorumWithALeavingZone(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	d := ringtest.Desc(rng, ringtest.Shape{Instances: 90, Zones: 3, Tokens: 40, Now: storyNow.Unix()})
	for id, i := range d.Instances {
		if i.Zone == "z1" {
			i.State = ring.Leaving
			d.Instances[id] = i
		}
	}
	r := ring.New(d, ring.Config{ReplicationFactor: 3, ZoneAwareness: true})
	q := r.Quorum(ring.Write, storyNow)
	_, err := r.Get(77, ring.Write, storyNow, nil)
	if q.LostKeys() != 1<<32 || err == nil {
		t.Errorf("%d keys lost, a lookup says %v", q.LostKeys(), err)
	}
}
