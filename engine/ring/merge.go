package ring

import (
	"slices"
	"time"
)

// Merge brings cur up to date with in, in place, and returns what changed, as a
// ring of only the changed entries to be passed on; nil when nothing changed.
// in is not modified.
//
// An incoming entry replaces the known one when its timestamp is newer, or when
// it is equal and only the incoming one is LEFT. Entries missing in the incoming
// ring say nothing, except with localCAS, the result of a local compare-and-swap:
// then they were removed on purpose and become LEFT at now. When an accepted
// entry changed its tokens and some token has two holders, every such token
// goes to the holder that is not LEAVING, then to the smaller id; losers that
// were not part of in are not part of the change, because each node computes
// the same outcome.
//
// Merge is idempotent, and commutative and associative except for entries with
// equal timestamps and different content, where the first one heard stays.
func Merge(cur, in *Desc, localCAS bool, now time.Time) (change *Desc) {
	if in == nil {
		return nil
	}
	if cur.Instances == nil {
		cur.Instances = map[string]Instance{}
	}
	updated, tokensChanged := cur.accept(in)
	if localCAS {
		updated = append(updated, cur.bury(in, now)...)
	}
	if len(updated) == 0 {
		return nil
	}
	if tokensChanged {
		resolveConflicts(cur.Instances)
	}
	change = &Desc{Instances: make(map[string]Instance, len(updated))}
	for _, id := range updated {
		change.Instances[id] = cur.Instances[id]
	}
	return change
}

// accept takes the entries of in that are newer, normalised.
func (d *Desc) accept(in *Desc) (updated []string, tokensChanged bool) {
	for id, o := range in.Instances {
		t := d.Instances[id] // zero if unknown: timestamp 0, ACTIVE
		newer, buries := o.supersedes(&t)
		if !newer && !buries {
			continue
		}
		switch tokens := normalTokens(&o); {
		case sameTokens(tokens, t.Tokens):
			o.Tokens = t.Tokens // one copy in memory, and quick to compare again
		default:
			o.Tokens = tokens
			tokensChanged = tokensChanged || newer
		}
		d.Instances[id] = o
		updated = append(updated, id)
	}
	return updated, tokensChanged
}

// supersedes tells whether an incoming instance takes the place of the known
// one, and why: it is newer, or as old and a tombstone.
func (i *Instance) supersedes(known *Instance) (newer, buries bool) {
	return i.Timestamp > known.Timestamp, i.Timestamp == known.Timestamp && i.State == Left && known.State != Left
}

// bury turns entries missing in in to tombstones at now.
func (d *Desc) bury(in *Desc, now time.Time) (buried []string) {
	for id, t := range d.Instances {
		if _, kept := in.Instances[id]; kept || t.State == Left {
			continue
		}
		t.State, t.Tokens, t.Timestamp = Left, nil, now.Unix()
		d.Instances[id] = t
		buried = append(buried, id)
	}
	return buried
}

// normalTokens gives the tokens of i sorted and without repeats, none for a
// tombstone. The slice of i itself is returned when it is already so.
func normalTokens(i *Instance) []uint32 {
	if i.State == Left || len(i.Tokens) == 0 {
		return nil
	}
	if strictlySorted(i.Tokens) {
		return i.Tokens
	}
	t := slices.Clone(i.Tokens)
	slices.Sort(t)
	return slices.Compact(t)
}

// sameTokens compares two lists; two views of one array are equal at a glance.
func sameTokens(a, b []uint32) bool {
	if len(a) != len(b) {
		return false
	}
	return len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b)
}

func strictlySorted(t []uint32) bool {
	for i := 1; i < len(t); i++ {
		if t[i-1] >= t[i] {
			return false
		}
	}
	return true
}
