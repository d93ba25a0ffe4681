package monitor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
)

// metric is one family of the Prometheus text format.
type metric struct {
	name, help string
	samples    []sample
}

type sample struct {
	labels string
	value  float64
}

func labels(pairs ...string) string {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%s="%s"`, pairs[i], escape.Replace(pairs[i+1]))
	}
	return b.String()
}

func (m *metric) add(value float64, pairs ...string) {
	m.samples = append(m.samples, sample{labels(pairs...), value})
}

// families are the metrics in the order in which they are printed.
type families struct{ list []*metric }

func (f *families) get(name, help string) *metric {
	for _, m := range f.list {
		if m.name == name {
			return m
		}
	}
	m := &metric{name: name, help: help}
	f.list = append(f.list, m)
	return m
}

// WriteMetrics prints gauges for all rings: those of the first view, and how far all views agree.
func WriteMetrics(w io.Writer, views []*client.Snapshot, failed map[string]error) error {
	f := &families{}
	f.get("ringctl_views", "Members that gave a view.").add(float64(len(views)))
	f.get("ringctl_views_missing", "Living gossip members that gave no view.").add(float64(len(failed)))
	f.get("ringctl_islands", "Groups of members that do not know each other; 1 is normal.").add(float64(len(client.Islands(views))))
	for _, a := range client.Agreements(views) {
		f.get("ringctl_ring_versions", "Different versions of a ring among all views; 1 is normal.").add(float64(len(a.Groups)), "ring", a.Name)
	}
	if len(views) > 0 {
		s := views[0]
		f.get("ringctl_state_bytes", "Size of the gossiped state.").add(float64(s.StateBytes))
		f.get("ringctl_clock_skew_seconds", "Newest heartbeat minus this machine's clock.").add(durationSeconds(s.ClockSkew))
		for i := range s.Rings {
			ringMetrics(f, &s.Rings[i])
		}
		for i := range s.PartitionRings {
			partitionMetrics(f, &s.PartitionRings[i])
		}
	}
	var b strings.Builder
	for _, m := range f.list {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", m.name, m.help, m.name)
		for _, s := range m.samples {
			if s.labels == "" {
				fmt.Fprintf(&b, "%s %g\n", m.name, s.value)
			} else {
				fmt.Fprintf(&b, "%s{%s} %g\n", m.name, s.labels, s.value)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func durationSeconds(d client.Duration) float64 { return float64(d) / 1e9 }

func ringMetrics(f *families, r *client.Ring) {
	f.get("ringctl_ring_verdict", "0 OK, 1 WARNING, 2 UNKNOWN, 3 CRITICAL.").add(float64(r.Verdict.Rank()), "ring", r.Name)
	for _, state := range []string{"ACTIVE", "LEAVING", "PENDING", "JOINING"} {
		f.get("ringctl_ring_members", "Members by state.").add(float64(r.States[state]), "ring", r.Name, "state", state)
	}
	f.get("ringctl_ring_unhealthy_members", "Members whose heartbeat is older than the timeout, or from the future.").add(float64(len(r.Instances)-r.HealthyCount), "ring", r.Name)
	f.get("ringctl_ring_tombstones", "Removed entries that still circulate.").add(float64(len(r.Tombstones)), "ring", r.Name)
	f.get("ringctl_ring_duplicate_tokens", "Tokens held by more than one member.").add(float64(len(r.DuplicateTokens)), "ring", r.Name)
	f.get("ringctl_ring_bytes", "Size of the ring's value.").add(float64(r.Bytes), "ring", r.Name)
	for _, q := range []*client.Quorum{r.Write, r.Read} {
		if q == nil {
			continue
		}
		f.get("ringctl_ring_quorum_margin", "How many more members may fail; negative: how many are missing.").add(float64(q.Margin), "ring", r.Name, "operation", q.Operation)
		f.get("ringctl_ring_ranges_without_quorum", "Token ranges without a quorum.").add(float64(q.RangesWithout), "ring", r.Name, "operation", q.Operation)
		f.get("ringctl_ring_keys_without_quorum_ratio", "Share of keys without a quorum.").add(q.Without/100, "ring", r.Name, "operation", q.Operation)
	}
	if r.Spread.MaxOverMean > 0 {
		f.get("ringctl_ring_busiest_over_mean", "Share of the busiest member relative to its zone's mean.").add(r.Spread.MaxOverMean, "ring", r.Name)
	}
}

func partitionMetrics(f *families, r *client.PartitionRing) {
	f.get("ringctl_ring_verdict", "").add(float64(r.Verdict.Rank()), "ring", r.Name)
	for _, state := range slices.Sorted(slices.Values([]string{"PENDING", "ACTIVE", "INACTIVE"})) {
		f.get("ringctl_partitions", "Partitions by state.").add(float64(r.States[state]), "ring", r.Name, "state", state)
	}
	unowned, locked := 0, 0
	for i := range r.Partitions {
		if r.Partitions[i].HealthyOwners == 0 {
			unowned++
		}
		if r.Partitions[i].Locked {
			locked++
		}
	}
	f.get("ringctl_partitions_unowned", "Partitions without a healthy owner.").add(float64(unowned), "ring", r.Name)
	f.get("ringctl_partitions_locked", "Partitions whose state is locked.").add(float64(locked), "ring", r.Name)
	f.get("ringctl_partition_owners_orphaned", "Owners of partitions that do not exist.").add(float64(len(r.Orphans)), "ring", r.Name)
}
