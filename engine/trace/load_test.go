package trace

import (
	"encoding/binary"
	"os"
	"testing"
)

// load returns the requests of a generated load file named by OTLP_LOAD, or
// requests from the seeded generator when it is not set.
func load(tb testing.TB) (reqs [][]byte, spans int) {
	tb.Helper()
	path := os.Getenv("OTLP_LOAD")
	if path == "" {
		g := newGen(1)
		for range 50 {
			r := g.request(200)
			reqs = append(reqs, r)
		}
		return reqs, 50 * 200
	}
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	// A few requests that stay in the cache: in a server the bytes have just
	// been read from a socket.
	for b = b[24:]; len(b) >= 12 && len(reqs) < 10; {
		n, patches := int(binary.LittleEndian.Uint32(b)), int(binary.LittleEndian.Uint32(b[8:]))
		spans += int(binary.LittleEndian.Uint32(b[4:]))
		b = b[12+4*patches:]
		reqs = append(reqs, b[:n:n])
		b = b[n:]
	}
	return reqs, spans
}

func BenchmarkReset(b *testing.B) {
	reqs, spans := load(b)
	var batch Batch
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range reqs {
			if err := batch.Reset(r); err != nil {
				b.Fatal(err)
			}
		}
	}
	perSpan(b, spans)
}

func BenchmarkResetChecked(b *testing.B) {
	reqs, spans := load(b)
	var batch Batch
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range reqs {
			if err := batch.ResetChecked(r); err != nil {
				b.Fatal(err)
			}
		}
	}
	perSpan(b, spans)
}

type decodeAll struct{ s Span }

func (d *decodeAll) Resource(*Group) error { return nil }
func (d *decodeAll) Scope(*Group) error    { return nil }
func (d *decodeAll) Span(raw []byte) error { return DecodeSpan(raw, &d.s) }

func BenchmarkWalkDecode(b *testing.B) {
	reqs, spans := load(b)
	var d decodeAll
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range reqs {
			if err := Walk(r, &d); err != nil {
				b.Fatal(err)
			}
		}
	}
	perSpan(b, spans)
}

func BenchmarkAppendSubset(b *testing.B) {
	reqs, spans := load(b)
	batches := make([]Batch, len(reqs))
	for i, r := range reqs {
		if err := batches[i].Reset(r); err != nil {
			b.Fatal(err)
		}
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		for i := range batches {
			for part := range 3 {
				buf = batches[i].AppendSubset(buf[:0], func(t int) bool { return t%3 == part })
			}
		}
	}
	perSpan(b, spans)
}

func perSpan(b *testing.B, spans int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spans), "ns/span")
}
