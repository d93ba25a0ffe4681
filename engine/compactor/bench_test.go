package compactor

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
)

// manyBlocks are those of a tenant with two weeks behind it: windows of merged
// blocks, each with its replaced inputs, and a busy last hour.
func manyBlocks(w *world) []catalog.Stored {
	for range 500 {
		w.now = w.now.Add(40 * time.Minute)
		var in []*block.Meta
		for range 16 {
			w.ship()
			in = append(in, w.stored[len(w.stored)-1].Meta)
		}
		m := *in[0]
		m.ID, m.Level, m.Replaces = w.id(), 1, nil
		for _, i := range in {
			m.Replaces = append(m.Replaces, i.ID)
		}
		w.stored = append(w.stored, catalog.Stored{Meta: &m, Modified: w.now})
	}
	for range 500 {
		w.ship()
	}
	return w.stored
}

func BenchmarkTenThousandBlocks(b *testing.B) {
	w := newWorld(1)
	w.cfg = Config{}
	stored := manyBlocks(w)
	all := w.metas()
	for name, f := range map[string]func(){
		"visible": func() { catalog.Visible(all) },
		"plan":    func() { Plan(w.now, all, w.cfg) },
		"sweep":   func() { Sweep(w.now, stored, w.cfg) },
	} {
		b.Run(fmt.Sprintf("%s-%d", name, len(all)), func(b *testing.B) {
			for b.Loop() {
				f()
			}
		})
	}
}
