package recent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

func small(t *testing.T, cfg Config) *Store {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := Open(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A tenant over its bound is refused with a hint, others are not; a flush makes
// room again, and a push that waits gets it.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := small(t, Config{TenantBytes: 40 << 10, NodeBytes: 60 << 10, PushWait: time.Second})
		push := func(id string) error { return s.Push(t.Context(), id, newGen(1).otlp(30)) }
		var refused *ExhaustedError
		for range 100 {
			if err := push("a"); err != nil {
				if !errors.As(err, &refused) {
					t.Fatal(err)
				}
				break
			}
		}
		if refused == nil || refused.What != "tenant" || refused.Tenant != "a" || refused.RetryAfter <= 0 {
			t.Fatalf("refused: %+v", refused)
		}
		if err := push("b"); err != nil {
			t.Fatal("another tenant is refused:", err)
		}
		for range 100 {
			if err := push("b"); err != nil {
				if !errors.As(err, &refused) || refused.Tenant != "b" {
					t.Fatal(err)
				}
				break
			}
		}
		if refused.What != "node" {
			t.Errorf("tenant b was refused for the %s", refused.What)
		}
		done := make(chan error)
		go func() { done <- push("a") }()
		synctest.Wait()
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error("a waiting push is refused although there is room:", err)
		}
	})
}

// A tenant that has gone quiet gives its memory back and is taken up again.
func TestIdleTenant(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := small(t, Config{MaxRows: 30, Now: func() time.Time { return now }})
	for range 3 {
		if err := s.Push(t.Context(), "a", newGen(1).otlp(40)); err != nil {
			t.Fatal(err)
		}
		s.turn(t.Context())
	}
	state, err := s.tenant("a")
	if err != nil || state.spare == nil {
		t.Fatal("a busy tenant has no spare head", err)
	}
	now = now.Add(2 * time.Minute)
	s.turn(t.Context())
	if state.spare != nil || cap(state.head.trace) > 0 || s.writer != nil {
		t.Error("an idle tenant keeps its memory")
	}
	for range 2 {
		if err := s.Push(t.Context(), "a", newGen(2).otlp(20)); err != nil || state.head.rows == 0 {
			t.Error("push after a rest:", err)
		}
	}
	s.turn(t.Context())
	if err := s.Push(t.Context(), "a", newGen(3).otlp(5)); err != nil || state.spare == nil || s.writer == nil {
		t.Fatal("a busy tenant has no spare head, or nothing was written", err)
	}
	now = now.Add(20 * time.Second)
	s.turn(t.Context())
	if state.spare != nil || state.head.rows == 0 || s.writer != nil {
		t.Error("an idle tenant with spans keeps more memory than for them")
	}
}

func TestMalformedPush(t *testing.T) {
	s := small(t, Config{})
	var bad *trace.MalformedError
	if err := s.Push(t.Context(), "a", []byte{0x0a, 0x05, 1}); !errors.As(err, &bad) {
		t.Errorf("malformed bytes: %v", err)
	}
	if err := s.Push(t.Context(), "no/tenant", nil); err == nil {
		t.Error("a bad tenant is accepted")
	}
	if n := s.UnshippedBytes(); n != 0 {
		t.Errorf("%d bytes are held after refused pushes", n)
	}
}

// Snapshots taken while spans arrive, heads are cut and blocks are written never
// change and never lose anything.
func TestReadersBesideWriters(t *testing.T) {
	s := small(t, Config{MaxRows: 300, Tick: time.Hour})
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	var pushed sync.WaitGroup
	for p := range 3 {
		pushed.Go(func() {
			g := newGen(uint64(p))
			for i := range 40 {
				if err := s.Push(ctx, "a", g.otlp(20)); err != nil {
					t.Error(err)
				}
				if p > 0 || i%10 != 9 {
					continue
				}
				if err := s.Flush(ctx); err != nil { // on one processor, all may have come before Run cuts
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				readTwice(t, s)
			}
		})
	}
	pushed.Wait()
	if err := s.Flush(ctx); err != nil {
		t.Error(err)
	}
	stop()
	all.Wait()
	if metas, _ := s.Blocks("a"); len(metas) < 3 {
		t.Errorf("%d blocks", len(metas))
	}
}

// readTwice reads a snapshot two times and compares.
func readTwice(t *testing.T, s *Store) {
	sources := s.Sources("a", func(block.ID) bool { return false })
	sum := func() (n int64) {
		for _, src := range sources {
			for _, seg := range src.Segments() {
				var v columnar.Vector
				for _, c := range seg.Columns(nil, columnar.ScopeIntrinsic, columnar.KeySpanID) {
					if err := c.Read(context.Background(), nil, &v); err != nil {
						t.Error(err)
					}
					for _, x := range v.Ints {
						n += x
					}
				}
				for _, c := range seg.Columns(nil, columnar.ScopeSpan, "key.1") {
					if c.Type() != columnar.String {
						continue
					}
					if err := c.Read(context.Background(), nil, &v); err != nil {
						t.Error(err)
					}
					for i, k := range v.Codes {
						if k == 0 {
							continue
						}
						n += int64(len(v.Dict.Bytes(int(k-1)))) * int64(i+1)
					}
				}
				traces, err := seg.Traces(context.Background())
				if err != nil || len(traces.IDs) == 0 {
					t.Error("no traces", err)
					continue
				}
				rows, err := seg.Find(context.Background(), traces.IDs[0], nil)
				if err != nil || len(rows) == 0 {
					t.Error("the first trace is not found", err)
				}
				n += int64(len(rows))
			}
		}
		return n
	}
	if a, b := sum(), sum(); a != b {
		t.Error("a snapshot changed")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(appendPush(nil, "tenant", []byte{1, 2}))
	f.Add(appendCut(nil, "tenant", "id", []trace.ID{{1}, {2}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err == nil && r.kind == recordCut && len(r.held) > len(b)/16 {
			t.Error("more traces than bytes")
		}
	})
}

// FuzzHead appends any bytes and makes a block of what was taken.
func FuzzHead(f *testing.F) {
	f.Add(newGen(1).otlp(5))
	f.Add([]byte{0x0a, 0x02, 0x12, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		h := newHead()
		if _, _, err := h.add(b, 1); err != nil {
			return
		}
		cols := h.columns()
		newSegment(cols, 1, h.knownOf(cols))
		if cols.Rows > 0 {
			sealed(t, t.TempDir(), cols, block.WriterOptions{})
		}
	})
}
