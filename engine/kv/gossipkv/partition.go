package gossipkv

import (
	"strconv"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
)

// PartitionCodec reads partition rings ("partitionRingDesc").
type PartitionCodec struct{}

// ID implements gossip.Codec.
func (PartitionCodec) ID() string { return partition.Codec }

// Decode implements gossip.Codec.
func (PartitionCodec) Decode(b []byte) (gossip.Value, error) {
	if len(b) == 0 {
		return PartitionRing{partition.NewDesc()}, nil
	}
	d, err := partition.DecodeValue(b)
	if err != nil {
		return nil, err
	}
	return PartitionRing{d}, nil
}

// PartitionRing is a partition ring as a gossip value.
type PartitionRing struct{ *partition.Desc }

var (
	_ gossip.Picker = PartitionRing{}
	_ gossip.Dated  = PartitionRing{}
)

// Unwrap returns the *partition.Desc.
func (p PartitionRing) Unwrap() any { return p.Desc }

// Merge implements gossip.Value.
func (p PartitionRing) Merge(in gossip.Value, localCAS bool, now time.Time) gossip.Value {
	o, ok := in.(PartitionRing)
	if !ok {
		return nil
	}
	if change := partition.Merge(p.Desc, o.Desc, localCAS, now); change != nil {
		return PartitionRing{change}
	}
	return nil
}

// Clone implements gossip.Value.
func (p PartitionRing) Clone() gossip.Value { return PartitionRing{p.Desc.Clone()} }

// Encode implements gossip.Value.
func (p PartitionRing) Encode() []byte { return partition.EncodeValue(p.Desc) }

// Pick implements gossip.Picker. A name may be that of a partition and that of an owner; then both are taken.
func (p PartitionRing) Pick(names []string) gossip.Value {
	out := partition.NewDesc()
	for _, name := range names {
		if id, err := strconv.ParseInt(name, 10, 32); err == nil {
			if v, ok := p.Partitions[int32(id)]; ok {
				out.Partitions[int32(id)] = v
			}
		}
		if v, ok := p.Owners[name]; ok {
			out.Owners[name] = v
		}
	}
	if len(out.Partitions)+len(out.Owners) == 0 {
		return nil
	}
	return PartitionRing{out}
}

// RemoveAhead implements gossip.Dated.
func (p PartitionRing) RemoveAhead(limit time.Time) (removed []string) {
	for id, v := range p.Partitions {
		if v.StateTimestamp > limit.Unix() || v.StateChangeLockedTimestamp > limit.Unix() {
			delete(p.Partitions, id)
			removed = append(removed, strconv.Itoa(int(id)))
		}
	}
	for id, v := range p.Owners {
		if v.UpdatedTimestamp > limit.Unix() {
			delete(p.Owners, id)
			removed = append(removed, id)
		}
	}
	return removed
}
