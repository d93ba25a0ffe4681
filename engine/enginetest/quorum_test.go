package enginetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestLostQuorumIsRefusedAndSaid kills two of three keepers of each path: spans
// are refused with a reason and to be sent again, answers say that they may miss
// something, and all is well when the two are back.
func TestLostQuorumIsRefusedAndSaid(t *testing.T) {
	c := newClusterWhere(t, "6s")
	var keepers []*node
	for _, zone := range []string{"a", "b", "c"} {
		keepers = append(keepers, c.add("ingester,live-store", "keeper-"+zone+"-0", zone))
	}
	front := c.add("distributor,querier,query-frontend", "front", "a")
	whole := func() error {
		return errors.Join(ringComplete(front, "/ingester/ring", 3), ringComplete(front, "/live-store/ring", 3), partitionComplete(front, 3))
	}
	until(t, "the rings are complete", whole)
	front.ready()
	paths := []*traffic{}
	dice := rand.New(rand.NewPCG(1, 2))
	for _, tenant := range []string{byRing, byPartition} {
		tr := newTraffic(t, func() string { return front.addr("otlp-http") }, tenant, "quorum")
		for range 5 {
			if err := tr.send(t.Context(), dice, 3, 5); err != nil {
				t.Fatal(err)
			}
		}
		paths = append(paths, tr)
	}
	keepers[1].kill()
	keepers[2].kill()
	for _, tr := range paths {
		err := tr.send(t.Context(), dice, 1, 5)
		var refused *refusal
		if !errors.As(err, &refused) || refused.code != 503 || refused.retry == "" || !strings.Contains(refused.text, "keeper-b-0") || !strings.Contains(refused.text, "ringctl") {
			t.Errorf("%s: an export without a quorum: %v", tr.tenant, err)
		}
		a := api{front.http, tr.tenant}
		if err := a.whole(tr.acknowledged()[0]); !errors.Is(err, errPartial) || !strings.Contains(err.Error(), "keeper-b-0") {
			t.Errorf("%s: a question without a quorum: %v", tr.tenant, err)
		}
	}
	until(t, "the ring shows who is missing", func() error {
		for _, tr := range paths { // once the heartbeats are old, nobody calls them any more
			err := tr.send(t.Context(), dice, 1, 5)
			if err == nil || strings.Contains(err.Error(), "connection refused") {
				return fmt.Errorf("%s: %v", tr.tenant, err)
			}
			if !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "ringctl") {
				t.Fatalf("%s: %v", tr.tenant, err)
			}
			a := api{front.http, tr.tenant}
			if err := a.whole(tr.acknowledged()[0]); !errors.Is(err, errPartial) {
				t.Fatalf("%s: a question without a quorum: %v", tr.tenant, err)
			}
		}
		return nil
	})
	c.launch(keepers[1])
	c.launch(keepers[2])
	until(t, "the rings are complete again", whole)
	for _, tr := range paths {
		until(t, "exports are taken again", func() error { return tr.send(t.Context(), dice, 3, 5) })
		api{front.http, tr.tenant}.allWhole(t, tr.acknowledged())
	}
}
