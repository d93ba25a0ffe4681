package distributor

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/tenant"
)

// inflight bounds the bytes of exports being pushed at once.
type inflight struct {
	limit int64
	used  atomic.Int64
}

func (f *inflight) take(n int64) bool {
	if f.used.Add(n) > f.limit && f.limit > 0 {
		f.used.Add(-n)
		return false
	}
	return true
}

func (f *inflight) release(n int64) { f.used.Add(-n) }

// errNeverFits marks an export larger than the tenant's burst: sending it
// again can never succeed.
var errNeverFits = errors.New("export is larger than the tenant's burst_size_bytes")

// rateLimiter holds one token bucket of bytes per tenant.
type rateLimiter struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	last   time.Time
}

// take takes size bytes from the tenant's bucket. With the global strategy a
// bucket fills at the tenant's rate divided by the distributors there are. A
// rate of 0 refuses everything, a negative one is no limit.
func (r *rateLimiter) take(now time.Time, tenantID string, l tenant.Limits, size, distributors int) error {
	rate, burst := float64(l.Ingestion.RateLimitBytes), float64(l.Ingestion.BurstSizeBytes)
	if rate < 0 {
		return nil
	}
	if l.Ingestion.RateStrategy == tenant.RateGlobal {
		rate /= float64(distributors)
	}
	if float64(size) > burst {
		return fmt.Errorf("RATE_LIMITED: %w: %d bytes, burst %d of tenant %s; lower the sender's batch size or raise the limit", errNeverFits, size, int(burst), tenantID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buckets == nil {
		r.buckets = map[string]*bucket{}
	}
	b := r.buckets[tenantID]
	if b == nil {
		b = &bucket{tokens: burst, last: now}
		r.buckets[tenantID] = b
	}
	if passed := now.Sub(b.last); passed > 0 {
		b.tokens = min(burst, b.tokens+passed.Seconds()*rate)
		b.last = now
	}
	if b.tokens < float64(size) {
		return fmt.Errorf("RATE_LIMITED: tenant %s sends more than %d bytes a second (burst %d)", tenantID, int(rate), int(burst))
	}
	b.tokens -= float64(size)
	return nil
}

type metrics struct {
	spans, bytes       *prometheus.CounterVec // tenant
	discarded, refused *prometheus.CounterVec // tenant, reason
	truncated          *prometheus.CounterVec // tenant, scope
	pushFailures       *prometheus.CounterVec // keeper
	push, added        prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		spans:        counter("tempo_distributor_spans_received_total", "Spans of exports that are valid.", "tenant"),
		bytes:        counter("tempo_distributor_bytes_received_total", "Bytes of exports before any check.", "tenant"),
		discarded:    counter("tempo_discarded_spans_total", "Spans that were not kept.", "tenant", "reason"),
		refused:      counter("tempo_distributor_refused_exports_total", "Exports refused for now.", "tenant", "reason"),
		truncated:    counter("tempo_distributor_attributes_truncated_total", "Attribute keys and values that were cut.", "tenant", "scope"),
		pushFailures: counter("tempo_distributor_push_failures_total", "Pushes that a keeper did not store.", "keeper"),
		push: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tempo_distributor_push_duration_seconds",
			Help: "Time from a checked export to its quorum.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)}),
		added: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tempo_distributor_added_latency_seconds",
			Help: "Time that exports were held back by artificial_delay.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 13)}),
	}
	reg.MustRegister(m.spans, m.bytes, m.discarded, m.refused, m.truncated, m.pushFailures, m.push, m.added)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}
