package gossip

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// BeaconKey is where the family's propagation delay tracker keeps its beacons.
const BeaconKey = "memberlist-propagation-delay-tracker"

const beaconCodec = "propagationDelayTracker"

// Beacon is a mark that a node publishes so that the others can measure how long news take.
type Beacon struct {
	PublishedAt int64 // Unix milliseconds
	DeletedAt   int64 // Unix milliseconds; 0: alive
	PublishedBy string
}

// Beacons is the value of the propagation delay tracker. A member understands it in order to relay it.
type Beacons map[uint64]Beacon

// BeaconCodec reads and writes Beacons.
type BeaconCodec struct{}

// ID implements Codec.
func (BeaconCodec) ID() string { return beaconCodec }

// Decode implements Codec.
func (BeaconCodec) Decode(b []byte) (Value, error) {
	out := Beacons{}
	if len(b) == 0 {
		return out, nil
	}
	raw, err := wire.Decompress(wire.Snappy, b, wire.MaxState)
	if err != nil {
		return nil, fmt.Errorf("beacons: %w", err)
	}
	return out, out.UnmarshalBinary(raw)
}

// UnmarshalBinary reads the protobuf form and adds it to m.
func (m Beacons) UnmarshalBinary(b []byte) error {
	return eachField(b, func(num protowire.Number, _ uint64, sub []byte) error {
		if num != 1 {
			return nil
		}
		var id uint64
		var v Beacon
		err := eachField(sub, func(num protowire.Number, n uint64, sub []byte) error {
			if num == 1 {
				id = n
			} else if num == 2 {
				return v.unmarshal(sub)
			}
			return nil
		})
		m[id] = v
		return err
	})
}

func (v *Beacon) unmarshal(b []byte) error {
	return eachField(b, func(num protowire.Number, n uint64, sub []byte) error {
		switch num {
		case 1:
			v.PublishedAt = int64(n)
		case 2:
			v.DeletedAt = int64(n)
		case 3:
			v.PublishedBy = string(sub)
		}
		return nil
	})
}

// eachField walks the varint and bytes fields of a message.
func eachField(b []byte, f func(num protowire.Number, n uint64, sub []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var sub []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			sub, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if typ == protowire.VarintType || typ == protowire.BytesType {
			if err := f(num, v, sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// MarshalBinary returns the protobuf form, sorted by id. It never fails.
func (m Beacons) MarshalBinary() ([]byte, error) {
	ids := make([]uint64, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var b []byte
	for _, id := range ids {
		v := m[id]
		var body []byte
		body = appendVarintField(body, 1, uint64(v.PublishedAt))
		body = appendVarintField(body, 2, uint64(v.DeletedAt))
		if v.PublishedBy != "" {
			body = protowire.AppendString(protowire.AppendTag(body, 3, protowire.BytesType), v.PublishedBy)
		}
		item := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), id)
		item = protowire.AppendBytes(protowire.AppendTag(item, 2, protowire.BytesType), body)
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), item)
	}
	return b, nil
}

func appendVarintField(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

// Encode implements Value.
func (m Beacons) Encode() []byte {
	raw, _ := m.MarshalBinary()
	return snappy.Encode(nil, raw)
}

// Merge implements Value: the later publication wins, and of two equal ones the later deletion.
func (m Beacons) Merge(in Value, localCAS bool, now time.Time) Value {
	other, ok := in.(Beacons)
	if !ok {
		return nil
	}
	change := Beacons{}
	for id, v := range other {
		cur, known := m[id]
		if !known || v.PublishedAt > cur.PublishedAt || v.PublishedAt == cur.PublishedAt && v.DeletedAt > cur.DeletedAt {
			m[id], change[id] = v, v
		}
	}
	if localCAS {
		for id, v := range m {
			if _, kept := other[id]; !kept && v.DeletedAt == 0 {
				v.DeletedAt = now.UnixMilli()
				m[id], change[id] = v, v
			}
		}
	}
	if len(change) == 0 {
		return nil
	}
	return change
}

// RemoveTombstones implements Value.
func (m Beacons) RemoveTombstones(limit time.Time) (total, removed int) {
	for id, v := range m {
		switch {
		case v.DeletedAt == 0:
		case limit.IsZero() || v.DeletedAt < limit.UnixMilli():
			delete(m, id)
			removed++
		default:
			total++
		}
	}
	return total, removed
}

// Clone implements Value.
func (m Beacons) Clone() Value {
	out := make(Beacons, len(m))
	for id, v := range m {
		out[id] = v
	}
	return out
}

// EntryNames implements Value.
func (m Beacons) EntryNames() []string {
	names := make([]string, 0, len(m))
	for id := range m {
		names = append(names, strconv.FormatUint(id, 10))
	}
	return names
}
