package backendworker

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/compactor"
)

// metrics are the worker's numbers, under the names that Tempo's dashboards and
// alerts use. An "object" is a trace.
type metrics struct {
	blocks, bytes, objects, combined *prometheus.CounterVec
	errors, deduped                  prometheus.Counter
	size, retention                  prometheus.Histogram
	outstanding, builder, damaged    *prometheus.GaugeVec
	indexErrors, jobs, deleted       *prometheus.CounterVec
	retentionErrors                  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"tenant"})
	}
	one := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		blocks:   counter("tempodb_compaction_blocks_total", "Blocks that were merged, by their level.", "level"),
		bytes:    counter("tempodb_compaction_bytes_written_total", "Bytes of merged blocks, by the level of the inputs.", "level"),
		objects:  counter("tempodb_compaction_objects_written_total", "Traces in merged blocks, by the level of the inputs.", "level"),
		combined: counter("tempodb_compaction_objects_combined_total", "Traces that were in several inputs and became one.", "level"),
		errors:   one("tempodb_compaction_errors_total", "Merges and upkeep cycles that failed."),
		deduped:  one("tempodb_compaction_spans_deduped_total", "Copies of spans that merges left out."),
		size: histogram("tempodb_compaction_output_block_size_bytes", "Size of merged blocks.",
			prometheus.ExponentialBuckets(1<<20, 4, 8)),
		outstanding: gauge("tempodb_compaction_outstanding_blocks", "Blocks that wait to be merged by this worker."),
		builder:     gauge("tempodb_blocklist_tenant_index_builder", "1 when this worker writes the index of the tenant."),
		damaged:     gauge("tempo_backend_worker_damaged_blocks", "Blocks in the bucket that cannot be read."),
		indexErrors: counter("tempodb_blocklist_tenant_index_write_errors_total", "Indexes that could not be written.", "tenant"),
		jobs:        counter("tempo_backend_worker_jobs_total", "Merges by how they ended.", "status"),
		deleted:     counter("tempodb_retention_deleted_total", "Blocks that were removed, and why.", "reason"),
		retention: histogram("tempodb_retention_duration_seconds", "Time to remove a tenant's blocks that are over the retention.",
			prometheus.ExponentialBuckets(0.01, 4, 8)),
		retentionErrors: one("tempodb_retention_errors_total", "Blocks that could not be removed."),
	}
	if reg == nil {
		return m, nil
	}
	all := []prometheus.Collector{m.blocks, m.bytes, m.objects, m.combined, m.errors, m.deduped, m.size, m.outstanding, m.builder, m.damaged,
		m.indexErrors, m.jobs, m.deleted, m.retention, m.retentionErrors}
	for i, c := range all {
		if err := reg.Register(c); err != nil {
			for _, done := range all[:i] {
				reg.Unregister(done)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// merged counts a merge.
func (m *metrics) merged(job *compactor.Job, out *block.Meta) {
	level := strconv.Itoa(max(job.Level, 0))
	var traces int64
	for _, in := range job.Inputs {
		traces += in.Traces
		m.blocks.WithLabelValues(strconv.Itoa(in.Level)).Inc()
	}
	m.jobs.WithLabelValues("done").Inc()
	m.bytes.WithLabelValues(level).Add(float64(out.Bytes()))
	m.objects.WithLabelValues(level).Add(float64(out.Traces))
	m.combined.WithLabelValues(level).Add(float64(traces - out.Traces))
	m.deduped.Add(float64(job.Spans() - out.Spans))
	m.size.Observe(float64(out.Bytes()))
}
