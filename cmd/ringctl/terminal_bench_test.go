package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/tui/terminal"
)

// The size that must be borne.
const (
	manyMembers    = 1000
	manyTokens     = 512
	manyPartitions = 1000
	beatEvery      = 5 * time.Second
	beatTimeout    = time.Minute // the usual one
)

// crowd is a large cluster behind three gossip members, all of whose instances
// send heartbeats.
type crowd struct {
	*clienttest.Cluster
	rings map[string]*ring.Desc
	// dead is the instance that has stopped, last its last heartbeat.
	dead atomic.Pointer[string]
	last atomic.Int64
}

// manyOwners are partitions with evenly spread tokens, and the ring of the two live-stores that own each.
func manyOwners(now time.Time) (*partition.Desc, *ring.Desc) {
	parts, stores := partition.NewDesc(), ring.NewDesc()
	const step = 1 << 32 / (manyPartitions * manyTokens)
	for p := range int32(manyPartitions) {
		tokens := make([]uint32, manyTokens)
		for t := range tokens {
			tokens[t] = uint32(t*manyPartitions+int(p)) * step
		}
		parts.Partitions[p] = partition.Partition{ID: p, Tokens: tokens, State: partition.Active, StateTimestamp: now.Unix() - 3600}
		for _, zone := range []string{"a", "b"} {
			id := fmt.Sprintf("live-store-%s-%d", zone, p)
			partition.AddOwner(parts, id, p, partition.OwnerActive, now)
			stores.Instances[id] = ring.Instance{ID: id, Addr: "10.1.0.1:9095", Zone: zone, State: ring.Active, RegisteredTimestamp: now.Unix()}
		}
	}
	return parts, stores
}

func newCrowd(b *testing.B) *crowd {
	b.Helper()
	cluster, err := clienttest.Start(b.Context(), clienttest.Config{Live: true, Gossip: 200 * time.Millisecond, PullPush: 30 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cluster.Close() })
	now := time.Now()
	parts, stores := manyOwners(now)
	if err := cluster.PutPartitions("collectors/livestore-partitions", parts); err != nil {
		b.Fatal(err)
	}
	c := &crowd{Cluster: cluster, rings: map[string]*ring.Desc{
		"collectors/ring": clienttest.Ring("ingester", manyMembers, manyTokens, now, "a", "b", "c"), "collectors/live-store": stores}}
	for key, d := range c.rings {
		i := 0
		for id := range d.Instances {
			clienttest.Edit(d, id, clienttest.Aged(now, time.Duration(i)*time.Second%beatEvery))
			i++
		}
		if err := cluster.Put(key, d); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

// beat sends the heartbeats that are due, each second, until ctx ends.
func (c *crowd) beat(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		now := time.Now()
		for key, d := range c.rings {
			due := ring.NewDesc()
			for id, in := range d.Instances {
				if dead := c.dead.Load(); dead != nil && *dead == id {
					c.last.Store(in.Timestamp)
				} else if in.Timestamp <= now.Add(-beatEvery).Unix() {
					in.Timestamp = now.Unix()
					d.Instances[id], due.Instances[id] = in, in
				}
			}
			if err := c.Put(key, due, "node-0"); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// BenchmarkTop measures the real program in a real terminal on a cluster of the
// size that must be borne: 1,000 ingesters with 512 tokens, 1,000 partitions
// with two owners each, every heartbeat sent every 5 s. It takes a minute for
// each way of watching and needs tmux and /proc.
func BenchmarkTop(b *testing.B) {
	ringctl, _ := programs(b)
	for _, how := range []string{"observe", "join"} {
		b.Run(how, func(b *testing.B) {
			c := newCrowd(b)
			ctx, cancel := context.WithCancel(b.Context())
			beats := make(chan error, 1)
			go func() { beats <- c.beat(ctx) }()
			began := time.Now()
			args := []string{ringctl, "--seeds", strings.Join(c.Seeds(), ","), "--heartbeat-timeout", beatTimeout.String(), "top", "--" + how}
			if how == "join" {
				args = append(args, "--advertise", "127.0.0.1:0")
			}
			u := sitDown(b, terminal.Config{Args: args, Width: 200, Height: 60})
			u.see("ingester ━━━━━━━ 1,000/1,000", "livestore-partitions ━━━━━━━ 1,000/1,000")
			first := time.Since(began)
			for b.Loop() {
				keys(u)
				idle(u, ringctl)
				stop(u, c)
			}
			b.ReportMetric(first.Seconds(), "s-to-first-screen")
			b.ReportMetric(0, "ns/op")
			if err := u.Close(); err != nil {
				b.Fatal(err)
			}
			gone(b, b.TempDir(), ringctl)
			cancel()
			if err := <-beats; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// keys measures how long a key takes to show, the way there and back through
// the terminal included; an empty reading of the screen is taken off.
func keys(u *user) {
	b := u.t.(*testing.B)
	u.press([]string{"2"}, "1,000 members, timeout")
	var took []time.Duration
	for i := range 40 {
		next := fmt.Sprintf("▸ ingester-%d ", i+1)
		began := time.Now()
		u.press([]string{"j"}, next)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms/key-p50")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1e3, "ms/key-p95")
	u.press([]string{"1"}, "Rings")
}

// idleTime is how long nobody touches the dashboard.
const idleTime = time.Minute

// idle measures what the process uses while nobody touches it.
func idle(u *user, program string) {
	b := u.t.(*testing.B)
	running, err := terminal.Processes(b.Context(), program)
	if err != nil || len(running) != 1 {
		b.Fatalf("one dashboard should run: %v, %v", running, err)
	}
	pid := running[0].PID
	user, system := cpu(b, pid)
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	<-timer.C
	userAfter, systemAfter := cpu(b, pid)
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / idleTime.Seconds() }
	b.ReportMetric(percent(userAfter-user), "%cpu-user")
	b.ReportMetric(percent(systemAfter-system), "%cpu-system")
	b.ReportMetric(percent(userAfter-user+systemAfter-system), "%cpu-idle")
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb int
		switch {
		case strings.HasPrefix(line, "VmRSS:"):
			fmt.Sscanf(line, "VmRSS: %d", &kb) //nolint:errcheck // zero is reported
			b.ReportMetric(float64(kb)/1024, "MiB-rss")
		case strings.HasPrefix(line, "VmHWM:"):
			fmt.Sscanf(line, "VmHWM: %d", &kb) //nolint:errcheck // zero is reported
			b.ReportMetric(float64(kb)/1024, "MiB-rss-peak")
		}
	}
}

// cpu is the time a process has computed, in user and in system mode.
func cpu(b *testing.B, pid int) (user, system time.Duration) {
	b.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	u, err1 := strconv.Atoi(f[11])
	s, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		b.Fatalf("stat of %d: %q", pid, stat)
	}
	const tick = time.Second / 100 // USER_HZ
	return time.Duration(u) * tick, time.Duration(s) * tick
}

// stop silences an instance and measures how long after its heartbeat timeout
// the overview names it.
func stop(u *user, c *crowd) {
	b := u.t.(*testing.B)
	dead := "ingester-7"
	c.dead.Store(&dead)
	silence := time.NewTimer(beatTimeout / 2)
	defer silence.Stop()
	<-silence.C
	u.see("members unhealthy: ingester-7")
	due := time.Unix(c.last.Load(), 0).Add(beatTimeout)
	b.ReportMetric(time.Since(due).Seconds(), "s-after-timeout")
}
