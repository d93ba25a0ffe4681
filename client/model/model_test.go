package model_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/ring"
)

const ingester = "collectors/ring"

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// randomRing is a small ring with everything that matters to a quorum: zones or none, states, stale heartbeats.
func randomRing(rng *rand.Rand) (*ring.Desc, model.Options) {
	d := ring.NewDesc()
	zoned := rng.IntN(2) == 0
	n := 3 + rng.IntN(5)
	for i := range n {
		inst := ring.Instance{ID: fmt.Sprintf("m-%d", i), State: ring.Active, Timestamp: noon.Unix()}
		if zoned {
			inst.Zone = string(rune('a' + i%3))
		}
		if rng.IntN(8) == 0 {
			inst.State = ring.State(rng.IntN(4))
		}
		if rng.IntN(8) == 0 {
			inst.Timestamp -= 3600
		}
		for range 1 + rng.IntN(4) {
			inst.Tokens = append(inst.Tokens, rng.Uint32())
		}
		slices.Sort(inst.Tokens)
		inst.Tokens = slices.Compact(inst.Tokens)
		d.Instances[inst.ID] = inst
	}
	return d, model.Options{Now: noon, ReplicationFactor: 1 + rng.IntN(3), ZoneAware: &zoned}
}

func snapshotOf(d *ring.Desc, o model.Options) *model.Snapshot {
	return model.Build(&gossip.View{From: "x", At: o.Now, Pairs: []gossip.Pair{{Key: ingester, Codec: ring.Codec, Value: ring.EncodeValue(d)}}}, o)
}

// worksFor asks the ring itself, key by key: each token starts a new range.
func worksFor(d *ring.Desc, o model.Options, down []string) (write, read bool) {
	c := d.Clone()
	for _, id := range down {
		i := c.Instances[id]
		i.Timestamp = 0
		c.Instances[id] = i
	}
	r := ring.New(c, ring.Config{ReplicationFactor: o.ReplicationFactor, ZoneAwareness: *o.ZoneAware, HeartbeatTimeout: time.Minute})
	write = true
	for _, i := range d.Instances {
		for _, t := range i.Tokens {
			if _, err := r.Get(t, ring.Write, noon, nil); err != nil {
				write = false
			}
		}
	}
	_, err := r.ReplicationSetForOperation(ring.Read, noon)
	return write, err == nil
}

// subsets calls f with all subsets of ids.
func subsets(ids []string, f func([]string)) {
	for mask := range 1 << len(ids) {
		var s []string
		for i, id := range ids {
			if mask>>i&1 == 1 {
				s = append(s, id)
			}
		}
		f(s)
	}
}

func idsOf(d *ring.Desc) []string {
	var ids []string
	for id := range d.Instances {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// TestQuorumAgainstBruteForce: OK is what lookups say for every key, and the margin is the largest number of healthy
// members of which any may fail.
func TestQuorumAgainstBruteForce(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d, o := randomRing(rng)
		s := snapshotOf(d, o)
		r, _ := s.Ring("ingester")
		write, read := worksFor(d, o, nil)
		if r.Write.OK != write || r.Read.OK != read {
			t.Fatalf("seed %d: write %v read %v, lookups say %v %v", seed, r.Write.OK, r.Read.OK, write, read)
		}
		if !write && !read {
			continue
		}
		writeMargin, readMargin := len(d.Instances), len(d.Instances)
		subsets(idsOf(d), func(down []string) {
			w, rd := worksFor(d, o, down)
			if write && !w {
				writeMargin = min(writeMargin, len(down)-1)
			}
			if read && !rd {
				readMargin = min(readMargin, len(down)-1)
			}
		})
		if write && r.Write.Margin != writeMargin {
			t.Errorf("seed %d: write margin %d, brute force %d (%+v)", seed, r.Write.Margin, writeMargin, o)
		}
		if read && r.Read.Margin != readMargin {
			t.Errorf("seed %d: read margin %d, brute force %d (rf %d, zones %v)", seed, r.Read.Margin, readMargin, o.ReplicationFactor, *o.ZoneAware)
		}
	}
}

// TestCanStopAgainstBruteForce: the answer is what lookups say, and the batch is a largest one.
func TestCanStopAgainstBruteForce(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		d, o := randomRing(rng)
		s := snapshotOf(d, o)
		ids := idsOf(d)
		asked := ids[:1+rng.IntN(len(ids))]
		answer, err := model.CanStop([]*model.Snapshot{s}, model.StopRequest{IDs: asked})
		if err != nil {
			t.Fatal(err)
		}
		fine := func(down []string) bool {
			healthy := 0
			for id, i := range d.Instances {
				if i.Timestamp == noon.Unix() && !slices.Contains(down, id) {
					healthy++
				}
			}
			w, r := worksFor(d, o, down)
			return w && r && healthy > 0
		}
		if answer.OK != fine(asked) {
			t.Errorf("seed %d: can stop %v: %v, lookups say %v; %+v", seed, asked, answer.OK, fine(asked), answer.Reasons)
		}
		best := 0
		subsets(asked, func(down []string) {
			if len(down) > 0 && fine(down) {
				best = max(best, len(down))
			}
		})
		if len(answer.Batch) != best || best > 0 && !fine(answer.Batch) {
			t.Errorf("seed %d: batch %v, brute force finds one of %d", seed, answer.Batch, best)
		}
	}
}

