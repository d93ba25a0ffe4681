package ring

import (
	"bytes"
	"encoding/binary"
	"maps"
)

// DecodeValueLike is [DecodeValue] for somebody who has seen the ring before:
// tokens and texts that known has, too, are shared with it instead of decoded
// into new memory. The result is the same; known may be nil.
func DecodeValueLike(b []byte, known *Desc) (*Desc, error) {
	plain, err := DecodeSnappy(b)
	if err != nil {
		return nil, err
	}
	d, dec := NewDesc(), decoder{zones: map[string]string{}}
	if known != nil {
		dec.known = known.Instances
	}
	if err := dec.ring(d, plain); err != nil {
		return nil, err
	}
	return d, nil
}

// News decodes what gossip brings, message by message, in memory of its own.
// The zero value is ready to use, by one goroutine at a time.
type News struct {
	plain []byte
	zones map[string]string
	desc  Desc
}

// The memory that News keeps between two messages, which are about one instance
// or few. A full state has thousands and comes seldom.
const (
	keptBytes     = 64 << 10
	keptInstances = 64
)

// Decode is [DecodeValueLike] without the entries that [Merge] into known would
// ignore. Most of what gossip brings is known already, and telling that takes
// only a look at the heartbeat. known must not be nil. The result is void with
// the next call, but what was copied out of it stays.
func (n *News) Decode(b []byte, known *Desc) (*Desc, error) {
	plain, err := decodeSnappy(n.plain, b)
	if err != nil {
		return nil, err
	}
	if cap(plain) <= keptBytes {
		n.plain = plain
	}
	if n.desc.Instances == nil || len(n.desc.Instances) > keptInstances {
		n.desc.Instances = map[string]Instance{}
	}
	if n.zones == nil || len(n.zones) > keptInstances {
		n.zones = map[string]string{}
	}
	clear(n.desc.Instances)
	n.desc.Unknown = nil
	dec := decoder{zones: n.zones, known: known.Instances, newsOnly: true}
	if err := dec.ring(&n.desc, plain); err != nil {
		return nil, err
	}
	return &n.desc, nil
}

// Beat does what [Merge] does where all that in says is heartbeats: it takes them
// over and returns true. If there is any other news in it, it changes nothing and
// returns false. It is cheap when the token lists are shared, see [News].
func Beat(cur, in *Desc) bool {
	for id, i := range in.Instances {
		known, ok := cur.Instances[id]
		if !ok || i.Timestamp <= known.Timestamp || !sameButHeartbeat(&known, &i) || !sameTokens(normalTokens(&i), i.Tokens) {
			return false
		}
	}
	for id, i := range in.Instances {
		cur.Instances[id] = i
	}
	return true
}

// isNews tells whether a merge would take the encoded instance in place of the
// known one. What cannot be read is news: decoding it gives the error.
func isNews(b []byte, known *Instance) bool {
	var in Instance
	r := NewReader(b)
	for r.Next() {
		switch r.Num() {
		case fieldTimestamp:
			in.Timestamp = int64(r.Varint())
		case fieldState:
			in.State = State(r.Varint())
		default:
			r.pass()
		}
	}
	newer, buries := in.supersedes(known)
	return r.Err() != nil || newer || buries
}

// text gives the bytes as a string: the known one when they are the same.
func text(b []byte, known string) string {
	if string(b) == known {
		return known
	}
	return string(b)
}

// TokensLike is [Reader.Tokens] that gives the known list, and no new memory,
// when that is what the field encodes. Its capacity is clipped, so that
// appending does not write into it.
func (r *Reader) TokensLike(dst, known []uint32) []uint32 {
	if len(dst) == 0 && len(known) > 0 && r.typ == WireBytes {
		at := *r
		if b := r.Bytes(); r.err == nil && encodes(b, known) {
			return known[:len(known):len(known)]
		}
		*r = at
	}
	return r.Tokens(dst)
}

// encodes tells whether b is tokens as packed varints in their shortest form.
func encodes(b []byte, tokens []uint32) bool {
	for _, t := range tokens {
		if t >= 1<<28 && len(b) >= 8 { // fifteen of sixteen random tokens
			w := uint64(t)
			w = w&0x7f | w&0x3f80<<1 | w&0x1fc000<<2 | w&0xfe00000<<3 | w&0xf0000000<<4 | 0x80808080
			if binary.LittleEndian.Uint64(b)&(1<<40-1) != w {
				return false
			}
			b = b[5:]
			continue
		}
		var buf [binary.MaxVarintLen32]byte
		short := binary.AppendUvarint(buf[:0], uint64(t))
		if !bytes.HasPrefix(b, short) {
			return false
		}
		b = b[len(short):]
	}
	return len(b) == 0
}

// SameButHeartbeats tells whether two rings differ in nothing but heartbeats. It
// is cheap when the token lists are shared, see [DecodeValueLike].
func SameButHeartbeats(a, b *Desc) bool {
	if len(a.Instances) != len(b.Instances) || !bytes.Equal(a.Unknown, b.Unknown) {
		return false
	}
	for id, x := range a.Instances {
		if y, ok := b.Instances[id]; !ok || !sameButHeartbeat(&x, &y) {
			return false
		}
	}
	return true
}

func sameButHeartbeat(x, y *Instance) bool {
	return x.ID == y.ID && x.Addr == y.Addr && x.State == y.State && x.Zone == y.Zone &&
		x.RegisteredTimestamp == y.RegisteredTimestamp && x.ReadOnly == y.ReadOnly &&
		x.ReadOnlyUpdatedTimestamp == y.ReadOnlyUpdatedTimestamp && sameTokens(x.Tokens, y.Tokens) &&
		bytes.Equal(x.Unknown, y.Unknown) && maps.Equal(x.Versions, y.Versions)
}
