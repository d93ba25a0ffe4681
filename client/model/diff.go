package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Difference is one field in which two views do not agree.
type Difference struct {
	// Key is the ring's key, or "" for gossip members.
	Key string `json:"key,omitempty"`
	// Kind is "member", "ring", "instance", "partition" or "owner".
	Kind string `json:"kind"`
	// ID is the member's name, the instance's id, the partition's number or the owner's id.
	ID string `json:"id,omitempty"`
	// Field is the name of the field, or "presence".
	Field string `json:"field"`
	// A and B are the two values as text; "-" where the thing is absent.
	A string `json:"a"`
	B string `json:"b"`
	// Behind is "a" or "b": the view with the older entry; "" where timestamps do not tell.
	Behind string `json:"behind,omitempty"`
}

const absent = "-"

// Compare lists what differs between two snapshots, sorted by key, kind and id. Heartbeats, which always
// differ a little, are compared only with heartbeats set: differences of up to slack are then ignored.
func Compare(a, b *Snapshot, heartbeats bool, slack time.Duration) []Difference {
	c := comparer{heartbeats: heartbeats, slack: slack}
	c.members(a.Members, b.Members)
	forBoth(a.Rings, b.Rings, func(r *Ring) string { return r.Key }, c.ring)
	forBoth(a.PartitionRings, b.PartitionRings, func(r *PartitionRing) string { return r.Key }, c.partitionRing)
	return c.out
}

type comparer struct {
	heartbeats bool
	slack      time.Duration
	out        []Difference
}

// forBoth walks two slices sorted by name in step and calls f with nil for the missing side.
func forBoth[T any, K interface{ ~string | ~int32 }](a, b []T, name func(*T) K, f func(a, b *T)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && name(&a[0]) < name(&b[0]):
			f(&a[0], nil)
			a = a[1:]
		case len(a) == 0 || name(&b[0]) < name(&a[0]):
			f(nil, &b[0])
			b = b[1:]
		default:
			f(&a[0], &b[0])
			a, b = a[1:], b[1:]
		}
	}
}

func (c *comparer) field(key, kind, id, field, a, b, behind string) {
	if a != b {
		c.out = append(c.out, Difference{Key: key, Kind: kind, ID: id, Field: field, A: a, B: b, Behind: behind})
	}
}

func (c *comparer) members(a, b []Member) {
	forBoth(a, b, func(m *Member) string { return m.Name }, func(a, b *Member) {
		switch {
		case b == nil:
			c.field("", "member", a.Name, "presence", a.State, absent, "")
		case a == nil:
			c.field("", "member", b.Name, "presence", absent, b.State, "")
		default:
			c.field("", "member", a.Name, "state", a.State, b.State, "")
			c.field("", "member", a.Name, "addr", a.Addr, b.Addr, "")
		}
	})
}

func (c *comparer) ring(a, b *Ring) {
	switch {
	case b == nil:
		c.field(a.Key, "ring", "", "presence", Plural(len(a.Instances), "instance"), absent, "b")
		return
	case a == nil:
		c.field(b.Key, "ring", "", "presence", absent, Plural(len(b.Instances), "instance"), "a")
		return
	}
	c.field(a.Key, "ring", "", "deleted", strconv.FormatBool(a.Deleted), strconv.FormatBool(b.Deleted), "")
	gone := func(r *Ring, id string) string {
		for _, t := range r.Tombstones {
			if t.ID == id {
				return "LEFT"
			}
		}
		return absent
	}
	forBoth(a.Instances, b.Instances, func(i *Instance) string { return i.ID }, func(x, y *Instance) {
		switch {
		case y == nil:
			c.field(a.Key, "instance", x.ID, "presence", x.State, gone(b, x.ID), behindIfGone(gone(b, x.ID), "a", "b"))
		case x == nil:
			c.field(a.Key, "instance", y.ID, "presence", gone(a, y.ID), y.State, behindIfGone(gone(a, y.ID), "b", "a"))
		default:
			c.instance(a.Key, x, y)
		}
	})
}

