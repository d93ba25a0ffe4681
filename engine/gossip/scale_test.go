package gossip

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pace is how often and how widely a member gossips.
type pace struct {
	name     string
	interval time.Duration
	nodes    int
	factor   int
	within   time.Duration // a forget is everywhere, up to 300 members
}

func paces() []pace {
	return []pace{
		{"ours", 200 * time.Millisecond, 3, 4, 1500 * time.Millisecond},
		{"Tempo", time.Second, 2, 2, 8 * time.Second},
	}
}

func (p pace) apply(cfg *Config) {
	cfg.GossipInterval, cfg.GossipNodes, cfg.RetransmitFactor = p.interval, p.nodes, p.factor
}

// TestForgetConverges starts many members under a fake clock and measures, in its time, how long forgets take to reach
// all of them, with our settings and with Tempo's. RINGCTL_TEST_MEMBERS sets their number: 300 take half a minute, 1000
// twenty minutes on a busy machine and 3 GB.
func TestForgetConverges(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	n := 60
	if s := os.Getenv("RINGCTL_TEST_MEMBERS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range paces() {
		t.Run(p.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { forgetConverges(t, n, p) }) })
	}
}

func forgetConverges(t *testing.T, n int, p pace) {
	_, nodes := simulate(t, n, func(_ int, cfg *Config) { p.apply(cfg) })
	await(t, "all members know each other", 10*time.Minute, func() bool {
		return !slices.ContainsFunc(nodes, func(r *running) bool { return r.roster.count() != n })
	})
	if err := pause(t.Context(), 2*time.Minute); err != nil { // until the news of the start are over
		t.Fatal(err)
	}
	var took []time.Duration
	for i := range 20 {
		id := fmt.Sprint("i", i)
		nodes[i].set(t, id, "up")
		await(t, "all have it", 5*time.Minute, func() bool { return allHave(nodes, id) })
		if err := pause(t.Context(), 2*time.Second); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		nodes[(i*37+11)%n].forget(t, id)
		await(t, "all forgot it", 5*time.Minute, func() bool { return agree(nodes) && !strings.Contains(nodes[0].view(), id) })
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	t.Logf("%d members, %s, %d nodes, factor %d: a forget is everywhere after %s (median of %d; slowest %s)",
		n, p.interval, p.nodes, p.factor, took[len(took)/2], len(took), took[len(took)-1])
	// Gossip is a matter of chance: once in hundreds of changes somebody hears of it only by the next full exchange.
	if ninth := took[len(took)*9/10-1]; ninth > p.within {
		t.Errorf("nine of ten forgets took up to %s, more than %s", ninth, p.within)
	}
}

// A change is told so often that less than one member in a hundred changes is left out, whatever the factor.
func TestTransmissions(t *testing.T) {
	for _, c := range []struct{ factor, members, want int }{{4, 1, 6}, {2, 3, 8}, {4, 9, 9}, {2, 100, 11}, {4, 100, 12}, {2, 300, 12}, {4, 1000, 16}} {
		if got := transmissions(c.factor, c.members); got != c.want {
			t.Errorf("factor %d, %d members: %d times, want %d", c.factor, c.members, got, c.want)
		}
	}
}
