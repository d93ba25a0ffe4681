package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// edit is what a change did to a value: one line before and after for the audit log, consequences in words.
type edit struct {
	changed       bool
	before, after string
	warnings      []string
}

// forget removes an instance from d, in place. A live one is refused unless forced, because its next
// heartbeat would bring it back.
func forget(d *ring.Desc, r ringapi.ForgetRequest, lookup ring.Config, now time.Time) (edit, error) {
	inst, ok := d.Instances[r.Instance]
	if !ok || inst.State == ring.Left {
		return edit{}, &ringapi.Error{Code: ringapi.CodeNotFound, Subject: r.Instance, Message: "no such instance",
			Hint: nearest(r.Instance, d.EntryNames())}
	}
	e := edit{before: lineInstance(inst)}
	if r.IfHeartbeat != 0 && r.IfHeartbeat != inst.Timestamp {
		return e, &ringapi.Error{Code: ringapi.CodeChanged, Subject: r.Instance, Message: "its heartbeat has moved since it was looked at",
			Hint: "it may be alive; look again"}
	}
	beat := inst.HeartbeatState(now, lookup.HeartbeatTimeout)
	if beat == ring.Fresh && lookup.HeartbeatTimeout > 0 && !r.Force {
		age := now.Sub(time.Unix(inst.Timestamp, 0)).Truncate(time.Second)
		return e, &ringapi.Error{Code: ringapi.CodeNotAllowed, Subject: r.Instance,
			Message: fmt.Sprintf("its last heartbeat is only %s old: it seems alive and would come back", age),
			Hint:    "stop the process first, or set force"}
	}
	e.warnings = forgetWarnings(d, inst, beat, lookup, now)
	if inst.Timestamp >= now.Unix() {
		// A tombstone of now would lose against this entry on other nodes; one of the same second wins.
		tomb := inst
		tomb.State, tomb.Tokens = ring.Left, nil
		d.Instances[r.Instance] = tomb
	} else {
		delete(d.Instances, r.Instance)
	}
	e.changed = true
	return e, nil
}

func forgetWarnings(d *ring.Desc, inst ring.Instance, beat ring.Heartbeat, lookup ring.Config, now time.Time) []string {
	var out []string
	if beat == ring.Fresh && lookup.HeartbeatTimeout > 0 {
		out = append(out, "it was alive a moment ago: its next heartbeat brings it back unless it has stopped")
	}
	if beat == ring.Future {
		out = append(out, fmt.Sprintf("its heartbeat is dated %s: until then the id %s cannot register again",
			time.Unix(inst.Timestamp, 0).UTC().Format(time.RFC3339), inst.ID))
	}
	if len(inst.Tokens) == 0 {
		return out
	}
	before := ring.New(d, lookup)
	was, will := before.Quorum(ring.Write, now), before.Without(inst.ID).Quorum(ring.Write, now)
	if will.Ranges == 0 {
		return append(out, "it was the last member with tokens: the ring can take no writes afterwards")
	}
	if will.Worst < was.Worst {
		out = append(out, fmt.Sprintf("the write quorum margin falls from %d to %d", was.Worst, will.Worst))
	}
	return out
}

// changePartition sets the state of a partition, its lock, or both, in d, in place. An unlock counts before
// the state change, a lock after it, so that each pair is one write.
func changePartition(d *partition.Desc, id int32, r ringapi.PartitionRequest, now time.Time) (edit, error) {
	subject := partitionSubject(id)
	p, ok := d.Partitions[id]
	if !ok || p.State == partition.Deleted {
		return edit{}, &ringapi.Error{Code: ringapi.CodeNotFound, Subject: subject, Message: "no such partition"}
	}
	e := edit{before: linePartition(p)}
	if want, _ := ringapi.ParsePartitionState(r.IfState); r.IfState != "" && want != ringapi.ShortState(p.State) {
		return e, &ringapi.Error{Code: ringapi.CodeChanged, Subject: subject, Message: "it is " + ringapi.ShortState(p.State) + " by now"}
	}
	if r.Lock != nil && !*r.Lock {
		changed, err := partition.SetLock(d, id, false, now)
		if err != nil {
			return e, partitionError(subject, p, "", err)
		}
		e.changed = changed
	}
	if r.State != "" {
		to, _ := partition.ParseState(r.State)
		changed, err := partition.ChangeState(d, id, to, now)
		if err != nil {
			return e, partitionError(subject, p, r.State, err)
		}
		e.changed = e.changed || changed
	}
	if r.Lock != nil && *r.Lock {
		changed, err := partition.SetLock(d, id, true, now)
		if err != nil {
			return e, partitionError(subject, p, "", err)
		}
		e.changed = e.changed || changed
	}
	e.after = linePartition(d.Partitions[id])
	e.warnings = partitionWarnings(d)
	return e, nil
}

func partitionWarnings(d *partition.Desc) []string {
	for _, p := range d.Partitions {
		if p.State == partition.Active {
			return nil
		}
	}
	return []string{"no partition is ACTIVE now: nothing can be written"}
}

