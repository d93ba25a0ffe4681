package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
)

// StateWord is the short form of a partition's state: ACTIVE, not PartitionActive.
func StateWord(s partition.State) string {
	return strings.ToUpper(strings.TrimPrefix(s.String(), "Partition"))
}

// fillPartitions works out a partition ring; the instance rings must be filled already.
func (s *Snapshot) fillPartitions(r *PartitionRing, d *partition.Desc, p Profile) {
	r.Hash = d.TopologyHash().String()
	r.States = map[string]int{}
	r.HeartbeatTimeout = Duration(p.HeartbeatTimeout)
	r.InstanceRing = instanceKeyFor(r.Key, ownerInstances(d), s.instanceIDs())
	instances, found := s.Ring(r.InstanceRing)
	if found {
		r.HeartbeatTimeout = instances.HeartbeatTimeout
	}
	built := partition.New(d)
	owned := map[int32]float64{}
	for _, o := range built.Ownership() {
		owned[o.ID] = rounded(o.Percent)
	}
	traffic := trafficOf(d)
	byPartition := map[int32][]Owner{}
	byID := map[string]*Instance{}
	if found {
		for i := range instances.Instances {
			byID[instances.Instances[i].ID] = &instances.Instances[i]
		}
	}
	for id, o := range d.Owners {
		if o.State == partition.OwnerDeleted {
			r.Tombstones++
			continue
		}
		byPartition[o.OwnedPartition] = append(byPartition[o.OwnedPartition], ownerOf(id, o, byID))
		r.Owners++
	}
	r.Partitions = make([]Partition, 0, len(d.Partitions))
	for id, entry := range d.Partitions {
		if entry.State == partition.Deleted {
			r.Tombstones++
			continue
		}
		out := Partition{ID: id, State: StateWord(entry.State), Since: Unix(entry.StateTimestamp), Locked: entry.StateChangeLocked,
			LockedSince: Unix(entry.StateChangeLockedTimestamp), Ownership: owned[id], Traffic: traffic[id], Owners: byPartition[id]}
		if !out.Since.IsZero() {
			out.Age = Duration(s.At.Sub(out.Since))
		}
		if b, ok := built.Partition(id); ok {
			out.Tokens = len(b.Tokens)
		}
		delete(byPartition, id)
		r.States[out.State]++
		r.Partitions = append(r.Partitions, out)
	}
	for _, orphans := range byPartition {
		r.Orphans = append(r.Orphans, orphans...)
	}
	r.finish(s)
}

// finish sorts, and judges partitions and the ring.
func (r *PartitionRing) finish(s *Snapshot) {
	slices.SortFunc(r.Partitions, func(a, b Partition) int { return int(a.ID) - int(b.ID) })
	slices.SortFunc(r.Orphans, byZone)
	zones := map[string]bool{}
	var shares []float64
	for i := range r.Partitions {
		p := &r.Partitions[i]
		slices.SortFunc(p.Owners, byZone)
		for _, o := range p.Owners {
			if o.Health != NoInstance {
				zones[o.Zone] = true
			}
			if o.Readable() {
				p.HealthyOwners++
			}
		}
		if p.State == "ACTIVE" {
			shares = append(shares, p.Traffic)
		}
	}
	r.Zones = make([]string, 0, len(zones))
	for z := range zones {
		r.Zones = append(r.Zones, z)
	}
	slices.Sort(r.Zones)
	r.Spread = spreadOf(shares)
	r.judge()
}

func byZone(a, b Owner) int {
	if d := strings.Compare(a.Zone, b.Zone); d != 0 {
		return d
	}
	return strings.Compare(a.ID, b.ID)
}

// Readable owners can be asked for recent data, as readers judge it.
func (o *Owner) Readable() bool {
	return (o.Health == Healthy || o.Health == Future) && (o.State == "ACTIVE" || o.State == "PENDING" || o.State == "LEAVING")
}

// ownerOf looks the instance of an owner up.
func ownerOf(id string, o partition.Owner, instances map[string]*Instance) Owner {
	out := Owner{ID: id, Instance: ownerInstance(id, o.OwnedPartition), Partition: o.OwnedPartition, Since: Unix(o.UpdatedTimestamp), Health: NoInstance}
	if i := instances[out.Instance]; i != nil {
		out.Zone, out.Addr, out.State, out.Health = i.Zone, i.Addr, i.State, i.Health
	}
	return out
}

// ownerInstance is the instance behind an owner id: the id itself, or its part before "/partition".
func ownerInstance(id string, owned int32) string {
	if name, n, ok := partition.OwnerInstance(id); ok && n == owned {
		return name
	}
	return id
}

func ownerInstances(d *partition.Desc) []string {
	out := make([]string, 0, len(d.Owners))
	for id, o := range d.Owners {
		if o.State != partition.OwnerDeleted {
			out = append(out, ownerInstance(id, o.OwnedPartition))
		}
	}
	return out
}

