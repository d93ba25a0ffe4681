package backendworker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/catalog/catalogtest"
	"github.com/ringctl/ringctl/engine/compactor"
)

var (
	quiet  = slog.New(slog.DiscardHandler)
	launch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// everything owns all jobs.
type everything struct{}

func (everything) Owns(uint32) bool { return true }

// site is a bucket with real blocks, a clock, and what must be readable.
type site struct {
	t      *testing.T
	b      *catalogtest.Bucket
	now    time.Time
	dir    string
	traces []int
	spans  []int
	reader *catalog.Catalog // one that has been there from the start
}

const poll = 30 * time.Second

// newSite ships blocks of spans, some of whose traces are in several blocks.
func newSite(t *testing.T, blocks int) *site {
	s := &site{t: t, b: new(catalogtest.Bucket), now: launch, dir: t.TempDir()}
	s.b.Now = func() time.Time { return s.now }
	for i := range blocks {
		var list []catalogtest.Span
		for k := range 6 {
			n := 1 + 6*i + k
			list = append(list, catalogtest.Span{Trace: 1 + (i*3+k)%5, Number: n})
			s.spans = append(s.spans, n)
		}
		catalogtest.Ship(t, s.b, "t", launch.Add(-10*time.Minute+time.Duration(i)*time.Second), launch.Add(-9*time.Minute), list)
	}
	for i := range 5 {
		s.traces = append(s.traces, 1+i)
	}
	return s
}

// again is the same site before anything happened.
func (s *site) again(t *testing.T) *site {
	c := &site{t: t, b: s.b.Clone(), now: launch, dir: t.TempDir(), traces: s.traces, spans: s.spans}
	c.b.Now = func() time.Time { return c.now }
	c.reader = c.catalog()
	c.refresh()
	return c
}

func (s *site) catalog() *catalog.Catalog {
	c, err := catalog.Open(s.b, catalog.Config{Poll: poll, Now: func() time.Time { return s.now }}, quiet, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) worker() *Worker {
	w, err := New(Config{Dir: s.dir, Poll: poll, Now: func() time.Time { return s.now },
		Compaction: compactor.Config{MaxInputs: 3, MinMerged: 2, Abandon: time.Hour, Delay: time.Minute}}, s.b, everything{}, quiet, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := w.clearScratch(); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// calm runs f without the faults of the bucket.
func (s *site) calm(f func()) {
	before, after := s.b.Before, s.b.After
	s.b.Before, s.b.After = nil, nil
	f()
	s.b.Before, s.b.After = before, after
}

// refresh polls as the reader does.
func (s *site) refresh() {
	s.calm(func() {
		if err := s.reader.Refresh(context.Background()); err != nil {
			s.t.Fatal(err)
		}
	})
}

// check fails unless the reader, with what it polled last, and one that starts
// now read every span exactly once. Blocks are opened anew, so that none is
// missing.
func (s *site) check(when string) {
	s.t.Helper()
	s.calm(func() {
		now := s.catalog()
		if err := now.Refresh(context.Background()); err != nil {
			s.t.Fatal(err)
		}
		for who, blocks := range map[string][]*block.Meta{"a new reader": now.Blocks("t"), "the old reader": s.reader.Blocks("t")} {
			got, err := catalogtest.Read(context.Background(), s.catalog(), "t", blocks, s.traces)
			if err != nil || !slices.Equal(got, s.spans) {
				s.t.Fatalf("%s: %s reads %d spans of %d: %v %v", when, who, len(got), len(s.spans), err, got)
			}
		}
	})
}

// round is one cycle of a worker, and its merges; readers poll and look between
// all steps.
func (s *site) round(ctx context.Context, w *Worker, when string) error {
	err := w.Cycle(ctx)
	s.check(when + ", after upkeep")
	for err == nil && w.MergeOne(ctx) {
		s.check(when + ", after a merge")
		if len(w.retry) > 0 {
			err = errors.New("a merge failed")
		}
	}
	return err
}

// later lets time pass and polls.
func (s *site) later(d time.Duration) {
	s.now = s.now.Add(d)
	s.refresh()
}

var errDied = errors.New("the process died here")

// From many blocks to one, with the process killed at every third operation on
// the bucket, before it happens or when it has: at every moment every reader
// reads every span once, and a new process finishes the work.
func TestCrashDice(t *testing.T) {
	origin := newSite(t, 5)
	for first, lost := range []bool{false, true} {
		total := 1 << 20
		for n := first; n < total; n += 3 {
			name := fmt.Sprintf("before operation %d", n)
			if lost {
				name = fmt.Sprintf("after operation %d", n)
			}
			count := origin.again(t).crashAt(n, lost, name)
			if count <= n {
				total = count
			}
		}
	}
}

// crashAt lets a worker die at its n-th operation, and another one go on. It
// returns how many operations the first one did.
func (s *site) crashAt(n int, lost bool, name string) int {
	ctx, die := context.WithCancel(context.Background())
	defer die()
	var mu sync.Mutex
	ops, dead := 0, false
	fault := func(at int) error {
		if dead = dead || at == n; dead {
			die()
			return errDied
		}
		return nil
	}
	s.b.Before = func(op, object string) error {
		mu.Lock()
		defer mu.Unlock()
		ops++
		if dead || !lost {
			return fault(ops - 1)
		}
		return nil
	}
	s.b.After = func(op, object string) error {
		mu.Lock()
		defer mu.Unlock()
		if lost {
			return fault(ops - 1)
		}
		return nil
	}
	w := s.worker()
	for i := 0; i < 6 && !dead; i++ {
		_ = s.round(ctx, w, name)
		s.later(3 * time.Minute)
	}
	s.b.Before, s.b.After = nil, nil
	s.check(name)
	s.finish(name)
	return ops
}

// finish lets a new worker do the rest, until one block is left and nothing else.
func (s *site) finish(name string) {
	w := s.worker()
	for i := range 40 {
		if err := s.round(context.Background(), w, name); err != nil {
			s.t.Fatalf("%s: the next worker: %v", name, err)
		}
		s.later(3 * time.Minute)
		s.check(fmt.Sprintf("%s, round %d", name, i))
		if len(s.reader.Blocks("t")) == 1 && len(s.objects()) == 3 {
			return
		}
	}
	s.t.Fatalf("%s: %d blocks and %d objects are left: %v", name, len(s.reader.Blocks("t")), len(s.objects()), s.objects())
}

// objects lists what is in the bucket besides indexes.
func (s *site) objects() []string {
	return slices.DeleteFunc(s.b.Names(), func(o string) bool { return strings.HasPrefix(o, catalog.IndexPrefix) })
}
