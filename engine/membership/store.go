package membership

import (
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// Rings views a store as one of instance rings.
func Rings(s kv.Store) *kv.Typed[*ring.Desc] {
	return kv.For(s, kv.Codec[*ring.Desc]{ID: ring.Codec, Encode: ring.EncodeValue, Decode: ring.DecodeValue})
}

// PartitionRings views a store as one of partition rings.
func PartitionRings(s kv.Store) *kv.Typed[*partition.Desc] {
	return kv.For(s, kv.Codec[*partition.Desc]{
		ID: partition.Codec, Encode: partition.EncodeValue, Decode: partition.DecodeValue,
	})
}
