package ring_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ring/ringtest"
)

// twin answers lookups the dumb way: one sorted list, one literal walk.
type twin struct {
	d   *ring.Desc
	cfg ring.Config
}

type twinPoint struct {
	token uint32
	id    string
}

func (w twin) instances() map[string]ring.Instance {
	out := map[string]ring.Instance{}
	for id, i := range w.d.Instances {
		if i.State != ring.Left && !slices.Contains(w.cfg.ExcludedZones, i.Zone) {
			out[id] = i
		}
	}
	return out
}

func (w twin) points() []twinPoint {
	owner := map[uint32]string{}
	all := w.instances()
	for id, i := range all {
		for _, t := range i.Tokens {
			best, taken := owner[t]
			leaving, bestLeaving := i.State == ring.Leaving, all[best].State == ring.Leaving
			if !taken || leaving == bestLeaving && id < best || bestLeaving && !leaving {
				owner[t] = id
			}
		}
	}
	var out []twinPoint
	for t, id := range owner {
		out = append(out, twinPoint{t, id})
	}
	slices.SortFunc(out, func(a, b twinPoint) int { return int(int64(a.token) - int64(b.token)) })
	return out
}

// walk is the text of the protocol, step by step.
func (w twin) walk(key uint32, op ring.Operation, rf int) []string {
	all, points := w.instances(), w.points()
	zoneOf := func(id string) string {
		if !w.cfg.ZoneAwareness {
			return ""
		}
		return all[id].Zone
	}
	total := map[string]int{}
	for id := range all {
		total[zoneOf(id)]++
	}
	start := 0
	for n, p := range points {
		if p.token > key {
			start = n
			break
		}
	}
	size, target := rf, max(1, rf/w.cfg.ReplicationFactor)
	found, examinedIn := map[string]int{}, map[string]int{}
	var out []string
	for n := 0; n < len(points) && len(out) < min(len(all), size); n++ {
		if w.cfg.ZoneAwareness {
			done := true
			for z, count := range total {
				done = done && (found[z] >= target || examinedIn[z] >= count)
			}
			if done {
				break
			}
		}
		id := points[(start+n)%len(points)].id
		if slices.Contains(out, id) {
			continue
		}
		named := w.cfg.ZoneAwareness && zoneOf(id) != ""
		if named {
			if found[zoneOf(id)] >= target {
				continue
			}
			examinedIn[zoneOf(id)]++
		}
		if op.Extends(all[id].State) {
			size++
		} else if named {
			found[zoneOf(id)]++
		}
		out = append(out, id)
	}
	return out
}

func (w twin) get(key uint32, op ring.Operation, rf int, now time.Time) (ids []string, maxErrors int, ok bool) {
	replicas := w.walk(key, op, rf)
	for _, id := range replicas {
		i := w.instances()[id]
		fresh := w.cfg.HeartbeatTimeout == 0 || now.Sub(time.Unix(i.Timestamp, 0)) <= w.cfg.HeartbeatTimeout
		if op.Accepts(i.State) && fresh {
			ids = append(ids, id)
		}
	}
	need := max(rf, len(replicas))/2 + 1
	if w.cfg.Strategy == ring.IgnoreUnhealthy {
		need = 1
	}
	return ids, len(ids) - need, len(ids) >= need
}

func randomSetup(rng *rand.Rand) (*ring.Desc, ring.Config, time.Time) {
	now := time.Unix(50_000, 0)
	s := ringtest.Shape{
		Instances: rng.IntN(24), Zones: rng.IntN(6), EmptyZone: rng.IntN(3) == 0, Tokens: 1 + rng.IntN(20),
		Now: now.Unix(), States: rng.IntN(2) == 0, Tombstones: rng.IntN(3) == 0,
	}
	if rng.IntN(2) == 0 {
		s.Space = uint32(1 + rng.IntN(200))
	}
	if rng.IntN(20) == 0 {
		s.Instances, s.Zones = 150, 20 // beyond the sizes that fit on the stack
	}
	cfg := ring.Config{
		ReplicationFactor: 1 + rng.IntN(5), ZoneAwareness: rng.IntN(2) == 0,
		HeartbeatTimeout: time.Duration(rng.IntN(3)) * 30 * time.Second,
	}
	if rng.IntN(5) == 0 {
		cfg.Strategy = ring.IgnoreUnhealthy
	}
	if rng.IntN(5) == 0 {
		cfg.ExcludedZones = []string{"z1"}
	}
	return ringtest.Desc(rng, s), cfg, now
}

var operations = []ring.Operation{
	ring.Write, ring.WriteNoExtend, ring.Read, ring.Reporting,
	ring.NewOperation([]ring.State{ring.Active, ring.Joining}, []ring.State{ring.Active, ring.Leaving}),
}

