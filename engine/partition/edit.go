package partition

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// Errors of the edits, to be tested with errors.Is.
var (
	ErrDoesNotExist = errors.New("partition does not exist")
	ErrNotAllowed   = errors.New("partition state change is not allowed")
	ErrLocked       = errors.New("partition state change is locked")
)

// Moves gives the states a partition in state from may change to.
func Moves(from State) []State {
	switch from {
	case Pending:
		return []State{Active, Inactive}
	case Active:
		return []State{Inactive}
	case Inactive:
		return []State{Active}
	default:
		return nil
	}
}

// ChangeState moves a partition to another state. Being in that state already
// is no change and no error. Otherwise the error is [ErrDoesNotExist],
// [ErrNotAllowed] or [ErrLocked], judged in this order. The new timestamp is
// now, or one second after the old one if that is later, so the change wins the
// merge on every node.
func ChangeState(d *Desc, id int32, to State, now time.Time) (changed bool, err error) {
	p, ok := d.Partitions[id]
	switch {
	case !ok:
		return false, fmt.Errorf("partition %d: %w", id, ErrDoesNotExist)
	case p.State == to:
		return false, nil
	case !slices.Contains(Moves(p.State), to):
		return false, fmt.Errorf("partition %d from %v to %v: %w", id, p.State, to, ErrNotAllowed)
	case p.StateChangeLocked:
		return false, fmt.Errorf("partition %d from %v to %v: %w", id, p.State, to, ErrLocked)
	}
	p.State, p.StateTimestamp = to, after(p.StateTimestamp, now)
	d.Partitions[id] = p
	return true, nil
}

// ChangeAndLock does [ChangeState] and, if that is no error, locks the
// partition, as one edit.
func ChangeAndLock(d *Desc, id int32, to State, now time.Time) (changed bool, err error) {
	moved, err := ChangeState(d, id, to, now)
	if err != nil {
		return false, err
	}
	locked, err := SetLock(d, id, true, now)
	return moved || locked, err
}

// SetLock locks or unlocks the state of a partition. It is no change when it
// already is so; the error is [ErrDoesNotExist].
func SetLock(d *Desc, id int32, locked bool, now time.Time) (changed bool, err error) {
	p, ok := d.Partitions[id]
	if !ok {
		return false, fmt.Errorf("partition %d: %w", id, ErrDoesNotExist)
	}
	if p.StateChangeLocked == locked {
		return false, nil
	}
	p.StateChangeLocked, p.StateChangeLockedTimestamp = locked, after(p.StateChangeLockedTimestamp, now)
	d.Partitions[id] = p
	return true, nil
}

func after(old int64, now time.Time) int64 { return max(now.Unix(), old+1) }

// AddPartition adds a partition with its deterministic tokens, if it does not
// exist. The error is one of the token generator.
func AddPartition(d *Desc, id int32, state State, now time.Time) (added bool, err error) {
	if _, ok := d.Partitions[id]; ok {
		return false, nil
	}
	tokens, err := ring.SpreadMinimizing(int(id), 0, ring.SpreadTokens, nil)
	if err != nil {
		return false, fmt.Errorf("add partition %d: %w", id, err)
	}
	if d.Partitions == nil {
		d.Partitions = map[int32]Partition{}
	}
	d.Partitions[id] = Partition{ID: id, Tokens: tokens, State: state, StateTimestamp: now.Unix()}
	return true, nil
}

// RemovePartition takes a partition out. As part of a compare-and-swap it
// becomes a tombstone.
func RemovePartition(d *Desc, id int32) (removed bool) {
	_, removed = d.Partitions[id]
	delete(d.Partitions, id)
	return removed
}

// AddOwner adds or updates an owner; no change if it is there with the same
// partition and state.
func AddOwner(d *Desc, ownerID string, partition int32, state OwnerState, now time.Time) (changed bool) {
	o, ok := d.Owners[ownerID]
	if ok && o.OwnedPartition == partition && o.State == state {
		return false
	}
	o.OwnedPartition, o.State = partition, state
	o.UpdatedTimestamp = after(o.UpdatedTimestamp, now)
	if d.Owners == nil {
		d.Owners = map[string]Owner{}
	}
	d.Owners[ownerID] = o
	return true
}

// RemoveOwner takes an owner out. As part of a compare-and-swap it becomes a
// tombstone.
func RemoveOwner(d *Desc, ownerID string) (removed bool) {
	_, removed = d.Owners[ownerID]
	delete(d.Owners, ownerID)
	return removed
}