// removePartition deletes a partition that nobody writes to and nobody owns.
func removePartition(d *partition.Desc, id int32, now time.Time) (edit, error) {
	subject := partitionSubject(id)
	p, ok := d.Partitions[id]
	if !ok || p.State == partition.Deleted {
		return edit{}, &ringapi.Error{Code: ringapi.CodeNotFound, Subject: subject, Message: "no such partition"}
	}
	e := edit{before: linePartition(p)}
	refuse := func(code ringapi.Code, msg, hint string) (edit, error) {
		return e, &ringapi.Error{Code: code, Subject: subject, Message: msg, Hint: hint}
	}
	owners := activeOwners(d, id)
	switch {
	case p.StateChangeLocked:
		return refuse(ringapi.CodeLocked, "it is locked", fmt.Sprintf("ringctl partition unlock %d", id))
	case p.State != partition.Inactive:
		return refuse(ringapi.CodeNotAllowed, "it is "+ringapi.ShortState(p.State)+", only INACTIVE partitions can be removed",
			fmt.Sprintf("ringctl partition drain %d does it step by step", id))
	case len(owners) > 0:
		return refuse(ringapi.CodeNotAllowed, "it is still owned by "+strings.Join(owners, ", "),
			"stop the owners, or remove those that are gone: ringctl partition owner remove")
	}
	if p.StateTimestamp >= now.Unix() {
		p.State = partition.Deleted // with its own date: a tombstone of an earlier time would lose
		d.Partitions[id] = p
	} else {
		partition.RemovePartition(d, id)
	}
	e.changed = true
	return e, nil
}

// removeOwner takes an owner off its partition. A member of the instance ring is refused unless forced.
func removeOwner(d *partition.Desc, r ringapi.OwnerRemoveRequest, instances *ring.Desc, now time.Time) (edit, error) {
	o, ok := d.Owners[r.Owner]
	if !ok || o.State == partition.OwnerDeleted {
		return edit{}, &ringapi.Error{Code: ringapi.CodeNotFound, Subject: r.Owner, Message: "no such owner",
			Hint: nearest(r.Owner, ownerNames(d))}
	}
	e := edit{before: fmt.Sprintf("owner of partition %d since %s", o.OwnedPartition, stamp(o.UpdatedTimestamp))}
	instance, _, _ := partition.OwnerInstance(r.Owner)
	if inst, in := instances.Instances[instance]; in && inst.State != ring.Left {
		if !r.Force {
			return e, &ringapi.Error{Code: ringapi.CodeNotAllowed, Subject: r.Owner,
				Message: fmt.Sprintf("its instance %s is in the instance ring (%s)", instance, lineInstance(inst)),
				Hint:    "stop it, or forget it there first"}
		}
		e.warnings = append(e.warnings, "its instance is still in the instance ring and may register again")
	}
	if o.UpdatedTimestamp >= now.Unix() {
		o.State = partition.OwnerDeleted // with its own date: a tombstone of an earlier time would lose
		d.Owners[r.Owner] = o
	} else {
		partition.RemoveOwner(d, r.Owner)
	}
	e.changed = true
	if left := activeOwners(d, o.OwnedPartition); len(left) == 0 {
		e.warnings = append(e.warnings, fmt.Sprintf("partition %d has no owner left", o.OwnedPartition))
	}
	return e, nil
}

// partitionError puts the refusals of package partition into words.
func partitionError(subject string, p partition.Partition, to string, err error) error {
	e := &ringapi.Error{Code: ringapi.CodeInternal, Subject: subject, Message: err.Error()}
	switch {
	case errors.Is(err, partition.ErrLocked):
		e.Code, e.Message = ringapi.CodeLocked, "it is locked since "+stamp(p.StateChangeLockedTimestamp)
		e.Hint = "unlock it first, or in the same request"
	case errors.Is(err, partition.ErrNotAllowed):
		to, _ = ringapi.ParsePartitionState(to)
		e.Code = ringapi.CodeNotAllowed
		e.Message = fmt.Sprintf("from %s to %s is not allowed", ringapi.ShortState(p.State), to)
		e.Hint = "allowed: PENDING to ACTIVE or INACTIVE, ACTIVE to INACTIVE, INACTIVE to ACTIVE"
	case errors.Is(err, partition.ErrDoesNotExist):
		e.Code, e.Message = ringapi.CodeNotFound, "no such partition"
	}
	return e
}

func activeOwners(d *partition.Desc, id int32) []string {
	var out []string
	for name, o := range d.Owners {
		if o.OwnedPartition == id && o.State != partition.OwnerDeleted {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func ownerNames(d *partition.Desc) []string {
	var out []string
	for name := range d.Owners {
		out = append(out, name)
	}
	return out
}

func partitionSubject(id int32) string { return fmt.Sprintf("partition %d", id) }

func lineInstance(i ring.Instance) string {
	return fmt.Sprintf("%s at %s zone=%q heartbeat=%s tokens=%d", i.State, i.Addr, i.Zone, stamp(i.Timestamp), len(i.Tokens))
}

func linePartition(p partition.Partition) string {
	s := fmt.Sprintf("%s since %s", ringapi.ShortState(p.State), stamp(p.StateTimestamp))
	if p.StateChangeLocked {
		s += ", locked since " + stamp(p.StateChangeLockedTimestamp)
	}
	return s
}

func stamp(seconds int64) string {
	if seconds == 0 {
		return "never"
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339)
}

// nearest suggests the name that shares the longest beginning or is contained in the other.
func nearest(name string, names []string) string {
	slices.Sort(names)
	best, score := "", 0
	for _, n := range names {
		s := 0
		for s < len(n) && s < len(name) && n[s] == name[s] {
			s++
		}
		if strings.Contains(n, name) || strings.Contains(name, n) {
			s += len(name)
		}
		if s > score {
			best, score = n, s
		}
	}
	if score < 3 {
		return ""
	}
	return "did you mean " + best + "?"
}