// TestSimulateAgainstBruteForce: what a simulation says about a loss is what lookups say after it.
func TestSimulateAgainstBruteForce(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 3))
		d, o := randomRing(rng)
		s := snapshotOf(d, o)
		ids := idsOf(d)
		lose := ids[:rng.IntN(len(ids))]
		sim, err := s.Simulate(model.WhatIf{Ring: "ingester", Lose: lose})
		if err != nil {
			t.Fatal(err)
		}
		w, r := worksFor(d, o, lose)
		if sim.After.Write.OK != w || sim.After.Read.OK != r {
			t.Errorf("seed %d: after losing %v write %v read %v, lookups say %v %v", seed, lose, sim.After.Write.OK, sim.After.Read.OK, w, r)
		}
		if sim.Moved != 0 {
			t.Errorf("seed %d: a member that only stops moves no key, got %v", seed, sim.Moved)
		}
	}
}

// TestGrowBatch: with many candidates the batch may stop together, keeps to the limit, and cannot be extended.
func TestGrowBatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	d := ring.NewDesc()
	for i := range 30 {
		inst := ring.Instance{ID: fmt.Sprintf("m-%02d", i), Zone: string(rune('a' + i%3)), State: ring.Active, Timestamp: noon.Unix()}
		for range 4 {
			inst.Tokens = append(inst.Tokens, rng.Uint32())
		}
		slices.Sort(inst.Tokens)
		d.Instances[inst.ID] = inst
	}
	yes := true
	o := model.Options{Now: noon, ReplicationFactor: 3, ZoneAware: &yes}
	s := snapshotOf(d, o)
	for _, limit := range []int{0, 4} {
		a, err := model.CanStop([]*model.Snapshot{s}, model.StopRequest{IDs: idsOf(d), Max: limit})
		if err != nil {
			t.Fatal(err)
		}
		w, r := worksFor(d, o, a.Batch)
		if a.OK || !w || !r || limit > 0 && len(a.Batch) != limit || limit == 0 && len(a.Batch) != 10 {
			t.Errorf("limit %d: ok %v, batch %v, works %v %v", limit, a.OK, a.Batch, w, r)
		}
	}
}

// FuzzBuild: whatever a member answers, a snapshot comes of it, and everything that works on snapshots works on it.
func FuzzBuild(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	d, _ := randomRing(rng)
	f.Add("collectors/ring", ring.Codec, ring.EncodeValue(d), int64(0))
	f.Add("collectors/livestore-partitions", "partitionRingDesc", []byte("\x00"), noon.Unix())
	f.Add("", "", []byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, key, codec string, value []byte, at int64) {
		v := &gossip.View{From: "x", Pairs: []gossip.Pair{{Key: key, Codec: codec, Value: value}, {Key: "collectors/ring", Codec: ring.Codec, Value: ring.EncodeValue(d)}}}
		s := model.Build(v, model.Options{Now: time.Unix(at%(1<<40), 0)})
		_ = model.Compare(s, s, true, 0)
		_ = model.Agreements([]*model.Snapshot{s})
		if _, err := s.Lookup(model.LookupRequest{Key: 7, Tenant: "t", ShardSize: 2}); err != nil {
			return
		}
		for i := range s.Rings {
			if len(s.Rings[i].Instances) == 0 {
				continue
			}
			if _, err := s.Simulate(model.WhatIf{Ring: s.Rings[i].Key, Lose: []string{s.Rings[i].Instances[0].ID}}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
