package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
)

// PartitionRequest says how a partition ring should change.
type PartitionRequest struct {
	// Ring is the key or short name of a partition ring; "" is the only one there is.
	Ring string
	// Partition is the number of the partition; Owner the id of the owner for [RemoveOwner].
	Partition int32
	Owner     string
	// Action is [Activate], [Deactivate], [Lock], [Unlock], [RemovePartition] or [RemoveOwner].
	Action Action
	// AndLock locks the partition in the same message as a change of its state.
	AndLock bool
}

// undoOf is the table of actions that take another one back.
func undoOf(a Action) Action {
	switch a {
	case Activate:
		return Deactivate
	case Deactivate:
		return Activate
	case Lock:
		return Unlock
	case Unlock:
		return Lock
	default:
		return ""
	}
}

// PlanPartition reads the partition ring from several members and prepares one change. Illegal moves are errors
// with [CodeRefused] that say why.
func (c *Client) PlanPartition(ctx context.Context, req PartitionRequest) (*Plan, error) {
	r, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	target, err := r.onlyPartitionRing(req.Ring)
	if err != nil {
		return nil, err
	}
	p := &Plan{Action: req.Action, Key: target.Key, Ring: target.Name, Views: r.names(), Unread: r.unread(), targets: r.targets, ClusterNow: r.now,
		Checks: r.common(c), Danger: Moderate}
	var step Step
	if req.Action == RemoveOwner {
		step, err = r.ownerStep(p, target, req.Owner)
	} else {
		step, err = r.partitionStep(p, target, req)
	}
	if err != nil {
		return nil, err
	}
	step.Undo = undoOf(req.Action)
	p.Steps = []Step{step}
	switch {
	case step.Skip:
		p.Danger = Harmless
	case req.Action == RemovePartition:
		p.Danger, p.Confirm = Severe, step.ID
	}
	return p, nil
}

