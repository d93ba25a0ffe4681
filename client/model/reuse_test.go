package model_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// world is a ring and a partition ring that change.
type world struct {
	rng        *rand.Rand
	ring       *ring.Desc
	partitions *partition.Desc
	now        time.Time
}

// step changes something, most often only heartbeats.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(20)) * time.Second)
	for id, i := range w.ring.Instances {
		if w.rng.IntN(8) > 0 && i.State != ring.Left {
			i.Timestamp = w.now.Unix()
			w.ring.Instances[id] = i
		}
	}
	id := fmt.Sprintf("m-%d", w.rng.IntN(len(w.ring.Instances)))
	i := w.ring.Instances[id]
	switch w.rng.IntN(12) {
	case 0:
		i.State = ring.State(w.rng.IntN(5))
	case 1:
		i.Tokens = append([]uint32{w.rng.Uint32N(1 << 10)}, i.Tokens...)
	case 2:
		i.Addr = fmt.Sprintf("10.0.0.%d:1", w.rng.IntN(9))
	case 3:
		i.ReadOnly = !i.ReadOnly
	case 4:
		p := w.partitions.Partitions[1]
		p.State = partition.State(1 + w.rng.IntN(4))
		w.partitions.Partitions[1] = p
	case 5:
		partition.AddOwner(w.partitions, id, int32(w.rng.IntN(4)), partition.OwnerActive, w.now)
	}
	w.ring.Instances[id] = i
}

func (w *world) view() *gossip.View {
	return &gossip.View{From: "x", At: w.now, Pairs: []gossip.Pair{
		{Key: ingester, Codec: ring.Codec, Value: ring.EncodeValue(w.ring)},
		{Key: "collectors/ingester-partitions", Codec: partition.Codec, Value: partition.EncodeValue(w.partitions)},
		{Key: "odd", Codec: "unknown", Value: []byte{1, 2}},
	}}
}

func asJSON(t *testing.T, s *model.Snapshot) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestBuildBefore: what is shared with an earlier snapshot, or comes decoded, is what would have been worked out anew.
func TestBuildBefore(t *testing.T) {
	shared := 0
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 7))
		d, o := randomRing(rng)
		w := &world{rng: rng, ring: d, partitions: partition.NewDesc(), now: noon}
		for p := range int32(3) {
			if _, err := partition.AddPartition(w.partitions, p, partition.Active, noon); err != nil {
				t.Fatal(err)
			}
			partition.AddOwner(w.partitions, fmt.Sprintf("m-%d", p), p, partition.OwnerActive, noon)
		}
		if _, err := partition.AddPartition(w.partitions, 3, partition.Pending, noon.Add(-model.PendingPatience/2)); err != nil {
			t.Fatal(err)
		}
		var before, decoded *model.Snapshot
		for range 40 {
			w.step()
			v := w.view()
			o.Now, o.Before, o.Values = w.now, nil, nil
			fresh := model.Build(v, o)
			o.Before = before
			next := model.Build(v, o)
			o.Before, o.Values = decoded, map[string]model.Value{ingester: {Ring: w.ring.Clone(), Bytes: len(v.Pairs[0].Value)}}
			decoded = model.Build(v, o)
			want := asJSON(t, fresh)
			if got := asJSON(t, next); got != want {
				t.Fatalf("seed %d: after another snapshot\n%s\nwant\n%s", seed, got, want)
			}
			if got := asJSON(t, decoded); got != want {
				t.Fatalf("seed %d: decoded before\n%s\nwant\n%s", seed, got, want)
			}
			for i, p := range next.View().Pairs {
				if !bytes.Equal(p.Value, v.Pairs[i].Value) {
					t.Fatalf("seed %d: value of %s changed", seed, p.Key)
				}
			}
			if before != nil && !reflect.DeepEqual(model.Changes(before, next), model.Changes(before, fresh)) {
				t.Fatalf("seed %d: other events", seed)
			}
			if before != nil && before.PartitionDesc("collectors/ingester-partitions") == next.PartitionDesc("collectors/ingester-partitions") {
				shared++
			}
			before = next
		}
	}
	if shared < 160 {
		t.Errorf("%d snapshots of 320 share their partitions", shared)
	}
}
