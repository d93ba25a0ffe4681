package enginetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestThreeAlike runs everything in each of three processes: whichever one takes
// the spans, every one finds them, also when one is killed.
func TestThreeAlike(t *testing.T) {
	c := newCluster(t)
	for _, zone := range []string{"a", "b", "c"} {
		c.add("all", "tempod-"+zone+"-0", zone)
	}
	until(t, "every process sees all three", func() error {
		var all error
		for _, n := range c.nodes {
			for _, page := range []string{"/ingester/ring", "/distributor/ring", "/querier/ring", "/live-store/ring", "/backend-worker/ring"} {
				if err := ringComplete(n, page, 3); err != nil {
					all = errors.Join(all, fmt.Errorf("%s %s: %w", n.name, page, err))
				}
			}
		}
		return all
	})
	for _, n := range c.nodes {
		n.ready()
	}
	dice := rand.New(rand.NewPCG(1, 2))
	tr := newTraffic(t, func() string { return c.nodes[int(dice.Uint32()%3)].addr("otlp-http") }, byRing, "alike")
	for range 30 {
		if err := tr.send(t.Context(), dice, 3, 5); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.nodes {
		tr.checkCopies(n.http, 3)
	}
	c.nodes[1].kill()
	for _, n := range []*node{c.nodes[0], c.nodes[2]} {
		api{n.http, byRing}.allWhole(t, tr.acknowledged())
	}
}
