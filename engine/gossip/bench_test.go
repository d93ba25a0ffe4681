package gossip

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// BenchmarkConvergence measures how long a change takes to reach all members of one cluster in one process, with our
// pace of gossip and with Tempo's, in real time on a network in memory.
func BenchmarkConvergence(b *testing.B) {
	for _, p := range paces() {
		for _, n := range []int{10, 100, 300} {
			b.Run(fmt.Sprintf("%s/members=%d", p.name, n), func(b *testing.B) { benchConvergence(b, n, p) })
		}
	}
}

func benchConvergence(b *testing.B, n int, p pace) {
	nodes := benchCluster(b, n, p)
	var worst time.Duration
	begin := time.Now()
	for i := 0; b.Loop(); i++ {
		id, start := fmt.Sprintf("i%d", i), time.Now()
		nodes[i%n].set(b, id, "up")
		await(b, "everybody has it", 2*time.Minute, func() bool { return allHave(nodes, id) })
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(time.Since(begin).Milliseconds())/float64(b.N), "ms/change")
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
	b.ReportMetric(float64(runtime.NumGoroutine())/float64(n), "goroutines/member")
}

func benchCluster(b *testing.B, n int, p pace) []*running {
	b.Helper()
	nw := newLAN()
	var nodes []*running
	for i := range n {
		cfg := testConfig(ip(i))
		p.apply(&cfg)
		if i > 0 {
			cfg.JoinMembers = []string{ip(0) + ":7946"}
		}
		nodes = append(nodes, start(b, cfg, host{nw, ip(i)}))
	}
	b.Cleanup(func() { // all at once: one after the other, each would wait for packets to those already gone
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() { n.kill(b) })
		}
		wg.Wait()
	})
	await(b, "all members known to all", 5*time.Minute, func() bool {
		for _, n := range nodes {
			if len(n.Members()) != len(nodes) {
				return false
			}
		}
		return true
	})
	return nodes
}

func allHave(nodes []*running, id string) bool {
	for _, n := range nodes {
		v, _ := n.Get(toyKey).(toy)
		if _, ok := v[id]; !ok {
			return false
		}
	}
	return true
}
