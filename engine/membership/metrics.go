package membership

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// register adds collectors to a registerer that may be nil.
func register(reg prometheus.Registerer, cs ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	var errs []error
	for _, c := range cs {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}

// instanceMetrics count what one instance does.
type instanceMetrics struct {
	beats, failed, forgotten, conflicts prometheus.Counter
	owned, toOwn, readOnly, spared      prometheus.Gauge
	shutdown                            *prometheus.HistogramVec
}

func newInstanceMetrics(reg prometheus.Registerer, cfg Config) (*instanceMetrics, error) {
	labels := prometheus.Labels{"name": cfg.name()}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	}
	m := &instanceMetrics{
		beats:     counter("tempo_ring_member_heartbeats_total", "Heartbeats written to the ring."),
		failed:    counter("tempo_ring_member_heartbeats_failed_total", "Heartbeats that the store did not take."),
		forgotten: counter("tempo_ring_auto_forgotten_members_total", "Silent members that this one has forgotten."),
		owned:     gauge("tempo_ring_member_tokens_owned", "Tokens of this member in the ring."),
		toOwn:     gauge("tempo_ring_member_tokens_to_own", "Tokens that this member wants."),
		readOnly:  gauge("tempo_lifecycler_read_only", "1 when this member is read-only."),
		spared:    gauge("tempo_ring_auto_forget_spared_members", "Silent members not forgotten because this member doubts itself."),
		conflicts: counter("tempo_ring_member_id_conflicts_total", "Times that another address was found under this member's id."),
		shutdown: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tempo_shutdown_duration_seconds", Help: "Time to leave the ring.", ConstLabels: labels,
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 8),
		}, []string{"op", "status"}),
	}
	m.toOwn.Set(float64(cfg.NumTokens))
	return m, register(reg, m.beats, m.failed, m.forgotten, m.owned, m.toOwn, m.readOnly, m.spared, m.conflicts, m.shutdown)
}

// observe records a stored step.
func (m *instanceMetrics) observe(next machine, e effect) {
	if e.changed && next.phase != gone {
		m.beats.Inc()
	}
	for _, n := range e.notes {
		switch n.Kind {
		case NoteForgot:
			m.forgotten.Inc()
		case NoteStolen:
			m.conflicts.Inc()
		default: // the others are in the log only
		}
	}
	m.owned.Set(float64(len(next.tokens)))
	m.spared.Set(float64(next.held))
	m.readOnly.Set(boolFloat(next.readOnly))
}

func (m *instanceMetrics) observeShutdown(d time.Duration, err error) {
	status := "success"
	if err != nil {
		status = "fail"
	}
	m.shutdown.WithLabelValues("leave", status).Observe(d.Seconds())
}

func boolFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// ringMetrics describe the ring that a watcher sees. They are computed when asked, because the health of a
// member changes without any event.
type ringMetrics struct {
	w                              *Watcher
	members, zones, oldest, tokens *prometheus.Desc
}

func registerRingMetrics(reg prometheus.Registerer, name string, w *Watcher) error {
	labels := prometheus.Labels{"name": name}
	return register(reg, &ringMetrics{
		w:       w,
		members: prometheus.NewDesc("tempo_ring_members", "Members of the ring by state; Unhealthy are those with an old heartbeat.", []string{"state"}, labels),
		zones:   prometheus.NewDesc("tempo_ring_zone_members", "Members of the ring by zone.", []string{"zone"}, labels),
		oldest:  prometheus.NewDesc("tempo_ring_oldest_member_timestamp", "Oldest heartbeat of the members in a state.", []string{"state"}, labels),
		tokens:  prometheus.NewDesc("tempo_ring_tokens_total", "Tokens in the ring.", nil, labels),
	})
}

// Describe implements prometheus.Collector.
func (m *ringMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.members, m.zones, m.oldest, m.tokens} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *ringMetrics) Collect(ch chan<- prometheus.Metric) {
	const unhealthy = "Unhealthy"
	now := time.Now()
	members := map[string]int{unhealthy: 0}
	oldest := map[string]int64{unhealthy: 0}
	for s := ring.Active; s <= ring.Joining; s++ {
		members[s.String()], oldest[s.String()] = 0, 0
	}
	zones := map[string]int{}
	tokens := 0
	for _, inst := range m.w.Ring().Instances() {
		state := inst.State.String()
		if !inst.IsHealthy(ring.Reporting, m.w.cfg.HeartbeatTimeout, now) {
			state = unhealthy
		}
		members[state]++
		zones[strings.ToValidUTF8(inst.Zone, "?")]++
		tokens += len(inst.Tokens)
		if oldest[state] == 0 || inst.Timestamp < oldest[state] {
			oldest[state] = inst.Timestamp
		}
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for state, n := range members {
		gauge(m.members, float64(n), state)
		gauge(m.oldest, float64(oldest[state]), state)
	}
	for zone, n := range zones {
		gauge(m.zones, float64(n), zone)
	}
	gauge(m.tokens, float64(tokens))
}

// partitionMetrics count what one owner does.
type partitionMetrics struct {
	done, failed *prometheus.CounterVec
}

// The two kinds of reconciliation.
const (
	reconcileMain  = "owned-partition"
	reconcileOther = "other-partitions"
)

func newPartitionMetrics(reg prometheus.Registerer, cfg PartitionConfig) (*partitionMetrics, error) {
	labels := prometheus.Labels{"name": cfg.name()}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, []string{"type"})
	}
	m := &partitionMetrics{
		done:   counter("tempo_partition_ring_lifecycler_reconciles_total", "Looks after partitions that were made."),
		failed: counter("tempo_partition_ring_lifecycler_reconciles_failed_total", "Looks after partitions that failed."),
	}
	for _, kind := range []string{reconcileMain, reconcileOther} {
		m.done.WithLabelValues(kind)
		m.failed.WithLabelValues(kind)
	}
	return m, register(reg, m.done, m.failed)
}

// partitionRingMetrics describe the partition ring that a watcher sees.
type partitionRingMetrics struct {
	w          *PartitionWatcher
	partitions *prometheus.Desc
}

func registerPartitionRingMetrics(reg prometheus.Registerer, name string, w *PartitionWatcher) error {
	return register(reg, &partitionRingMetrics{w: w, partitions: prometheus.NewDesc("tempo_partition_ring_partitions",
		"Partitions by state.", []string{"state"}, prometheus.Labels{"name": name})})
}

// Describe implements prometheus.Collector.
func (m *partitionRingMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.partitions }

// Collect implements prometheus.Collector.
func (m *partitionRingMetrics) Collect(ch chan<- prometheus.Metric) {
	counts := map[string]int{}
	for s := partition.Unknown; s < partition.Deleted; s++ {
		counts[s.String()] = 0
	}
	for _, p := range m.w.Ring().Partitions() {
		counts[p.State.String()]++
	}
	for state, n := range counts {
		ch <- prometheus.MustNewConstMetric(m.partitions, prometheus.GaugeValue, float64(n), state)
	}
}

func partitionLabel(id int32) string { return strconv.Itoa(int(id)) }
