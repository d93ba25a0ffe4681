package membership

import (
	"maps"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// steward is the memory of a partition's owner between two writes; a value, like machine.
type steward struct {
	cfg         *PartitionConfig
	create      bool // create the partition when it is missing
	removeOwner bool // take the owner off at the end

	seen  bool                // our partition was in the ring once
	last  partition.Partition // as last seen
	owned bool                // our owner entry was written once
	lost  bool                // the partition is missing, and we have said so

	instances *ring.Ring           // where owners are members; nil: not known
	missing   map[string]time.Time // owners without an instance, since when; replaced, never changed
}

// reconcile looks after the own partition: it exists, we own it, and it becomes active when enough owners
// have stood by it for long enough. Missing entries are written again, because partition rings, unlike
// instance rings, do not heal by heartbeats.
func (s steward) reconcile(d *partition.Desc, now time.Time) (steward, effect, error) {
	var e effect
	id := s.cfg.Partition
	if ok, err := s.ensurePartition(d, now, &e); !ok || err != nil {
		return s, e, err
	}
	s.ensureOwner(d, now, &e)
	s.noteChange(d.Partitions[id], &e)
	if p := d.Partitions[id]; p.State == partition.Pending && !p.StateChangeLocked && s.enoughOwners(d, now) {
		if changed, err := partition.ChangeState(d, id, partition.Active, now); err == nil && changed {
			e.changed = true
			e.note(NotePromoted, partitionLabel(id), "owners", len(ownersOf(d, id)))
		}
	}
	s.seen, s.last = true, d.Partitions[id]
	return s, e, nil
}

// noteChange tells what others made of the partition since it was last seen: its writes stop or begin by it.
func (s *steward) noteChange(p partition.Partition, e *effect) {
	if s.seen && (p.State != s.last.State || p.StateChangeLocked != s.last.StateChangeLocked) {
		e.note(NoteChanged, partitionLabel(p.ID), "state", p.State.String(), "was", s.last.State.String(), "locked", p.StateChangeLocked)
	}
}

// ensurePartition creates the partition, the way it was last seen if it ever was. It tells whether there
// is one; the error is that of a partition number for which there are no tokens.
func (s *steward) ensurePartition(d *partition.Desc, now time.Time, e *effect) (bool, error) {
	id := s.cfg.Partition
	if p, ok := d.Partitions[id]; ok && p.State != partition.Deleted {
		s.lost = false
		return true, nil
	}
	if !s.create {
		if !s.lost {
			e.note(NotePartitionLost, partitionLabel(id), "created_at_start", false)
		}
		s.lost = true
		return false, nil
	}
	state := partition.Pending
	if s.seen && s.last.State != partition.Deleted {
		state = s.last.State
	}
	delete(d.Partitions, id) // a tombstone, where the store shows them
	if _, err := partition.AddPartition(d, id, state, now); err != nil {
		return false, err
	}
	e.changed = true
	e.note(NoteCreated, partitionLabel(id), "state", state.String())
	return true, nil
}

// ensureOwner registers us as owner if we are not.
func (s *steward) ensureOwner(d *partition.Desc, now time.Time, e *effect) {
	cur, ok := d.Owners[s.cfg.OwnerID]
	if ok && cur.State == partition.OwnerActive && cur.OwnedPartition == s.cfg.Partition {
		s.owned = true
		return
	}
	if changed := partition.AddOwner(d, s.cfg.OwnerID, s.cfg.Partition, partition.OwnerActive, now); !changed {
		return
	}
	kind := NoteOwned
	if s.owned {
		kind = NoteOwnerReAdded
	}
	s.owned, e.changed = true, true
	e.note(kind, partitionLabel(s.cfg.Partition))
}

// enoughOwners tells whether the wanted number of owners has been there for the wanted time.
func (s *steward) enoughOwners(d *partition.Desc, now time.Time) bool {
	since := now.Add(-s.cfg.MinOwnersDuration).Unix()
	n := 0
	for _, o := range d.Owners {
		if o.OwnedPartition == s.cfg.Partition && o.State == partition.OwnerActive && o.UpdatedTimestamp <= since {
			n++
		}
	}
	return n >= s.cfg.MinOwners
}

// sweep forgets the owners of others whose instance is gone, and deletes the partitions of others that have
// been inactive for very long and have no owner left. Locked ones stay: an operator holds them.
func (s steward) sweep(d *partition.Desc, now time.Time) (steward, effect, error) {
	var e effect
	s.forgetOwners(d, now, &e)
	if s.cfg.DeleteInactiveAfter <= 0 {
		return s, e, nil
	}
	since := now.Add(-s.cfg.DeleteInactiveAfter).Unix()
	var doomed []int32
	for id, p := range d.Partitions {
		if id != s.cfg.Partition && p.State == partition.Inactive && !p.StateChangeLocked &&
			p.StateTimestamp < since && len(ownersOf(d, id)) == 0 {
			doomed = append(doomed, id)
		}
	}
	slices.Sort(doomed)
	for _, id := range doomed {
		idle := now.Sub(time.Unix(d.Partitions[id].StateTimestamp, 0)).Truncate(time.Second)
		if partition.RemovePartition(d, id) {
			e.changed = true
			e.note(NoteDeleted, partitionLabel(id), "inactive", idle)
		}
	}
	return s, e, nil
}

// forgetOwners removes the owners that have had no entry in the instance ring for the configured time. When
// most owners seem to have none, it is our view that is wrong, and the waiting starts anew.
func (s *steward) forgetOwners(d *partition.Desc, now time.Time, e *effect) {
	if s.instances == nil || s.cfg.ForgetOwnersAfter <= 0 {
		return
	}
	missing, owners := map[string]time.Time{}, 0
	for name, o := range d.Owners {
		if o.State != partition.OwnerActive {
			continue
		}
		owners++
		instance, _, _ := partition.OwnerInstance(name)
		if _, in := s.instances.InstanceByID(instance); in || name == s.cfg.OwnerID {
			continue
		}
		missing[name] = now
		if since, known := s.missing[name]; known {
			missing[name] = since
		}
	}
	if len(missing) > max(1, owners/2) {
		missing = nil
	}
	s.missing = missing
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		if gone := now.Sub(missing[name]); gone >= s.cfg.ForgetOwnersAfter {
			id := d.Owners[name].OwnedPartition
			partition.RemoveOwner(d, name)
			e.changed = true
			e.note(NoteOwnerForgot, name, "partition", id, "missing", gone.Truncate(time.Second))
		}
	}
}

// depart takes the owner off, if so configured. An owner dated ahead of our clock becomes a tombstone with
// its own date, which wins on every node; one of now would lose.
func (s steward) depart(d *partition.Desc, now time.Time) (steward, effect, error) {
	var e effect
	o, ok := d.Owners[s.cfg.OwnerID]
	if !s.removeOwner || !ok || o.State == partition.OwnerDeleted {
		return s, e, nil
	}
	if o.UpdatedTimestamp > now.Unix() {
		o.State = partition.OwnerDeleted
		d.Owners[s.cfg.OwnerID] = o
	} else {
		partition.RemoveOwner(d, s.cfg.OwnerID)
	}
	s.owned, e.changed = false, true
	e.note(NoteOwnerRemoved, partitionLabel(s.cfg.Partition))
	return s, e, nil
}

// ownersOf lists the active owners of a partition, sorted.
func ownersOf(d *partition.Desc, id int32) []string {
	var out []string
	for name, o := range d.Owners {
		if o.OwnedPartition == id && o.State == partition.OwnerActive {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
