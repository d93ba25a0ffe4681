package membership

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/ring"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		store := memkv.New()
		c := &cluster{t: t, store: store, members: map[string]*member{}}
		c.put(args{"dead", "beat=-90s", "zone=\xff", "tokens=1"}) // a zone that is not UTF-8 must not break a scrape
		inst, err := New(configFrom(args{"a", "tokens=4", "zone=z1", "forget=2"}), store, quiet(), reg)
		if err != nil {
			t.Fatal(err)
		}
		part, err := NewPartition(PartitionConfig{Key: "p", Name: "livestore", OwnerID: "a", MinOwners: 1,
			PollInterval: 5 * time.Second, CreateOnStartup: true}, store, quiet(), reg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- inst.Run(ctx) }()
		go func() { done <- part.Run(ctx) }()
		time.Sleep(52 * time.Second)
		synctest.Wait()
		want := `
# HELP tempo_partition_ring_partitions Partitions by state.
# TYPE tempo_partition_ring_partitions gauge
tempo_partition_ring_partitions{name="livestore",state="PartitionActive"} 1
tempo_partition_ring_partitions{name="livestore",state="PartitionInactive"} 0
tempo_partition_ring_partitions{name="livestore",state="PartitionPending"} 0
tempo_partition_ring_partitions{name="livestore",state="PartitionUnknown"} 0
# HELP tempo_ring_auto_forgotten_members_total Silent members that this one has forgotten.
# TYPE tempo_ring_auto_forgotten_members_total counter
tempo_ring_auto_forgotten_members_total{name="ingester"} 0
# HELP tempo_ring_auto_forget_spared_members Silent members not forgotten because this member doubts itself.
# TYPE tempo_ring_auto_forget_spared_members gauge
tempo_ring_auto_forget_spared_members{name="ingester"} 1
# HELP tempo_ring_member_heartbeats_total Heartbeats written to the ring.
# TYPE tempo_ring_member_heartbeats_total counter
tempo_ring_member_heartbeats_total{name="ingester"} 11
# HELP tempo_ring_member_tokens_owned Tokens of this member in the ring.
# TYPE tempo_ring_member_tokens_owned gauge
tempo_ring_member_tokens_owned{name="ingester"} 4
# HELP tempo_ring_member_tokens_to_own Tokens that this member wants.
# TYPE tempo_ring_member_tokens_to_own gauge
tempo_ring_member_tokens_to_own{name="ingester"} 4
# HELP tempo_ring_members Members of the ring by state; Unhealthy are those with an old heartbeat.
# TYPE tempo_ring_members gauge
tempo_ring_members{name="ingester",state="ACTIVE"} 1
tempo_ring_members{name="ingester",state="JOINING"} 0
tempo_ring_members{name="ingester",state="LEAVING"} 0
tempo_ring_members{name="ingester",state="PENDING"} 0
tempo_ring_members{name="ingester",state="Unhealthy"} 1
# HELP tempo_ring_tokens_total Tokens in the ring.
# TYPE tempo_ring_tokens_total gauge
tempo_ring_tokens_total{name="ingester"} 5
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "tempo_partition_ring_partitions",
			"tempo_ring_auto_forgotten_members_total", "tempo_ring_auto_forget_spared_members", "tempo_ring_member_heartbeats_total",
			"tempo_ring_member_tokens_owned", "tempo_ring_member_tokens_to_own", "tempo_ring_members", "tempo_ring_tokens_total"); err != nil {
			t.Error(err)
		}
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestConfigValidateReportsEverything(t *testing.T) {
	err := Config{NumTokens: -1, AutoForget: 1}.Validate()
	for _, want := range []string{"ring key is empty", "instance id is empty", "address is empty", "tokens: -1", "heartbeat period", "auto-forget needs"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	cfg := configFrom(args{"a"})
	if err := cfg.Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	cfg.Lookup = ring.Config{HeartbeatTimeout: 6 * time.Second}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "less than two heartbeat periods") {
		t.Errorf("a timeout of one period is taken: %v", err)
	}
	err = PartitionConfig{Partition: -1, MinOwnersDuration: -1}.Validate()
	for _, want := range []string{"key is empty", "owner id", "must not be negative", "at least 1", "poll interval"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestPartitionOf(t *testing.T) {
	for id, want := range map[string]int32{"live-store-0": 0, "live-store-zone-a-12": 12} {
		if got, err := PartitionOf(id); err != nil || got != want {
			t.Errorf("%s: %d, %v", id, got, err)
		}
	}
	for _, id := range []string{"", "live-store", "7", "a-99999999999", "a-1x"} {
		if got, err := PartitionOf(id); err == nil {
			t.Errorf("%s: %d", id, got)
		}
	}
}
