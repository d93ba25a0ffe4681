package document

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// RingStatus is one ring in one line: a document of kind RingStatusList.
type RingStatus struct {
	Key     string         `json:"key"`
	Name    string         `json:"name"`
	Kind    string         `json:"kind"` // "ring" or "partition-ring"
	Product string         `json:"product,omitempty"`
	Verdict client.Verdict `json:"verdict"`
	Problem string         `json:"problem,omitempty"`
	// Problems has all of them, worst first.
	Problems []string       `json:"problems,omitempty"`
	States   map[string]int `json:"states"`
	Members  int            `json:"members"`
	Healthy  int            `json:"healthy"`
	// Zones are the names of the zones.
	Zones             []string        `json:"zones"`
	ReplicationFactor int             `json:"replicationFactor,omitempty"`
	Assumed           bool            `json:"replicationFactorAssumed,omitempty"`
	HeartbeatTimeout  client.Duration `json:"heartbeatTimeoutSeconds"`
	Write             *client.Quorum  `json:"write,omitempty"`
	Read              *client.Quorum  `json:"read,omitempty"`
	Spread            client.Spread   `json:"ownership"`
	Tokens            int             `json:"tokens,omitempty"`
	Tombstones        int             `json:"tombstones,omitempty"`
	Hash              string          `json:"hash"`
	Bytes             int             `json:"bytes"`
}

// Status every ring of a snapshot in one line each: kind RingStatusList.
func Status(s *client.Snapshot) *render.Document {
	var items []RingStatus
	for i := range s.Rings {
		items = append(items, statusOfRing(&s.Rings[i]))
	}
	for i := range s.PartitionRings {
		items = append(items, StatusOfPartitions(&s.PartitionRings[i]))
	}
	t := &render.Table{Columns: []render.Column{{Title: "RING"}, {Title: "VERDICT"}, {Title: "HEALTHY"}, {Title: "STATES"}, {Title: "ZONES"},
		{Title: "WRITE"}, {Title: "READ"}, {Title: "SPREAD", Right: true}, {Title: "KEY", Wide: true}, {Title: "RF", Wide: true, Right: true},
		{Title: "TIMEOUT", Wide: true}, {Title: "TOKENS", Wide: true, Right: true}, {Title: "BYTES", Wide: true, Right: true}, {Title: "HASH", Wide: true}, {Title: "PROBLEM"}}}
	d := &render.Document{Kind: "RingStatusList", Data: items, View: ViewOf(s), Table: t}
	for _, r := range items {
		d.Names = append(d.Names, r.Name)
		t.Add(r.Name, VerdictCell(r.Verdict), fmt.Sprintf("%d/%d", r.Healthy, r.Members), statesText(r.States), zonesText(r.Zones),
			quorumCell(r.Write), quorumCell(r.Read), spreadText(r.Spread), r.Key, factorText(r.ReplicationFactor, r.Assumed),
			Short(time.Duration(r.HeartbeatTimeout)), r.Tokens, r.Bytes, r.Hash, r.Problem)
	}
	return d
}

func statusOfRing(r *client.Ring) RingStatus {
	out := RingStatus{Key: r.Key, Name: r.Name, Kind: "ring", Product: r.Product, Verdict: r.Verdict, Problem: r.Problem, Problems: r.Problems,
		States: r.States, Members: len(r.Instances), Healthy: r.HealthyCount, HeartbeatTimeout: r.HeartbeatTimeout, Write: r.Write, Read: r.Read,
		Spread: r.Spread, Tokens: r.Tokens, Tombstones: len(r.Tombstones), Hash: r.Hash, Bytes: r.Bytes, Zones: []string{}}
	if !r.Stateless {
		out.ReplicationFactor, out.Assumed = r.ReplicationFactor, r.Assumed
	}
	for _, z := range r.Zones {
		if z.Name != "" {
			out.Zones = append(out.Zones, z.Name)
		}
	}
	return out
}