func TestGetLikeTwin(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d, cfg, now := randomSetup(rng)
		w := twin{d, cfg}
		r := ring.New(d, cfg)
		for range 20 {
			key, op, rf := rng.Uint32(), operations[rng.IntN(len(operations))], cfg.ReplicationFactor
			if rng.IntN(2) == 0 {
				key %= 220
			}
			if cfg.Strategy == ring.IgnoreUnhealthy {
				rf *= 1 + rng.IntN(3)
			}
			got, err := r.GetRF(key, op, now, rf, nil)
			if len(w.points()) == 0 {
				if !errors.Is(err, ring.ErrEmptyRing) {
					t.Fatalf("seed %d: empty ring, error %v", seed, err)
				}
				continue
			}
			ids, maxErrors, ok := w.get(key, op, rf, now)
			if ok != (err == nil) {
				t.Fatalf("seed %d key %d: error %v, twin %v %v", seed, key, err, ids, ok)
			}
			if ok && (!slices.Equal(names(got), ids) || got.MaxErrors != maxErrors) {
				t.Fatalf("seed %d key %d: %v %d, twin %v %d", seed, key, names(got), got.MaxErrors, ids, maxErrors)
			}
		}
	}
}

func names(set ring.ReplicationSet) []string {
	var out []string
	for _, i := range set.Instances {
		out = append(out, i.ID)
	}
	return out
}

// The report over all ranges must agree with a lookup of a key in each range.
func TestQuorumLikeTwin(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 2))
		d, cfg, now := randomSetup(rng)
		if len(d.Instances) > 16 {
			continue // larger sets are only bounded
		}
		w := twin{d, cfg}
		op := operations[rng.IntN(len(operations))]
		q := ring.New(d, cfg).Quorum(op, now)
		points := w.points()
		worst, lost := 0, uint64(0)
		for n, p := range points {
			_, margin, ok := w.get(p.token-1, op, cfg.ReplicationFactor, now)
			if n == 0 || margin < worst {
				worst = margin
			}
			keys := uint64(p.token - points[(n+len(points)-1)%len(points)].token)
			if len(points) == 1 {
				keys = 1 << 32
			}
			if !ok {
				lost += keys
			}
		}
		if q.Ranges != len(points) || q.Worst != worst || q.LostKeys() != lost {
			t.Fatalf("seed %d: %d ranges, worst %d, lost %d; twin %d, %d, %d", seed, q.Ranges, q.Worst, q.LostKeys(), len(points), worst, lost)
		}
		total := uint64(0)
		for _, m := range q.Margins {
			total += m.Keys
		}
		if len(points) > 0 && total != 1<<32 {
			t.Fatalf("seed %d: margins cover %d keys", seed, total)
		}
	}
}

func TestOwnershipLikeTwin(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		d, cfg, _ := randomSetup(rng)
		w := twin{d, cfg}
		zone := func(id string) string { return d.Instances[id].Zone }
		want := map[string]uint64{}
		points := w.points()
		for n, p := range points {
			for back := 1; back <= len(points); back++ { // to the previous token of the same zone
				q := points[(n-back+2*len(points))%len(points)]
				if zone(q.id) != zone(p.id) {
					continue
				}
				if back == len(points) {
					want[p.id] += 1 << 32
				} else {
					want[p.id] += uint64(p.token - q.token)
				}
				break
			}
		}
		owners := ring.New(d, cfg).Ownership()
		if len(owners) != len(w.instances()) {
			t.Fatalf("seed %d: %d owners, want %d", seed, len(owners), len(w.instances()))
		}
		for _, o := range owners {
			if o.Range != want[o.ID] {
				t.Fatalf("seed %d: %s owns %d, twin %d", seed, o.ID, o.Range, want[o.ID])
			}
		}
	}
}

// Token ranges hold exactly the keys for which the instance is a replica.
func TestTokenRangesAreTheReplicas(t *testing.T) {
	checked := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 4))
		zones := 1 + rng.IntN(3)
		d := ringtest.Desc(rng, ringtest.Shape{Instances: 1 + rng.IntN(9), Zones: zones, Tokens: 4, Space: uint32(rng.IntN(2)) * 50})
		cfg := ring.Config{ReplicationFactor: zones, ZoneAwareness: true}
		r := ring.New(d, cfg)
		for _, i := range r.Instances() {
			ranges, err := r.TokenRanges(i.ID)
			if errors.Is(err, ring.ErrNoTokenRanges) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []uint32{0, 1, rng.Uint32(), rng.Uint32N(60), 1<<32 - 1} {
				inside := slices.ContainsFunc(ranges, func(g ring.TokenRange) bool { return g.First <= key && key <= g.Last })
				if owns := slices.Contains(twin{d, cfg}.walk(key, ring.WriteNoExtend, zones), i.ID); owns != inside {
					t.Fatalf("seed %d: key %d of %s: replica %v, in ranges %v: %v", seed, key, i.ID, owns, ranges, inside)
				}
				checked++
			}
		}
	}
	if checked < 1000 {
		t.Fatalf("only %d keys checked", checked)
	}
}

