package model

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Event is one thing that changed between two snapshots.
type Event struct {
	// At is the time of the snapshot in which the change was first seen.
	At time.Time `json:"at"`
	// Kind is a stable word: "instance-joined", "partition-state", … (see the constants).
	Kind EventKind `json:"kind"`
	// Key is the ring's key; empty for gossip members.
	Key string `json:"key,omitempty"`
	// ID is the member, instance, partition or owner.
	ID string `json:"id,omitempty"`
	// From and To are the old and the new value where there are two.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Bad marks changes for the worse.
	Bad bool `json:"bad,omitempty"`
}

// EventKind names a kind of change.
type EventKind string

// The kinds of events.
const (
	RingAppeared         EventKind = "ring-appeared"
	RingVanished         EventKind = "ring-vanished"
	RingVerdict          EventKind = "ring-verdict"
	InstanceJoined       EventKind = "instance-joined"
	InstanceGone         EventKind = "instance-gone"
	InstanceResurrected  EventKind = "instance-resurrected"
	InstanceState        EventKind = "instance-state"
	InstanceHealth       EventKind = "instance-health"
	InstanceAddr         EventKind = "instance-addr"
	InstanceZone         EventKind = "instance-zone"
	InstanceTokens       EventKind = "instance-tokens"
	InstanceReadOnly     EventKind = "instance-read-only"
	PartitionAdded       EventKind = "partition-added"
	PartitionGone        EventKind = "partition-gone"
	PartitionState       EventKind = "partition-state"
	PartitionLock        EventKind = "partition-lock"
	PartitionOwnerAdded  EventKind = "owner-added"
	PartitionOwnerGone   EventKind = "owner-gone"
	PartitionOwnerHealth EventKind = "owner-health"
	MemberJoined         EventKind = "member-joined"
	MemberGone           EventKind = "member-gone"
	MemberState          EventKind = "member-state"
)

// String is one line of words without the time.
func (e Event) String() string {
	what := e.ID
	if e.Key != "" && e.ID != "" {
		what = e.Key + " " + e.ID
	} else if e.ID == "" {
		what = e.Key
	}
	switch {
	case e.From != "" && e.To != "":
		return fmt.Sprintf("%s %s: %s -> %s", e.Kind, what, e.From, e.To)
	case e.To != "":
		return fmt.Sprintf("%s %s: %s", e.Kind, what, e.To)
	default:
		return fmt.Sprintf("%s %s", e.Kind, what)
	}
}

// Timeline turns a sequence of snapshots into events. It remembers what is gone, so that an entry that
// returns without having registered anew is told apart from one that joins. The zero value is ready; it is
// not safe for concurrent use.
type Timeline struct {
	last *Snapshot
	gone map[string]time.Time // "key\x00id" -> registered time of the entry that went
}

// Add takes the next snapshot and returns what changed since the one before, in a stable order. The first
// snapshot has no events. A snapshot with the same content gives none.
func (t *Timeline) Add(s *Snapshot) []Event {
	prev := t.last
	t.last = s
	if prev == nil {
		return nil
	}
	if t.gone == nil {
		t.gone = map[string]time.Time{}
	}
	e := eventer{at: s.At, gone: t.gone}
	forBoth(prev.Rings, s.Rings, func(r *Ring) string { return r.Key }, e.ring)
	forBoth(prev.PartitionRings, s.PartitionRings, func(r *PartitionRing) string { return r.Key }, e.partitionRing)
	forBoth(prev.Members, s.Members, func(m *Member) string { return m.Name }, e.member)
	return e.out
}

// Changes are the events between two snapshots.
func Changes(from, to *Snapshot) []Event {
	var t Timeline
	t.Add(from)
	return t.Add(to)
}

type eventer struct {
	at   time.Time
	gone map[string]time.Time
	out  []Event
}

func (e *eventer) emit(kind EventKind, key, id, from, to string, bad bool) {
	e.out = append(e.out, Event{At: e.at, Kind: kind, Key: key, ID: id, From: from, To: to, Bad: bad})
}

func (e *eventer) changed(kind EventKind, key, id, from, to string, bad bool) {
	if from != to {
		e.emit(kind, key, id, from, to, bad)
	}
}

func (e *eventer) ring(a, b *Ring) {
	switch {
	case b == nil:
		e.emit(RingVanished, a.Key, "", "", "", true)
		return
	case a == nil:
		e.emit(RingAppeared, b.Key, "", "", Plural(len(b.Instances), "instance"), false)
		return
	}
	forBoth(a.Instances, b.Instances, func(i *Instance) string { return i.ID }, func(x, y *Instance) {
		switch {
		case y == nil:
			e.gone[a.Key+"\x00"+x.ID] = x.Registered
			e.emit(InstanceGone, a.Key, x.ID, x.State, "", false)
		case x == nil:
			e.arrived(b.Key, y)
		default:
			e.instance(a.Key, x, y)
		}
	})
	e.changed(RingVerdict, a.Key, "", string(a.Verdict), string(b.Verdict), b.Verdict.Rank() > a.Verdict.Rank())
}

