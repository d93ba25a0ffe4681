package gossip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The reasons why the store refuses a pair or an update.
var (
	ErrUnknownCodec = errors.New("unknown codec")
	ErrEmptyKey     = errors.New("empty key")
	ErrCodecChanged = errors.New("the key holds a value of another codec")
	ErrVersion      = errors.New("the value has changed meanwhile")
	ErrNoChange     = errors.New("no change detected")
)

// Guard looks at a received value before it is merged. It returns what may be merged and the names of the entries it
// refused. The value is the guard's to change.
type Guard func(key string, in Value, now time.Time) (admitted Value, refused []string)

// RefuseAhead returns a guard against entries dated more than ahead in the future. Such an entry would beat every
// honest update until its time comes, on every node, with no way back.
func RefuseAhead(ahead time.Duration) Guard {
	return func(_ string, in Value, now time.Time) (Value, []string) {
		if d, ok := in.(Dated); ok {
			return in, d.RemoveAhead(now.Add(ahead))
		}
		return in, nil
	}
}

// StoreOptions are the rules of a [Store].
type StoreOptions struct {
	LeftTimeout     time.Duration // tombstones older than this are dropped; 0: kept for ever
	ObsoleteTimeout time.Duration // deleted keys older than this are dropped by Expire
	Guard           Guard         // nil: everything is admitted
}

// Store holds the merged value of every key. It is pure: no goroutines, no I/O, the clock is a parameter. One goroutine
// at a time may use it.
type Store struct {
	codecs  map[string]Codec
	entries map[string]*entry
	dropped map[string]uint64 // last versions of dropped keys: a version never comes twice
	opt     StoreOptions
}

type entry struct {
	codec   Codec
	value   Value
	version uint64
	deleted bool
	updated int64  // Unix milliseconds of the deletion
	encoded []byte // value bytes, until the value changes
	graves  int    // tombstones in the value
}

// Change is what a pair or an update did to a key: the part that others must hear of.
type Change struct {
	Key              string
	Codec            string
	Value            Value // only the changed entries; the whole value when only the deletion flag changed
	Deleted          bool
	UpdateTimeMillis int64
	Version          uint64   // of the key after the change, counted locally
	Entries          []string // names in Value
	Created          bool     // the key was not known before
	Removed          int      // old tombstones dropped on the way
}

// Pair returns the change as it is broadcast in one piece.
func (c *Change) Pair() Pair { return c.pair(c.Value) }

func (c *Change) pair(v Value) Pair {
	return Pair{Key: c.Key, Value: v.Encode(), Codec: c.Codec, Deleted: c.Deleted, UpdateTimeMillis: c.UpdateTimeMillis}
}

// Update is a decoded pair, ready to be merged.
type Update struct {
	Pair
	codec Codec
	value Value
}

// NewStore returns an empty store for values of the given codecs.
func NewStore(codecs []Codec, opt StoreOptions) *Store {
	s := &Store{codecs: map[string]Codec{}, entries: map[string]*entry{}, dropped: map[string]uint64{}, opt: opt}
	for _, c := range codecs {
		s.codecs[c.ID()] = c
	}
	return s
}

// Decode reads the value of a pair. It touches nothing that changes, so it may run beside the other methods.
func (s *Store) Decode(p Pair) (Update, error) {
	if p.Key == "" {
		return Update{}, ErrEmptyKey
	}
	codec := s.codecs[p.Codec]
	if codec == nil {
		return Update{}, fmt.Errorf("key %s: %w %q", p.Key, ErrUnknownCodec, p.Codec)
	}
	v, err := codec.Decode(p.Value)
	if err != nil {
		return Update{}, fmt.Errorf("key %s: %w", p.Key, err)
	}
	return Update{Pair: p, codec: codec, value: v}, nil
}

// Apply merges one received update. A nil change means that nothing new was in it. refused names the entries that the
// guard kept out.
func (s *Store) Apply(u Update, now time.Time) (change *Change, refused []string, err error) {
	if s.opt.Guard != nil {
		u.value, refused = s.opt.Guard(u.Key, u.value, now)
	}
	change, err = s.merge(u, false, now)
	return change, refused, err
}

// CAS merges a value that a caller made of what Get returned, with the version Get returned (0 when the key was
// missing). Entries missing in the value become tombstones. ErrVersion asks to try again with the newer value,
// ErrNoChange means that the update says nothing new, as for a second update of one entry within the same second.
func (s *Store) CAS(key, codec string, version uint64, value Value, now time.Time) (*Change, error) {
	c := s.codecs[codec]
	if c == nil {
		return nil, fmt.Errorf("key %s: %w %q", key, ErrUnknownCodec, codec)
	}
	if version > 0 {
		if e := s.entries[key]; e == nil || e.version != version {
			return nil, fmt.Errorf("key %s: %w", key, ErrVersion)
		}
	}
	change, err := s.merge(Update{Pair: Pair{Key: key, Codec: codec}, codec: c, value: value}, version > 0, now)
	if err == nil && change == nil {
		err = fmt.Errorf("key %s: %w", key, ErrNoChange)
	}
	return change, err
}

// Delete marks a whole key as deleted. Readers get the value until Expire drops it; updates that arrive until then keep
// it deleted. Never do this to a ring in use: all its members vanish and come back one by one.
func (s *Store) Delete(key string, now time.Time) (*Change, error) {
	e := s.entries[key]
	if e == nil {
		return nil, nil
	}
	p := Pair{Key: key, Codec: e.codec.ID(), Deleted: true, UpdateTimeMillis: now.UnixMilli()}
	return s.merge(Update{Pair: p, codec: e.codec, value: e.value.Clone()}, false, now)
}

