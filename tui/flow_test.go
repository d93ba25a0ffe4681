package tui

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/exp/teatest/v2"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/engine/partition"
)

// TestTerminalFlow runs the whole program on a terminal: look, filter, propose,
// confirm, leave.
func TestTerminalFlow(t *testing.T) {
	src := eventful(time.Now())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := New(ctx, Options{Source: src})
	tm := teatest.NewTestModel(t, m, teatest.WithInitialTermSize(120, 36))
	see := func(text string) {
		t.Helper()
		teatest.WaitFor(t, tm.Output(), func(b []byte) bool { return bytes.Contains(b, []byte(text)) }, teatest.WithDuration(20*time.Second))
	}
	see("CRITICAL")
	tm.Type("2")
	see("Members of")
	tm.Type("/b-1")
	tm.Send(tea.KeyPressMsg{Code: tea.KeyEnter})
	see("unhealthy")
	tm.Type("D")
	see("checked against")
	tm.Type("yes")
	tm.Send(tea.KeyPressMsg{Code: tea.KeyEnter})
	see("agree")
	tm.Send(tea.KeyPressMsg{Code: tea.KeyEscape})
	tm.Type("q")
	final := tm.FinalModel(t, teatest.WithFinalTimeout(20*time.Second)).(*Model)
	if src.changes() != 1 || final.ring.Filter().String() != "b-1" || final.dialog != nil {
		t.Errorf("%d changes, filter %q, dialog %v", src.changes(), final.ring.Filter(), final.dialog)
	}
	cancel()
	m.Close()
}

// TestDrainFlow scales a partition of a real cluster down in a terminal: it is confirmed once, waits for the owner while another
// screen is looked at, and ends in the events.
func TestDrainFlow(t *testing.T) {
	nodes, src := realCluster(t, About{Name: "loopback"})
	src.(*cluster).every = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := New(ctx, Options{Source: src})
	tm := teatest.NewTestModel(t, m, teatest.WithInitialTermSize(120, 36))
	see := func(text string) {
		t.Helper()
		teatest.WaitFor(t, tm.Output(), func(b []byte) bool { return bytes.Contains(b, []byte(text)) }, teatest.WithDuration(time.Minute))
	}
	beat := func() { // changes are refused where nothing seems to be alive
		t.Helper()
		if err := nodes.Put("collectors/live-store", clienttest.Ring("live-store", 2, 0, time.Now(), "a")); err != nil {
			t.Fatal(err)
		}
	}
	see("livestore-partitions")
	beat()
	tm.Type("3:drain 1 0s")
	tm.Send(tea.KeyPressMsg{Code: tea.KeyEnter})
	see("serious")
	tm.Type("1")
	tm.Send(tea.KeyPressMsg{Code: tea.KeyEnter})
	see("good,") // its owner is to stop for good
	tm.Send(tea.KeyPressMsg{Code: tea.KeyEscape})
	tm.Type("6")
	see("deactivate,")
	gone := nodes.Partitions("node-0", "collectors/livestore-partitions")
	gone.Owners["live-store-1"] = partition.Owner{OwnedPartition: 1, State: partition.OwnerDeleted, UpdatedTimestamp: time.Now().Unix() + 1}
	beat()
	if err := nodes.PutPartitions("collectors/livestore-partitions", gone); err != nil {
		t.Fatal(err)
	}
	see("removed,")
	tm.Type("q")
	final := tm.FinalModel(t, teatest.WithFinalTimeout(time.Minute)).(*Model)
	if len(final.jobs) != 0 || final.dialog != nil {
		t.Errorf("%d jobs are left, dialog %v", len(final.jobs), final.dialog)
	}
	for _, n := range nodes.Names() {
		if p, ok := nodes.Partitions(n, "collectors/livestore-partitions").Partitions[1]; ok && p.State != partition.Deleted {
			t.Errorf("%s has partition 1 as %s", n, p.State)
		}
	}
	cancel()
	m.Close()
}

// TestRun leaves the terminal when the context ends, without an error.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Source: eventful(time.Now()), In: bytes.NewReader(nil), Out: &out, Env: []string{"TERM=xterm-256color"}})
	}()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := Run(context.Background(), Options{}); err == nil {
		t.Error("a dashboard without a source ran")
	}
}

