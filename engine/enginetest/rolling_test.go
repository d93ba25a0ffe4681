package enginetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestRollingRestartIsNotNoticed restarts two keepers of each path gracefully, one after the
// other, while spans come in and questions are asked: no export is refused, and
// no answer misses anything.
func TestRollingRestartIsNotNoticed(t *testing.T) {
	c := startLayout(t)
	otlp := func() string { return c.node("distributor").addr("otlp-http") }
	frontend := func() string { return c.node("query-frontend").http() }
	paths := []*traffic{newTraffic(t, otlp, byRing, "rolling"), newTraffic(t, otlp, byPartition, "rolling")}
	stop := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	var noticed []error
	asked := 0
	for _, tr := range paths {
		all.Go(func() { tr.flood(1, stop).Wait() })
		tr.awaitAcks(1)
		all.Go(func() {
			dice := rand.New(rand.NewPCG(1, 1))
			a := api{frontend, tr.tenant}
			for {
				select {
				case <-stop:
					return
				default:
				}
				known := tr.snapshot()
				err := a.whole(known[dice.IntN(len(known))])
				mu.Lock()
				asked++
				if err != nil {
					noticed = append(noticed, fmt.Errorf("%s: %w", tr.tenant, err))
				}
				mu.Unlock()
			}
		})
	}
	for _, name := range []string{"ingester-a", "live-store-a-0", "ingester-b", "live-store-b-0"} {
		n := c.node(name)
		if code := n.stop(); code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
		for _, tr := range paths {
			tr.awaitAcks(5)
		}
		c.launch(n)
		n.ready()
		until(t, "the cluster is complete", func() error { return c.complete() })
	}
	close(stop)
	all.Wait()
	t.Logf("%d questions asked", asked)
	for i, err := range noticed {
		if i == 5 {
			break
		}
		t.Error(err)
	}
	for _, tr := range paths {
		if acked, refused := tr.count(); refused > 0 {
			t.Errorf("%s: %d exports refused, %d acknowledged; last: %v", tr.tenant, refused, acked, tr.lastErr)
		}
		tr.checkCopies(frontend, 3)
	}
}
