package engine

import (
	"cmp"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/query"
)

// queryMemory is the memory that questions may take in this process: one, those
// of a tenant, all.
func queryMemory(cfg *Config, limits *overrides, reg prometheus.Registerer) query.Bounds {
	c := cfg.Querier
	usual := c.MaxTenantBytes
	if usual == 0 && cfg.MultiTenant {
		usual = c.MaxBytes / 2
	}
	most := func(tenantID string) int64 { return cmp.Or(limits.limits(tenantID).Read.MaxQueryBytes, usual) }
	m := query.Bounds{
		All:     query.NewBudget(c.MaxBytes, "querier.max_bytes"),
		Tenants: query.NewTenants(most, "querier.max_bytes_per_tenant, or read.max_query_bytes in the tenant's overrides"),
		Query:   c.MaxQueryBytes, Key: "querier.max_bytes_per_query", Refused: new(atomic.Int64),
	}
	reg.MustRegister(newMemoryMetrics(m))
	return m
}

// memoryMetrics shows what questions hold. A tenant is shown while it has
// questions under way.
type memoryMetrics struct {
	m                                      query.Bounds
	held, most, tenant, queries, refusedBy *prometheus.Desc
}

func newMemoryMetrics(m query.Bounds) *memoryMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tempod_query_memory_"+name, help, labels, nil)
	}
	return &memoryMetrics{m: m,
		held:      desc("bytes", "Memory that all questions under way hold, by estimate."),
		most:      desc("limit_bytes", "Memory that all questions together may hold."),
		tenant:    desc("tenant_bytes", "Memory that the questions of a tenant hold, by estimate.", "tenant"),
		queries:   desc("tenant_queries", "Questions of a tenant under way, pieces for other nodes included.", "tenant"),
		refusedBy: desc("refused_total", "Refusals of memory, by the bound that was reached: query, tenant or process.", "bound"),
	}
}

// Describe implements prometheus.Collector.
func (c *memoryMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.held, c.most, c.tenant, c.queries, c.refusedBy} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *memoryMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(c.held, c.m.All.Used())
	gauge(c.most, c.m.All.Most())
	for _, u := range c.m.Tenants.Use() {
		gauge(c.tenant, u.Bytes, u.Tenant)
		gauge(c.queries, int64(u.Queries), u.Tenant)
	}
	for _, r := range []struct {
		bound string
		n     int64
	}{{"query", c.m.Refused.Load()}, {"tenant", c.m.Tenants.Refused()}, {"process", c.m.All.Refused()}} {
		ch <- prometheus.MustNewConstMetric(c.refusedBy, prometheus.CounterValue, float64(r.n), r.bound)
	}
}
