package recent

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
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
