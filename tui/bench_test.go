package tui

import (
	"runtime"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/client"
)

// The benchmarks use the size that must be borne: 1,000 members with 512 tokens
// each, 1,000 partitions with two owners.

func largeModel(b *testing.B) *Model {
	s := large()
	src := &fake{shots: []*client.Snapshot{s.snapshot(), s.later(5e9).snapshot()}}
	src.all = src.shots[:1]
	m := New(b.Context(), Options{Source: src, Now: s.later(6e9).clock})
	b.Cleanup(m.Close)
	m.Update(tea.WindowSizeMsg{Width: 200, Height: 60})
	m.Update(m.stream.take())
	m.Update(m.stream.take())
	polled(m)
	return m
}

// BenchmarkFrame draws each screen.
func BenchmarkFrame(b *testing.B) {
	m := largeModel(b)
	for _, tab := range tabs {
		b.Run(tab.name, func(b *testing.B) {
			m.enter(tab.name)
			for b.Loop() {
				m.drawn = false
				m.View()
			}
		})
	}
}

// BenchmarkKey presses a key and draws.
func BenchmarkKey(b *testing.B) {
	m := largeModel(b)
	for _, c := range []struct{ name, screen, key string }{
		{"down", "ring", "j"}, {"sort", "ring", "s"}, {"turn", "ring", "tab"}, {"partition", "partitions", "j"},
		{"sort-partitions", "partitions", "s"}, {"stop", "whatif", "space"}, {"stop-zone", "whatif", "z"},
	} {
		b.Run(c.name, func(b *testing.B) {
			m.enter(c.screen)
			for b.Loop() {
				m.Update(keyMsg(c.key))
				m.View()
			}
		})
	}
}

// BenchmarkSnapshot takes in a snapshot in which only heartbeats moved, and one
// in which a member's health changed.
func BenchmarkSnapshot(b *testing.B) {
	m := largeModel(b)
	s := large()
	next, other := s.later(1e10).snapshot(), s
	other.dead = append(other.dead, 5)
	changed := other.later(1e10).snapshot()
	b.Run("heartbeats", func(b *testing.B) {
		for b.Loop() {
			m.Update(frameMsg{scene: build(next, m)})
		}
	})
	b.Run("health", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			m.Update(frameMsg{scene: build([]*client.Snapshot{next, changed}[i&1], m), changed: true})
		}
	})
}

// BenchmarkMemory reports what the dashboard holds after many changes.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := largeModel(b)
		s := large()
		for i := range 12 {
			other := s.later(1e9 * 10)
			other.dead = []int{i}
			m.Update(frameMsg{scene: build(other.snapshot(), m), changed: true})
		}
		m.View()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		runtime.KeepAlive(m)
	}
}
