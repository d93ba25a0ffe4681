package ringapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// PartitionOptions say how the value of a partition ring is to be read.
type PartitionOptions struct {
	Key, Name string
	// Instances is the key of the ring in which owners are members, Lookup its arithmetic.
	Instances string
	Lookup    ring.Config
	// Tokens fills in the tokens themselves.
	Tokens bool
}

// ShortState is a partition state as people write it: "ACTIVE".
func ShortState(s partition.State) string {
	return strings.ToUpper(strings.TrimPrefix(s.String(), "Partition"))
}

// BuildPartitionRing works out the view of a partition ring from its value and that of the instance ring.
// Tombstones are left out; the values are not modified or kept, but token slices are shared.
func BuildPartitionRing(d *partition.Desc, instances *ring.Desc, o PartitionOptions, now time.Time) PartitionRing {
	r := partition.New(d)
	v := PartitionRing{
		Key: o.Key, Name: o.Name, Now: now.UTC(), InstanceRing: o.Instances,
		HeartbeatTimeout: o.Lookup.HeartbeatTimeout.Seconds(), Hash: d.TopologyHash().String(),
		States: map[string]int{}, Partitions: []Partition{},
	}
	owners := ownersByPartition(d, instances, o, now)
	shares := r.Ownership()
	for n, part := range r.Partitions() {
		p := Partition{
			ID: part.ID, State: ShortState(part.State), Since: at(part.StateTimestamp),
			Locked: part.StateChangeLocked, LockedSince: at(part.StateChangeLockedTimestamp),
			NumTokens: len(part.Tokens), Ownership: shares[n].Percent, Owners: owners[part.ID],
		}
		for _, owner := range p.Owners {
			if owner.Health == Healthy {
				p.HealthyOwners++
			}
		}
		if p.Owners == nil {
			p.Owners = []Owner{}
		}
		if o.Tokens {
			p.Tokens = part.Tokens
		}
		delete(owners, part.ID)
		v.States[p.State]++
		v.Partitions = append(v.Partitions, p)
	}
	for _, id := range slices.Sorted(maps.Keys(owners)) {
		v.Orphans = append(v.Orphans, owners[id]...)
	}
	v.Problems = partitionProblems(v)
	return v
}

// ownersByPartition resolves each owner in the instance ring; sorted by zone, then id.
func ownersByPartition(d *partition.Desc, instances *ring.Desc, o PartitionOptions, now time.Time) map[int32][]Owner {
	out := map[int32][]Owner{}
	for id, owner := range d.Owners {
		if owner.State == partition.OwnerDeleted {
			continue
		}
		instance, _, _ := partition.OwnerInstance(id)
		w := Owner{ID: id, Instance: instance, Partition: owner.OwnedPartition, Since: at(owner.UpdatedTimestamp), Health: Missing}
		if inst, ok := instances.Instances[instance]; ok && inst.State != ring.Left {
			w.Zone, w.Health = inst.Zone, health(inst, o.Lookup.HeartbeatTimeout, now)
		}
		out[owner.OwnedPartition] = append(out[owner.OwnedPartition], w)
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b Owner) int {
			if c := strings.Compare(a.Zone, b.Zone); c != 0 {
				return c
			}
			return strings.Compare(a.ID, b.ID)
		})
	}
	return out
}

// partitionProblems lists what needs a hand, worst first.
func partitionProblems(v PartitionRing) []string {
	var out, unread, orphaned []string
	for _, p := range v.Partitions {
		switch {
		case p.HealthyOwners > 0 || p.State == "PENDING":
		case p.State == "INACTIVE" && len(p.Owners) == 0:
			orphaned = append(orphaned, fmt.Sprint(p.ID))
		default:
			unread = append(unread, fmt.Sprint(p.ID))
		}
	}
	if v.States["ACTIVE"] == 0 {
		out = append(out, "no partition is ACTIVE: nothing can be written")
	}
	if len(unread) > 0 {
		out = append(out, "no healthy owner, so recent data cannot be read: partition "+some(unread))
	}
	if len(orphaned) > 0 {
		out = append(out, "INACTIVE without owners, can be removed once blocks hold the data: partition "+some(orphaned))
	}
	if len(v.Orphans) > 0 {
		var names []string
		for _, o := range v.Orphans {
			names = append(names, o.ID)
		}
		out = append(out, "owners of partitions that do not exist: "+some(names))
	}
	return out
}

