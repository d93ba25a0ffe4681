package wal_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringctl/ringctl/engine/wal"
)

// requests returns the requests of a generated load file named by OTLP_LOAD, or
// texts of about the same size.
func requests(b *testing.B) [][]byte {
	var reqs [][]byte
	path := os.Getenv("OTLP_LOAD")
	if path == "" {
		dice := rand.New(rand.NewPCG(1, 1))
		for range 20 {
			var rec []byte
			for len(rec) < 90_000 {
				rec = fmt.Appendf(rec, "http.status_code=%d http.url=/api/%d ", dice.IntN(5)*100, dice.IntN(100000))
			}
			reqs = append(reqs, rec)
		}
		return reqs
	}
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for data = data[24:]; len(data) >= 12; {
		n, patches := int(binary.LittleEndian.Uint32(data)), int(binary.LittleEndian.Uint32(data[8:]))
		data = data[12+4*patches:]
		reqs = append(reqs, data[:n:n])
		data = data[n:]
	}
	return reqs
}

func BenchmarkAppend(b *testing.B) {
	reqs := requests(b)
	for _, raw := range []bool{false, true} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("raw=%v/writers=%d", raw, writers), func(b *testing.B) {
				appendAll(b, reqs, wal.Options{Raw: raw}, writers)
			})
		}
	}
}

func appendAll(b *testing.B, reqs [][]byte, o wal.Options, writers int) {
	l, err := wal.Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var next, bytes atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					return
				}
				rec := reqs[int(i)%len(reqs)]
				if err := l.Append(context.Background(), rec); err != nil {
					b.Error(err)
					return
				}
				bytes.Add(int64(len(rec)))
				if i%2000 == 1999 {
					seg, err := l.Rotate()
					if err == nil {
						err = l.RemoveBefore(seg)
					}
					if err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.SetBytes(bytes.Load() / int64(b.N))
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkReplay(b *testing.B) {
	reqs := requests(b)
	dir := b.TempDir()
	l, err := wal.Open(dir, wal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var bytes int64
	for i := range 300 {
		if err := l.Append(context.Background(), reqs[i%len(reqs)]); err != nil {
			b.Fatal(err)
		}
		bytes += int64(len(reqs[i%len(reqs)]))
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(bytes)
	for b.Loop() {
		l, err := wal.Open(dir, wal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Replay(func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
