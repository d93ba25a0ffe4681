package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/querier"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/ring"
)

// randomRing has some ingesters in some zones, some of them silent for too long.
func randomRing(dice *rand.Rand, now time.Time) (*ring.Ring, []string) {
	d := &ring.Desc{Instances: map[string]ring.Instance{}}
	var taken []uint32
	var ids []string
	zones, silent := 1+dice.IntN(4), dice.IntN(3)
	for n := range 1 + dice.IntN(8) {
		id := fmt.Sprintf("ingester-%d", n)
		tokens := ring.RandomTokens(1+dice.IntN(6), taken, dice)
		if dice.IntN(3) == 0 { // the edges of the key space
			tokens = append([]uint32{0}, tokens...)
			tokens = append(tokens, ^uint32(0))
		}
		taken = append(taken, tokens...)
		heartbeat := now.Unix()
		if n < silent {
			heartbeat -= 3600
		}
		d.Instances[id] = ring.Instance{ID: id, Addr: id, Zone: fmt.Sprintf("zone-%d", n%zones), State: ring.Active, Timestamp: heartbeat, Tokens: tokens}
		ids = append(ids, id)
	}
	return ring.New(d, ring.Config{ReplicationFactor: 1 + 2*dice.IntN(2), ZoneAwareness: dice.IntN(2) == 0, HeartbeatTimeout: time.Minute}), ids
}

// TestTokenSharesCoverTheRingOnce asks, for random keys and those around every
// token, who counts them: exactly one keeper that has them, or nobody where
// nobody can.
func TestTokenSharesCoverTheRingOnce(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for seed := range uint64(400) {
		dice := rand.New(rand.NewPCG(seed, 1))
		r, ids := randomRing(dice, now)
		dead := ids[dice.IntN(len(ids))]
		down := func(id string) bool { return seed%2 == 0 && id == dead }
		late := ids[dice.IntN(len(ids))]
		behind := func(id string) time.Duration {
			if id == late {
				return time.Minute
			}
			return 0
		}
		shares := tokenShares(r, querier.Known{Down: down, Behind: behind}, now)
		keys := []uint32{0, 1, ^uint32(0), ^uint32(0) - 1, dice.Uint32(), dice.Uint32(), dice.Uint32()}
		for _, i := range r.Instances() {
			for _, token := range i.Tokens {
				keys = append(keys, token-1, token, token+1)
			}
		}
		for _, key := range keys {
			if err := countedOnce(r, shares, key, down, late, now); err != nil {
				t.Fatalf("seed %d: key %d: %v\nshares %v", seed, key, err, shares)
			}
		}
	}
}

func countedOnce(r *ring.Ring, shares map[string][]query.TokenRange, key uint32, down func(string) bool, late string, now time.Time) error {
	var counting []string
	for id, ranges := range shares {
		for _, x := range ranges {
			if x.First <= key && key <= x.Last {
				counting = append(counting, id)
			}
		}
	}
	var can []string
	rs, err := r.Get(key, ring.Read, now, nil)
	for _, i := range rs.Instances {
		if err == nil && !down(i.ID) {
			can = append(can, i.ID)
		}
	}
	if len(can) == 0 && len(counting) == 0 {
		return nil
	}
	if len(counting) != 1 {
		return fmt.Errorf("counted by %v, kept by %v", counting, can)
	}
	if counting[0] == late && len(can) > 1 {
		return fmt.Errorf("counted by %s, which is behind, kept by %v", late, can)
	}
	for _, id := range can {
		if id == counting[0] {
			return nil
		}
	}
	return fmt.Errorf("counted by %v, kept by %v", counting, can)
}

func TestToleratedFailures(t *testing.T) {
	member := func(id, zone string) *ring.Instance { return &ring.Instance{ID: id, Zone: zone} }
	all := []*ring.Instance{member("a1", "a"), member("a2", "a"), member("b1", "b"), member("c1", "c")}
	for _, tt := range []struct {
		name   string
		set    ring.ReplicationSet
		failed string
		want   bool
	}{
		{"one of a quorum", ring.ReplicationSet{Instances: all, MaxErrors: 1}, "a1", true},
		{"two of a quorum", ring.ReplicationSet{Instances: all, MaxErrors: 1}, "a1 a2", false},
		{"a whole zone", ring.ReplicationSet{Instances: all, MaxUnavailableZones: 1, ZoneAware: true}, "a1 a2", true},
		{"in two zones", ring.ReplicationSet{Instances: all, MaxUnavailableZones: 1, ZoneAware: true}, "a1 b1", false},
		{"one that is not needed", ring.ReplicationSet{Instances: all[:2]}, "c1", true},
		{"the only copy", ring.ReplicationSet{Instances: all[:1]}, "a1", false},
	} {
		failed := map[string]bool{}
		for _, i := range all {
			if len(tt.failed) >= 2 && (tt.failed[:2] == i.ID || tt.failed[len(tt.failed)-2:] == i.ID) {
				failed[i.ID] = true
			}
		}
		if got := tolerates(tt.set, func(id string) bool { return failed[id] }); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestSilentQueriersAreAskedWhenNoneIsHealthy because a late heartbeat is no proof
// that a querier is gone.
func TestSilentQueriersAreAskedWhenNoneIsHealthy(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	entry := func(state ring.State, silent time.Duration) ring.Instance {
		return ring.Instance{State: state, Timestamp: now.Add(-silent).Unix()}
	}
	for _, tt := range []struct {
		want    string
		members map[string]ring.Instance
	}{
		{"[]", nil},
		{"[a b]", map[string]ring.Instance{"a": entry(ring.Active, 0), "b": entry(ring.Active, time.Minute), "c": entry(ring.Active, 2*time.Minute)}},
		{"[a c]", map[string]ring.Instance{"a": entry(ring.Active, time.Hour), "b": entry(ring.Leaving, 0), "c": entry(ring.Active, 2*time.Minute)}},
		{"[]", map[string]ring.Instance{"a": entry(ring.Leaving, 0), "b": entry(ring.Left, 0), "c": entry(ring.Pending, 0)}},
	} {
		d := &ring.Desc{Instances: map[string]ring.Instance{}}
		for id, i := range tt.members {
			i.ID, i.Addr = id, id
			d.Instances[id] = i
		}
		got := askable(ring.New(d, ring.Config{ReplicationFactor: 1, HeartbeatTimeout: time.Minute}), now)
		slices.Sort(got)
		if fmt.Sprint(got) != tt.want {
			t.Errorf("asks %v, want %s, of %v", got, tt.want, tt.members)
		}
	}
}
