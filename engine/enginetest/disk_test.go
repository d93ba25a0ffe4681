package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lastSegment is the newest segment of the log of a single process.
func lastSegment(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "wal", "ingester", "wal", "*.wal"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no log segments: %v, %v", all, err)
	}
	slices.Sort(all)
	return all[len(all)-1]
}

// TestBrokenLogTailLosesNothing breaks the end of the log of a killed process
// behind everything that was acknowledged.
func TestBrokenLogTailLosesNothing(t *testing.T) {
	for name, breakTail := range map[string]func(good, whole []byte) []byte{
		"garbage": func(good, _ []byte) []byte {
			return append(bytes.Clone(good), bytes.Repeat([]byte("garbage\x00\xff"), 999)...)
		},
		"zeros":           func(good, _ []byte) []byte { return append(bytes.Clone(good), make([]byte, 9000)...) },
		"truncated":       func(good, whole []byte) []byte { return whole[:(len(good)+len(whole))/2] },
		"flipped byte":    func(good, whole []byte) []byte { b := bytes.Clone(whole); b[(len(good)+len(b))/2] ^= 0x10; return b },
		"last byte wrong": func(_, whole []byte) []byte { b := bytes.Clone(whole); b[len(b)-1] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			n := single(t, dir, calm)
			n.launch()
			n.ready()
			tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "tail")
			dice := rand.New(rand.NewPCG(3, 4))
			for range 20 {
				if err := tr.send(t.Context(), dice, 3, 5); err != nil {
					t.Fatal(err)
				}
			}
			good := read(t, lastSegment(t, dir))
			last := newTraffic(t, tr.to, "", "last") // its one export is what breaks
			if err := last.send(t.Context(), dice, 3, 5); err != nil {
				t.Fatal(err)
			}
			n.kill()
			segment := lastSegment(t, dir)
			whole := read(t, segment)
			if !bytes.HasPrefix(whole, good) || len(whole) == len(good) {
				t.Fatalf("the log did not grow by appending: %d, then %d bytes", len(good), len(whole))
			}
			if err := os.WriteFile(segment, breakTail(good, whole), 0o600); err != nil {
				t.Fatal(err)
			}
			n.launch()
			n.ready()
			tr.check(n.http)
			if log := n.logText(); !strings.Contains(log, "unfinished tail") {
				t.Errorf("the log does not tell of the tail:\n%s", log)
			}
			if err := tr.send(t.Context(), dice, 3, 5); err != nil {
				t.Fatal(err)
			}
			n.kill()
			n.launch()
			n.ready()
			tr.check(n.http)
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDamageInsideTheLogIsReported breaks the middle of the log: what stands
// there is lost, and said to be; everything around it is found.
func TestDamageInsideTheLogIsReported(t *testing.T) {
	dir := t.TempDir()
	n := single(t, dir, calm)
	n.launch()
	n.ready()
	tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "damage")
	dice := rand.New(rand.NewPCG(5, 6))
	send := func() {
		for range 10 {
			if err := tr.send(t.Context(), dice, 3, 5); err != nil {
				t.Fatal(err)
			}
		}
	}
	send()
	from := len(read(t, lastSegment(t, dir)))
	lost := newTraffic(t, tr.to, "", "lost")
	if err := lost.send(t.Context(), dice, 3, 5); err != nil {
		t.Fatal(err)
	}
	to := len(read(t, lastSegment(t, dir)))
	send()
	n.kill()
	b := read(t, lastSegment(t, dir))
	b[(from+to)/2] ^= 0xff
	if err := os.WriteFile(lastSegment(t, dir), b, 0o600); err != nil {
		t.Fatal(err)
	}
	n.launch()
	n.ready()
	tr.check(n.http)
	if log := n.logText(); !strings.Contains(log, "the log is damaged") {
		t.Errorf("the log does not tell of the damage:\n%s", log)
	}
	if _, metrics, err := n.get("/metrics"); err != nil || !strings.Contains(metrics, `tempod_recent_replay_damage_total{keeper="ingester"} 1`) {
		t.Errorf("the metrics do not tell of the damage (%v)", err)
	}
}

// TestFullDisk fills the disk under tempod: exports are refused for now, nothing
// that was acknowledged is lost, and it goes on by itself when there is space.
func TestFullDisk(t *testing.T) {
	tempod(t)
	dir := smallDisk(t, 24<<20)
	n := single(t, filepath.Join(dir, "data"), busy)
	n.launch()
	n.ready()
	tr := newTraffic(t, func() string { return n.addr("otlp-http") }, "", "full")
	dice := rand.New(rand.NewPCG(7, 8))
	if err := tr.send(t.Context(), dice, 30, 5); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	var refused *refusal
	for range 10_000 { // until the log has no block left
		if err := tr.send(t.Context(), dice, 30, 5); err != nil {
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			break
		}
	}
	switch {
	case refused == nil:
		t.Fatal("a full disk refuses nothing")
	case refused.code != http.StatusTooManyRequests && refused.code != http.StatusServiceUnavailable:
		t.Errorf("senders will not retry: %v", refused)
	case refused.retry == "" || !strings.Contains(refused.text, "no space left"):
		t.Errorf("the answer does not say what is wrong or when to retry: %v", refused)
	}
	until(t, "the failed cut is counted", func() error {
		_, text, err := n.get("/metrics")
		if err != nil || !strings.Contains(text, "tempod_recent_failures_total") {
			return fmt.Errorf("no failure in the metrics: %v", err)
		}
		return nil
	})
	tr.check(n.http) // questions are answered all the same
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "exports are taken again", func() error { return tr.send(t.Context(), dice, 3, 5) })
	until(t, "a block is shipped", func() error {
		if blocks(t, filepath.Join(dir, "data", "blocks")) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	tr.check(n.http)

	fill(t, ballast)
	n.kill() // a crash with a full disk
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	n.launch()
	n.ready()
	tr.check(n.http)
}

// fill takes what is left of a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
