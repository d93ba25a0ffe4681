package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"
)

// bench measures what both sides measure, on the same data: n instances with 512 tokens each in three zones. Times are
// nanoseconds for one operation; heap is in bytes.
func bench(n int) (map[string]float64, error) {
	testing.Init()
	if err := flag.Set("test.benchtime", "300ms"); err != nil {
		return nil, err
	}
	store := &fixedStore{desc: benchDesc(n, 0)}
	r, err := benchRing(store)
	if err != nil {
		return nil, err
	}
	defer r.StopAsync()
	out := map[string]float64{
		"lookup":           perOp(func(b *testing.B) { benchLookup(b, r) }),
		"merge heartbeat":  perOp(func(b *testing.B) { benchHeartbeat(b, n) }),
		"merge conflict":   perOp(func(b *testing.B) { benchConflict(b, n) }),
		"new ring":         perOp(func(b *testing.B) { benchUpdate(b, store, n) }),
		"ownership":        perOp(func(b *testing.B) { benchOwnership(b, store.desc) }),
		"partition lookup": perOp(benchPartitions),
	}
	out["heap of a ring"], err = benchHeap(n)
	return out, err
}

func perOp(f func(*testing.B)) float64 {
	r := testing.Benchmark(f)
	return float64(r.T.Nanoseconds()) / float64(r.N)
}

// token spreads numbers over the key space without repetition.
func token(x uint32) uint32 {
	x = (x ^ x>>16) * 0x85ebca6b
	x = (x ^ x>>13) * 0xc2b2ae35
	return x ^ x>>16
}

func benchTokens(instance int) []uint32 {
	tokens := make(ring.Tokens, 512)
	for t := range tokens {
		tokens[t] = token(uint32(instance*512 + t))
	}
	return sorted(tokens)
}

func benchDesc(n, from int) *ring.Desc {
	d := ring.NewDesc()
	for i := range n {
		id := fmt.Sprintf("ingester-%d", from+i)
		d.AddIngester(id, "127.0.0.1:1", fmt.Sprintf("zone-%d", i%3), benchTokens(from+i), ring.ACTIVE, time.Now(), false, time.Time{}, nil)
	}
	return d
}

func sorted(t ring.Tokens) ring.Tokens {
	d := ring.NewDesc()
	d.AddIngester("x", "", "", t, ring.ACTIVE, time.Now(), false, time.Time{}, nil)
	return d.Ingesters["x"].Tokens
}

// fixedStore gives a ring its value by hand.
type fixedStore struct {
	desc *ring.Desc
	set  chan func(interface{}) bool
}

func (s *fixedStore) List(context.Context, string) ([]string, error)                      { return nil, nil }
func (s *fixedStore) Get(context.Context, string) (interface{}, error)                    { return s.desc, nil }
func (s *fixedStore) Delete(context.Context, string) error                                { return nil }
func (s *fixedStore) WatchPrefix(context.Context, string, func(string, interface{}) bool) {}

func (s *fixedStore) CAS(context.Context, string, func(in interface{}) (out interface{}, retry bool, err error)) error {
	return nil
}

func (s *fixedStore) WatchKey(ctx context.Context, _ string, f func(interface{}) bool) {
	s.set <- f
	<-ctx.Done()
}

func benchRing(s *fixedStore) (*ring.Ring, error) {
	s.set = make(chan func(interface{}) bool, 10)
	cfg := ring.Config{HeartbeatTimeout: time.Hour, ReplicationFactor: 3, ZoneAwarenessEnabled: true, SubringCacheDisabled: true}
	r, err := ring.NewWithStoreClientAndStrategy(cfg, "bench", "key", s, ring.NewDefaultReplicationStrategy(), nil, log.NewNopLogger())
	if err != nil {
		return nil, err
	}
	return r, services.StartAndAwaitRunning(context.Background(), r)
}

func benchLookup(b *testing.B, r *ring.Ring) {
	rng := rand.New(rand.NewPCG(1, 2))
	bufs, hosts, zones := ring.MakeBuffersForGet()
	for b.Loop() {
		if _, err := r.Get(rng.Uint32(), ring.Write, bufs, hosts, zones); err != nil {
			b.Fatal(err)
		}
	}
}

func benchHeartbeat(b *testing.B, n int) {
	d := benchDesc(n, 0)
	one := d.Ingesters["ingester-7"]
	for b.Loop() {
		one.Timestamp++
		if _, err := d.Merge(&ring.Desc{Ingesters: map[string]ring.InstanceDesc{"ingester-7": one}}, false); err != nil {
			b.Fatal(err)
		}
	}
}

// benchConflict adds an instance that claims one token of another.
func benchConflict(b *testing.B, n int) {
	d := benchDesc(n, 0)
	newcomer := benchDesc(1, n).Ingesters[fmt.Sprintf("ingester-%d", n)]
	newcomer.Tokens[0] = d.Ingesters["ingester-7"].Tokens[0]
	newcomer.Tokens = sorted(newcomer.Tokens)
	for b.Loop() {
		b.StopTimer()
		cur := d.Clone().(*ring.Desc)
		b.StartTimer()
		if _, err := cur.Merge(&ring.Desc{Ingesters: map[string]ring.InstanceDesc{"zz-new": newcomer}}, false); err != nil {
			b.Fatal(err)
		}
	}
}

// benchUpdate gives the ring a value with another topology each time.
func benchUpdate(b *testing.B, s *fixedStore, n int) {
	set := <-s.set
	s.set <- set
	a, c := benchDesc(n, 0), benchDesc(n+1, 0)
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 {
			set(c)
		} else {
			set(a)
		}
	}
	set(a)
}

func benchOwnership(b *testing.B, d *ring.Desc) {
	for b.Loop() {
		if len(d.CountTokens()) == 0 {
			b.Fatal("empty")
		}
	}
}

func benchPartitions(b *testing.B) {
	d := ring.NewPartitionRingDesc()
	for i := range 100 {
		d.AddPartition(int32(i), ring.PartitionActive, time.Now())
	}
	r, err := ring.NewPartitionRing(*d)
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		if _, err := r.ActivePartitionForKey(rng.Uint32()); err != nil {
			b.Fatal(err)
		}
	}
}

func benchHeap(n int) (float64, error) {
	store := &fixedStore{desc: benchDesc(n, 0)}
	before := heap()
	r, err := benchRing(store)
	if err != nil {
		return 0, err
	}
	used := heap() - before
	r.StopAsync()
	runtime.KeepAlive(r)
	return used, nil
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
