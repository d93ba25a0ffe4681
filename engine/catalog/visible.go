package catalog

import (
	"cmp"
	"slices"

	"github.com/ringctl/ringctl/engine/block"
)

// Visible returns the blocks to read out of all blocks of one tenant, newest
// first, so that every span is read, and read once.
//
// A block that another one lists in Replaces is left out. When two merges took
// the same inputs, because two workers did one job or jobs that overlap, the
// later one is left out as long as all its spans are elsewhere; its other inputs
// are then read themselves. Where that is impossible both are read: twice is
// better than never, and evaluation joins what it sees twice.
//
// The result depends on the set of blocks only, not on their order or on time.
// Taking hidden blocks away may bring others back; see [Redundant].
func Visible(all []*block.Meta) []*block.Meta {
	s := newSieve(all)
	s.settle()
	out := make([]*block.Meta, 0, len(all))
	for _, m := range s.blocks {
		if s.visible(m) {
			out = append(out, m)
		}
	}
	sortNewest(out)
	return out
}

// Redundant tells whether the visible blocks stay the same when one block is
// taken away.
func Redundant(all []*block.Meta, id block.ID) bool {
	without := make([]*block.Meta, 0, len(all))
	for _, m := range all {
		if m.ID != id {
			without = append(without, m)
		}
	}
	return slices.Equal(Visible(all), Visible(without))
}

// Replaceable tells whether all spans of a merged block are in other blocks, so
// that nothing is lost without it.
func Replaceable(all []*block.Meta, id block.ID) bool {
	s := newSieve(all)
	m := s.byID[id]
	return m != nil && len(m.Replaces) > 0 && s.elsewhere(m)
}

// sortNewest puts blocks with the latest spans first.
func sortNewest(list []*block.Meta) {
	slices.SortFunc(list, func(a, b *block.Meta) int {
		return cmp.Or(b.End.Compare(a.End), b.Start.Compare(a.Start), cmp.Compare(b.ID, a.ID))
	})
}

// sieve decides which blocks are visible.
type sieve struct {
	blocks  []*block.Meta // in order of creation, each id once
	byID    map[block.ID]*block.Meta
	owners  map[block.ID][]*block.Meta // blocks that list an id in Replaces, without losers
	dropped map[block.ID]bool          // losers: all their spans are elsewhere
}

func newSieve(all []*block.Meta) *sieve {
	s := &sieve{byID: make(map[block.ID]*block.Meta, len(all)), owners: map[block.ID][]*block.Meta{}, dropped: map[block.ID]bool{}}
	s.blocks = slices.Clone(all)
	slices.SortFunc(s.blocks, func(a, b *block.Meta) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	s.blocks = slices.CompactFunc(s.blocks, func(a, b *block.Meta) bool { return a.ID == b.ID })
	for _, m := range s.blocks {
		s.byID[m.ID] = m
		for _, id := range m.Replaces {
			if own := s.owners[id]; id != m.ID && (len(own) == 0 || own[len(own)-1] != m) {
				s.owners[id] = append(own, m)
			}
		}
	}
	return s
}

// settle drops the losers of conflicts, the latest first.
func (s *sieve) settle() {
	for _, m := range slices.Backward(s.blocks) {
		if s.contested(m) && s.elsewhere(m) {
			s.drop(m)
		}
	}
}

// contested tells whether m shares inputs with a block that neither contains it
// nor is contained in it, while no larger block hides it.
func (s *sieve) contested(m *block.Meta) bool {
	if len(s.owners[m.ID]) > 0 {
		return false
	}
	for _, id := range m.Replaces {
		for _, o := range s.owners[id] {
			if o != m && !slices.Contains(s.owners[o.ID], m) {
				return true
			}
		}
	}
	return false
}

// elsewhere tells whether each input of m exists or is in another block.
func (s *sieve) elsewhere(m *block.Meta) bool {
	for _, id := range m.Replaces {
		if id == m.ID || s.byID[id] != nil && !s.dropped[id] {
			continue
		}
		if !slices.ContainsFunc(s.owners[id], func(o *block.Meta) bool { return o != m }) {
			return false
		}
	}
	return true
}

func (s *sieve) drop(m *block.Meta) {
	s.dropped[m.ID] = true
	for _, id := range m.Replaces {
		s.owners[id] = slices.DeleteFunc(s.owners[id], func(o *block.Meta) bool { return o == m })
	}
}

func (s *sieve) visible(m *block.Meta) bool {
	return !s.dropped[m.ID] && len(s.owners[m.ID]) == 0
}
