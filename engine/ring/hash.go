package ring

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Hash identifies the content of a ring. Equal rings have equal hashes on every
// node, whatever the order on the wire was.
type Hash [sha256.Size]byte

// String gives the first 12 hex digits, enough to compare by eye.
func (h Hash) String() string { return hex.EncodeToString(h[:6]) }

// Hash covers everything in the ring: heartbeats, tombstones, unknown fields.
func (d *Desc) Hash() Hash {
	b, _ := d.AppendBinary(nil)
	return sha256.Sum256(b)
}

// TopologyHash covers what decides where keys go and who is called: not the
// heartbeats, not tombstones (each node drops them by its own clock), not the
// order of tokens.
func (d *Desc) TopologyHash() Hash {
	live := &Desc{Instances: make(map[string]Instance, len(d.Instances)), Unknown: slices.Clip(d.Unknown)}
	for id, i := range d.Instances {
		if i.State == Left {
			continue
		}
		i.Timestamp = 0
		i.Tokens = normalTokens(&i)
		live.Instances[id] = i
	}
	return live.Hash()
}
