package recent

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's numbers.
type metrics struct {
	reg        prometheus.Registerer
	list       []prometheus.Collector
	spans      prometheus.Counter
	rejected   prometheus.Counter
	refused    prometheus.Counter
	sealed     prometheus.Counter
	shipped    prometheus.Counter
	failed     *prometheus.CounterVec
	replayLost prometheus.Counter
}

func newMetrics(s *Store, reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tempod", Subsystem: "recent", Name: name, Help: help})
	}
	m := &metrics{reg: reg,
		spans:      counter("spans_total", "Spans taken into heads."),
		rejected:   counter("spans_rejected_total", "Spans left out because they could not be decoded."),
		refused:    counter("pushes_refused_total", "Pushes refused for want of room."),
		sealed:     counter("blocks_sealed_total", "Heads sealed into blocks."),
		shipped:    counter("blocks_shipped_total", "Blocks sent to the bucket."),
		replayLost: counter("replay_damage_total", "Damaged places in the log that a replay passed over."),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tempod", Subsystem: "recent", Name: "failures_total",
			Help: "Cuts, seals and shipments that failed and will be tried again."}, []string{"step"}),
	}
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "tempod", Subsystem: "recent", Name: "unsealed_bytes",
		Help: "OTLP bytes of spans that are not yet in a block."}, func() float64 { return float64(s.bytes.Load()) })
	m.list = []prometheus.Collector{m.spans, m.rejected, m.refused, m.sealed, m.shipped, m.replayLost, m.failed, held}
	if reg == nil {
		return m, nil
	}
	for i, c := range m.list {
		if err := reg.Register(c); err != nil {
			m.list = m.list[:i]
			m.unregister()
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	if m.reg == nil {
		return
	}
	for _, c := range m.list {
		m.reg.Unregister(c)
	}
}
