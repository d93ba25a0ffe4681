package enginetest

import (
	"math/rand/v2"
	"testing"
)

// busy cuts, ships and compacts blocks all the time, so that a crash meets every
// step.
const busy = `
ingester: {max_block_duration: 700ms, trace_idle_period: 200ms, max_block_spans: 2048, complete_block_timeout: 5s}
storage: {trace: {blocklist_poll: 300ms}}
backend_worker: {compaction: {compaction_cycle: 200ms, compaction_settle: 100ms, compacted_block_retention: 1s, max_input_blocks: 4}}
`

// calm keeps everything in the log and the head.
const calm = `
ingester: {max_block_duration: 1h}
`

// TestKilledAloneLosesNothing kills tempod again and again under full load.
func TestKilledAloneLosesNothing(t *testing.T) {
	for name, yaml := range map[string]string{"blocks are cut": busy, "all in the log": calm} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := single(t, t.TempDir(), yaml)
			n.launch()
			n.ready()
			tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "crash")
			dice := rand.New(rand.NewPCG(1, 2))
			for range 4 {
				stop := make(chan struct{})
				senders := tr.flood(4, stop)
				tr.awaitAcks(150 + dice.IntN(150))
				n.kill()
				close(stop)
				senders.Wait()
				n.launch()
				n.ready()
			}
			acked, doubtful := tr.count()
			t.Logf("%d exports acknowledged, %d in doubt", acked, doubtful)
			tr.check(n.http)
			if code := n.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			n.launch()
			n.ready()
			tr.check(n.http)
		})
	}
}
