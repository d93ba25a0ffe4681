package interop

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// BenchmarkAgainstDskit measures the same operations on the same data in both implementations and reports how many times
// longer (or larger) dskit's is. Times are of one run on a machine that may have other work: read them as orders.
//
//	go test -run none -bench AgainstDskit
func BenchmarkAgainstDskit(b *testing.B) {
	const n = 1000
	theirs := startPeer(b).ask(b, request{Op: "bench", Count: n}).Bench
	d := benchDesc(n, 0)
	r := benchRing(d)
	measures := map[string]func(*testing.B){
		"lookup":           func(b *testing.B) { benchLookup(b, r) },
		"merge heartbeat":  func(b *testing.B) { benchHeartbeat(b, n) },
		"merge conflict":   func(b *testing.B) { benchConflict(b, n) },
		"new ring":         func(b *testing.B) { benchNew(b, d) },
		"ownership":        func(b *testing.B) { benchOwnership(b, r) },
		"partition lookup": benchPartitions,
	}
	for _, name := range slices.Sorted(maps.Keys(measures)) {
		b.Run(name, func(b *testing.B) {
			measures[name](b)
			ours := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			b.ReportMetric(theirs[name], "dskit-ns/op")
			b.ReportMetric(theirs[name]/ours, "dskit/ours")
		})
	}
	b.Run("heap of a ring", func(b *testing.B) {
		ours := benchHeap(n)
		for b.Loop() {
		}
		b.ReportMetric(ours, "bytes")
		b.ReportMetric(theirs["heap of a ring"], "dskit-bytes")
		b.ReportMetric(theirs["heap of a ring"]/ours, "dskit/ours")
	})
}

// token spreads numbers over the key space without repetition, exactly as the dskit process does.
func token(x uint32) uint32 {
	x = (x ^ x>>16) * 0x85ebca6b
	x = (x ^ x>>13) * 0xc2b2ae35
	return x ^ x>>16
}

func benchTokens(instance int) []uint32 {
	tokens := make([]uint32, 512)
	for t := range tokens {
		tokens[t] = token(uint32(instance*512 + t))
	}
	slices.Sort(tokens)
	return tokens
}

func benchDesc(n, from int) *ring.Desc {
	d := ring.NewDesc()
	now := time.Now().Unix()
	for i := range n {
		id := fmt.Sprintf("ingester-%d", from+i)
		d.Instances[id] = ring.Instance{ID: id, Addr: "127.0.0.1:1", Zone: fmt.Sprintf("zone-%d", i%3), Timestamp: now,
			RegisteredTimestamp: now, Tokens: benchTokens(from + i)}
	}
	return d
}

func benchRing(d *ring.Desc) *ring.Ring {
	return ring.New(d, ring.Config{ReplicationFactor: 3, ZoneAwareness: true, HeartbeatTimeout: time.Hour})
}

func benchLookup(b *testing.B, r *ring.Ring) {
	rng := rand.New(rand.NewPCG(1, 2))
	now := time.Now()
	var buf [8]*ring.Instance
	for b.Loop() {
		if _, err := r.Get(rng.Uint32(), ring.Write, now, buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func benchHeartbeat(b *testing.B, n int) {
	d := benchDesc(n, 0)
	one := d.Instances["ingester-7"]
	now := time.Now()
	for b.Loop() {
		one.Timestamp++
		if ring.Merge(d, &ring.Desc{Instances: map[string]ring.Instance{"ingester-7": one}}, false, now) == nil {
			b.Fatal("nothing changed")
		}
	}
}

func benchConflict(b *testing.B, n int) {
	d := benchDesc(n, 0)
	newcomer := benchDesc(1, n).Instances[fmt.Sprintf("ingester-%d", n)]
	newcomer.Tokens[0] = d.Instances["ingester-7"].Tokens[0]
	slices.Sort(newcomer.Tokens)
	now := time.Now()
	for b.Loop() {
		b.StopTimer()
		cur := d.Clone()
		b.StartTimer()
		if ring.Merge(cur, &ring.Desc{Instances: map[string]ring.Instance{"zz-new": newcomer}}, false, now) == nil {
			b.Fatal("nothing changed")
		}
	}
}

func benchNew(b *testing.B, d *ring.Desc) {
	for b.Loop() {
		if benchRing(d).TokenCount() == 0 {
			b.Fatal("empty")
		}
	}
}

func benchOwnership(b *testing.B, r *ring.Ring) {
	for b.Loop() {
		if len(r.Ownership()) == 0 {
			b.Fatal("empty")
		}
	}
}

func benchPartitions(b *testing.B) {
	d := partition.NewDesc()
	for i := range 100 {
		if _, err := partition.AddPartition(d, int32(i), partition.Active, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	r := partition.New(d)
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		if _, err := r.ActivePartitionForKey(rng.Uint32()); err != nil {
			b.Fatal(err)
		}
	}
}

func benchHeap(n int) float64 {
	d := benchDesc(n, 0)
	before := heap()
	r := benchRing(d)
	used := heap() - before
	runtime.KeepAlive(r)
	runtime.KeepAlive(d)
	return used
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkPull reads the whole view of a member that holds a thousand instances with 512 tokens each, without joining.
func BenchmarkPull(b *testing.B) {
	p := startPeer(b)
	theirs := p.ask(b, request{Op: "start", Node: "d1", Label: "big"}).Addr
	p.ask(b, request{Op: "fill", Node: "d1", Ring: ringKey, Count: 1000})
	ours := startMember(b, func(c *gossip.Config) { c.ClusterLabel = "big" }, theirs)
	d := gossip.Dialer{Label: "big", Timeout: 20 * time.Second}
	for name, addr := range map[string]string{"dskit": theirs, "ours": ours.Addr()} {
		b.Run("from="+name, func(b *testing.B) {
			for b.Loop() {
				view, err := d.Pull(b.Context(), addr)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(view.Bytes))
			}
		})
	}
}
