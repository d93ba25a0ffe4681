package gossip

import "time"

// Codec turns the value bytes of a [Pair] into a [Value]. The codec of a pair is named on the wire, so the
// decoder is chosen by that name and never by the key.
type Codec interface {
	// ID is the codec's name on the wire, for example "ringDesc".
	ID() string
	// Decode reads the value bytes of a pair. An empty slice is an empty value. The result must not alias b.
	Decode(b []byte) (Value, error)
}

// Value is a map of named entries that merges with another value of its own kind, entry by entry, the same way on
// every node. A Value is used by one goroutine at a time; Clone makes an independent one.
type Value interface {
	// Merge takes what is newer in `in` into the receiver, in place, and returns only what changed, or nil. `in` belongs
	// to the callee afterwards. With localCAS, entries missing in `in` become tombstones dated now.
	Merge(in Value, localCAS bool, now time.Time) (change Value)
	// RemoveTombstones drops tombstones older than limit, or all of them when limit is the zero time. It reports how many
	// stay and how many went.
	RemoveTombstones(limit time.Time) (total, removed int)
	// Clone returns a deep enough copy: changing one never changes the other.
	Clone() Value
	// EntryNames lists the entries, in no order.
	EntryNames() []string
	// Encode returns the value bytes as they go into a pair.
	Encode() []byte
}

// Picker is implemented by values that can be cut by entry. Own changes of such values travel as one message per
// entry, which keeps every message small and lets a newer change replace exactly the entry it supersedes.
type Picker interface {
	// Pick returns a new value with only the named entries, or nil when none of them is present.
	Pick(names []string) Value
}

// Dated is implemented by values whose entries carry times. The engine uses it to refuse entries from the far future,
// which would otherwise win over every honest update until that time comes.
type Dated interface {
	// RemoveAhead drops the entries dated after limit and returns their names.
	RemoveAhead(limit time.Time) (removed []string)
}
