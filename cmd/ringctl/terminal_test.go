package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/tui/terminal"
)

// programs builds both programs into a folder of the test.
func programs(t testing.TB) (ringctl, tempod string) {
	t.Helper()
	if os.Getenv("RINGCTL_TEST_TMUX") == "" {
		t.Skip("needs tmux and some minutes; set RINGCTL_TEST_TMUX=1")
	}
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), ".", "../tempod").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "ringctl"), filepath.Join(dir, "tempod")
}

// user sits at a terminal and fails the test when it is not as expected.
type user struct {
	t testing.TB
	*terminal.Terminal
}

func sitDown(t testing.TB, c terminal.Config) *user {
	t.Helper()
	term, err := terminal.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	u := &user{t, term}
	t.Cleanup(func() { u.Close() })
	return u
}

// press presses keys and waits until the screen has all texts.
func (u *user) press(keys []string, texts ...string) string {
	u.t.Helper()
	if err := u.Keys(u.t.Context(), keys...); err != nil {
		u.t.Fatal(err)
	}
	return u.see(texts...)
}

func (u *user) see(texts ...string) string {
	u.t.Helper()
	screen, err := u.Wait(u.t.Context(), func(screen string) bool {
		for _, want := range texts {
			if !strings.Contains(words(screen), want) {
				return false
			}
		}
		return true
	})
	if err != nil {
		u.t.Fatalf("waiting for %q: %v", texts, err)
	}
	return screen
}

// words is a screen with single spaces.
func words(screen string) string { return strings.Join(strings.Fields(screen), " ") }

// confirm answers the dialog of a change: first with other words, which do nothing.
// Until gossip knows that a member is dead, the checks may refuse it.
func (u *user) confirm(key, question string) {
	u.t.Helper()
	for {
		screen := ""
		if err := u.Keys(u.t.Context(), key); err != nil {
			u.t.Fatal(err)
		}
		screen, err := u.Wait(u.t.Context(), func(s string) bool {
			return strings.Contains(s, question) || strings.Contains(s, "esc closes this")
		})
		if err != nil {
			u.t.Fatal(err)
		}
		if strings.Contains(screen, question) {
			break
		}
		u.press([]string{"Escape"})
	}
	for _, word := range []string{"no", "yes"} {
		if err := u.Type(u.t.Context(), word); err != nil {
			u.t.Fatal(err)
		}
		u.see("> " + word)
		u.press([]string{"Enter"})
		if word == "no" {
			u.see(question)
			u.press([]string{"C-u"})
		}
	}
	u.see("done", "agree", "esc closes this")
	u.press([]string{"Escape"})
}

// gone waits until nothing of a demo is left: no process, and no file in its
// folder for temporary files.
func gone(t testing.TB, tmp string, programs ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := os.ReadDir(tmp)
		if err != nil {
			t.Fatal(err)
		}
		var running []terminal.Process
		for _, p := range programs {
			found, err := terminal.Processes(context.WithoutCancel(ctx), p)
			if err != nil {
				t.Fatal(err)
			}
			running = append(running, found...)
		}
		if len(left) == 0 && len(running) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("left behind: %v, processes %v", left, running)
		}
	}
}

// TestDemoInTerminal kills a member of the demo, sees it unhealthy, forgets it
// through the dialog, makes a partition inactive, and leaves.
func TestDemoInTerminal(t *testing.T) {
	ringctl, tempod := programs(t)
	tmp := t.TempDir()
	u := sitDown(t, terminal.Config{Env: []string{"TMPDIR=" + tmp}, Args: []string{ringctl, "demo"}})
	u.see("6 rings, all with quorum", "ingester ━━━━━━━━━ 3/3", "livestore-partitions ━━━━━━━━━ 2/2", "all 13 views agree")
	members, err := terminal.Processes(t.Context(), tempod)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(members, func(p terminal.Process) bool { return p.After("--instance.id") == "ingester-b" })
	if i < 0 {
		t.Fatalf("no ingester-b among %v", members)
	}
	if victim, err := os.FindProcess(members[i].PID); err != nil || victim.Kill() != nil {
		t.Fatalf("kill %v: %v", members[i], err)
	}
	u.see("▲ WARNING ingester", "1 of 3 members unhealthy: ingester-b")
	u.press([]string{"2", "j"}, "▸ ingester-b b ACTIVE ✗ unhealthy")
	u.confirm("D", "Type yes to forget ingester-b.")
	if screen := u.see("2 members, timeout"); strings.Contains(screen, "unhealthy") {
		t.Errorf("the forgotten member is still there:\n%s", screen)
	}
	u.press([]string{"4"}, "✓ AGREED", "ingester ✓ all 12 members")
	u.press([]string{"3", "j"}, "▸ 1 ACTIVE")
	u.confirm("I", "Type yes to deactivate partition 1.")
	u.press(nil, "▸ 1 INACTIVE", "0 ACTIVE")
	u.press([]string{"4"}, "✓ AGREED", "livestore-partitions ✓ all 12 members")
	u.press([]string{"6"}, "forget ingester-b: done, all 12 members agree", "ACTIVE → INACTIVE")
	u.press([]string{"q"})
	if code, err := u.WaitEnd(t.Context()); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
	gone(t, tmp, ringctl, tempod)
}

// TestClosedTerminalEndsDemo closes the terminal under the demo.
func TestClosedTerminalEndsDemo(t *testing.T) {
	ringctl, tempod := programs(t)
	tmp := t.TempDir()
	u := sitDown(t, terminal.Config{Env: []string{"TMPDIR=" + tmp}, Args: []string{ringctl, "demo"}})
	u.see("6 rings, all with quorum")
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	gone(t, tmp, ringctl, tempod)
}

// TestClosedTerminalLeavesCluster closes the terminal under a dashboard that has
// joined a cluster: the members must see it leave, not fail.
func TestClosedTerminalLeavesCluster(t *testing.T) {
	ringctl, _ := programs(t)
	cluster, err := clienttest.Start(t.Context(), clienttest.Config{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	if err := cluster.Put("collectors/ring", clienttest.Ring("ingester", 3, 16, time.Now(), "a", "b", "c")); err != nil {
		t.Fatal(err)
	}
	u := sitDown(t, terminal.Config{Args: []string{ringctl, "--seeds", strings.Join(cluster.Seeds(), ","), "top", "--join", "--advertise", "127.0.0.1:0"}})
	u.see("joined as", "live", "4 gossip members")
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	gone(t, t.TempDir(), ringctl)
	c, err := client.New(client.Config{Seeds: cluster.Seeds()})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all members have heard the goodbye", func() string { // it may be on its way
		views, err := c.Views(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen := "left"
		for _, v := range views {
			for _, m := range v.Members {
				switch {
				case !strings.HasPrefix(m.Name, "ringctl-") || m.State == "left":
				case m.State == "alive":
					seen = v.From + " sees the dashboard"
				default:
					t.Fatalf("%s sees the dashboard as %s", v.From, m.State)
				}
			}
		}
		return seen
	}, is("left"))
}
