package partition

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/snappy"

	"github.com/ringctl/ringctl/engine/ring"
)

// Codec is the id of the wire codec for partition ring values.
const Codec = "partitionRingDesc"

// Field numbers of PartitionDesc. Field 7 names a token scheme in versions to
// come; it is kept among the unknown fields.
const (
	fieldTokens     = 1
	fieldState      = 2
	fieldStateTime  = 3
	fieldID         = 4
	fieldLocked     = 5
	fieldLockedTime = 6
	fieldScheme     = 7
)

// MarshalBinary encodes the partition ring as plain protobuf, entries sorted,
// so equal values give equal bytes.
func (d *Desc) MarshalBinary() ([]byte, error) { return d.AppendBinary(nil) }

// AppendBinary appends what [Desc.MarshalBinary] gives. The error is always
// nil.
func (d *Desc) AppendBinary(b []byte) ([]byte, error) {
	for _, id := range slices.Sorted(maps.Keys(d.Partitions)) {
		p := d.Partitions[id]
		b = ring.AppendMessageField(b, 1, func(b []byte) []byte {
			b = binary.AppendUvarint(ring.AppendTag(b, 1, ring.WireVarint), uint64(id))
			return ring.AppendMessageField(b, 2, p.appendFields)
		})
	}
	for _, id := range slices.Sorted(maps.Keys(d.Owners)) {
		o := d.Owners[id]
		b = ring.AppendMessageField(b, 2, func(b []byte) []byte {
			b = binary.AppendUvarint(ring.AppendTag(b, 1, ring.WireBytes), uint64(len(id)))
			b = append(b, id...)
			return ring.AppendMessageField(b, 2, o.appendFields)
		})
	}
	return append(b, d.Unknown...), nil
}

func (p *Partition) appendFields(b []byte) []byte {
	b = ring.AppendTokensField(b, fieldTokens, p.Tokens)
	b = ring.AppendVarintField(b, fieldState, uint64(p.State))
	b = ring.AppendVarintField(b, fieldStateTime, uint64(p.StateTimestamp))
	b = ring.AppendVarintField(b, fieldID, uint64(p.ID))
	if p.StateChangeLocked {
		b = ring.AppendVarintField(b, fieldLocked, 1)
	}
	b = ring.AppendVarintField(b, fieldLockedTime, uint64(p.StateChangeLockedTimestamp))
	return append(b, p.Unknown...)
}

func (o *Owner) appendFields(b []byte) []byte {
	b = ring.AppendVarintField(b, 1, uint64(o.OwnedPartition))
	b = ring.AppendVarintField(b, 2, uint64(o.State))
	b = ring.AppendVarintField(b, 3, uint64(o.UpdatedTimestamp))
	return append(b, o.Unknown...)
}

// Unmarshal decodes plain protobuf. It accepts every legal encoding and keeps
// unknown fields. The result does not alias b.
func Unmarshal(b []byte) (*Desc, error) { return unmarshalLike(b, NewDesc()) }

func unmarshalLike(b []byte, known *Desc) (*Desc, error) {
	if len(b) > ring.MaxEncodedSize {
		return nil, fmt.Errorf("decode partition ring: %d bytes, limit is %d", len(b), ring.MaxEncodedSize)
	}
	d := NewDesc()
	r := ring.NewReader(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			r.Fail(d.readPartition(r.Bytes(), known))
		case 2:
			r.Fail(d.readOwner(r.Bytes()))
		default:
			d.Unknown = r.Skip(d.Unknown)
		}
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("decode partition ring: %w", err)
	}
	return d, nil
}