// A snapshot that took over heartbeats answers like one made from scratch.
func TestWithHeartbeatsIsNew(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 5))
		d, cfg, now := randomSetup(rng)
		prev := ring.New(d, cfg)
		next := d.Clone()
		for id, i := range next.Instances {
			switch rng.IntN(12) {
			case 0:
				i.State = ring.State(rng.IntN(4))
			case 1:
				i.Tokens = []uint32{rng.Uint32()}
			case 2:
				delete(next.Instances, id)
				continue
			case 3:
				i.Zone = "elsewhere"
			}
			i.Timestamp = now.Unix()
			next.Instances[id] = i
		}
		a, b := ring.WithHeartbeats(prev, next), ring.New(next, cfg)
		for range 10 {
			key, op := rng.Uint32N(300), operations[rng.IntN(len(operations))]
			sa, ea := a.Get(key, op, now, nil)
			sb, eb := b.Get(key, op, now, nil)
			if !slices.Equal(names(sa), names(sb)) || fmt.Sprint(ea) != fmt.Sprint(eb) {
				t.Fatalf("seed %d: %v %v, from scratch %v %v", seed, names(sa), ea, names(sb), eb)
			}
		}
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	now := time.Unix(50_000, 0)
	d := ringtest.Desc(rng, ringtest.Shape{Instances: 30, Zones: 3, Tokens: 50, Now: now.Unix()})
	for _, aware := range []bool{false, true} {
		r := ring.New(d, ring.Config{ReplicationFactor: 3, ZoneAwareness: aware})
		var buf [8]*ring.Instance
		if n := testing.AllocsPerRun(100, func() {
			if _, err := r.Get(rng.Uint32(), ring.Write, now, buf[:0]); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("zone aware %v: %v allocations", aware, n)
		}
	}
}

// Adding one instance changes a shard by at most one instance, and shards of
// growing size contain each other.
func TestShuffleShardIsStable(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 6))
		d := ringtest.Desc(rng, ringtest.Shape{Instances: 12, Tokens: 30})
		r := ring.New(d, ring.Config{ReplicationFactor: 1})
		id := fmt.Sprint("tenant-", seed)
		before := members(r.ShuffleShard(id, 4))
		after := members(r.With(ring.Instance{ID: "new", Tokens: []uint32{rng.Uint32(), rng.Uint32()}}).ShuffleShard(id, 4))
		gone := 0
		for _, m := range before {
			if !slices.Contains(after, m) {
				gone++
			}
		}
		if gone > 1 {
			t.Fatalf("seed %d: %v became %v", seed, before, after)
		}
		for _, m := range before {
			if !slices.Contains(members(r.ShuffleShard(id, 5)), m) {
				t.Fatalf("seed %d: %s of %v is not in the larger shard", seed, m, before)
			}
		}
	}
}

func members(r *ring.Ring) []string {
	var out []string
	for _, i := range r.Instances() {
		out = append(out, i.ID)
	}
	return out
}

// Buckets of every size must come out sorted, with one owner per token.
func TestIndexIsSorted(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		lists := make([][]uint32, 1+rng.IntN(5))
		space := uint32(1) << (1 + rng.IntN(32) - rng.IntN(2)) // crowded to sparse; 0 means all
		want := map[uint32]uint32{}
		for owner := range lists {
			for range rng.IntN(60) {
				tok := rng.Uint32()
				if space > 0 {
					tok %= space
				}
				lists[owner] = append(lists[owner], tok)
				if o, ok := want[tok]; !ok || uint32(owner) < o {
					want[tok] = uint32(owner)
				}
			}
		}
		x := ring.NewIndex(lists, func(a, b uint32) uint32 { return min(a, b) })
		if x.Len() != len(want) {
			t.Fatalf("seed %d: %d points, want %d", seed, x.Len(), len(want))
		}
		for n := range x.Len() {
			p := x.At(n)
			if n > 0 && x.At(n-1).Token >= p.Token || want[p.Token] != p.Owner {
				t.Fatalf("seed %d: point %d is %+v after %+v, owner should be %d", seed, n, p, x.At(max(0, n-1)), want[p.Token])
			}
			if at := x.Search(p.Token - 1); x.At(at).Token != p.Token && p.Token > 0 {
				t.Fatalf("seed %d: the key before token %d finds %+v", seed, p.Token, x.At(at))
			}
		}
	}
}
