//go:build unix

package gossipkv

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/ring"
)

// BenchmarkMembers measures, per member, what a cluster in one process on loopback costs: memory, the state it sends
// in a full exchange, processor time and bytes while nothing happens; and for one forget: time until it is everywhere
// and bytes of gossip received in the whole cluster. Every member has an instance with 128 tokens in the ring. One
// round lasts half a minute, so run it as
//
//	go test -run '^$' -bench Members -benchtime 1x ./engine/kv/gossipkv
func BenchmarkMembers(b *testing.B) {
	if testing.Short() {
		b.Skip("takes minutes")
	}
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprint("members=", n), func(b *testing.B) { benchMembers(b, n) })
	}
}

// population is a cluster in one process.
type population struct {
	members []*gossip.Cluster
	stores  []*kv.Typed[*ring.Desc]
	reg     *prometheus.Registry
}

const benchKey = kv.Prefix + "ring"

func benchMembers(b *testing.B, n int) {
	before := liveHeap()
	p := populate(b, n)
	for b.Loop() {
		quiet(b, 20*time.Second) // until the news of the start are over
		b.ReportMetric((liveHeap()-before)/float64(n)/1024, "KiB/member")
		b.ReportMetric(float64(runtime.NumGoroutine())/float64(n), "goroutines/member")
		view, err := gossip.Dialer{Label: "bench", Timeout: 20 * time.Second}.Pull(b.Context(), p.members[0].Addr())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(view.Bytes), "state-bytes")
		p.idle(b)
		p.forgetOne(b)
	}
}

// idle measures a while in which nothing changes.
func (p *population) idle(b *testing.B) {
	const while = 15 * time.Second
	cpu, sent := processorTime(b), p.total(b, "tempo_memberlist_tcp_transport_packets_sent_bytes_total")
	quiet(b, while)
	per := while.Seconds() * float64(len(p.members))
	b.ReportMetric((processorTime(b)-cpu).Seconds()*1000/per, "idle-cpu-ms/s/member")
	b.ReportMetric((p.total(b, "tempo_memberlist_tcp_transport_packets_sent_bytes_total")-sent)/per, "idle-packet-bytes/s/member")
}

// forgetOne forgets an instance and waits until all have told it as often as they do.
func (p *population) forgetOne(b *testing.B) {
	copies := p.total(b, "tempo_memberlist_client_received_broadcasts_total")
	bytes := p.total(b, "tempo_memberlist_client_received_broadcasts_bytes_total")
	begin := time.Now()
	err := p.stores[0].CAS(b.Context(), benchKey, func(d *ring.Desc) (*ring.Desc, bool, error) {
		delete(d.Instances, "i1")
		return d, true, nil
	})
	if err != nil {
		b.Fatal(err)
	}
	p.await(b, func(d *ring.Desc) bool { return d.Instances["i1"].ID == "" })
	b.ReportMetric(float64(time.Since(begin).Milliseconds()), "forget-ms")
	quiet(b, 5*time.Second)
	b.ReportMetric((p.total(b, "tempo_memberlist_client_received_broadcasts_total")-copies)/float64(len(p.members)), "copies/member/forget")
	b.ReportMetric((p.total(b, "tempo_memberlist_client_received_broadcasts_bytes_total")-bytes)/float64(len(p.members)), "bytes/member/forget")
}

// populate starts n members and waits until all see each other's instances.
func populate(b *testing.B, n int) *population {
	p := &population{reg: prometheus.NewRegistry()}
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(func() {
		cancel()
		var wg sync.WaitGroup
		for _, m := range p.members {
			wg.Go(func() {
				if err := m.Close(); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	})
	for i := range n {
		p.add(b, ctx, i)
	}
	err := p.stores[0].CAS(b.Context(), benchKey, func(*ring.Desc) (*ring.Desc, bool, error) {
		d := ring.NewDesc()
		for i := range n {
			d.Instances[fmt.Sprint("i", i)] = benchInstance(i)
		}
		return d, true, nil
	})
	if err != nil {
		b.Fatal(err)
	}
	p.await(b, func(d *ring.Desc) bool { return d != nil && len(d.Instances) == n })
	return p
}

func (p *population) add(b *testing.B, ctx context.Context, i int) {
	cfg := gossip.DefaultConfig()
	cfg.NodeName, cfg.BindAddr, cfg.BindPort, cfg.ClusterLabel = fmt.Sprint("n", i), []string{"127.0.0.1"}, 0, "bench"
	cfg.AbortIfClusterFastJoinFails = i > 0
	if i > 0 {
		cfg.JoinMembers = []string{p.members[0].Addr()}
	}
	reg := prometheus.WrapRegistererWith(prometheus.Labels{"member": cfg.NodeName}, p.reg)
	c, err := gossip.Open(cfg, Codecs(), slog.New(slog.DiscardHandler), reg)
	if err != nil {
		b.Fatal(err)
	}
	p.members = append(p.members, c)
	p.stores = append(p.stores, kv.For(New(c, RingCodec{}), kv.Codec[*ring.Desc]{ID: ring.Codec, Encode: ring.EncodeValue, Decode: ring.DecodeValue}))
	failed := make(chan error, 1)
	go func() { failed <- c.Run(ctx) }()
	select {
	case <-c.Joined():
	case err := <-failed:
		b.Fatal(err)
	}
}

func benchInstance(i int) ring.Instance {
	tokens := make([]uint32, 128)
	for t := range tokens {
		tokens[t] = uint32(t)<<25 + uint32(i)<<10
	}
	return ring.Instance{ID: fmt.Sprint("i", i), Addr: fmt.Sprintf("10.0.%d.%d:9095", i/250, i%250), Zone: fmt.Sprint("zone-", i%3),
		Timestamp: time.Now().Unix() - 1, RegisteredTimestamp: time.Now().Unix() - 1, Tokens: tokens}
}

// await waits until all members show a ring of which f is true.
func (p *population) await(b *testing.B, f func(*ring.Desc) bool) {
	b.Helper()
	end := time.Now().Add(5 * time.Minute)
	for i, s := range p.stores {
		for {
			d, err := s.Get(b.Context(), benchKey)
			if err != nil {
				b.Fatal(err)
			}
			if f(d) {
				break
			}
			if time.Now().After(end) {
				b.Fatalf("member %d never heard", i)
			}
			quiet(b, 10*time.Millisecond)
		}
	}
}

// total adds up a counter over all members.
func (p *population) total(b *testing.B, name string) (sum float64) {
	b.Helper()
	families, err := p.reg.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func quiet(b *testing.B, d time.Duration) {
	b.Helper()
	select {
	case <-time.After(d):
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}

func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