// behindIfGone returns the side that has not heard of a removal where there is a tombstone on the other, and
// the side without the entry where there is none.
func behindIfGone(other, holder, missing string) string {
	if other == "LEFT" {
		return holder
	}
	return missing
}

func (c *comparer) instance(key string, x, y *Instance) {
	behind := older(x.Heartbeat, y.Heartbeat)
	f := func(field, a, b string) { c.field(key, "instance", x.ID, field, a, b, behind) }
	f("state", x.State, y.State)
	f("addr", x.Addr, y.Addr)
	f("zone", x.Zone, y.Zone)
	f("readOnly", strconv.FormatBool(x.ReadOnly), strconv.FormatBool(y.ReadOnly))
	f("registered", Stamp(x.Registered), Stamp(y.Registered))
	if !slices.Equal(x.TokenValues, y.TokenValues) {
		f("tokens", tokenText(x.TokenValues, y.TokenValues), tokenText(y.TokenValues, x.TokenValues))
	}
	if d := x.Heartbeat.Sub(y.Heartbeat).Abs(); c.heartbeats && d > c.slack {
		f("heartbeat", Stamp(x.Heartbeat), Stamp(y.Heartbeat))
	}
}

// tokenText tells how many tokens there are, and how many of them the other side does not have.
func tokenText(mine, other []uint32) string {
	extra := 0
	for _, t := range mine {
		if _, found := slices.BinarySearch(other, t); !found {
			extra++
		}
	}
	return fmt.Sprintf("%d (%d others lack)", len(mine), extra)
}

func (c *comparer) partitionRing(a, b *PartitionRing) {
	switch {
	case b == nil:
		c.field(a.Key, "ring", "", "presence", Plural(len(a.Partitions), "partition"), absent, "b")
		return
	case a == nil:
		c.field(b.Key, "ring", "", "presence", absent, Plural(len(b.Partitions), "partition"), "a")
		return
	}
	forBoth(a.Partitions, b.Partitions, func(p *Partition) int32 { return p.ID }, func(x, y *Partition) {
		switch {
		case y == nil:
			c.field(a.Key, "partition", strconv.Itoa(int(x.ID)), "presence", x.State, absent, "")
		case x == nil:
			c.field(a.Key, "partition", strconv.Itoa(int(y.ID)), "presence", absent, y.State, "")
		default:
			c.partition(a.Key, x, y)
		}
	})
	forBoth(a.AllOwners(), b.AllOwners(), func(o *Owner) string { return o.ID }, func(x, y *Owner) {
		switch {
		case y == nil:
			c.field(a.Key, "owner", x.ID, "presence", strconv.Itoa(int(x.Partition)), absent, "")
		case x == nil:
			c.field(a.Key, "owner", y.ID, "presence", absent, strconv.Itoa(int(y.Partition)), "")
		default:
			c.field(a.Key, "owner", x.ID, "partition", strconv.Itoa(int(x.Partition)), strconv.Itoa(int(y.Partition)), older(x.Since, y.Since))
		}
	})
}

func (c *comparer) partition(key string, x, y *Partition) {
	id := strconv.Itoa(int(x.ID))
	c.field(key, "partition", id, "state", x.State, y.State, older(x.Since, y.Since))
	c.field(key, "partition", id, "since", Stamp(x.Since), Stamp(y.Since), older(x.Since, y.Since))
	c.field(key, "partition", id, "locked", strconv.FormatBool(x.Locked), strconv.FormatBool(y.Locked), older(x.LockedSince, y.LockedSince))
	c.field(key, "partition", id, "tokens", strconv.Itoa(x.Tokens), strconv.Itoa(y.Tokens), "")
}