// instanceIDs are the sorted ids of all instance rings.
func (s *Snapshot) instanceIDs() map[string][]string {
	out := map[string][]string{}
	for i := range s.Rings {
		ids := make([]string, len(s.Rings[i].Instances))
		for j := range ids {
			ids[j] = s.Rings[i].Instances[j].ID
		}
		out[s.Rings[i].Key] = ids
	}
	return out
}

// trafficOf is the share of keys that each ACTIVE partition takes: its own ones, and those of partitions that
// are not ACTIVE before it on the ring.
func trafficOf(d *partition.Desc) map[int32]float64 {
	active := &partition.Desc{Partitions: map[int32]partition.Partition{}}
	for id, p := range d.Partitions {
		if p.State == partition.Active {
			active.Partitions[id] = p
		}
	}
	out := map[int32]float64{}
	for _, o := range partition.New(active).Ownership() {
		out[o.ID] = rounded(o.Percent)
	}
	return out
}

// PendingPatience is how long a new partition may be PENDING. It becomes ACTIVE by itself within seconds once it has its
// owners, and these may take some minutes to start.
const PendingPatience = 10 * time.Minute

// pendingLong is told of those that have lost it. Problems hold no ages: they are told again while these grow.
const pendingLong = "PENDING for more than ten minutes"

// Waiting tells whether the partition is PENDING and nothing is wrong with that yet.
func (p *Partition) Waiting() bool {
	return p.State == "PENDING" && time.Duration(p.Age) < PendingPatience
}

// Waiting is how many partitions are new and about to become ACTIVE.
func (r *PartitionRing) Waiting() int {
	n := 0
	for i := range r.Partitions {
		if r.Partitions[i].Waiting() {
			n++
		}
	}
	return n
}

// judge decides what is wrong with each partition and with the ring.
func (r *PartitionRing) judge() {
	var ps []problem
	add := func(v Verdict, format string, args ...any) { ps = append(ps, problem{v, fmt.Sprintf(format, args...)}) }
	if r.Deleted {
		add(Critical, "the key carries a deletion mark and will vanish")
	}
	if len(r.Partitions) == 0 {
		add(Critical, "there is no partition")
	} else if r.States["ACTIVE"] == 0 {
		if n := r.Waiting(); n > 0 {
			add(Warning, "no partition is ACTIVE yet: writes wait for %s", Plural(n, "PENDING partition"))
		} else {
			add(Critical, "no partition is ACTIVE: writes fail")
		}
	}
	if r.InstanceRing == "" && r.Owners > 0 {
		add(Unknown, "the instance ring of the owners was not found: their health is unknown")
	}
	for i := range r.Partitions {
		p := &r.Partitions[i]
		p.Verdict, p.Problem = r.judgePartition(p)
		if p.Verdict != OK {
			add(p.Verdict, "partition %d: %s", p.ID, p.Problem)
		}
	}
	if n := len(r.Orphans); n > 0 {
		names := make([]string, n)
		for i, o := range r.Orphans {
			names[i] = o.ID
		}
		add(Warning, "%s of partitions that do not exist: %s", Plural(n, "owner"), Some(names))
	}
	r.Verdict, r.Problem, r.Problems = settle(ps)
}

func (r *PartitionRing) judgePartition(p *Partition) (Verdict, string) {
	if r.InstanceRing == "" && len(p.Owners) > 0 {
		return Unknown, "the health of its owners is unknown"
	}
	if p.HealthyOwners == 0 {
		what := "no owner"
		if len(p.Owners) > 0 {
			what = "no healthy owner"
		}
		switch {
		case p.State == "ACTIVE":
			return Critical, "ACTIVE with " + what + ": its recent data cannot be read"
		case p.Waiting() && len(p.Owners) == 0:
			return OK, ""
		case p.Waiting():
			return Warning, "PENDING with " + what
		case p.State == "PENDING":
			return Warning, pendingLong + " with " + what
		case r.Product == "tempod":
			return Warning, p.State + " with " + what + ": it can be removed"
		default:
			return Critical, p.State + " with " + what + ": queries over recent data fail until it is removed"
		}
	}
	have := map[string]bool{}
	var bad []string
	for _, o := range p.Owners {
		if o.Readable() {
			have[o.Zone] = true
		} else {
			bad = append(bad, o.ID)
		}
	}
	if p.Tokens == 0 {
		return Warning, "it has no tokens and never gets traffic"
	}
	if len(bad) > 0 {
		return Warning, fmt.Sprintf("%d of %s not healthy: %s", len(bad), Plural(len(p.Owners), "owner"), Some(bad))
	}
	if p.State == "PENDING" && !p.Waiting() {
		return Warning, pendingLong + " although it has owners"
	}
	if p.State == "ACTIVE" {
		for _, z := range r.Zones {
			if !have[z] {
				return Warning, "no owner in zone " + zoneName(z)
			}
		}
	}
	return OK, ""
}