// onlyPartitionRing finds a partition ring; without a name there must be exactly one.
func (r *readings) onlyPartitionRing(name string) (*PartitionRing, error) {
	if name != "" {
		return r.partitionRing(name)
	}
	var found []*PartitionRing
	var names []string
	for _, v := range r.views {
		for i := range v.PartitionRings {
			if !slices.Contains(names, v.PartitionRings[i].Name) {
				names = append(names, v.PartitionRings[i].Name)
				found = append(found, &v.PartitionRings[i])
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, model.Fail(CodeNotFound, "partition ring", "", "no member has a partition ring")
	case 1:
		return found[0], nil
	default:
		return nil, model.Fail(CodeUsage, "partition ring", "name one of "+model.Some(names)+" with --ring", "there are %d partition rings", len(found))
	}
}

// target is the state that an action asks for; ok is false for actions on the lock alone.
func targetOf(a Action) (s partition.State, ok bool) {
	switch a {
	case Activate:
		return partition.Active, true
	case Deactivate:
		return partition.Inactive, true
	case RemovePartition:
		return partition.Deleted, true
	default:
		return 0, false
	}
}

func (r *readings) partitionStep(p *Plan, target *PartitionRing, req PartitionRequest) (Step, error) {
	id := strconv.Itoa(int(req.Partition))
	entry, found := r.newestPartition(target.Key, req.Partition)
	if !found || entry.State == partition.Deleted && req.Action != RemovePartition {
		var known []string
		for i := range target.Partitions {
			known = append(known, strconv.Itoa(int(target.Partitions[i].ID)))
		}
		return Step{}, model.NotFound("partition", id, known)
	}
	s := Step{ID: id, Before: describePartition(&entry), Fingerprint: fingerprintPartition(&entry)}
	next, err := edited(entry, req, r.now)
	if err != nil {
		return Step{}, refusal(req, &entry, err)
	}
	s.After = describePartition(&next)
	s.Skip = next.State == entry.State && next.StateChangeLocked == entry.StateChangeLocked
	s.Written = time.Unix(max(next.StateTimestamp, next.StateChangeLockedTimestamp), 0).UTC()
	s.pair = partitionPair(target.Key, &partition.Desc{Partitions: map[int32]partition.Partition{req.Partition: next}})
	s.done = func(v *Snapshot) (string, bool) { return hasPartition(v, target.Key, req.Partition, &next) }
	if !s.Skip {
		r.partitionChecks(p, target, req, &entry)
	}
	return s, nil
}

// edited applies the request to a copy of the entry, which keeps its number, tokens and unknown fields. State and
// lock travel in one message, which every member merges as one.
func edited(entry partition.Partition, req PartitionRequest, now time.Time) (partition.Partition, error) {
	d := &partition.Desc{Partitions: map[int32]partition.Partition{req.Partition: entry}}
	var err error
	switch state, ok := targetOf(req.Action); {
	case ok && state == partition.Deleted:
		if entry.State != partition.Deleted {
			entry.State, entry.StateTimestamp = state, max(now.Unix(), entry.StateTimestamp+1)
		}
		return entry, nil
	case ok && req.AndLock:
		_, err = partition.ChangeAndLock(d, req.Partition, state, now)
	case ok:
		_, err = partition.ChangeState(d, req.Partition, state, now)
	default:
		_, err = partition.SetLock(d, req.Partition, req.Action == Lock, now)
	}
	return d.Partitions[req.Partition], err
}

// refusal explains why the table of moves says no.
func refusal(req PartitionRequest, entry *partition.Partition, err error) error {
	op := fmt.Sprintf("%s partition %d", req.Action, req.Partition)
	switch {
	case errors.Is(err, partition.ErrLocked):
		return model.Fail(CodeRefused, op, fmt.Sprintf("ringctl partition unlock %d", req.Partition),
			"it is locked since %s: somebody wants its state (%s) to stay as it is", model.Stamp(model.Unix(entry.StateChangeLockedTimestamp)), model.StateWord(entry.State))
	case errors.Is(err, partition.ErrNotAllowed):
		return model.Fail(CodeRefused, op, "allowed are PENDING -> ACTIVE or INACTIVE, ACTIVE -> INACTIVE, INACTIVE -> ACTIVE",
			"%s cannot become that: %w", model.StateWord(entry.State), err)
	default:
		return model.Fail(CodeRefused, op, "", "%w", err)
	}
}

func (r *readings) partitionChecks(p *Plan, target *PartitionRing, req PartitionRequest, entry *partition.Partition) {
	add := func(name string, level CheckLevel, format string, args ...any) {
		p.Checks = append(p.Checks, Check{Name: name, Level: level, Text: fmt.Sprintf(format, args...), ID: strconv.Itoa(int(req.Partition))})
	}
	owners, healthy := r.ownersOf(target.Key, req.Partition)
	switch req.Action {
	case Deactivate:
		switch left := target.States["ACTIVE"]; {
		case entry.State != partition.Active:
		case left <= 1:
			add("active", Block, "it is the last ACTIVE partition: all writes would fail")
		default:
			add("active", Pass, "%s left, to which new data of this one goes", model.Plural(left-1, "ACTIVE partition"))
		}
	case Activate:
		if healthy == 0 {
			add("owners", Refuse, "none of its %s is healthy: what is written to it could not be read", model.Plural(len(owners), "owner"))
		} else {
			add("owners", Pass, "%d of %s healthy", healthy, model.Plural(len(owners), "owner"))
		}
	case RemovePartition:
		if entry.State != partition.Inactive {
			add("state", Block, "it is %s; only INACTIVE partitions may be removed (ringctl partition deactivate %d)", model.StateWord(entry.State), req.Partition)
		} else {
			add("state", Pass, "INACTIVE since %s", model.Stamp(model.Unix(entry.StateTimestamp)))
		}
		if len(owners) > 0 {
			add("owners", Block, "it still has %s: %s; a running owner does not come back by itself when its partition is gone", model.Plural(len(owners), "owner"), model.Some(owners))
		} else {
			add("owners", Pass, "no owners in any view")
		}
		if entry.StateChangeLocked {
			add("lock", Refuse, "it is locked since %s", model.Stamp(model.Unix(entry.StateChangeLockedTimestamp)))
		}
		add("data", Warn, "data that is only with its former owners can no longer be found; make sure that blocks hold it")
	default: // the others have their own checks, or touch no data
	}
}

// ownersOf lists the owners of a partition in all views, and counts the healthy ones.
func (r *readings) ownersOf(key string, id int32) (owners []string, healthy int) {
	good := map[string]bool{}
	for _, v := range r.views {
		pr, ok := v.PartitionRing(key)
		if !ok {
			continue
		}
		for _, o := range pr.AllOwners() {
			if o.Partition == id {
				good[o.ID] = good[o.ID] || o.Readable()
			}
		}
	}
	for o, ok := range good {
		owners = append(owners, o)
		if ok {
			healthy++
		}
	}
	slices.Sort(owners)
	return owners, healthy
}

func (r *readings) ownerStep(p *Plan, target *PartitionRing, id string) (Step, error) {
	entry, found := r.newestOwner(target.Key, id)
	if !found {
		var known []string
		for _, o := range target.AllOwners() {
			known = append(known, o.ID)
		}
		return Step{}, model.NotFound("owner", id, known)
	}
	s := Step{ID: id, Before: describeOwner(entry), Fingerprint: fingerprintOwner(id, entry), Skip: entry.State == partition.OwnerDeleted}
	next := entry
	if !s.Skip {
		next.State, next.UpdatedTimestamp = partition.OwnerDeleted, max(r.now.Unix(), entry.UpdatedTimestamp+1)
	}
	s.After, s.Written = describeOwner(next), model.Unix(next.UpdatedTimestamp)
	s.pair = partitionPair(target.Key, &partition.Desc{Owners: map[string]partition.Owner{id: next}})
	s.done = func(v *Snapshot) (string, bool) { return lacksOwner(v, target.Key, id) }
	if s.Skip {
		return s, nil
	}
	check := Check{Name: "instance", Level: Pass, ID: id, Text: "its instance is in no view of the instance ring"}
	for _, v := range r.views {
		pr, ok := v.PartitionRing(target.Key)
		if !ok {
			continue
		}
		for _, o := range pr.AllOwners() {
			switch {
			case o.ID != id || o.Health == NoInstance || check.Level == Block:
			case o.Health == Healthy:
				check.Level, check.Text = Block, fmt.Sprintf(
					"instance %s is alive: it registers itself as owner only when it starts, so its data could not be read until it restarts", o.Instance)
			default:
				check.Level, check.Text = Refuse, fmt.Sprintf("instance %s is still in the ring, though unhealthy; forget it first", o.Instance)
			}
		}
	}
	p.Checks = append(p.Checks, check)
	return s, nil
}

func partitionPair(key string, d *partition.Desc) gossip.Pair {
	return gossip.Pair{Key: key, Codec: partition.Codec, Value: partition.EncodeValue(d)}
}

func hasPartition(s *Snapshot, key string, id int32, want *partition.Partition) (string, bool) {
	d := s.PartitionDesc(key)
	if d == nil {
		return "no such ring", false
	}
	p, ok := d.Partitions[id]
	if want.State == partition.Deleted {
		return describePartition(&p), !ok || p.State == partition.Deleted
	}
	if !ok {
		return "no such partition", false
	}
	return describePartition(&p), p.State == want.State && p.StateChangeLocked == want.StateChangeLocked
}

func lacksOwner(s *Snapshot, key, id string) (string, bool) {
	d := s.PartitionDesc(key)
	if d == nil {
		return "no such ring", true
	}
	o, ok := d.Owners[id]
	return describeOwner(o), !ok || o.State == partition.OwnerDeleted
}

func describePartition(p *partition.Partition) string {
	return fmt.Sprintf("%s since %s, %s, %s", model.StateWord(p.State), model.Stamp(model.Unix(p.StateTimestamp)), model.LockText(p.StateChangeLocked), model.Plural(len(p.Tokens), "token"))
}

func describeOwner(o partition.Owner) string {
	state := "owns"
	if o.State == partition.OwnerDeleted {
		state = "removed from"
	}
	return fmt.Sprintf("%s partition %d since %s", state, o.OwnedPartition, model.Stamp(model.Unix(o.UpdatedTimestamp)))
}

func fingerprintPartition(p *partition.Partition) string {
	return digest(partition.EncodeValue(&partition.Desc{Partitions: map[int32]partition.Partition{p.ID: *p}}))
}

func fingerprintOwner(id string, o partition.Owner) string {
	return digest(partition.EncodeValue(&partition.Desc{Owners: map[string]partition.Owner{id: o}}))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// fingerprint is the present fingerprint of the entry that a step is about; "" when it is in no view.
func (r *readings) fingerprint(key string, a Action, s *Step) string {
	switch a {
	case Forget:
		e, _, found := r.newestInstance(key, s.ID)
		if !found {
			return ""
		}
		return fingerprint(&e, s.Fingerprint[0] == 'h')
	case RemoveOwner:
		o, found := r.newestOwner(key, s.ID)
		if !found {
			return ""
		}
		return fingerprintOwner(s.ID, o)
	default:
		id, err := strconv.ParseInt(s.ID, 10, 32)
		if err != nil {
			return ""
		}
		p, found := r.newestPartition(key, int32(id))
		if !found {
			return ""
		}
		return fingerprintPartition(&p)
	}
}
