package demo

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringctl/ringctl/engine/trace"
)

// shop is the make-believe system whose traces the demo sends: who calls whom.
var shop = map[string][]string{
	"gateway":   {"frontend"},
	"frontend":  {"catalogue", "cart", "checkout", "search"},
	"checkout":  {"cart", "payment", "shipping", "mail"},
	"catalogue": {"catalogue-db"},
	"search":    {"catalogue-db"},
	"cart":      {"cart-cache"},
	"payment":   {"bank"},
	"shipping":  {"quote"},
}

// traffic sends OTLP exports to a distributor and counts what it acknowledged.
type traffic struct {
	url    string
	client *http.Client
	dice   *rand.Rand
	sent   atomic.Int64 // spans
	acked  atomic.Int64 // spans
	failed atomic.Int64 // exports

	mu   sync.Mutex
	kept []kept // acknowledged traces
}

// kept is a trace that was acknowledged whole.
type kept struct {
	tenant string
	id     trace.ID
	spans  int
}

// maxKept bounds how many acknowledged traces are remembered.
const maxKept = 2000

func (t *traffic) keep(k kept) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) < maxKept {
		t.kept = append(t.kept, k)
	}
}

func (t *traffic) acknowledged() []kept {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.kept)
}

func newTraffic(endpoint string, seed uint64) *traffic {
	return &traffic{url: "http://" + endpoint + "/v1/traces", client: &http.Client{Timeout: 30 * time.Second}, dice: rand.New(rand.NewPCG(seed, 1))}
}

// run sends traces on both write paths until ctx ends or stop is closed.
func (t *traffic) run(ctx context.Context, every time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-stop:
			return
		case <-tick.C:
		}
		tenant := tenantReplicated
		if i%2 == 1 {
			tenant = tenantPartitions
		}
		id, otlp, spans := t.newTrace()
		switch err := t.send(ctx, tenant, otlp, spans); {
		case err == nil:
			t.keep(kept{tenant, id, spans})
		case ctx.Err() == nil:
			t.failed.Add(1)
		}
	}
}

// send delivers one export and returns nil when it was acknowledged.
func (t *traffic) send(ctx context.Context, tenant string, otlp []byte, spans int) error {
	t.sent.Add(int64(spans))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(otlp))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("X-Scope-OrgID", tenant)
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &refusal{resp.StatusCode, resp.Status, string(bytes.TrimSpace(body))}
	}
	t.acked.Add(int64(spans))
	return nil
}

// newTrace makes the trace of one request to the shop.
func (t *traffic) newTrace() (trace.ID, []byte, int) {
	var id trace.ID
	binary.BigEndian.PutUint64(id[:8], t.dice.Uint64())
	binary.BigEndian.PutUint64(id[8:], t.dice.Uint64()|1)
	var b trace.Builder
	spans := t.call(&b, id, nil, "gateway", time.Now().Add(-300*time.Millisecond), 300*time.Millisecond)
	return id, b.Append(nil), spans
}

// call adds the span of one service and of what it calls, and returns how many
// spans that were.
func (t *traffic) call(b *trace.Builder, id trace.ID, parent []byte, service string, start time.Time, took time.Duration) int {
	var spanID trace.SpanID
	binary.BigEndian.PutUint64(spanID[:], t.dice.Uint64()|1)
	addSpan(b, spanOf{trace: id, id: spanID, parent: parent, service: service, start: start, took: took, failed: t.dice.IntN(50) == 0, code: t.code()})
	spans := 1
	for _, callee := range shop[service] {
		if t.dice.IntN(4) == 0 {
			continue
		}
		part := time.Duration(float64(took) * (0.2 + 0.6*t.dice.Float64()))
		spans += t.call(b, id, spanID[:], callee, start.Add((took-part)/2), part)
	}
	return spans
}

func (t *traffic) code() int64 {
	codes := [...]int64{200, 200, 200, 200, 200, 201, 204, 304, 404, 500}
	return codes[t.dice.IntN(len(codes))]
}
