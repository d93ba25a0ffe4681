//go:build unix

package recent

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket/local"
)

// The benchmarks of this file read OTLP requests from the file named by
// RINGCTL_BENCH_LOAD: "OTLPGEN1", 16 bytes, then records of payload length, span
// count, n, n offsets of timestamps (all u32, little endian) and the payload.
func eachRequest(b testing.TB, visit func(otlp []byte, spans int)) {
	path := os.Getenv("RINGCTL_BENCH_LOAD")
	if path == "" {
		b.Skip("RINGCTL_BENCH_LOAD names no file")
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	if _, err := r.Discard(24); err != nil {
		b.Fatal(err)
	}
	base := uint64(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	var buf, patch []byte
	for {
		var h [12]byte
		if _, err := io.ReadFull(r, h[:]); err == io.EOF {
			return
		} else if err != nil {
			b.Fatal(err)
		}
		n, spans, patches := binary.LittleEndian.Uint32(h[:]), binary.LittleEndian.Uint32(h[4:]), binary.LittleEndian.Uint32(h[8:])
		patch = append(patch[:0], make([]byte, 4*patches)...)
		buf = append(buf[:0], make([]byte, n)...)
		if _, err := io.ReadFull(r, patch); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			b.Fatal(err)
		}
		for i := range int(patches) {
			at := binary.LittleEndian.Uint32(patch[4*i:])
			binary.LittleEndian.PutUint64(buf[at:], binary.LittleEndian.Uint64(buf[at:])+base)
		}
		visit(buf, int(spans))
	}
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func peakMB() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Maxrss >> 10
}

// BenchmarkDecode appends everything to heads of 131,072 rows.
func BenchmarkDecode(b *testing.B) {
	h := newHead()
	for b.Loop() {
		spans := 0
		var spent time.Duration
		eachRequest(b, func(otlp []byte, n int) {
			t := cpu()
			if h.rows >= 131072 {
				h.reset()
			}
			_, _, err := h.add(otlp, 1)
			spent += cpu() - t
			spans += n
			if err != nil {
				b.Fatal(err)
			}
		})
		b.ReportMetric(spent.Seconds()/float64(spans)*1e6, "cpu-s/Mspan")
	}
}

// BenchmarkSeal decodes and seals heads of 131,072 rows.
func BenchmarkSeal(b *testing.B) {
	for b.Loop() {
		dir := os.Getenv("RINGCTL_BENCH_DIR")
		if dir == "" {
			dir = b.TempDir()
		}
		h := newHead()
		w, err := block.NewWriter(block.WriterOptions{Level: 1})
		if err != nil {
			b.Fatal(err)
		}
		var spans, size int64
		var decode, seal time.Duration
		cut := func() {
			t := cpu()
			id, _ := block.NewID()
			m, err := w.Seal(filepath.Join(dir, "t", id), h.columns(), block.SealOptions{Tenant: "t", ID: id})
			if err != nil {
				b.Fatal(err)
			}
			size += m.Bytes()
			h.reset()
			seal += cpu() - t
		}
		eachRequest(b, func(otlp []byte, n int) {
			t := cpu()
			_, _, err := h.add(otlp, 1)
			decode += cpu() - t
			spans += int64(n)
			if err != nil {
				b.Fatal(err)
			}
			if h.rows >= 131072 {
				cut()
			}
		})
		cut()
		runtime.GC()
		b.ReportMetric(decode.Seconds()/float64(spans)*1e6, "decode-s/Mspan")
		b.ReportMetric(seal.Seconds()/float64(spans)*1e6, "seal-s/Mspan")
		b.ReportMetric(float64(size)/float64(spans), "B/span")
		b.ReportMetric(float64(peakMB()), "peak-MB")
	}
}

// BenchmarkMerge merges the blocks that BenchmarkSeal left in RINGCTL_BENCH_DIR.
func BenchmarkMerge(b *testing.B) {
	dir := os.Getenv("RINGCTL_BENCH_DIR")
	if dir == "" {
		b.Skip("RINGCTL_BENCH_DIR names no folder")
	}
	names, err := os.ReadDir(filepath.Join(dir, "t"))
	if err != nil {
		b.Fatal(err)
	}
	cache := block.NewCache(1 << 20)
	for b.Loop() {
		var inputs []*block.Block
		for _, n := range names {
			in, err := block.Open(b.Context(), folder{dir: dir}, "t", n.Name(), block.OpenOptions{Cache: cache})
			if err != nil {
				b.Fatal(err)
			}
			inputs = append(inputs, in)
		}
		t := cpu()
		w, err := block.NewWriter(block.WriterOptions{Level: 3, Blooms: true})
		if err != nil {
			b.Fatal(err)
		}
		id, _ := block.NewID()
		m, err := w.Merge(b.Context(), filepath.Join(dir, "merged", id), inputs, block.MergeOptions{Tenant: "merged", ID: id})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((cpu()-t).Seconds()/float64(m.Spans)*1e6, "cpu-s/Mspan")
		b.ReportMetric(float64(m.Bytes())/float64(m.Spans), "B/span")
		b.ReportMetric(float64(peakMB()), "peak-MB")
	}
}

// BenchmarkPath pushes everything flat out through the log into heads, and lets
// blocks be sealed, shipped and merged by sixteen meanwhile.
func BenchmarkPath(b *testing.B) {
	for b.Loop() {
		p := &path{b: b, dir: b.TempDir()}
		var err error
		if p.remote, err = local.Open(filepath.Join(p.dir, "bucket")); err != nil {
			b.Fatal(err)
		}
		s, err := Open(Config{Dir: filepath.Join(p.dir, "recent"), PushWait: time.Minute, KeepLocal: time.Millisecond, Ship: p.ship}, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx) })
		start, used := time.Now(), cpu()
		spans := p.push(ctx, s)
		wall := time.Since(start)
		if err := s.Flush(ctx); err != nil {
			b.Fatal(err)
		}
		stop()
		running.Wait()
		p.merge(1)
		p.merges.Wait()
		b.ReportMetric((cpu()-used).Seconds()/float64(spans)*1e6, "cpu-s/Mspan")
		b.ReportMetric(float64(spans)/wall.Seconds(), "spans/s")
		b.ReportMetric(float64(peakMB()), "peak-MB")
		b.ReportMetric(float64(p.size)/float64(spans), "B/span")
		if p.spans != int64(spans) {
			b.Errorf("%d spans in merged blocks, %d were pushed", p.spans, spans)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}
}