// StatusOfPartitions sums one partition ring up.
func StatusOfPartitions(r *client.PartitionRing) RingStatus {
	out := RingStatus{Key: r.Key, Name: r.Name, Kind: "partition-ring", Product: r.Product, Verdict: r.Verdict, Problem: r.Problem, Problems: r.Problems,
		States: r.States, Members: len(r.Partitions), HeartbeatTimeout: r.HeartbeatTimeout, Spread: r.Spread, Tombstones: r.Tombstones,
		Hash: r.Hash, Bytes: r.Bytes, Zones: []string{}}
	for i := range r.Partitions {
		if r.Partitions[i].HealthyOwners > 0 {
			out.Healthy++
		}
		out.Tokens += r.Partitions[i].Tokens
	}
	for _, z := range r.Zones {
		if z != "" {
			out.Zones = append(out.Zones, z)
		}
	}
	return out
}

// statesText is "3 ACTIVE, 1 LEAVING", most frequent first.
func statesText(states map[string]int) string {
	names := make([]string, 0, len(states))
	for s := range states {
		names = append(names, s)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := states[b] - states[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, n := range names {
		names[i] = strconv.Itoa(states[n]) + " " + n
	}
	return strings.Join(names, ", ")
}

func zonesText(zones []string) string {
	if len(zones) > 4 {
		return strconv.Itoa(len(zones)) + " zones"
	}
	return strings.Join(zones, ",")
}

// quorumCell is "ok +1" (one more may fail), "ok +0", or what is lost.
func quorumCell(q *client.Quorum) render.Cell {
	switch {
	case q == nil:
		return render.Cell{}
	case q.Error != "":
		return render.Cell{Text: "LOST", Tone: render.Bad}
	case !q.OK:
		return render.Cell{Text: fmt.Sprintf("LOST %.0f%%", max(q.Without, 1)), Tone: render.Bad}
	case q.Margin == 0:
		return render.Cell{Text: "ok +0", Tone: render.Warn}
	default:
		return render.Cell{Text: fmt.Sprintf("ok +%d", q.Margin), Tone: render.Good}
	}
}

// spreadText is the load of the busiest owner relative to the mean.
func spreadText(s client.Spread) string {
	if s.MaxOverMean == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", s.MaxOverMean)
}

func factorText(rf int, assumed bool) string {
	switch {
	case rf == 0:
		return "-"
	case assumed:
		return strconv.Itoa(rf) + "?"
	default:
		return strconv.Itoa(rf)
	}
}

// RingItem is one key: a document of kind RingList.
type RingItem struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Product string `json:"product,omitempty"`
	Entries int    `json:"entries"`
	Bytes   int    `json:"bytes"`
	Hash    string `json:"hash,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
	Codec   string `json:"codec"`
	Error   string `json:"error,omitempty"`
}

// Rings lists the keys of a snapshot: kind RingList.
func Rings(s *client.Snapshot) *render.Document {
	var items []RingItem
	for i := range s.Rings {
		r := &s.Rings[i]
		items = append(items, RingItem{Key: r.Key, Name: r.Name, Kind: "ring", Product: r.Product, Entries: len(r.Instances), Bytes: r.Bytes, Hash: r.Hash, Deleted: r.Deleted, Codec: "ringDesc"})
	}
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		items = append(items, RingItem{Key: r.Key, Name: r.Name, Kind: "partition-ring", Product: r.Product, Entries: len(r.Partitions), Bytes: r.Bytes, Hash: r.Hash, Deleted: r.Deleted, Codec: "partitionRingDesc"})
	}
	for _, o := range s.Opaque {
		items = append(items, RingItem{Key: o.Key, Name: o.Key, Kind: "opaque", Bytes: o.Bytes, Deleted: o.Deleted, Codec: o.Codec, Error: o.Error})
	}
	t := &render.Table{Columns: []render.Column{{Title: "NAME"}, {Title: "KIND"}, {Title: "KEY"}, {Title: "ENTRIES", Right: true}, {Title: "BYTES", Right: true},
		{Title: "CODEC", Wide: true}, {Title: "HASH"}, {Title: "NOTE"}}}
	d := &render.Document{Kind: "RingList", Data: items, View: ViewOf(s), Table: t}
	for _, r := range items {
		note := r.Error
		if r.Deleted {
			note = "marked as deleted"
		}
		d.Names = append(d.Names, r.Name)
		t.Add(r.Name, r.Kind, r.Key, r.Entries, r.Bytes, r.Codec, r.Hash, note)
	}
	return d
}
