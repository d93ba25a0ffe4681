package catalog

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the catalog's numbers, under the names that Tempo's dashboards use.
type metrics struct {
	length      *prometheus.GaugeVec
	age         *prometheus.GaugeVec
	damaged     *prometheus.GaugeVec
	errors      *prometheus.CounterVec
	indexErrors *prometheus.CounterVec
	duration    prometheus.Histogram
}

func newMetrics(c *Catalog, reg prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "tempodb", Name: name, Help: help}, []string{"tenant"})
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tempodb", Name: name, Help: help}, []string{"tenant"})
	}
	m := &metrics{
		length:      gauge("blocklist_length", "Blocks that readers see, by tenant."),
		age:         gauge("blocklist_tenant_index_age_seconds", "Age of the tenant's index when it was last looked at."),
		damaged:     gauge("blocklist_damaged_blocks", "Blocks that are left out because they cannot be read."),
		errors:      counter("blocklist_poll_errors_total", "Polls that failed; without a tenant when nothing could be read."),
		indexErrors: counter("blocklist_tenant_index_errors_total", "Indexes that could not be used."),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "tempodb", Name: "blocklist_poll_duration_seconds",
			Help: "Time to read the list of blocks.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 9)}),
	}
	if reg == nil {
		return m, nil
	}
	open := func(name, help string, f func(n int, size int64) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "tempodb", Name: name, Help: help}, func() float64 { return f(c.open.count()) })
	}
	all := []prometheus.Collector{m.length, m.age, m.damaged, m.errors, m.indexErrors, m.duration,
		open("open_blocks", "Blocks that are kept open.", func(n int, _ int64) float64 { return float64(n) }),
		open("open_blocks_bytes", "Memory of the metadata of open blocks, about.", func(_ int, size int64) float64 { return float64(size) })}
	for i, one := range all {
		if err := reg.Register(one); err != nil {
			for _, done := range all[:i] {
				reg.Unregister(done)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// update sets what is known per tenant after a poll.
func (m *metrics) update(tenants map[string]*shown, now time.Time) {
	m.length.Reset()
	m.age.Reset()
	for t, s := range tenants {
		m.length.WithLabelValues(t).Set(float64(len(s.blocks)))
		if !s.built.IsZero() {
			m.age.WithLabelValues(t).Set(now.Sub(s.built).Seconds())
		}
	}
}
