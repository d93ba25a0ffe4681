package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// simulate starts n members that join the first one, on a network in memory under a fake clock.
func simulate(t testing.TB, n int, change func(i int, cfg *Config)) (*lan, []*running) {
	t.Helper()
	nw := simLAN(t)
	var nodes []*running
	for i := range n {
		cfg := testConfig(ip(i))
		if i > 0 {
			cfg.JoinMembers = []string{ip(0) + ":7946"}
		}
		if change != nil {
			change(i, &cfg)
		}
		nodes = append(nodes, start(t, cfg, host{nw, ip(i)}))
	}
	return nw, nodes
}

// simLAN is a network for a bubble. memberlist's probes outlive its shutdown by a few seconds, and a bubble waits for
// all its goroutines, so the last thing to happen is that time passes.
func simLAN(t testing.TB) *lan {
	t.Cleanup(func() {
		if err := pause(context.Background(), time.Minute); err != nil {
			t.Error(err)
		}
	})
	return newLAN()
}

func ip(i int) string { return fmt.Sprintf("10.0.%d.%d", i/200, i%200+1) }

func TestForgetReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := simulate(t, 5, nil)
		for i, n := range nodes {
			n.set(t, fmt.Sprintf("i%d", i), "up")
		}
		await(t, "everybody sees five", 3*time.Minute, func() bool {
			return agree(nodes) && strings.Count(nodes[0].view(), "up") == 5
		})
		begin := time.Now()
		nodes[2].forget(t, "i4")
		await(t, "the forgotten one is gone everywhere", 3*time.Minute, func() bool {
			return agree(nodes) && !strings.Contains(nodes[0].view(), "i4")
		})
		t.Logf("forgotten everywhere after %s", time.Since(begin))
	})
}

// Times are whole seconds, so a second change of an entry within one would be lost on its way: it waits for the next.
func TestTwoChangesInOneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := simulate(t, 3, nil)
		await(t, "three members", 3*time.Minute, func() bool { return len(nodes[0].Members()) == 3 })
		begin := time.Now()
		for _, text := range []string{"first", "second", "third"} {
			nodes[0].set(t, "i1", text)
		}
		if took := time.Since(begin); took < time.Second {
			t.Errorf("three changes within %s", took)
		}
		await(t, "the last one counts everywhere", time.Minute, func() bool {
			return agree(nodes) && strings.Contains(nodes[2].view(), "third")
		})
	})
}

func TestPartitionHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, nodes := simulate(t, 6, func(_ int, cfg *Config) {
			cfg.JoinMembers = []string{ip(0) + ":7946", ip(5) + ":7946"}
		})
		nodes[0].set(t, "before", "1")
		await(t, "one view", 3*time.Minute, func() bool { return agree(nodes) && nodes[5].view() != "" })

		nw.split(1, ip(3), ip(4), ip(5))
		await(t, "each half holds the other for dead", 5*time.Minute, func() bool {
			return len(nodes[0].Members()) == 3 && len(nodes[5].Members()) == 3
		})
		nodes[0].set(t, "left-half", "1")
		nodes[5].set(t, "right-half", "1")
		await(t, "halves agree in themselves", 3*time.Minute, func() bool { return agree(nodes[:3]) && agree(nodes[3:]) })
		if agree(nodes) {
			t.Fatal("the halves agree although they cannot talk")
		}

		nw.split(0, ip(3), ip(4), ip(5))
		await(t, "rejoin brings them together", 5*time.Minute, func() bool {
			return agree(nodes) && len(nodes[0].Members()) == 6
		})
		for _, want := range []string{"before", "left-half", "right-half"} {
			if !strings.Contains(nodes[1].view(), want) {
				t.Errorf("%s is lost: %s", want, nodes[1].view())
			}
		}
	})
}

func TestKilledMemberIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, nodes := simulate(t, 4, nil)
		await(t, "four members", 3*time.Minute, func() bool { return len(nodes[0].Members()) == 4 && len(nodes[3].Members()) == 4 })
		nw.setDown(ip(3), true)
		begin := time.Now()
		await(t, "the killed one is gone", 3*time.Minute, func() bool { return len(nodes[0].Members()) == 3 })
		t.Logf("noticed after %s", time.Since(begin))
		nodes[0].set(t, "a", "still works")
		await(t, "the others agree", 3*time.Minute, func() bool { return agree(nodes[:3]) && nodes[2].view() != "" })
	})
}

func TestCleanLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := simulate(t, 4, nil)
		await(t, "four members", 3*time.Minute, func() bool { return len(nodes[0].Members()) == 4 })
		nodes[3].set(t, "last words", "bye") // told before the goodbye
		nodes[3].stop(t)
		await(t, "gone at once", 5*time.Second, func() bool { return len(nodes[0].Members()) == 3 })
		await(t, "last words heard", 5*time.Second, func() bool {
			return agree(nodes[:3]) && strings.Contains(nodes[0].view(), "last words")
		})
	})
}

