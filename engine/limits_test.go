package engine

import (
	"testing"

	"github.com/ringctl/ringctl/engine/tenant"
)

func TestLiveTracesOfOneKeeper(t *testing.T) {
	for _, tt := range []struct {
		name                             string
		own, all, shard, keepers, copies int
		want                             int
	}{
		{"no limit", 0, 0, 0, 6, 3, 0},
		{"its own", 100, 0, 0, 6, 3, 100},
		{"a part of all", 0, 1000, 0, 10, 3, 300},
		{"the smaller of both: its own", 100, 1000, 0, 10, 3, 100},
		{"the smaller of both: its part", 500, 1000, 0, 10, 3, 300},
		{"fewer keepers than copies", 0, 1000, 0, 2, 3, 1000},
		{"one copy", 0, 1000, 0, 4, 1, 250},
		{"a shard has fewer keepers", 0, 1000, 5, 10, 3, 600},
		{"a shard is never smaller than the copies", 0, 1000, 1, 10, 3, 1000},
		{"a shard larger than the ring", 0, 1000, 50, 10, 3, 300},
		{"a small limit does not become none", 0, 1, 0, 10, 3, 1},
		{"no keeper known", 70, 1000, 0, 0, 3, 70},
	} {
		var l tenant.Limits
		l.Ingestion.MaxTracesPerUser, l.Ingestion.MaxGlobalTracesPerUser, l.Ingestion.TenantShardSize = tt.own, tt.all, tt.shard
		if got := liveTraces(l, func() (int, int) { return tt.keepers, tt.copies }); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