// merge is the one place where a value changes. The order of the steps is that of the dskit family: nodes that did it
// differently would not agree.
func (s *Store) merge(u Update, localCAS bool, now time.Time) (*Change, error) {
	e := s.entries[u.Key]
	created := e == nil
	if created {
		if u.Deleted {
			return nil, nil
		}
		e = &entry{codec: u.codec, version: s.dropped[u.Key]}
	} else if e.codec.ID() != u.codec.ID() {
		return nil, fmt.Errorf("key %s: %w: %s, not %s", u.Key, ErrCodecChanged, e.codec.ID(), u.codec.ID())
	}
	var change Value
	if created {
		e.value, change = u.value, u.value.Clone()
	} else {
		change = e.value.Merge(u.value, localCAS, now)
	}
	flag := u.Deleted && u.UpdateTimeMillis != 0 && u.UpdateTimeMillis > e.updated
	news := !empty(change)
	if !news && !flag {
		return nil, nil
	}
	e.encoded = nil
	removed := 0
	if s.opt.LeftTimeout > 0 {
		if !news {
			change = nil
		}
		removed = e.bury(change, now.Add(-s.opt.LeftTimeout))
		if news && empty(change) {
			// Nothing new for others. What the merge did to the value in place stays: an entry that only this
			// tombstone knew about is gone here, and comes back with the next full exchange.
			return nil, nil
		}
	}
	if flag {
		e.deleted, e.updated = true, u.UpdateTimeMillis
	}
	if !news {
		change = e.value.Clone()
	}
	e.version++
	s.entries[u.Key] = e
	return &Change{
		Key: u.Key, Codec: e.codec.ID(), Value: change, Deleted: e.deleted, UpdateTimeMillis: e.updated,
		Version: e.version, Entries: change.EntryNames(), Created: created, Removed: removed,
	}, nil
}

// bury drops the tombstones older than limit from the value and from what has just changed in it, and returns how many the
// value had; change is nil where nothing has. A value is looked through only where it can have any: those that it had
// before, and those in the change. Heartbeats come by the hundred, and a ring has thousands of entries.
func (e *entry) bury(change Value, limit time.Time) (removed int) {
	if change != nil {
		stay, gone := change.RemoveTombstones(limit)
		e.graves += stay + gone
	}
	if e.graves > 0 {
		e.graves, removed = e.value.RemoveTombstones(limit)
	}
	return removed
}

func empty(v Value) bool { return v == nil || len(v.EntryNames()) == 0 }

// Get returns a copy of the value without tombstones, and its version; nil and 0 when the key is missing.
func (s *Store) Get(key string) (Value, uint64) {
	e := s.entries[key]
	if e == nil {
		return nil, 0
	}
	v := e.value.Clone()
	v.RemoveTombstones(time.Time{})
	return v, e.version
}

// Version returns the version of a key without copying it, 0 when it is missing.
func (s *Store) Version(key string) uint64 {
	if e := s.entries[key]; e != nil {
		return e.version
	}
	return 0
}

// Pair returns one key with its tombstones, as it would be sent.
func (s *Store) Pair(key string) (Pair, bool) {
	e := s.entries[key]
	if e == nil {
		return Pair{}, false
	}
	if e.encoded == nil {
		e.encoded = e.value.Encode()
	}
	return Pair{Key: key, Value: e.encoded, Codec: e.codec.ID(), Deleted: e.deleted, UpdateTimeMillis: e.updated}, true
}

// Pairs returns all keys with their tombstones, sorted. The value bytes are shared with the store and must not be
// changed.
func (s *Store) Pairs() []Pair {
	pairs := make([]Pair, 0, len(s.entries))
	for key := range s.entries {
		p, _ := s.Pair(key)
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	return pairs
}

// Keys returns the keys with the prefix, sorted.
func (s *Store) Keys(prefix string) []string {
	var keys []string
	for k := range s.entries {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// Expire drops the keys that have been deleted for longer than the obsolete timeout and returns them.
func (s *Store) Expire(now time.Time) []string {
	var gone []string
	for k, e := range s.entries {
		if e.deleted && now.UnixMilli()-e.updated > s.opt.ObsoleteTimeout.Milliseconds() {
			delete(s.entries, k)
			s.dropped[k] = e.version
			gone = append(gone, k)
		}
	}
	slices.Sort(gone)
	return gone
}

// KeyInfo describes one key of a store.
type KeyInfo struct {
	Key        string
	Codec      string
	Version    uint64 // counted locally, not comparable between nodes
	Deleted    bool
	UpdateTime time.Time // of the deletion; zero otherwise
	Size       int       // bytes of the encoded value
	Entries    int       // tombstones included
	Tombstones int
}

// Info describes all keys, sorted.
func (s *Store) Info() []KeyInfo {
	var infos []KeyInfo
	for _, p := range s.Pairs() {
		e := s.entries[p.Key]
		live := e.value.Clone()
		live.RemoveTombstones(time.Time{})
		info := KeyInfo{
			Key: p.Key, Codec: p.Codec, Version: e.version, Deleted: e.deleted, Size: len(p.Value),
			Entries: len(e.value.EntryNames()),
		}
		info.Tombstones = info.Entries - len(live.EntryNames())
		if e.updated != 0 {
			info.UpdateTime = time.UnixMilli(e.updated)
		}
		infos = append(infos, info)
	}
	return infos
}
