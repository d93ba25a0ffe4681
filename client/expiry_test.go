package client_test

import (
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
)

// TestWatchLooksWhenAHeartbeatExpires watches instances that have fallen silent: however seldom the watch asks, it
// looks at the moment at which they count as unhealthy.
func TestWatchLooksWhenAHeartbeatExpires(t *testing.T) {
	for _, join := range []bool{false, true} {
		cluster, err := clienttest.Start(t.Context(), clienttest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cluster.Close() })
		if err := cluster.Put("collectors/ring", clienttest.Ring("ingester", 3, 16, time.Now(), "a", "b", "c")); err != nil {
			t.Fatal(err)
		}
		c, err := client.New(client.Config{Seeds: cluster.Seeds(), Poll: time.Hour, HeartbeatTimeout: 2 * time.Second, Join: join, Advertise: "127.0.0.1:0"})
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
			if seen = append(seen, r.HealthyCount); r.HealthyCount == 0 {
				break
			}
		}
		if len(seen) < 2 || seen[0] != 3 {
			t.Errorf("join %v: healthy instances in turn: %v", join, seen)
		}
	}
}
