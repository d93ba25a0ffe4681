package monitor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
)

// metric is one family of the Prometheus text format. Where several views give a value, the worst counts: the highest, or
// the lowest where least is set.
type metric struct {
	name, help string
	least      bool
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
	l := labels(pairs...)
	for i := range m.samples {
		if have := &m.samples[i]; have.labels == l {
			if m.least {
				have.value = min(have.value, value)
			} else {
				have.value = max(have.value, value)
			}
			return
		}
	}
	m.samples = append(m.samples, sample{l, value})
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

// least is get for a metric whose lowest value is the worst.
func (f *families) least(name, help string) *metric {
	m := f.get(name, help)
	m.least = true
	return m
}

// Finding is one thing that ringctl doctor found.
type Finding struct {
	Rule     string
	Severity client.Verdict
}

// WriteMetrics prints gauges for all rings, each as it is in the worst of the views, how far the views agree, and how many
// findings there are.
func WriteMetrics(w io.Writer, views []*client.Snapshot, failed map[string]error, found []Finding) error {
	f := &families{}
	f.get("ringctl_views", "Members that gave a view.").add(float64(len(views)))
	f.get("ringctl_views_missing", "Living gossip members that gave no view.").add(float64(len(failed)))
	f.get("ringctl_islands", "Groups of members that do not know each other; 1 is normal.").add(float64(len(client.Islands(views))))
	for _, a := range client.Agreements(views) {
		f.get("ringctl_ring_versions", "Different versions of a ring among all views; 1 is normal.").add(float64(len(a.Groups)), "ring", a.Name)
	}
	count := map[Finding]int{}
	for _, x := range found {
		count[x]++
	}
	for x, n := range count {
		f.get("ringctl_findings", "What ringctl doctor found, by rule.").add(float64(n), "rule", x.Rule, "severity", strings.ToLower(string(x.Severity)))
	}
	for _, s := range views {
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
		slices.SortFunc(m.samples, func(a, b sample) int { return strings.Compare(a.labels, b.labels) })
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

const verdictHelp = "0 OK, 1 WARNING, 2 UNKNOWN, 3 CRITICAL."

func durationSeconds(d client.Duration) float64 { return float64(d) / 1e9 }

func ringMetrics(f *families, r *client.Ring) {
	f.get("ringctl_ring_verdict", verdictHelp).add(float64(r.Verdict.Rank()), "ring", r.Name)
	for _, state := range []string{"ACTIVE", "LEAVING", "PENDING", "JOINING"} {
		f.get("ringctl_ring_members", "Members by state.").add(float64(r.States[state]), "ring", r.Name, "state", state)
	}
	f.get("ringctl_ring_future_heartbeats", "Members whose heartbeat is dated in the future.").add(float64(future(r)), "ring", r.Name)
	f.get("ringctl_ring_unhealthy_members", "Members whose heartbeat is older than the timeout, or from the future.").add(float64(len(r.Instances)-r.HealthyCount), "ring", r.Name)
	f.get("ringctl_ring_tombstones", "Removed entries that still circulate.").add(float64(len(r.Tombstones)), "ring", r.Name)
	f.get("ringctl_ring_duplicate_tokens", "Tokens held by more than one member.").add(float64(len(r.DuplicateTokens)), "ring", r.Name)
	f.get("ringctl_ring_bytes", "Size of the ring's value.").add(float64(r.Bytes), "ring", r.Name)
	for _, q := range []*client.Quorum{r.Write, r.Read} {
		if q == nil {
			continue
		}
		f.least("ringctl_ring_quorum_margin", "How many more members may fail; negative: how many are missing.").add(float64(q.Margin), "ring", r.Name, "operation", q.Operation)
		f.get("ringctl_ring_ranges_without_quorum", "Token ranges without a quorum.").add(float64(q.RangesWithout), "ring", r.Name, "operation", q.Operation)
		f.get("ringctl_ring_keys_without_quorum_ratio", "Share of keys without a quorum.").add(q.Without/100, "ring", r.Name, "operation", q.Operation)
	}
	if r.Spread.MaxOverMean > 0 {
		f.get("ringctl_ring_busiest_over_mean", "Share of the busiest member relative to its zone's mean.").add(r.Spread.MaxOverMean, "ring", r.Name)
	}
}

func future(r *client.Ring) int {
	n := 0
	for i := range r.Instances {
		if r.Instances[i].Health == client.Future {
			n++
		}
	}
	return n
}

func partitionMetrics(f *families, r *client.PartitionRing) {
	f.get("ringctl_ring_verdict", verdictHelp).add(float64(r.Verdict.Rank()), "ring", r.Name)
	for _, state := range []string{"ACTIVE", "INACTIVE", "PENDING"} {
		f.get("ringctl_partitions", "Partitions by state.").add(float64(r.States[state]), "ring", r.Name, "state", state)
	}
	unowned, locked := map[string]int{"ACTIVE": 0, "INACTIVE": 0, "PENDING": 0}, 0
	for i := range r.Partitions {
		if r.Partitions[i].HealthyOwners == 0 {
			unowned[r.Partitions[i].State]++
		}
		if r.Partitions[i].Locked {
			locked++
		}
	}
	for state, n := range unowned {
		f.get("ringctl_partitions_unowned", "Partitions without a healthy owner, by state.").add(float64(n), "ring", r.Name, "state", state)
	}
	f.get("ringctl_partitions_locked", "Partitions whose state is locked.").add(float64(locked), "ring", r.Name)
	f.get("ringctl_partition_owners_orphaned", "Owners of partitions that do not exist.").add(float64(len(r.Orphans)), "ring", r.Name)
}