func (e *eventer) arrived(key string, i *Instance) {
	name := key + "\x00" + i.ID
	registered, was := e.gone[name]
	delete(e.gone, name)
	if was && registered.Equal(i.Registered) {
		e.emit(InstanceResurrected, key, i.ID, "", i.State, true)
		return
	}
	e.emit(InstanceJoined, key, i.ID, "", i.State, false)
}

func (e *eventer) instance(key string, x, y *Instance) {
	e.changed(InstanceState, key, x.ID, x.State, y.State, y.State == "LEAVING")
	e.changed(InstanceHealth, key, x.ID, string(x.Health), string(y.Health), y.Health != Healthy)
	e.changed(InstanceAddr, key, x.ID, x.Addr, y.Addr, false)
	e.changed(InstanceZone, key, x.ID, zoneName(x.Zone), zoneName(y.Zone), false)
	e.changed(InstanceTokens, key, x.ID, strconv.Itoa(x.Tokens), strconv.Itoa(y.Tokens), y.Tokens < x.Tokens)
	e.changed(InstanceReadOnly, key, x.ID, strconv.FormatBool(x.ReadOnly), strconv.FormatBool(y.ReadOnly), false)
}

func zoneName(z string) string {
	if z == "" {
		return "(none)"
	}
	return z
}

func (e *eventer) partitionRing(a, b *PartitionRing) {
	switch {
	case b == nil:
		e.emit(RingVanished, a.Key, "", "", "", true)
		return
	case a == nil:
		e.emit(RingAppeared, b.Key, "", "", Plural(len(b.Partitions), "partition"), false)
		return
	}
	forBoth(a.Partitions, b.Partitions, func(p *Partition) int32 { return p.ID }, func(x, y *Partition) {
		switch {
		case y == nil:
			e.emit(PartitionGone, a.Key, strconv.Itoa(int(x.ID)), x.State, "", false)
		case x == nil:
			e.emit(PartitionAdded, a.Key, strconv.Itoa(int(y.ID)), "", y.State, false)
		default:
			id := strconv.Itoa(int(x.ID))
			e.changed(PartitionState, a.Key, id, x.State, y.State, false)
			e.changed(PartitionLock, a.Key, id, LockText(x.Locked), LockText(y.Locked), false)
		}
	})
	e.owners(a, b)
	e.changed(RingVerdict, a.Key, "", string(a.Verdict), string(b.Verdict), b.Verdict.Rank() > a.Verdict.Rank())
}

func (e *eventer) owners(a, b *PartitionRing) {
	if a.sharesOwners(b) {
		return
	}
	forBoth(a.AllOwners(), b.AllOwners(), func(o *Owner) string { return o.ID }, func(x, y *Owner) {
		switch {
		case y == nil:
			e.emit(PartitionOwnerGone, a.Key, x.ID, partitionText(x), "", false)
		case x == nil:
			e.emit(PartitionOwnerAdded, a.Key, y.ID, "", partitionText(y), false)
		default:
			e.changed(PartitionOwnerHealth, a.Key, x.ID, string(x.Health), string(y.Health), y.Health != Healthy)
		}
	})
}

// sharesOwners tells whether the owners of two rings are the same values in memory, because one was made from the other.
func (r *PartitionRing) sharesOwners(b *PartitionRing) bool {
	same := func(a, b []Owner) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
	return same(r.Orphans, b.Orphans) && slices.EqualFunc(r.Partitions, b.Partitions, func(x, y Partition) bool { return same(x.Owners, y.Owners) })
}

// LockText is "locked" or "unlocked".
func LockText(locked bool) string {
	if locked {
		return "locked"
	}
	return "unlocked"
}

func partitionText(o *Owner) string { return "partition " + strconv.Itoa(int(o.Partition)) }

func (e *eventer) member(a, b *Member) {
	switch {
	case b == nil:
		e.emit(MemberGone, "", a.Name, a.State, "", ill(a))
	case a == nil:
		e.emit(MemberJoined, "", b.Name, "", b.State, false)
	default:
		e.changed(MemberState, "", a.Name, a.State, b.State, ill(b))
	}
}

// ill tells whether others miss a gossip member; one that has said goodbye they do not.
func ill(m *Member) bool { return m.State == "suspect" || m.State == "dead" }
