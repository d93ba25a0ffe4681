package gossipkv

import (
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/ring"
)

// RingCodec reads instance rings ("ringDesc").
type RingCodec struct{}

// ID implements gossip.Codec.
func (RingCodec) ID() string { return ring.Codec }

// Decode implements gossip.Codec.
func (RingCodec) Decode(b []byte) (gossip.Value, error) {
	if len(b) == 0 {
		return Ring{ring.NewDesc()}, nil
	}
	d, err := ring.DecodeValue(b)
	if err != nil {
		return nil, err
	}
	return Ring{d}, nil
}

// Ring is an instance ring as a gossip value.
type Ring struct{ *ring.Desc }

var (
	_ gossip.Picker = Ring{}
	_ gossip.Dated  = Ring{}
)

// Unwrap returns the *ring.Desc.
func (r Ring) Unwrap() any { return r.Desc }

// Merge implements gossip.Value.
func (r Ring) Merge(in gossip.Value, localCAS bool, now time.Time) gossip.Value {
	o, ok := in.(Ring)
	if !ok {
		return nil
	}
	if change := ring.Merge(r.Desc, o.Desc, localCAS, now); change != nil {
		return Ring{change}
	}
	return nil
}

// Clone implements gossip.Value.
func (r Ring) Clone() gossip.Value { return Ring{r.Desc.Clone()} }

// Encode implements gossip.Value.
func (r Ring) Encode() []byte { return ring.EncodeValue(r.Desc) }

// Pick implements gossip.Picker.
func (r Ring) Pick(names []string) gossip.Value {
	out := ring.NewDesc()
	for _, id := range names {
		if i, ok := r.Instances[id]; ok {
			out.Instances[id] = i
		}
	}
	if len(out.Instances) == 0 {
		return nil
	}
	return Ring{out}
}

// RemoveAhead implements gossip.Dated.
func (r Ring) RemoveAhead(limit time.Time) (removed []string) {
	for id, i := range r.Instances {
		if i.Timestamp > limit.Unix() {
			delete(r.Instances, id)
			removed = append(removed, id)
		}
	}
	return removed
}