// A member that is closed while it starts to run waits for what was started, or starts nothing.
func TestCloseWhileStarting(t *testing.T) {
	for range 50 {
		c, err := open(testConfig("10.0.0.1"), []Codec{toyCodec{"toy"}}, quiet(), nil, host{newLAN(), "10.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan error, 1)
		go func() { ran <- c.Run(t.Context()) }()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
}

// A node that hears nothing for longer than tombstones are kept brings the forgotten entry back: this is the hazard
// that no store rule can remove, and the reason why a forget is looked at again later.
func TestSleeperBringsForgottenEntryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, nodes := simulate(t, 4, nil)
		nodes[0].set(t, "i1", "up")
		await(t, "one view", 3*time.Minute, func() bool { return agree(nodes) && nodes[3].view() != "" })
		nw.split(1, ip(3))
		nodes[0].forget(t, "i1")
		await(t, "three forgot", 3*time.Minute, func() bool { return nodes[0].view() == "" && nodes[2].view() == "" })
		if err := pause(context.Background(), 6*time.Minute); err != nil {
			t.Fatal(err)
		}
		nodes[0].set(t, "i2", "up") // merging something drops the old tombstone
		await(t, "told", 3*time.Minute, func() bool { return agree(nodes[:3]) && nodes[1].view() != "" })
		nw.split(0, ip(3))
		await(t, "the sleeper is back with the old entry", 5*time.Minute, func() bool {
			return agree(nodes) && strings.Contains(nodes[0].view(), "i1")
		})
	})
}

func TestFutureEntriesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := simulate(t, 3, nil)
		nodes[0].set(t, "i1", "up")
		await(t, "one view", 3*time.Minute, func() bool { return agree(nodes) && nodes[2].view() != "" })
		ghost := toy{
			"i1":   {At: time.Now().Add(8 * 365 * 24 * time.Hour).Unix(), Text: "poison"},
			"soon": {At: time.Now().Add(time.Minute).Unix(), Text: "fine"},
		}
		p := Pair{Key: toyKey, Codec: "toy", Value: ghost.Encode()}
		if err := (Dialer{Label: "test", Dial: host{nodes[0].net.(host).lan, "10.9.9.9"}.Dial}).Send(t.Context(), nodes[1].Addr(), p); err != nil {
			t.Fatal(err)
		}
		await(t, "the plausible entry spreads", 3*time.Minute, func() bool {
			return agree(nodes) && strings.Contains(nodes[0].view(), "soon")
		})
		if v := nodes[0].view(); strings.Contains(v, "poison") {
			t.Errorf("the poisoned entry was taken: %s", v)
		}
	})
}

func TestJoinFailsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := simLAN(t)
		for name, change := range map[string]func(*Config){
			"fast": func(c *Config) { c.AbortIfClusterFastJoinFails, c.MaxJoinRetries = true, 2 },
			"full": func(c *Config) { c.AbortIfClusterJoinFails, c.MaxJoinRetries = true, 2 },
		} {
			cfg := testConfig("10.0.0.1")
			cfg.JoinMembers = []string{"10.0.0.9:7946"}
			change(&cfg)
			c, err := open(cfg, nil, quiet(), nil, host{nw, "10.0.0.1"})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Run(t.Context()); !errors.Is(err, ErrJoin) {
				t.Errorf("%s: got %v, want ErrJoin", name, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// The settings that leave the advertised port open must lead to the port that was bound; a wrong one is found at start.
func TestAdvertisedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := simLAN(t)
		cfg := testConfig("10.0.0.1")
		cfg.BindPort, cfg.AdvertiseAddr = 0, "10.0.0.1"
		a := start(t, cfg, host{nw, "10.0.0.1"})
		if a.Addr() == "10.0.0.1:7946" || !strings.HasPrefix(a.Addr(), "10.0.0.1:") {
			t.Errorf("advertised %s, want the bound port", a.Addr())
		}
		wrong := testConfig("10.0.0.2")
		host1, port, _ := strings.Cut(a.Addr(), ":")
		wrong.AdvertiseAddr = host1
		if _, err := fmt.Sscan(port, &wrong.AdvertisePort); err != nil {
			t.Fatal(err)
		}
		c, err := open(wrong, nil, quiet(), nil, host{nw, "10.0.0.2"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Run(t.Context()); !errors.Is(err, ErrAdvertise) {
			t.Errorf("advertising another member's address: got %v, want ErrAdvertise", err)
		}
	})
}

// An address of this machine with a port that nobody listens on is a mistake, not a network that is hard to reach.
func TestAdvertisedPortIsWrong(t *testing.T) {
	cfg := loopback("a")
	cfg.AdvertiseAddr, cfg.AdvertisePort = "127.0.0.1", 1
	c, err := Open(cfg, nil, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Run(t.Context()); !errors.Is(err, ErrAdvertise) || !strings.Contains(err.Error(), "advertise_port") {
		t.Errorf("got %v", err)
	}
}

// While a label is changed, members accept the old and the new one; those who accept only one keep the others out.
func TestLabelMigration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := simulate(t, 3, func(i int, cfg *Config) {
			cfg.ClusterLabelsAccepted = []string{"old", "new"}
			cfg.ClusterLabel = []string{"old", "new", "new"}[i]
		})
		nodes[0].set(t, "a", "1")
		await(t, "both labels talk", 3*time.Minute, func() bool { return agree(nodes) && nodes[2].view() != "" })
		nw := nodes[0].net.(host).lan
		cfg := testConfig("10.0.0.9")
		cfg.ClusterLabel, cfg.JoinMembers = "stranger", []string{ip(0) + ":7946"}
		stranger := start(t, cfg, host{nw, "10.0.0.9"})
		if err := pause(t.Context(), 2*time.Minute); err != nil {
			t.Fatal(err)
		}
		if n := len(stranger.Members()); n != 1 {
			t.Errorf("a member of another cluster sees %d members", n)
		}
		if n := len(nodes[0].Members()); n != 3 {
			t.Errorf("the cluster has %d members with a stranger about", n)
		}
	})
}

