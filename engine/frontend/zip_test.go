package frontend

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

func TestTakesGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "deflate": false, "identity": false, "*": true, "br, gzip": true,
		"gzip;q=0": false, "gzip;q=0.0": false, "gzip; q=0.000": false, "gzip;q=0.001": true, "gzip ; q=1": true, "gzip;q=x": false,
		"*;q=0, gzip": true, "gzip;q=0, *": false, "gzip, *;q=0": true, "*;q=0": false, "br;q=1.0, gzip;q=0.8, *;q=0.1": true,
		"identity;q=0.5, gzip;q=0.4": false, "identity;q=0.5, gzip;q=0.5": true, "identity;q=0, gzip;q=0.1": true, ",;,q=1": false,
	} {
		if got := takesGzip(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

// unzipped checks that b is one gzip stream and nothing else.
func unzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(b))
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Discard(1); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatal("bytes behind the end of the stream")
	}
	return out
}

// inParts sends b as text that is made in elements of random length.
func inParts(z *zipped, r *rand.Rand, b []byte) error {
	out := &text{z: z, contentType: typeJSON, room: roomOf(context.Background())}
	made := out.begin()
	for len(b) > 0 {
		n := min(len(b), r.Intn(3000))
		var err error
		if made, err = out.more(append(made, b[:n]...)); err != nil {
			return err
		}
		b = b[n:]
	}
	return out.end(made)
}

func TestTextArrivesAsItWasMade(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for _, size := range []int{0, 1, worthZipping - 1, worthZipping, stretch - 1, stretch, stretch + 1, 2 * stretch, 9*stretch + 77} {
		want := make([]byte, size)
		for i := range want {
			want[i] = "abcdefgh"[r.Intn(8)]
		}
		for _, accepted := range []bool{false, true} {
			for _, parts := range []bool{false, true} {
				w := httptest.NewRecorder()
				z := &zipped{ResponseWriter: w, accepted: accepted}
				err := z.body(typeJSON, want)
				if parts {
					w = httptest.NewRecorder()
					z = &zipped{ResponseWriter: w, accepted: accepted}
					err = inParts(z, r, want)
				}
				got := w.Body.Bytes()
				zip := w.Header().Get("Content-Encoding") == "gzip"
				if zip {
					got = unzipped(t, got)
				}
				if err != nil || !bytes.Equal(got, want) || zip != (accepted && size >= worthZipping) || len(z.under) > 0 {
					t.Errorf("%d bytes, gzip %v, in parts %v: got %d, gzip %v, %d pieces left, %v", size, accepted, parts, len(got), zip, len(z.under), err)
				}
			}
		}
	}
}

// gone is a connection that breaks after some bytes.
type gone struct {
	http.ResponseWriter
	left int
}

func (g *gone) Write(b []byte) (int, error) {
	if g.left -= len(b); g.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return g.ResponseWriter.Write(b)
}

func TestNothingIsLeftWhenTheClientLeaves(t *testing.T) {
	noise := make([]byte, 20*stretch)
	r := rand.New(rand.NewSource(2))
	r.Read(noise)
	for _, left := range []int{0, 100, stretch, 5 * stretch, 15 * stretch} {
		for _, accepted := range []bool{false, true} {
			z := &zipped{ResponseWriter: &gone{httptest.NewRecorder(), left}, accepted: accepted}
			if err := inParts(z, r, noise); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("after %d bytes: %v", left, err)
			}
			z.stop()
			if len(z.under) > 0 {
				t.Errorf("after %d bytes: %d pieces are still compressed", left, len(z.under))
			}
		}
	}
}

func manyTraces(n int) *query.SearchResult {
	r := rand.New(rand.NewSource(3))
	out := &query.SearchResult{}
	for i := range n {
		t := query.TraceResult{HasRoot: true, RootService: "frontend", RootName: "GET /cart", Start: 1_700_000_000_000_000_000 + r.Int63n(6e11)}
		r.Read(t.ID[:])
		t.End = t.Start + r.Int63n(1e9)
		span := query.SpanResult{Name: "POST /orders", Start: t.Start + 5, Duration: r.Int63n(1e8), Attrs: []query.Attribute{{Key: "http.status_code", Value: trace.IntValue(500)}}}
		r.Read(span.ID[:])
		t.Sets = []query.SpanSet{{Spans: []query.SpanResult{span}, Matched: 1 + i%3}}
		for _, name := range []string{"api-gateway", "cart", "frontend", "recommendation", "users"} {
			t.Services = append(t.Services, query.ServiceStats{Name: name, Spans: 1 + r.Intn(5), Errors: r.Intn(2)})
		}
		out.Traces = append(out.Traces, t)
	}
	return out
}

// watched ends a question when the first part of its answer is on its way.
type watched struct {
	http.ResponseWriter
	end func()
}

func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watched) Write(b []byte) (int, error) {
	w.end()
	return w.ResponseWriter.Write(b)
}

// A client takes no part of an answer for all of it.
func TestAnswersThatBreakOffAreNoAnswers(t *testing.T) {
	for _, accept := range []string{"", "gzip"} {
		s := says(&peer.Answer{Search: manyTraces(5000)}, nil)
		m := mux(s, Config{Timeout: time.Minute})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			m.ServeHTTP(&watched{w, cancel}, r.WithContext(ctx))
		}))
		r, err := http.NewRequest(http.MethodGet, srv.URL+"/api/search", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", accept)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Errorf("Accept-Encoding %q: the answer looks whole", accept)
		}
		srv.Close()
	}
}

func BenchmarkSearchAnswer(b *testing.B) {
	answer := manyTraces(8800)
	for _, accepted := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "gzip"}[accepted], func(b *testing.B) {
			b.ReportAllocs()
			n := &counted{h: http.Header{}}
			for b.Loop() {
				n.n = 0
				z := &zipped{ResponseWriter: n, accepted: accepted}
				if err := searchJSON(&text{z: z, room: roomOf(b.Context())}, answer, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n.n), "bytes")
		})
	}
}

// counted counts what is sent.
type counted struct {
	h http.Header
	n int
}

func (c *counted) Header() http.Header { return c.h }
func (c *counted) WriteHeader(int)     {}

func (c *counted) Write(b []byte) (int, error) {
	c.n += len(b)
	return len(b), nil
}
