package recent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket/local"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/wal"
	"github.com/ringctl/ringctl/engine/wal/waltest"
)

// world is a store with a bucket behind it, a clock, and what must be true.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	dir    string
	disk   *waltest.Disk // of the log
	remote *local.Bucket
	bucket string // its folder
	now    time.Time
	s      *Store
	gens   map[string]*gen
	want   map[string]facts
	spans  map[string]int
	ship   func() error
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 11)), dir: t.TempDir(), now: time.Unix(1_700_000_000, 0),
		disk: waltest.New(), gens: map[string]*gen{}, want: map[string]facts{}, spans: map[string]int{}, ship: func() error { return nil }}
	var err error
	w.bucket = t.TempDir()
	if w.remote, err = local.Open(w.bucket); err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"a", "b"} {
		w.gens[id] = newGen(seed*10 + uint64(i))
		w.want[id] = facts{}
	}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	w.s, err = Open(Config{Dir: w.dir, MaxRows: 400, MaxAge: time.Minute, KeepLocal: time.Minute, Now: func() time.Time { return w.now }, WAL: wal.Options{FS: w.disk},
		Ship: func(ctx context.Context, tenantID, dir string, m *block.Meta) error {
			if err := w.ship(); err != nil {
				return err
			}
			return block.Upload(ctx, w.remote, dir, m)
		}}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) push(id string) {
	w.t.Helper()
	b := w.gens[id].otlp(1 + w.rng.IntN(30))
	if err := w.s.Push(w.t.Context(), id, b); err != nil {
		w.t.Fatal(err)
	}
	before := w.want[id].count()
	w.want[id].add(w.t, b)
	w.spans[id] += w.want[id].count() - before
}

func (f facts) count() (n int) {
	for _, v := range f {
		n += len(v)
	}
	return n
}

// check asks for every trace, and counts: what is local and what is in the bucket
// must be each span once.
func (w *world) check() {
	w.t.Helper()
	for id, want := range w.want {
		shipped := map[string]bool{}
		var blocks []*block.Block
		if err := w.eachBlock(id, func(b *block.Block) { blocks = append(blocks, b); shipped[b.Name()] = true }); err != nil {
			w.t.Fatal(err)
		}
		without := func(b block.ID) bool { return shipped[b] }
		got := facts{}
		for t := range want {
			var out trace.Builder
			otlp, err := w.s.FindTrace(w.t.Context(), id, trace.ID([]byte(t)), without)
			if err == nil {
				err = out.AddAll(otlp)
			}
			for _, b := range blocks {
				if err == nil {
					otlp, err = b.Find(w.t.Context(), trace.ID([]byte(t)))
				}
				if err == nil {
					err = out.AddAll(otlp)
				}
			}
			if err != nil {
				w.t.Fatal(err)
			}
			got.add(w.t, out.Append(nil))
		}
		want.compare(w.t, got)
		rows := 0
		for _, src := range w.s.Sources(id, without) {
			for _, seg := range src.Segments() {
				rows += seg.Info().Rows
			}
		}
		for _, b := range blocks {
			rows += int(b.Meta().Spans)
		}
		if rows != w.spans[id] {
			w.t.Fatalf("tenant %s: %d rows for %d spans", id, rows, w.spans[id])
		}
	}
}

func (w *world) eachBlock(tenantID string, f func(*block.Block)) error {
	names, err := os.ReadDir(filepath.Join(w.bucket, tenantID))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, n := range names {
		bl, err := block.Open(context.Background(), w.remote, tenantID, n.Name(), block.OpenOptions{})
		if err != nil {
			return err
		}
		f(bl)
	}
	return nil
}

// step does one random thing, by halves now and then.
func (w *world) step() string {
	w.t.Helper()
	id := []string{"a", "b"}[w.rng.IntN(2)]
	t, err := w.s.tenant(id)
	if err != nil {
		w.t.Fatal(err)
	}
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	switch k := w.rng.IntN(20); {
	case k < 9:
		w.now = w.now.Add(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
		w.push(id)
		return "push"
	case k < 11:
		if t.head.rows == 0 {
			return "nothing"
		}
		must(w.s.cut(w.t.Context(), t, w.rng.IntN(2) == 0))
		if w.rng.IntN(3) > 0 { // a cut is sealed soon; sometimes a crash comes first
			must(w.s.sealAll(t))
			return "cut and seal"
		}
		w.crash()
		return "cut and crash"
	case k == 11 && t.head.rows > 0: // the block is there, the store does not know
		must(w.s.cut(w.t.Context(), t, w.rng.IntN(2) == 0))
		_, err := w.s.seal(id, t.sealing[0])
		must(err)
		w.crash()
		return "seal and crash"
	case k == 12:
		must(w.s.shipAll(w.t.Context(), t))
		return "ship"
	case k == 13: // the block is in the bucket, the note of it is not written
		w.ship = func() error { return errors.New("no") }
		_ = w.s.shipAll(w.t.Context(), t)
		w.ship = func() error { return nil }
		w.crash()
		return "ship fails, crash"
	case k == 14:
		w.now = w.now.Add(5 * time.Minute)
		w.s.tidy(t)
		w.s.tidy(t)
		return "tidy"
	case k == 15:
		w.crash()
		return "crash"
	case k == 16:
		must(w.s.Flush(w.t.Context()))
		return "flush"
	case k == 17:
		must(w.s.Close())
		w.open()
		return "restart"
	}
	if k := w.rng.IntN(2); k == 0 { // the disk is full: refused, and nothing that was acknowledged suffers
		w.disk.SetCapacity(1)
		if err := w.s.Push(w.t.Context(), id, newGen(99).otlp(9)); !errors.Is(err, wal.ErrFull) {
			w.t.Fatal("push on a full disk:", err)
		}
		if t.head.rows > 0 {
			if err := w.s.cut(w.t.Context(), t, false); !errors.Is(err, wal.ErrFull) {
				w.t.Fatal("cut on a full disk:", err)
			}
		}
		w.disk.SetCapacity(-1)
		return "full disk"
	}
	w.s.turn(w.t.Context())
	return "turn"
}

// crash cuts the power: what was not synced is gone or torn, and the folder is
// opened again with whatever is unfinished.
func (w *world) crash() {
	w.t.Helper()
	w.disk = w.disk.Crash(w.rng)
	w.open()
}

// Whatever happens in whatever order: what was acknowledged is there, once.
func TestCrashDice(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for i := range 40 {
				what := w.step()
				if i%10 == 9 || what != "push" && w.rng.IntN(6) == 0 {
					w.check()
				}
				if t.Failed() {
					t.Fatalf("after step %d: %s", i, what)
				}
			}
			w.crash()
			w.check()
			if err := w.s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.check()
			if n := w.s.UnshippedBytes(); n != 0 {
				t.Errorf("%d bytes unshipped after a flush", n)
			}
		})
	}
}
