package ring

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/klauspost/compress/snappy"
)

// Codec is the id of the wire codec for ring values.
const Codec = "ringDesc"

// Field numbers of InstanceDesc; 4 and 5 are reserved.
const (
	fieldAddr       = 1
	fieldTimestamp  = 2
	fieldState      = 3
	fieldTokens     = 6
	fieldZone       = 7
	fieldRegistered = 8
	fieldID         = 9
	fieldReadOnlyAt = 10
	fieldReadOnly   = 11
	fieldVersions   = 12
)

// MarshalBinary encodes the ring as plain protobuf, entries sorted by id, so
// equal rings give equal bytes.
func (d *Desc) MarshalBinary() ([]byte, error) { return d.AppendBinary(nil) }

// AppendBinary appends what [Desc.MarshalBinary] gives. The error is always
// nil.
func (d *Desc) AppendBinary(b []byte) ([]byte, error) {
	size := len(d.Unknown)
	for id, i := range d.Instances {
		size += len(id) + len(i.ID) + len(i.Addr) + len(i.Zone) + len(i.Unknown) + 5*len(i.Tokens) + 24*len(i.Versions) + 80
	}
	b = slices.Grow(b, size)
	for _, id := range d.EntryNames() {
		i := d.Instances[id]
		b = AppendMessageField(b, 1, func(b []byte) []byte {
			b = binary.AppendUvarint(AppendTag(b, 1, WireBytes), uint64(len(id)))
			b = append(b, id...)
			return AppendMessageField(b, 2, i.appendFields)
		})
	}
	return append(b, d.Unknown...), nil
}

func (i *Instance) appendFields(b []byte) []byte {
	b = AppendStringField(b, fieldAddr, i.Addr)
	b = AppendVarintField(b, fieldTimestamp, uint64(i.Timestamp))
	b = AppendVarintField(b, fieldState, uint64(i.State))
	b = AppendTokensField(b, fieldTokens, i.Tokens)
	b = AppendStringField(b, fieldZone, i.Zone)
	b = AppendVarintField(b, fieldRegistered, uint64(i.RegisteredTimestamp))
	b = AppendStringField(b, fieldID, i.ID)
	b = AppendVarintField(b, fieldReadOnlyAt, uint64(i.ReadOnlyUpdatedTimestamp))
	if i.ReadOnly {
		b = AppendVarintField(b, fieldReadOnly, 1)
	}
	for _, k := range slices.Sorted(maps.Keys(i.Versions)) {
		b = AppendMessageField(b, fieldVersions, func(b []byte) []byte {
			b = binary.AppendUvarint(AppendTag(b, 1, WireVarint), k)
			return binary.AppendUvarint(AppendTag(b, 2, WireVarint), i.Versions[k])
		})
	}
	return append(b, i.Unknown...)
}

// Unmarshal decodes plain protobuf. It accepts every legal encoding, keeps
// unknown fields, and neither sorts nor cleans tokens. The result does not
// alias b.
func Unmarshal(b []byte) (*Desc, error) {
	if len(b) > MaxEncodedSize {
		return nil, fmt.Errorf("decode ring: %d bytes, limit is %d", len(b), MaxEncodedSize)
	}
	d, dec := NewDesc(), decoder{zones: map[string]string{}}
	if err := dec.ring(d, b); err != nil {
		return nil, err
	}
	return d, nil
}

// ring adds what b encodes to d.
func (dec *decoder) ring(d *Desc, b []byte) error {
	r := NewReader(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			entry := r.Bytes()
			if r.err == nil {
				r.Fail(dec.entry(d, entry))
			}
		default:
			d.Unknown = r.Skip(d.Unknown)
		}
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("decode ring: %w", err)
	}
	return nil
}

// decoder keeps one copy of strings that repeat all over a ring, and shares
// what it can with the instances that are known.
type decoder struct {
	zones    map[string]string
	known    map[string]Instance
	newsOnly bool
}

func (dec *decoder) zone(b []byte) string {
	if z, ok := dec.zones[string(b)]; ok {
		return z
	}
	z := string(b)
	dec.zones[z] = z
	return z
}

func (dec *decoder) entry(d *Desc, b []byte) error {
	var key, value []byte
	r := NewReader(b)
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
	known := dec.known[string(key)]
	if dec.newsOnly && !isNews(value, &known) {
		return nil
	}
	id := text(key, known.ID)
	i, err := dec.instance(id, value, &known)
	if err != nil {
		return fmt.Errorf("instance %q: %w", id, err)
	}
	d.Instances[id] = i
	if len(d.Instances) > MaxEntries {
		return fmt.Errorf("more than %d instances", MaxEntries)
	}
	return nil
}

func (dec *decoder) instance(key string, b []byte, known *Instance) (Instance, error) {
	var i Instance
	r := NewReader(b)
	for r.Next() {
		switch r.Num() {
		case fieldAddr:
			i.Addr = text(r.Bytes(), known.Addr)
		case fieldTimestamp:
			i.Timestamp = int64(r.Varint())
		case fieldState:
			i.State = State(r.Varint())
		case fieldTokens:
			i.Tokens = r.TokensLike(i.Tokens, known.Tokens)
		case fieldZone:
			i.Zone = dec.zone(r.Bytes())
		case fieldRegistered:
			i.RegisteredTimestamp = int64(r.Varint())
		case fieldID:
			if id := r.Bytes(); string(id) == key {
				i.ID = key
			} else {
				i.ID = string(id)
			}
		case fieldReadOnlyAt:
			i.ReadOnlyUpdatedTimestamp = int64(r.Varint())
		case fieldReadOnly:
			i.ReadOnly = r.Varint() != 0
		case fieldVersions:
			i.addVersion(&r)
		default:
			i.Unknown = r.Skip(i.Unknown)
		}
	}
	return i, r.Err()
}

func (i *Instance) addVersion(r *Reader) {
	var key, value uint64
	e := NewReader(r.Bytes())
	for e.Next() {
		switch e.Num() {
		case 1:
			key = e.Varint()
		case 2:
			value = e.Varint()
		default:
			e.Skip(nil)
		}
	}
	if e.err != nil {
		r.Fail(e.err)
		return
	}
	if i.Versions == nil {
		i.Versions = map[uint64]uint64{}
	}
	i.Versions[key] = value
}

// EncodeValue encodes the ring as its codec does: a snappy block of the
// protobuf.
func EncodeValue(d *Desc) []byte {
	b, _ := d.AppendBinary(nil)
	return snappy.Encode(nil, b)
}

// DecodeValue is the inverse of [EncodeValue], with a limit on the size before
// anything is allocated.
func DecodeValue(b []byte) (*Desc, error) {
	plain, err := DecodeSnappy(b)
	if err != nil {
		return nil, fmt.Errorf("decode ring: %w", err)
	}
	return Unmarshal(plain)
}

// DecodeSnappy decodes one snappy block of at most [MaxEncodedSize] bytes.
func DecodeSnappy(b []byte) ([]byte, error) { return decodeSnappy(nil, b) }

// decodeSnappy decodes into memory where that is large enough.
func decodeSnappy(memory, b []byte) ([]byte, error) {
	n, err := snappy.DecodedLen(b)
	if err != nil {
		return nil, fmt.Errorf("snappy block: %w", err)
	}
	if n > MaxEncodedSize {
		return nil, fmt.Errorf("snappy block: %d bytes, limit is %d", n, MaxEncodedSize)
	}
	plain, err := snappy.Decode(memory[:cap(memory)], b)
	if err != nil {
		return nil, fmt.Errorf("snappy block: %w", err)
	}
	return plain, nil
}
