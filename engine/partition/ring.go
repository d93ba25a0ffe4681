package partition

import (
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// ErrNoActivePartition: no partition takes keys.
var ErrNoActivePartition = errors.New("no active partition found")

// Ring is an immutable snapshot of a partition ring. It may be used by any
// number of goroutines at once.
type Ring struct {
	partitions []Partition // sorted by id, with their effective tokens
	owners     map[int32][]string
	active     ring.Index         // points of the active partitions, owner = position
	all        ring.Index         // points of all partitions
	derived    map[int32][]uint32 // tokens that were computed, for Next
}

// New builds a snapshot. Tombstones are left out, as readers never see them. A
// partition without tokens, or with a token scheme, gets the tokens derived
// from its number; those numbers are limited as in [ring.MaxSpreadInstances],
// beyond which it gets none. d is not kept, but token slices are shared.
func New(d *Desc) *Ring { return build(d, nil) }

// Next builds a snapshot of d like [New]. It takes derived tokens from r where
// it can, which spares computing them again.
func (r *Ring) Next(d *Desc) *Ring { return build(d, r) }

func build(d *Desc, prev *Ring) *Ring {
	r := &Ring{owners: map[int32][]string{}, derived: map[int32][]uint32{}}
	derive := deriver{prev: prev}
	for id, p := range d.Partitions {
		if p.State == Deleted {
			continue
		}
		p.ID = id
		if p.Derived() {
			p.Tokens = derive.tokens(id)
			r.derived[id] = p.Tokens
		}
		r.partitions = append(r.partitions, p)
	}
	slices.SortFunc(r.partitions, func(a, b Partition) int { return int(int64(a.ID) - int64(b.ID)) })
	for id, o := range d.Owners {
		if o.State != OwnerDeleted {
			r.owners[o.OwnedPartition] = append(r.owners[o.OwnedPartition], id)
		}
	}
	for _, ids := range r.owners {
		slices.Sort(ids)
	}
	r.index()
	return r
}

func (r *Ring) index() {
	all, active := make([][]uint32, len(r.partitions)), make([][]uint32, len(r.partitions))
	for n, p := range r.partitions {
		all[n] = p.Tokens
		if p.State == Active {
			active[n] = p.Tokens
		}
	}
	smaller := func(a, b uint32) uint32 { return min(a, b) }
	r.all, r.active = ring.NewIndex(all, smaller), ring.NewIndex(active, smaller)
}

// Derived tells whether the partition's tokens follow from its number: none are
// stored, or a token scheme is.
func (p *Partition) Derived() bool {
	if len(p.Tokens) == 0 {
		return true
	}
	r := ring.NewReader(p.Unknown)
	for r.Next() {
		if r.Num() == fieldScheme {
			return true
		}
		r.Skip(nil)
	}
	return false
}

// deriver computes tokens by number, lower numbers being a by-product of higher
// ones.
type deriver struct {
	prev     *Ring
	spreader *ring.Spreader
}

func (d *deriver) tokens(id int32) []uint32 {
	if d.prev != nil {
		if tokens, ok := d.prev.derived[id]; ok {
			return tokens
		}
	}
	if d.spreader == nil {
		d.spreader = ring.NewSpreader(0)
	}
	tokens, err := d.spreader.Tokens(int(id))
	if err != nil {
		return nil
	}
	return tokens
}

// ActivePartitionForKey finds the partition that takes a key. The error is
// [ErrNoActivePartition].
func (r *Ring) ActivePartitionForKey(key uint32) (int32, error) {
	if r.active.Len() == 0 {
		return 0, ErrNoActivePartition
	}
	return r.partitions[r.active.At(r.active.Search(key)).Owner].ID, nil
}

// Partitions are all partitions sorted by number, with the tokens in use; they
// belong to the snapshot and must not be changed.
func (r *Ring) Partitions() []Partition { return r.partitions }

// Partition finds one partition; it belongs to the snapshot.
func (r *Ring) Partition(id int32) (*Partition, bool) {
	n, ok := slices.BinarySearchFunc(r.partitions, id, func(p Partition, id int32) int {
		return int(int64(p.ID) - int64(id))
	})
	if !ok {
		return nil, false
	}
	return &r.partitions[n], true
}

// IDs are the numbers of the partitions in state s, sorted.
func (r *Ring) IDs(s State) []int32 {
	var ids []int32
	for _, p := range r.partitions {
		if p.State == s {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// MaxID is the largest partition number, -1 without partitions.
func (r *Ring) MaxID() int32 {
	if len(r.partitions) == 0 {
		return -1
	}
	return r.partitions[len(r.partitions)-1].ID
}

// OwnersOf are the owner ids of a partition, sorted, whatever their health; see
// [OwnerInstance].
func (r *Ring) OwnersOf(id int32) []string { return slices.Clone(r.owners[id]) }

// Owned are the numbers that owners name, sorted, also those without a
// partition.
func (r *Ring) Owned() []int32 { return slices.Sorted(maps.Keys(r.owners)) }

// Ownership is one partition's share of the keys, over partitions in all
// states.
type Ownership struct {
	ID    int32
	State State
	// Tokens is the number of tokens of the partition on the ring, Range the
	// number of keys, Percent the same as in [ring.Owner].
	Tokens  int
	Range   uint64
	Percent float64
}

// Ownership gives every partition's share, sorted by number.
func (r *Ring) Ownership() []Ownership {
	out := make([]Ownership, len(r.partitions))
	for n, p := range r.partitions {
		out[n] = Ownership{ID: p.ID, State: p.State}
	}
	for n, count := 0, r.all.Len(); n < count; n++ {
		p := r.all.At(n)
		keys := uint64(p.Token - r.all.At((n+count-1)%count).Token)
		if count == 1 {
			keys = math.MaxUint32 + 1
		}
		out[p.Owner].Tokens++
		out[p.Owner].Range += keys
	}
	for n := range out {
		out[n].Percent = ring.Percent(out[n].Range)
	}
	return out
}

// TokenRanges are the keys next to the partition's tokens, in order: those it
// takes when all partitions are active. None for an unknown partition.
func (r *Ring) TokenRanges(id int32) []ring.TokenRange {
	return r.all.Ranges(
		func(uint32) bool { return true },
		func(owner uint32) bool { return r.partitions[owner].ID == id })
}

// ShuffleShard gives the part of the ring that identifier uses: size active
// partitions, the same every time. A size of zero or less means all.
func (r *Ring) ShuffleShard(identifier string, size int) *Ring {
	return r.ShuffleShardWithLookback(identifier, size, 0, time.Time{})
}

// ShuffleShardSize is the number of partitions in a shard of the given size.
func (r *Ring) ShuffleShardSize(size int) int {
	active := 0
	for _, p := range r.partitions {
		if p.State == Active {
			active++
		}
	}
	if size <= 0 {
		return active
	}
	return min(size, active)
}

// ShuffleShardWithLookback gives all partitions that may hold data identifier
// wrote within lookback before now: the shard, and partitions that changed their
// state in that time. Pending partitions are never part of it.
func (r *Ring) ShuffleShardWithLookback(identifier string, size int, lookback time.Duration, now time.Time) *Ring {
	if size <= 0 || size > len(r.partitions) {
		size = len(r.partitions)
	}
	w := shardWalk{r: r, size: size, until: math.MaxInt64, verdict: make([]verdict, len(r.partitions))}
	if lookback > 0 {
		w.until = now.Add(-lookback).Unix()
	}
	if r.all.Len() > 0 {
		random := ring.ShuffleRandom(identifier, "")
		for w.picked < w.size && w.draw(r.all.Search(random.Uint32())) {
		}
	}
	return w.ring()
}

type verdict int8

const (
	unseen verdict = iota
	included
	excluded
)

type shardWalk struct {
	r            *Ring
	size, picked int
	until        int64
	verdict      []verdict
}

// draw takes the first active partition from start on, and on the way those
// that changed since until, each of which makes the shard one larger.
func (w *shardWalk) draw(start int) (found bool) {
	for n, count := 0, w.r.all.Len(); n < count; n++ {
		owner := w.r.all.At((start + n) % count).Owner
		p := &w.r.partitions[owner]
		if w.verdict[owner] != unseen {
			continue
		}
		recent := p.StateTimestamp >= w.until
		if p.State == Pending || p.State != Active && !recent {
			w.verdict[owner] = excluded
			continue
		}
		w.verdict[owner] = included
		w.picked++
		if !recent {
			return true
		}
		w.size++
	}
	return false
}

func (w *shardWalk) ring() *Ring {
	sub := &Ring{owners: map[int32][]string{}}
	for n, v := range w.verdict {
		if v == included {
			p := w.r.partitions[n]
			sub.partitions = append(sub.partitions, p)
			if ids, ok := w.r.owners[p.ID]; ok {
				sub.owners[p.ID] = ids
			}
		}
	}
	sub.index()
	return sub
}
