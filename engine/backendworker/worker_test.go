package backendworker

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/catalog/catalogtest"
	"github.com/ringctl/ringctl/engine/compactor"
)

// A worker and a catalog that run for a day: the blocks become one, readers see
// it, the inputs go, and nothing is left running or lying about.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(catalogtest.Bucket)
		for i := range 4 {
			catalogtest.Ship(t, b, "t", time.Now(), time.Now(), []catalogtest.Span{{Trace: 1, Number: 1 + i}, {Trace: 2 + i, Number: 10 + i}})
		}
		dir, reg := t.TempDir(), prometheus.NewRegistry()
		reader, err := catalog.Open(b, catalog.Config{}, quiet, reg)
		if err != nil {
			t.Fatal(err)
		}
		if reader.Ready() == nil {
			t.Fatal("ready before anything was read")
		}
		if err := os.MkdirAll(dir+"/merge-left", 0o755); err != nil {
			t.Fatal(err)
		}
		w, err := New(Config{Dir: dir}, b, everything{}, quiet, reg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for _, run := range []func(context.Context) error{reader.Run, w.Run} {
			wg.Go(func() {
				if err := run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Minute) // of the bubble
		if err := reader.Ready(); err != nil || len(reader.Blocks("t")) != 4 {
			t.Fatalf("%d blocks, %v", len(reader.Blocks("t")), err)
		}
		time.Sleep(24 * time.Hour)
		stop()
		wg.Wait()
		got, err := catalogtest.Read(context.Background(), reader, "t", reader.Blocks("t"), []int{1, 2, 3, 4, 5})
		if err != nil || !slices.Equal(got, []int{1, 2, 3, 4, 10, 11, 12, 13}) || len(b.Names()) != 4 {
			t.Fatalf("%v %v, objects %v", got, err, b.Names())
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 0 {
			t.Fatalf("left in the scratch folder: %v %v", left, err)
		}
		if n := testutil.ToFloat64(w.m.blocks.WithLabelValues("0")); n != 4 {
			t.Fatalf("%v blocks counted", n)
		}
	})
}

// A worker that finds its job done by another one when it has merged uploads
// nothing.
func TestJobDoneMeanwhile(t *testing.T) {
	s := newSite(t, 3)
	s.reader = s.catalog()
	s.later(10 * time.Minute)
	var log strings.Builder
	first, second := s.worker(), s.worker()
	first.log = slog.New(slog.NewTextHandler(&log, nil))
	for _, w := range []*Worker{first, second} {
		if err := w.Cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.b.Before = func(op, name string) error {
		if op == "get" && strings.HasSuffix(name, "data.parquet") { // of the first worker
			s.b.Before = nil
			if !second.MergeOne(t.Context()) {
				t.Error("the second worker had nothing to do")
			}
		}
		return nil
	}
	if !first.MergeOne(t.Context()) || !strings.Contains(log.String(), "not needed any more") {
		t.Fatalf("log: %s", &log)
	}
	if n := len(s.objects()); n != 3*3+3 {
		t.Fatalf("%d objects", n)
	}
	s.check("after both")
	if first.MergeOne(t.Context()) || second.MergeOne(t.Context()) {
		t.Fatal("there is more to merge")
	}
}

// half owns every other place of the ring.
type half struct{ odd bool }

func (h half) Owns(hash uint32) bool { return (hash%2 == 1) == h.odd }

// Two workers share the tenants by their hashes: each tenant has one index
// builder, and each job is done once.
func TestShares(t *testing.T) {
	s := newSite(t, 0)
	var tenants []string
	for i := range 6 {
		tenants = append(tenants, "tenant-"+string(rune('a'+i)))
		for k := range 2 {
			catalogtest.Ship(t, s.b, tenants[i], launch.Add(-time.Second), launch, []catalogtest.Span{{Trace: 1 + k, Number: 1 + k}})
		}
	}
	s.now = s.now.Add(10 * time.Minute)
	indexes, merges := 0, 0
	for _, odd := range []bool{false, true} {
		w, err := New(Config{Dir: t.TempDir(), Now: s.b.Now, Compaction: compactor.Config{}}, s.b, half{odd}, quiet, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.indexes) == 0 {
			t.Fatal("a worker builds no index at all")
		}
		indexes += len(w.indexes)
		for w.MergeOne(t.Context()) {
			merges++
		}
	}
	if indexes != len(tenants) || merges != len(tenants) {
		t.Fatalf("%d indexes and %d merges for %d tenants", indexes, merges, len(tenants))
	}
}
