package partition

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// ReplicationSets gives for every partition, in order of their numbers, the
// healthy instances among its owners, of which all but one zone may fail. A
// partition in any state without a healthy owner fails the whole: the error
// names it and matches [ring.ErrTooManyUnhealthy]. That is the rule of the
// family; [Ring.Readers] is kinder. Without partitions the error is
// [ring.ErrEmptyRing].
func (r *Ring) ReplicationSets(instances *ring.Ring, op ring.Operation, now time.Time) ([]ring.ReplicationSet, error) {
	if len(r.partitions) == 0 {
		return nil, ring.ErrEmptyRing
	}
	sets := make([]ring.ReplicationSet, 0, len(r.partitions))
	for _, p := range r.partitions {
		set := r.oneOf(p.ID, instances, op, now)
		if len(set.Instances) == 0 {
			return nil, fmt.Errorf("partition %d: %w", p.ID, ring.ErrTooManyUnhealthy)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// oneOf is the set of healthy owners, one of whose zones must answer.
func (r *Ring) oneOf(id int32, instances *ring.Ring, op ring.Operation, now time.Time) ring.ReplicationSet {
	healthy, _ := r.healthyOwners(id, instances, op, now)
	var zones []string
	for _, i := range healthy {
		if !slices.Contains(zones, i.Zone) {
			zones = append(zones, i.Zone)
		}
	}
	return ring.ReplicationSet{Instances: healthy, MaxUnavailableZones: max(0, len(zones)-1), ZoneAware: true}
}

func (r *Ring) healthyOwners(id int32, instances *ring.Ring, op ring.Operation, now time.Time) (healthy []*ring.Instance, unhealthy []string) {
	timeout := instances.Config().HeartbeatTimeout
	for _, owner := range r.owners[id] {
		name := instanceOf(owner, id)
		i, ok := instances.InstanceByID(name)
		if ok && i.IsHealthy(op, timeout, now) {
			healthy = append(healthy, i)
		} else {
			unhealthy = append(unhealthy, name)
		}
	}
	return healthy, unhealthy
}

// instanceOf is the instance behind the id of an owner of a partition.
func instanceOf(owner string, partition int32) string {
	if name, id, ok := OwnerInstance(owner); ok && id == partition {
		return name
	}
	return owner
}

// NoOwnersError says that partitions cannot be read or written because too few
// of their owners are healthy. It matches [ring.ErrTooManyUnhealthy].
type NoOwnersError struct {
	// Partitions are the numbers, sorted.
	Partitions []int32
	// Unhealthy are the instances that own them and are unhealthy or missing,
	// sorted.
	Unhealthy []string
	// Need and Healthy count owners of one partition.
	Need, Healthy int
}

func (e *NoOwnersError) Error() string {
	unhealthy := "no owners registered"
	if len(e.Unhealthy) > 0 {
		unhealthy = "unhealthy or missing: " + strings.Join(e.Unhealthy, ", ")
	}
	return fmt.Sprintf("partitions %v: %d healthy owners of %d needed; %s",
		e.Partitions, e.Healthy, e.Need, unhealthy)
}

// Unwrap makes errors.Is find [ring.ErrTooManyUnhealthy].
func (e *NoOwnersError) Unwrap() error { return ring.ErrTooManyUnhealthy }

// Writers gives the instances a write to a partition goes to: its healthy
// owners, a majority of all its owners having to succeed. The error is a
// [NoOwnersError] or [ErrDoesNotExist].
func (r *Ring) Writers(id int32, instances *ring.Ring, now time.Time) (ring.ReplicationSet, error) {
	if _, ok := r.Partition(id); !ok {
		return ring.ReplicationSet{}, fmt.Errorf("partition %d: %w", id, ErrDoesNotExist)
	}
	healthy, unhealthy := r.healthyOwners(id, instances, ring.WriteNoExtend, now)
	need := (len(healthy)+len(unhealthy))/2 + 1
	if len(healthy) < need {
		return ring.ReplicationSet{}, &NoOwnersError{
			Partitions: []int32{id}, Unhealthy: unhealthy, Need: need, Healthy: len(healthy),
		}
	}
	return ring.ReplicationSet{Instances: healthy, MaxErrors: len(healthy) - need}, nil
}

// PartitionSet is the replication set of one partition.
type PartitionSet struct {
	Partition int32
	ring.ReplicationSet
}

// ReadPlan says whom to ask so that the answer covers all partitions.
type ReadPlan struct {
	// Sets has an entry for every partition that can answer, by number.
	Sets []PartitionSet
	// Skipped are partitions that hold nothing for this read: Pending without
	// owners, or Inactive for longer than the lookback.
	Skipped []int32
	// Missing are partitions that may hold data for this read and have no
	// healthy owner: an answer without them is partial.
	Missing []int32
}

// Readers plans a read of the recent lookback before now. A partition that
// became Inactive before that is only asked if it has a healthy owner anyway,
// so what is left of a scale-down never fails a read. With a lookback of zero or
// less, Inactive partitions always count. When partitions are Missing the plan
// comes with a [NoOwnersError]; the caller decides whether a partial answer
// will do.
func (r *Ring) Readers(instances *ring.Ring, op ring.Operation, lookback time.Duration, now time.Time) (ReadPlan, error) {
	var plan ReadPlan
	lost := &NoOwnersError{Need: 1}
	for _, p := range r.partitions {
		set := r.oneOf(p.ID, instances, op, now)
		switch {
		case len(set.Instances) > 0:
			plan.Sets = append(plan.Sets, PartitionSet{Partition: p.ID, ReplicationSet: set})
		case p.State == Pending, p.State == Inactive && lookback > 0 && p.StateTimestamp < now.Add(-lookback).Unix():
			plan.Skipped = append(plan.Skipped, p.ID)
		default:
			_, unhealthy := r.healthyOwners(p.ID, instances, op, now)
			plan.Missing = append(plan.Missing, p.ID)
			lost.Unhealthy = append(lost.Unhealthy, unhealthy...)
		}
	}
	if len(plan.Missing) == 0 {
		return plan, nil
	}
	lost.Partitions = plan.Missing
	slices.Sort(lost.Unhealthy)
	lost.Unhealthy = slices.Compact(lost.Unhealthy)
	return plan, lost
}
