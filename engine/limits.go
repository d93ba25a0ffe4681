package engine

import (
	"github.com/ringctl/ringctl/engine/recent"
	"github.com/ringctl/ringctl/engine/tenant"
)

// keepersOf is how many keepers take spans of a write path, and how many of them
// keep each span.
type keepersOf func() (keepers, copies int)

// keeperLimits is what a tenant may have at one keeper.
func (e *Engine) keeperLimits(among keepersOf) func(string) recent.Limits {
	return func(tenantID string) recent.Limits {
		l := e.limits.limits(tenantID)
		return recent.Limits{Traces: liveTraces(l, among), TraceBytes: int64(l.Global.MaxBytesPerTrace)}
	}
}

// liveTraces is the number of live traces that one keeper takes of a tenant, 0
// for any number: its own limit, or its part of the limit of all keepers,
// whichever is less. Traces spread evenly, each over as many keepers as there are
// copies, and a tenant with a shard uses no more keepers than that. While no
// keeper is known the limit of all keepers cannot be shared out.
func liveTraces(l tenant.Limits, among keepersOf) int {
	own, all := l.Ingestion.MaxTracesPerUser, l.Ingestion.MaxGlobalTracesPerUser
	if all == 0 {
		return own
	}
	keepers, copies := among()
	if keepers == 0 {
		return own
	}
	if size := l.Ingestion.TenantShardSize; size > 0 {
		keepers = min(keepers, max(size, copies))
	}
	part := max(1, all*min(copies, keepers)/keepers)
	if own == 0 {
		return part
	}
	return min(own, part)
}
