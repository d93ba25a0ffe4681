package partition

import "time"

// Merge brings cur up to date with in, in place, and returns what changed, to
// be passed on; nil when nothing changed. in is not modified.
//
// A partition that is not known is taken as it is. Of a known one the number
// and tokens never change; the state is taken when its timestamp is newer, or
// equal and only the incoming one is Deleted; the lock, independently, when its
// timestamp is newer. An owner is taken as a whole by the rule of the state,
// an unknown one counting as timestamp 0. With localCAS, the result of a local
// compare-and-swap, entries missing in in become Deleted at now.
//
// Two different states set in the same second, neither of them Deleted, stay
// different on the nodes that heard one of them first: nothing orders them.
func Merge(cur, in *Desc, localCAS bool, now time.Time) (change *Desc) {
	if in == nil {
		return nil
	}
	if cur.Partitions == nil {
		cur.Partitions = map[int32]Partition{}
	}
	if cur.Owners == nil {
		cur.Owners = map[string]Owner{}
	}
	change = NewDesc()
	cur.mergePartitions(in, change)
	cur.mergeOwners(in, change)
	if localCAS {
		cur.bury(in, change, now)
	}
	if len(change.Partitions) == 0 && len(change.Owners) == 0 {
		return nil
	}
	return change
}

func (d *Desc) mergePartitions(in, change *Desc) {
	for id, o := range in.Partitions {
		t, known := d.Partitions[id]
		if known {
			if !t.update(&o) {
				continue
			}
		} else {
			t = o
		}
		d.Partitions[id] = t
		change.Partitions[id] = t
	}
}

// update takes what is newer in o. Unknown fields travel with the entry: a node
// of an older version may have stripped ours, so they are taken when we have
// none.
func (p *Partition) update(o *Partition) (changed bool) {
	if wins(o.StateTimestamp, p.StateTimestamp, o.State == Deleted, p.State == Deleted) {
		p.State, p.StateTimestamp = o.State, o.StateTimestamp
		changed = true
	}
	if o.StateChangeLockedTimestamp > p.StateChangeLockedTimestamp {
		p.StateChangeLocked, p.StateChangeLockedTimestamp = o.StateChangeLocked, o.StateChangeLockedTimestamp
		changed = true
	}
	if changed && len(p.Unknown) == 0 {
		p.Unknown = o.Unknown
	}
	return changed
}

func wins(in, cur int64, inDeleted, curDeleted bool) bool {
	return in > cur || in == cur && inDeleted && !curDeleted
}

func (d *Desc) mergeOwners(in, change *Desc) {
	for id, o := range in.Owners {
		t := d.Owners[id] // zero if unknown
		if wins(o.UpdatedTimestamp, t.UpdatedTimestamp, o.State == OwnerDeleted, t.State == OwnerDeleted) {
			d.Owners[id] = o
			change.Owners[id] = o
		}
	}
}

func (d *Desc) bury(in, change *Desc, now time.Time) {
	for id, p := range d.Partitions {
		if _, kept := in.Partitions[id]; !kept && p.State != Deleted {
			p.State, p.StateTimestamp = Deleted, now.Unix()
			d.Partitions[id] = p
			change.Partitions[id] = p
		}
	}
	for id, o := range d.Owners {
		if _, kept := in.Owners[id]; !kept && o.State != OwnerDeleted {
			o.State, o.UpdatedTimestamp = OwnerDeleted, now.Unix()
			d.Owners[id] = o
			change.Owners[id] = o
		}
	}
}