// path is the way of spans from a push to a merged block.
type path struct {
	b           *testing.B
	dir         string
	remote      *local.Bucket
	merges      sync.WaitGroup
	mu          sync.Mutex
	fresh       []string
	size, spans int64
	one         sync.Mutex
}

func (p *path) push(ctx context.Context, s *Store) (spans int) {
	requests := make(chan []byte, 16)
	var pushers sync.WaitGroup
	for range 8 {
		pushers.Go(func() {
			for r := range requests {
				if err := s.Push(ctx, "t", r); err != nil {
					p.b.Error(err)
				}
			}
		})
	}
	eachRequest(p.b, func(otlp []byte, n int) {
		spans += n
		requests <- slices.Clone(otlp)
	})
	close(requests)
	pushers.Wait()
	return spans
}

func (p *path) ship(ctx context.Context, _, from string, m *block.Meta) error {
	if err := block.Upload(ctx, p.remote, from, m); err != nil {
		return err
	}
	p.mu.Lock()
	p.fresh = append(p.fresh, m.ID)
	p.mu.Unlock()
	p.merge(16)
	return nil
}

// merge makes one block of the fresh ones when there are as many as want.
func (p *path) merge(want int) {
	p.mu.Lock()
	ids := p.fresh
	if len(ids) < want {
		p.mu.Unlock()
		return
	}
	p.fresh = nil
	p.mu.Unlock()
	p.merges.Go(func() {
		p.one.Lock()
		defer p.one.Unlock()
		ctx := context.Background()
		cache := block.NewCache(1 << 20)
		var inputs []*block.Block
		for _, id := range ids {
			in, err := block.Open(ctx, p.remote, "t", id, block.OpenOptions{Cache: cache})
			if err != nil {
				p.b.Error(err)
				return
			}
			inputs = append(inputs, in)
		}
		w, err := block.NewWriter(block.WriterOptions{Level: 3, Blooms: true})
		if err != nil {
			p.b.Error(err)
			return
		}
		defer w.Close()
		id, _ := block.NewID()
		m, err := w.Merge(ctx, filepath.Join(p.dir, "merged", id), inputs, block.MergeOptions{Tenant: "t", ID: id})
		if err != nil {
			p.b.Error(err)
			return
		}
		p.size, p.spans = p.size+m.Bytes(), p.spans+m.Spans
	})
}
