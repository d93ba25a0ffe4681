package enginetest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestCountsAreExactWhileBlocksMove asks again and again while spans come in and
// blocks are cut, shipped, merged and removed: at every moment each acknowledged
// span counts once, in metrics and in searches.
func TestCountsAreExactWhileBlocksMove(t *testing.T) {
	n := single(t, t.TempDir(), busy)
	n.launch()
	n.ready()
	tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "steady")
	stop := make(chan struct{})
	senders := tr.flood(1, stop)
	a := api{base: n.http}
	tr.awaitAcks(10)
	asked := 0
	until(t, "blocks are shipped, merged and removed", func() error {
		asked++
		batches := tr.batchesNow()
		got, err := a.counts(tr.run)
		if err != nil {
			t.Fatal(err)
		}
		for batch, want := range batches {
			if got[batch] != want {
				t.Fatalf("question %d: batch %d counts %d spans, %d were acknowledged", asked, batch, got[batch], want)
			}
		}
		all := tr.acknowledged()
		if err := a.allFound(tr.run, all, 1); err != nil {
			t.Fatalf("question %d: %v", asked, err)
		}
		if err := a.whole(all[asked*7%len(all)]); err != nil {
			t.Fatalf("question %d: %v", asked, err)
		}
		return moved(n)
	})
	close(stop)
	senders.Wait()
	t.Logf("%d times asked", asked)
}

func (tr *traffic) batchesNow() map[int64]int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	out := make(map[int64]int, len(tr.batches))
	for b, n := range tr.batches {
		out[b] = n
	}
	return out
}

// moved is nil when the process has shipped, merged and removed blocks.
func moved(n *node) error {
	code, text, err := n.get("/metrics")
	if err != nil || code != http.StatusOK {
		return errors.Join(err, fmt.Errorf("/metrics: %d", code))
	}
	for _, name := range []string{"tempod_recent_blocks_shipped_total", "tempodb_compaction_blocks_total", "tempodb_retention_deleted_total"} {
		if value(text, name) < 3 {
			return fmt.Errorf("%s is %v", name, value(text, name))
		}
	}
	return nil
}

// value is the sum of a metric over its labels.
func value(text, name string) (sum float64) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' '):], &v); err == nil {
			sum += v
		}
	}
	return sum
}
