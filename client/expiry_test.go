package client_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
)

// TestWatchLooksWhenAHeartbeatExpires watches instances that have fallen silent: however seldom the watch asks, it
// looks at the moment at which they count as unhealthy. The clock stands still until the watch has seen them healthy.
func TestWatchLooksWhenAHeartbeatExpires(t *testing.T) {
	for _, join := range []bool{false, true} {
		cluster, err := clienttest.Start(t.Context(), clienttest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cluster.Close() })
		began := time.Now()
		var seenAt atomic.Pointer[time.Time]
		clock := func() time.Time {
			if at := seenAt.Load(); at != nil {
				return began.Add(time.Since(*at))
			}
			return began
		}
		if err := cluster.Put("collectors/ring", clienttest.Ring("ingester", 3, 16, began, "a", "b", "c")); err != nil {
			t.Fatal(err)
		}
		c, err := client.New(client.Config{Seeds: cluster.Seeds(), Poll: time.Hour, HeartbeatTimeout: 2 * time.Second, Join: join, Advertise: "127.0.0.1:0", Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		var seen []int
		for s, err := range c.Watch(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			r, ok := s.Ring("ingester")
			if !ok {
				t.Fatal("no ring")
			}
			if seenAt.Load() == nil {
				now := time.Now()
				seenAt.Store(&now)
			}
			if seen = append(seen, r.HealthyCount); r.HealthyCount == 0 {
				break
			}
		}
		if len(seen) < 2 || seen[0] != 3 {
			t.Errorf("join %v: healthy instances in turn: %v", join, seen)
		}
	}
}