func (d *Desc) readPartition(b []byte, known *Desc) error {
	var key int32
	var value []byte
	r := ring.NewReader(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			key = int32(r.Varint())
		case 2:
			value = r.Bytes()
		default:
			r.Skip(nil)
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	p, err := decodePartition(value, known.Partitions[key].Tokens)
	if err != nil {
		return fmt.Errorf("partition %d: %w", key, err)
	}
	d.Partitions[key] = p
	if len(d.Partitions) > ring.MaxEntries {
		return fmt.Errorf("more than %d partitions", ring.MaxEntries)
	}
	return nil
}

func decodePartition(b []byte, known []uint32) (Partition, error) {
	var p Partition
	r := ring.NewReader(b)
	for r.Next() {
		switch r.Num() {
		case fieldTokens:
			p.Tokens = r.TokensLike(p.Tokens, known)
		case fieldState:
			p.State = State(r.Varint())
		case fieldStateTime:
			p.StateTimestamp = int64(r.Varint())
		case fieldID:
			p.ID = int32(r.Varint())
		case fieldLocked:
			p.StateChangeLocked = r.Varint() != 0
		case fieldLockedTime:
			p.StateChangeLockedTimestamp = int64(r.Varint())
		default:
			p.Unknown = r.Skip(p.Unknown)
		}
	}
	return p, r.Err()
}

func (d *Desc) readOwner(b []byte) error {
	var key, value []byte
	r := ring.NewReader(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			key = r.Bytes()
		case 2:
			value = r.Bytes()
		default:
			r.Skip(nil)
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	o, err := decodeOwner(value)
	if err != nil {
		return fmt.Errorf("owner %q: %w", key, err)
	}
	d.Owners[string(key)] = o
	if len(d.Owners) > ring.MaxEntries {
		return fmt.Errorf("more than %d owners", ring.MaxEntries)
	}
	return nil
}

func decodeOwner(b []byte) (Owner, error) {
	var o Owner
	r := ring.NewReader(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			o.OwnedPartition = int32(r.Varint())
		case 2:
			o.State = OwnerState(r.Varint())
		case 3:
			o.UpdatedTimestamp = int64(r.Varint())
		default:
			o.Unknown = r.Skip(o.Unknown)
		}
	}
	return o, r.Err()
}

// EncodeValue encodes the partition ring as its codec does: a snappy block of
// the protobuf.
func EncodeValue(d *Desc) []byte {
	b, _ := d.AppendBinary(nil)
	return snappy.Encode(nil, b)
}

// DecodeValue is the inverse of [EncodeValue], with a limit on the size before
// anything is allocated.
func DecodeValue(b []byte) (*Desc, error) {
	plain, err := ring.DecodeSnappy(b)
	if err != nil {
		return nil, fmt.Errorf("decode partition ring: %w", err)
	}
	return Unmarshal(plain)
}

// DecodeValueLike is [DecodeValue] for somebody who has seen the ring before:
// it gives known itself when nothing has changed, and shares tokens with it
// otherwise. known may be nil.
func DecodeValueLike(b []byte, known *Desc) (*Desc, error) {
	if known == nil {
		return DecodeValue(b)
	}
	plain, err := ring.DecodeSnappy(b)
	if err != nil {
		return nil, fmt.Errorf("decode partition ring: %w", err)
	}
	d, err := unmarshalLike(plain, known)
	if err == nil && equal(d, known) {
		return known, nil
	}
	return d, err
}

func equal(a, b *Desc) bool {
	return bytes.Equal(a.Unknown, b.Unknown) && maps.EqualFunc(a.Partitions, b.Partitions, func(x, y Partition) bool {
		return x.ID == y.ID && x.State == y.State && x.StateTimestamp == y.StateTimestamp && x.StateChangeLocked == y.StateChangeLocked &&
			x.StateChangeLockedTimestamp == y.StateChangeLockedTimestamp && slices.Equal(x.Tokens, y.Tokens) && bytes.Equal(x.Unknown, y.Unknown)
	}) && maps.EqualFunc(a.Owners, b.Owners, func(x, y Owner) bool {
		return x.OwnedPartition == y.OwnedPartition && x.State == y.State && x.UpdatedTimestamp == y.UpdatedTimestamp && bytes.Equal(x.Unknown, y.Unknown)
	})
}

// Hash covers everything in the partition ring, tombstones and unknown fields
// too. Equal values have equal hashes on every node.
func (d *Desc) Hash() ring.Hash {
	b, _ := d.AppendBinary(nil)
	return sha256.Sum256(b)
}

// TopologyHash covers what decides where keys go: not the tombstones, which
// each node drops by its own clock, and not the timestamps of owners.
func (d *Desc) TopologyHash() ring.Hash {
	live := d.Clone()
	live.RemoveTombstones(time.Time{})
	for id, o := range live.Owners {
		o.UpdatedTimestamp = 0
		live.Owners[id] = o
	}
	return live.Hash()
}
