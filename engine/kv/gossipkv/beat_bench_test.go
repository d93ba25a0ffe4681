package gossipkv

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/ring"
)

// BenchmarkHeartbeat is what a member does with a heartbeat that it hears of, in a ring of 1,000 instances with 512 tokens each.
func BenchmarkHeartbeat(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	began := time.Unix(1_755_800_000, 0)
	full := ring.NewDesc()
	for i := range 1000 {
		id := fmt.Sprint("ingester-", i)
		full.Instances[id] = ring.Instance{ID: id, Addr: "10.0.0.1:9095", Zone: "a", Timestamp: began.Unix(),
			RegisteredTimestamp: began.Unix(), Tokens: ring.RandomTokens(512, nil, rng)}
	}
	s := gossip.NewStore(Codecs(), gossip.StoreOptions{LeftTimeout: 5 * time.Minute, Guard: gossip.RefuseAhead(time.Hour)})
	take := func(d *ring.Desc, now time.Time) *gossip.Change {
		u, err := s.Decode(gossip.Pair{Key: "ring", Codec: ring.Codec, Value: ring.EncodeValue(d)})
		if err != nil {
			b.Fatal(err)
		}
		change, _, err := s.Apply(u, now)
		if err != nil {
			b.Fatal(err)
		}
		return change
	}
	take(full, began)
	one := ring.NewDesc()
	i := full.Instances["ingester-7"]
	b.ReportAllocs()
	for b.Loop() {
		i.Timestamp++
		one.Instances[i.ID] = i
		if take(one, time.Unix(i.Timestamp, 0)) == nil {
			b.Fatal("no change")
		}
	}
}