// Page is the view in the form of the partition page. The view must have been built with tokens.
func (v PartitionRing) Page() PartitionPage {
	p := PartitionPage{Key: v.Key, Now: v.Now, ViewHash: v.Hash, Problems: v.Problems, Partitions: []PagePartition{}}
	for _, part := range v.Partitions {
		state, _ := partition.ParseState(part.State)
		p.Partitions = append(p.Partitions, PagePartition{
			ID: part.ID, State: int32(state), StateTimestamp: part.Since, StateChangeLocked: part.Locked,
			OwnerIDs: ownerIDs(part.Owners), Tokens: part.Tokens, StateName: part.State,
			NumTokens: part.NumTokens, Ownership: part.Ownership, HealthyOwners: part.HealthyOwners,
		})
	}
	for rest := v.Orphans; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Partition == rest[0].Partition {
			n++
		}
		p.Partitions = append(p.Partitions, PagePartition{
			ID: rest[0].Partition, Corrupted: true, StateName: "UNKNOWN", OwnerIDs: ownerIDs(rest[:n]),
		})
		rest = rest[n:]
	}
	slices.SortStableFunc(p.Partitions, func(a, b PagePartition) int { return int(int64(a.ID) - int64(b.ID)) })
	return p
}

func ownerIDs(owners []Owner) []string {
	ids := []string{}
	for _, o := range owners {
		ids = append(ids, o.ID)
	}
	slices.Sort(ids)
	return ids
}

// DrainInput is what the drain status of a partition is worked out from.
type DrainInput struct {
	Partition Partition
	// Prepared says that this server's own stop would be its last.
	Prepared bool
	// Unshipped is what this server still holds that no block in the bucket has, in bytes; -1: not known.
	Unshipped int64
	// Horizon is how long after becoming INACTIVE the owners are still asked for recent data.
	Horizon time.Duration
}

// BuildDrainStatus says what is in the way of removing a partition, and the next step.
func BuildDrainStatus(in DrainInput, now time.Time) DrainStatus {
	p := in.Partition
	s := DrainStatus{
		Partition: p.ID, State: p.State, Since: p.Since, Locked: p.Locked, Owners: ownerIDs(p.Owners),
		Prepared: in.Prepared, Unshipped: in.Unshipped,
	}
	block := func(next, format string, args ...any) {
		s.Blocking = append(s.Blocking, fmt.Sprintf(format, args...))
		if s.Next == "" {
			s.Next = next
		}
	}
	if p.State == "INACTIVE" {
		s.ReadableUntil = p.Since.Add(in.Horizon)
	}
	if p.State == "PENDING" {
		block("wait until it is ACTIVE", "the partition is PENDING")
	} else if p.State != "INACTIVE" {
		block(fmt.Sprintf("ringctl partition deactivate %d", p.ID), "the partition is %s and takes writes", p.State)
	}
	if p.Locked {
		block(fmt.Sprintf("ringctl partition unlock %d", p.ID), "its state is locked since %s", p.LockedSince.Format(time.RFC3339))
	}
	if s.ReadableUntil.After(now) {
		block("wait until "+s.ReadableUntil.Format(time.RFC3339), "queries still ask its owners for recent data, until %s",
			s.ReadableUntil.Format(time.RFC3339))
	}
	if in.Unshipped > 0 {
		block("wait until the data is in the bucket", "%d bytes are not in the bucket yet", in.Unshipped)
	}
	if len(p.Owners) > 0 {
		next := "stop the owners: POST /live-store/prepare-downscale on each, then stop the process"
		if in.Prepared {
			next = "stop the process: it takes its ownership with it"
		}
		block(next, "it is owned by %s", strings.Join(s.Owners, ", "))
	}
	if s.Safe = len(s.Blocking) == 0; s.Safe {
		s.Next = fmt.Sprintf("ringctl partition remove %d", p.ID)
	}
	return s
}