// All algorithms in one cluster: each member sends as it is told and understands everything.
func TestMixedCompression(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := simulate(t, 3, func(i int, cfg *Config) {
			cfg.CompressionEnabled = i > 0
			cfg.CompressionAlgorithm = []string{"", CompressionLZW, CompressionSnappy}[i]
		})
		for i, n := range nodes {
			n.set(t, string(rune('a'+i)), strings.Repeat("compressible ", 200))
		}
		await(t, "one view", 3*time.Minute, func() bool {
			return agree(nodes) && len(nodes[0].Get(toyKey).EntryNames()) == 3
		})
	})
}

// A change too large for packets arrives over a stream, and small ones beside it are not damaged.
func TestLargeChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := simulate(t, 4, nil)
		await(t, "four members", 3*time.Minute, func() bool { return len(nodes[0].Members()) == 4 })
		nodes[0].set(t, "big", strings.Repeat("x", 70000))
		nodes[0].set(t, "small", "fine")
		await(t, "everybody has both", 3*time.Minute, func() bool {
			return agree(nodes) && len(nodes[3].Get(toyKey).EntryNames()) == 2
		})
	})
}

// TestRandomFaults lets a cluster live through random writes, forgets, splits and unreachable members, heals it, and
// compares it with the plain truth: per entry the latest write, wherever it was made.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomFaults(t, rand.New(rand.NewPCG(seed, 9))) })
		})
	}
}

func randomFaults(t *testing.T, rng *rand.Rand) {
	const members = 7
	nw, nodes := simulate(t, members, func(_ int, cfg *Config) {
		cfg.JoinMembers = []string{ip(0) + ":7946", ip(3) + ":7946", ip(6) + ":7946"}
	})
	truth := map[string]string{}
	for step := range 60 {
		i := rng.IntN(members)
		id := fmt.Sprintf("i%d", rng.IntN(10))
		switch rng.IntN(8) {
		case 0:
			nw.split(rng.IntN(3), ip(i))
		case 1:
			nw.setDown(ip(i), rng.IntN(2) == 0)
		case 2:
			if v, _ := nodes[i].Get(toyKey).(toy); v != nil {
				if _, known := v[id]; known {
					nodes[i].forget(t, id)
					delete(truth, id)
				}
			}
		default:
			text := fmt.Sprint("step-", step)
			nodes[i].set(t, id, text)
			truth[id] = text
		}
		if err := pause(t.Context(), time.Duration(1+rng.IntN(2000))*time.Millisecond+time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for i := range members {
		nw.split(0, ip(i))
		nw.setDown(ip(i), false)
	}
	await(t, "all agree again", 10*time.Minute, func() bool { return agree(nodes) && len(nodes[0].Members()) == members })
	got, _ := nodes[0].Get(toyKey).(toy)
	if len(got) != len(truth) {
		t.Errorf("%d entries, want %d: %v, want %v", len(got), len(truth), got, truth)
	}
	for id, text := range truth {
		if got[id].Text != text {
			t.Errorf("%s is %q, want %q", id, got[id].Text, text)
		}
	}
}

// A hundred members that start at once find together, and a change reaches all of them within seconds.
func TestManyMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		_, nodes := simulate(t, n, nil)
		begin := time.Now()
		await(t, "all members known to all", 10*time.Minute, func() bool {
			return !slices.ContainsFunc(nodes, func(r *running) bool { return len(r.Members()) != n })
		})
		t.Logf("all known to all after %s", time.Since(begin))
		begin = time.Now()
		nodes[7].set(t, "news", "1")
		await(t, "all have the news", 5*time.Minute, func() bool { return agree(nodes) && nodes[0].view() != "" })
		t.Logf("news everywhere after %s", time.Since(begin))
	})
}