// AllOwners are the owners of all partitions and the orphans, sorted by id.
func (r *PartitionRing) AllOwners() []Owner {
	all := slices.Clone(r.Orphans)
	for i := range r.Partitions {
		all = append(all, r.Partitions[i].Owners...)
	}
	slices.SortFunc(all, func(a, b Owner) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// older names the side with the older time.
func older(a, b time.Time) string {
	switch {
	case a.Before(b):
		return "a"
	case b.Before(a):
		return "b"
	default:
		return ""
	}
}

// Stamp is a time in RFC 3339, "-" for the zero time.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return absent
	}
	return t.UTC().Format(time.RFC3339)
}

// Plural counts a noun: 1 member, 2 members.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// Agreement tells, for one key, which members see the same thing.
type Agreement struct {
	Key  string `json:"key"`
	Name string `json:"name"`
	// Groups has one entry per distinct hash, largest first. One group means that all agree.
	Groups []ViewGroup `json:"groups"`
	// Missing are the members whose state does not have the key at all.
	Missing []string `json:"missing,omitempty"`
}

// ViewGroup is a set of members with the same view of a key.
type ViewGroup struct {
	Hash    string   `json:"hash"`
	Members []string `json:"members"`
}

// Agreed is true when all views have the key, and the same of it.
func (a *Agreement) Agreed() bool { return len(a.Groups) == 1 && len(a.Missing) == 0 }

// Agreements groups views by what they see, per key, sorted by key.
func Agreements(views []*Snapshot) []Agreement {
	names := map[string]string{}
	hash := map[string]map[string]string{} // key -> view -> hash
	for _, v := range views {
		for i := range v.Rings {
			r := &v.Rings[i]
			names[r.Key] = r.Name
			put(hash, r.Key, v.From, r.Hash)
		}
		for i := range v.PartitionRings {
			r := &v.PartitionRings[i]
			names[r.Key] = r.Name
			put(hash, r.Key, v.From, r.Hash)
		}
	}
	var out []Agreement
	for key, of := range hash {
		a := Agreement{Key: key, Name: names[key]}
		groups := map[string][]string{}
		for _, v := range views {
			if h, ok := of[v.From]; ok {
				groups[h] = append(groups[h], v.From)
			} else {
				a.Missing = append(a.Missing, v.From)
			}
		}
		for h, m := range groups {
			slices.Sort(m)
			a.Groups = append(a.Groups, ViewGroup{Hash: h, Members: m})
		}
		slices.SortFunc(a.Groups, largestFirst)
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Agreement) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func put(m map[string]map[string]string, key, view, hash string) {
	if m[key] == nil {
		m[key] = map[string]string{}
	}
	m[key][view] = hash
}

func largestFirst(a, b ViewGroup) int {
	if d := len(b.Members) - len(a.Members); d != 0 {
		return d
	}
	return strings.Compare(a.Members[0], b.Members[0])
}

// Islands groups members that hold each other for alive (directly or through others), largest first.
// More than one island is a split cluster. Only members that answered are grouped.
func Islands(views []*Snapshot) [][]string {
	alive := map[string]map[string]bool{}
	for _, v := range views {
		alive[v.From] = map[string]bool{}
		for _, m := range v.Members {
			if m.State == "alive" || m.State == "suspect" {
				alive[v.From][m.Name] = true
			}
		}
	}
	island := map[string]int{}
	var out [][]string
	for _, v := range views {
		if _, done := island[v.From]; done {
			continue
		}
		n, todo := len(out), []string{v.From}
		island[v.From] = n
		var group []string
		for len(todo) > 0 {
			at := todo[0]
			todo, group = todo[1:], append(group, at)
			for other := range alive {
				if _, done := island[other]; !done && (alive[at][other] || alive[other][at]) {
					island[other] = n
					todo = append(todo, other)
				}
			}
		}
		slices.Sort(group)
		out = append(out, group)
	}
	slices.SortStableFunc(out, func(a, b []string) int { return len(b) - len(a) })
	return out
}
