package membership

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/ring"
)

// bigRing is 1000 members with 512 tokens each.
func bigRing(now time.Time) *ring.Desc {
	d := ring.NewDesc()
	dice := rand.New(rand.NewPCG(1, 1))
	for i := range 1000 {
		id := fmt.Sprintf("i-%03d", i)
		d.Instances[id] = ring.Instance{ID: id, Addr: id + ":1", Zone: string(rune('a' + i%3)), Timestamp: now.Unix(),
			RegisteredTimestamp: now.Unix(), Tokens: ring.RandomTokens(512, nil, dice)}
	}
	return d
}

// BenchmarkBeat is one heartbeat decision in a ring of 1000 members, without the store.
func BenchmarkBeat(b *testing.B) {
	cfg := configFrom(args{"i-007", "tokens=512", "forget=2"})
	now := time.Now()
	d, dice := bigRing(now), rand.New(rand.NewPCG(1, 1))
	m, _, err := machine{cfg: &cfg}.step(tick{}, d, now, dice)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		now = now.Add(5 * time.Second)
		if m, _, err = m.step(tick{}, d, now, dice); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBeatStored is the same with a store that keeps encoded values.
func BenchmarkBeatStored(b *testing.B) {
	store := memkv.New()
	cfg := configFrom(args{"i-007", "tokens=512", "forget=2"})
	inst, err := New(cfg, store, quiet(), nil)
	if err != nil {
		b.Fatal(err)
	}
	err = inst.store.CAS(context.Background(), cfg.Key, func(*ring.Desc) (*ring.Desc, bool, error) { return bigRing(time.Now()), false, nil })
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := inst.apply(context.Background(), tick{}); err != nil {
			b.Fatal(err)
		}
	}
}
