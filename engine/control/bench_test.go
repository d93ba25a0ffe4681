package control

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/ring"
)

// BenchmarkRingPage serves the page of a ring of 1000 members with 512 tokens each.
func BenchmarkRingPage(b *testing.B) {
	now := time.Now()
	d := ring.NewDesc()
	dice := rand.New(rand.NewPCG(1, 1))
	for i := range 1000 {
		id := fmt.Sprintf("i-%03d", i)
		d.Instances[id] = ring.Instance{ID: id, Addr: id + ":1", Zone: string(rune('a' + i%3)), Timestamp: now.Unix(), Tokens: ring.RandomTokens(512, nil, dice)}
	}
	store := memkv.New()
	if err := store.CAS(b.Context(), "k", func([]byte) ([]byte, bool, error) { return ring.EncodeValue(d), false, nil }); err != nil {
		b.Fatal(err)
	}
	c, err := New(Config{Rings: []Ring{{Name: "r", Title: "R", Key: "k", Path: "/r", Store: store,
		Lookup: ring.Config{ReplicationFactor: 3, ZoneAwareness: true, HeartbeatTimeout: time.Minute}}}}, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		b.Fatal(err)
	}
	h := c.Handler()
	for _, path := range []string{"/r", "/r?format=json"} {
		b.Run(path, func(b *testing.B) {
			size := 0
			for b.Loop() {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
				size = rec.Body.Len()
			}
			b.ReportMetric(float64(size), "page-bytes")
		})
	}
}
