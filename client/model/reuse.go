package model

import (
	"hash/crc32"
	"reflect"
	"slices"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// reuse finds what an earlier snapshot, nil for none, has in common with the one that is being built. In a cluster where
// only heartbeats move that is nearly everything: tokens, shares, quorums and partitions.
type reuse struct{ before *Snapshot }

// Fingerprint tells apart values of one key.
type Fingerprint struct {
	size             int
	castagnoli, ieee uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FingerprintOf is ten times as fast as decoding. Nobody forges values to be taken for older ones: who can send values can
// send the older ones. By chance, two have the same fingerprint once in 2⁶⁴ times.
func FingerprintOf(value []byte) Fingerprint {
	return Fingerprint{len(value), crc32.Checksum(value, castagnoli), crc32.ChecksumIEEE(value)}
}

// decode reads a pair into v. The value is shared with the snapshot before, where it is the same.
func (u reuse) decode(p gossip.Pair, print Fingerprint, v *Value) (err error) {
	var rings *ring.Desc
	var partitions *partition.Desc
	if u.before != nil && u.before.contents != nil {
		c := u.before.contents
		rings, partitions = c.rings[p.Key], c.partitions[p.Key]
		if before, ok := c.prints[p.Key]; ok && before == print {
			switch {
			case p.Codec == ring.Codec && rings != nil:
				v.Ring = rings
				return nil
			case p.Codec == partition.Codec && partitions != nil:
				v.Partitions = partitions
				return nil
			}
		}
	}
	switch p.Codec {
	case ring.Codec:
		v.Ring, err = ring.DecodeValueLike(p.Value, rings)
	case partition.Codec:
		v.Partitions, err = partition.DecodeValueLike(p.Value, partitions)
	}
	return err
}

// ring is the same ring of the snapshot before, if it differed in nothing but heartbeats and what follows from them.
func (u reuse) ring(s *Snapshot, r *Ring, p Profile) *Ring {
	if u.before == nil || u.before.contents == nil {
		return nil
	}
	d := u.before.contents.rings[r.Key]
	if d == nil || !ring.SameButHeartbeats(d, s.contents.rings[r.Key]) {
		return nil
	}
	old, ok := u.before.Ring(r.Key)
	if !ok || old.Deleted != r.Deleted || old.HeartbeatTimeout != r.HeartbeatTimeout || old.Stateless != p.Stateless {
		return nil
	}
	return old
}

// idsOf are the ids of all entries, sorted. Where the entries are those of an earlier snapshot they need no sorting.
func idsOf(d *ring.Desc, old *Ring) []string {
	if old == nil {
		return d.EntryNames()
	}
	ids := make([]string, 0, len(d.Instances))
	for i := range old.Instances {
		ids = append(ids, old.Instances[i].ID)
	}
	for i := range old.Tombstones {
		ids = append(ids, old.Tombstones[i].ID)
	}
	return ids
}

// sameHealth tells whether two states of a ring that differ in heartbeats only are judged alike.
func (r *Ring) sameHealth(old *Ring) bool {
	return r.ReplicationFactor == old.ReplicationFactor && r.ZoneAware == old.ZoneAware &&
		slices.EqualFunc(r.Instances, old.Instances, func(a, b Instance) bool {
			return a.ID == b.ID && a.Health == b.Health && a.CountsForWrite == b.CountsForWrite && a.CountsForRead == b.CountsForRead
		})
}

// take copies what does not depend on heartbeats.
func (r *Ring) take(old *Ring) {
	for i := range r.Instances {
		r.Instances[i].Ownership = old.Instances[i].Ownership
	}
	r.Hash, r.Zones, r.Spread = old.Hash, old.Zones, old.Spread
	r.Write, r.Read, r.DuplicateTokens = old.Write, old.Read, old.DuplicateTokens
	r.Verdict, r.Problem, r.Problems = old.Verdict, old.Problem, old.Problems
}

// steady tells whether every instance ring, and who is healthy in it, is as in the snapshot before.
func (u reuse) steady(s *Snapshot) bool {
	return u.before != nil && u.before.contents != nil && u.before.contents.options.judgesLike(&s.contents.options) &&
		slices.EqualFunc(s.Rings, u.before.Rings, func(a, b Ring) bool {
			// Rings that took over the judgement of the one before share its zones.
			return a.Key == b.Key && len(a.Zones) == len(b.Zones) && (len(a.Zones) == 0 || &a.Zones[0] == &b.Zones[0])
		})
}

// judgesLike tells whether two options differ at most in the moment and in words.
func (o *Options) judgesLike(p *Options) bool {
	return o.Product == p.Product && o.HeartbeatTimeout == p.HeartbeatTimeout && o.ReplicationFactor == p.ReplicationFactor &&
		reflect.DeepEqual(o.ZoneAware, p.ZoneAware) && reflect.DeepEqual(o.Profiles, p.Profiles)
}

// partitions fills a partition ring in from the snapshot before, when all rings are steady and it is the very same value.
func (u reuse) partitions(s *Snapshot, r *PartitionRing) bool {
	if u.before.contents.partitions[r.Key] != s.contents.partitions[r.Key] {
		return false
	}
	old, ok := u.before.PartitionRing(r.Key)
	if !ok || old.Deleted != r.Deleted || old.Product != r.Product {
		return false
	}
	for _, p := range old.Partitions { // what is wrong with one that is PENDING depends on its age
		was := p.Waiting()
		if !p.Since.IsZero() {
			p.Age = Duration(s.At.Sub(p.Since))
		}
		if p.Waiting() != was {
			return false
		}
	}
	name, size := r.Name, r.Bytes
	*r = *old
	r.Name, r.Bytes = name, size
	r.Partitions = slices.Clone(old.Partitions)
	for i := range r.Partitions {
		if p := &r.Partitions[i]; !p.Since.IsZero() {
			p.Age = Duration(s.At.Sub(p.Since))
		}
	}
	return true
}

// pair is a pair with its value.
func (c *contents) pair(p gossip.Pair) gossip.Pair {
	if d := c.rings[p.Key]; d != nil {
		p.Value = ring.EncodeValue(d)
	} else if d := c.partitions[p.Key]; d != nil {
		p.Value = partition.EncodeValue(d)
	}
	return p
}