// TestOldAnswersAreDropped sends answers to questions that were asked before
// the last.
func TestOldAnswersAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := drive(eventful(time.Now()), Options{})
		defer d.end()
		d.wait(2 * time.Second)
		d.press("2", "D", "esc", "j", "D")
		stale := d.planGen - 1
		d.Update(planMsg{gen: stale, err: errOutOfReach})
		d.Update(resultMsg{gen: stale, err: errOutOfReach})
		if d.dialog == nil || d.dialog.Plan() == nil || d.dialog.Change.IDs[0] != "ingester-zone-a-1" {
			t.Error("an old answer reached the new dialog")
		}
		poll := d.live.Poll
		d.Update(pollMsg{gen: d.pollGen - 1})
		if d.live.Poll != poll {
			t.Error("an old round replaced a newer one")
		}
		d.press("esc", "[", "]")
		d.Update(pastMsg{gen: d.pastGen - 1})
		if d.shown != d.live {
			t.Error("an old moment is shown as now")
		}
	})
}

// TestIdleIsQuiet counts what an idle dashboard does in a minute: it may take
// in four frames a second at most, and draws the same screen while nothing
// changes but the age.
func TestIdleIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := drive(eventful(time.Now()), Options{})
		defer d.end()
		d.wait(2 * time.Second)
		screens := map[string]int{}
		for range 100 {
			d.wait(100 * time.Millisecond)
			screens[d.View().Content]++
		}
		if len(screens) > 11 {
			t.Errorf("%d different screens in ten idle seconds", len(screens))
		}
	})
}

// TestWhatIfAgreesWithTheClient asks both the same question.
func TestWhatIfAgreesWithTheClient(t *testing.T) {
	for _, s := range []sample{calm(), troubled()} {
		snap := s.snapshot()
		for _, lose := range [][]int{{0}, {0, 1}, {0, 3, 6}, {1, 5}, {0, 1, 2, 3, 4, 5}} {
			ids, gone := []string{}, map[string]bool{}
			for _, i := range lose {
				ids = append(ids, s.id(i))
				gone[s.id(i)] = true
			}
			sim, err := snap.Simulate(client.WhatIf{Ring: "collectors/ring", Lose: ids})
			if err != nil {
				t.Fatal(err)
			}
			im := imagine(snap, gone)
			if math.Abs(im.Lost-sim.After.Write.Without) > 0.01 || im.RangesLost != sim.After.Write.RangesWithout {
				t.Errorf("without %v: %.3f%% in %d ranges, the client says %.3f%% in %d", ids, im.Lost, im.RangesLost,
					sim.After.Write.Without, sim.After.Write.RangesWithout)
			}
		}
	}
}

// TestHostileNames draws a cluster whose members are called anything: nothing of
// it may reach the terminal as a command, and every line must fit.
func TestHostileNames(t *testing.T) {
	names := []string{"\x1b]0;owned\x07", "日本語-イングスター-0", strings.Repeat("long-", 60), "\u202eesrever", "e\u0301\u0301\u0301", "\xff\xfe", "", "👩\u200d👩\u200d👧"}
	synctest.Test(t, func(t *testing.T) {
		snap := troubled().at(time.Now()).snapshot()
		for i := range snap.Rings {
			for j := range snap.Rings[i].Instances {
				in := &snap.Rings[i].Instances[j]
				in.ID, in.Zone, in.Addr = names[j%len(names)]+in.ID, names[(j+1)%len(names)], names[(j+2)%len(names)]
			}
			snap.Rings[i].Problem, snap.Rings[i].Name = names[i], names[i]
		}
		for i := range snap.PartitionRings[0].Partitions {
			for j := range snap.PartitionRings[0].Partitions[i].Owners {
				snap.PartitionRings[0].Partitions[i].Owners[j].Instance = names[(i+j)%len(names)]
			}
		}
		snap.From, snap.Note, snap.Problem = names[0], names[3], names[2]
		d := drive(&fake{shots: []*client.Snapshot{snap}, all: []*client.Snapshot{snap}, hold: true, about: About{Name: names[1] + names[2]}}, Options{})
		defer d.end()
		d.wait(time.Second)
		for _, keys := range [][]string{{"1"}, {"2"}, {"enter"}, {"esc", "tab"}, {"tab", "D"}, {"esc", "3"}, {"enter"}, {"4"}, {"5"}, {"6"}, {"7", "space"}, {":", "m"}} {
			d.press(keys...)
			for _, size := range sizes {
				d.Update(tea.WindowSizeMsg{Width: size.w, Height: size.h})
				checkSize(t, d, size.w, size.h)
				for _, r := range sgr.ReplaceAllString(d.View().Content, "") {
					if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e {
						t.Fatalf("after %v: %q reaches the terminal", keys, r)
					}
				}
			}
		}
	})
}
