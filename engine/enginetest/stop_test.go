package enginetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ringctl/ringctl/engine/ringapi"
)

// blocks counts the blocks of a bucket folder.
func blocks(t *testing.T, dir string) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "*", "meta.json"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestStopFlushesAndLeaves stops a single process gracefully: all spans are in
// blocks of the bucket, and a process without its log finds them.
func TestStopFlushesAndLeaves(t *testing.T) {
	dir := t.TempDir()
	n := single(t, dir, "ingester: {max_block_duration: 1h, flush_all_on_shutdown: true}")
	n.launch()
	n.ready()
	tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "stop")
	dice := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		if err := tr.send(t.Context(), dice, 3, 5); err != nil {
			t.Fatal(err)
		}
	}
	if have := blocks(t, filepath.Join(dir, "blocks")); have != 0 {
		t.Fatalf("%d blocks before the stop", have)
	}
	if code := n.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, n.logText())
	}
	if have := blocks(t, filepath.Join(dir, "blocks")); have != 1 {
		t.Errorf("%d blocks after the stop, want 1", have)
	}
	if err := os.RemoveAll(filepath.Join(dir, "wal")); err != nil {
		t.Fatal(err)
	}
	n.launch()
	n.ready()
	tr.check(n.http)
}

// TestStopAnswersWhatIsDelayed stops a process while it holds back the answer of a
// tenant with an artificial delay, for longer than a stop may take: the sender
// hears that its spans are stored, and they are.
func TestStopAnswersWhatIsDelayed(t *testing.T) {
	n := single(t, t.TempDir(), calm+"\noverrides: {defaults: {ingestion: {artificial_delay: 1m}}}\n")
	n.launch()
	n.ready()
	tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "delayed")
	answered := make(chan error, 1)
	go func() { answered <- tr.send(t.Context(), rand.New(rand.NewPCG(5, 6)), 3, 5) }()
	until(t, "the answer is held back", func() error {
		if _, text, err := n.get("/metrics"); err != nil || value(text, "tempo_distributor_added_latency_seconds_count") != 1 {
			return fmt.Errorf("no export is delayed (%v)", err)
		}
		return nil
	})
	if code := n.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, n.logText())
	}
	if err := <-answered; err != nil {
		t.Errorf("the delayed export: %v", err)
	}
	n.launch()
	n.ready()
	tr.check(n.http)
}

// TestLeavingTheRing stops one ingester of a cluster gracefully: the others no
// longer see it, and what it had is found in the bucket.
func TestLeavingTheRing(t *testing.T) {
	c := newCluster(t)
	for _, zone := range []string{"a", "b", "c"} {
		c.add("ingester", "ingester-"+zone, zone)
	}
	front := c.add("distributor,querier,query-frontend", "front", "a")
	for _, n := range c.nodes {
		n.ready()
	}
	until(t, "the ring is complete", func() error { return ringComplete(front, "/ingester/ring", 3) })
	tr := newTraffic(t, func() string { return front.addr("otlp-http") }, byRing, "leave")
	dice := rand.New(rand.NewPCG(11, 12))
	for range 30 {
		if err := tr.send(t.Context(), dice, 3, 5); err != nil {
			t.Fatal(err)
		}
	}
	if code := c.node("ingester-b").stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, c.node("ingester-b").logText())
	}
	until(t, "it has left the ring", func() error {
		var r ringapi.RingPage
		if err := page(front, "/ingester/ring", &r); err != nil {
			return err
		}
		for _, s := range r.Shards {
			if s.ID == "ingester-b" {
				return fmt.Errorf("it is still there as %s", s.State)
			}
		}
		return nil
	})
	tr.checkCopies(front.http, 3)
}

// TestNotReadySaysWhy asks a distributor that knows no keeper, and a live-store
// whose partition is not active yet.
func TestNotReadySaysWhy(t *testing.T) {
	c := newCluster(t)
	l := c.add("live-store", "live-store-a-0", "a")
	until(t, "it waits for its partition, if for anything", func() error { // its rings come first
		code, body, err := l.get("/ready")
		if err != nil || code != 200 && !strings.Contains(body, "partition") {
			return fmt.Errorf("/ready: %d %q (%v)", code, body, err)
		}
		return nil
	})
	l.ready()
	d := c.add("distributor", "distributor", "a")
	until(t, "the refusal says what is missing", func() error {
		err := newTraffic(t, func() string { return d.addr("otlp-http") }, byRing, "early").send(t.Context(), rand.New(rand.NewPCG(1, 1)), 1, 1)
		if err == nil || !strings.Contains(err.Error(), "ring ingester") {
			return fmt.Errorf("an export without ingesters: %v", err)
		}
		return nil
	})
}

// TestMetricNames looks for the names that dashboards and alerts use.
func TestMetricNames(t *testing.T) {
	n := single(t, t.TempDir(), calm)
	n.launch()
	n.ready()
	tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "metrics")
	if err := tr.send(t.Context(), rand.New(rand.NewPCG(1, 1)), 1, 5); err != nil {
		t.Fatal(err)
	}
	tr.check(n.http)
	_, text, err := n.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`tempo_distributor_spans_received_total{tenant="single-tenant"} 5`,
		`tempo_distributor_bytes_received_total{tenant="single-tenant"}`,
		`tempo_receiver_accepted_spans{receiver="otlp",transport="http"} 5`,
		"tempo_distributor_push_duration_seconds_bucket",
		`tempo_query_frontend_queries_total{op="traces",result="completed"} 1`,
		`tempo_query_frontend_queries_total{op="search",result="completed"}`,
		`tempod_recent_spans_total{keeper="ingester"} 5`,
		"tempo_runtime_config_last_reload_successful 1",
		"go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestStopWithoutBucketKeepsEverything takes the bucket away before the stop:
// the process says so, ends, and has everything when it is started again.
func TestStopWithoutBucketKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	n := single(t, dir, "ingester: {max_block_duration: 1h, flush_all_on_shutdown: true}")
	n.launch()
	n.ready()
	tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "bucket")
	dice := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		if err := tr.send(t.Context(), dice, 3, 5); err != nil {
			t.Fatal(err)
		}
	}
	bucket := filepath.Join(dir, "blocks")
	if err := os.RemoveAll(bucket); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bucket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := n.stop(); code != 1 || !strings.Contains(n.logText(), "flush tenant single-tenant") {
		t.Errorf("exit code %d:\n%s", code, n.logText())
	}
	if err := os.Remove(bucket); err != nil {
		t.Fatal(err)
	}
	n.launch()
	n.ready()
	tr.check(n.http)
	until(t, "the block is shipped after all", func() error {
		if blocks(t, bucket) == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	tr.check(n.http)
}

// TestStopAtAnyTime asks processes to stop while they start, twice at once, and
// by closing their standard input.
func TestStopAtAnyTime(t *testing.T) {
	dir := t.TempDir()
	n := single(t, dir, calm)
	n.launch()
	if code := n.stop(); code != 0 {
		t.Errorf("stopped while starting: exit code %d\n%s", code, n.logText())
	}
	n.launch()
	n.ready()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := n.stop(); code != 0 && code != -1 {
		t.Errorf("asked twice: exit code %d\n%s", code, n.logText())
	}
	n.launch()
	n.ready()
	if err := n.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := n.wait(); code != 0 {
		t.Errorf("standard input closed: exit code %d\n%s", code, n.logText())
	}
}
