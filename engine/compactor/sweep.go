package compactor

import (
	"cmp"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
)

// Retention lists the blocks whose spans are all older than cfg.Retention, those
// that replace others last. They are left out of the index at once, and removed
// when they have been so for cfg.Delay; see [Due].
func Retention(now time.Time, metas []*block.Meta, cfg Config) []*block.Meta {
	cfg = cfg.WithDefaults()
	var out []*block.Meta
	for _, m := range metas {
		if expired(now, m, &cfg) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, byLevel)
	return out
}

// byLevel puts blocks before those that replace them.
func byLevel(a, b *block.Meta) int {
	return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.ID, b.ID))
}

// Due tells whether a block that [Retention] listed may be removed now.
func Due(now time.Time, m *block.Meta, cfg Config) bool {
	cfg = cfg.WithDefaults()
	return expired(now.Add(-cfg.Delay), m, &cfg)
}

// Removal is a block whose spans are all in other ones.
type Removal struct {
	ID block.ID
	By block.ID // the visible block that has them; check that it can be read
}

// Sweep lists the replaced blocks that may be removed: all their spans are in
// visible blocks that were complete at least cfg.Delay ago, and readers see the
// same blocks when they are gone. Each list is to be worked off in its order; it
// may be left unfinished at any point. The lists are independent.
func Sweep(now time.Time, stored []catalog.Stored, cfg Config) [][]Removal {
	cfg = cfg.WithDefaults()
	all := make([]*block.Meta, 0, len(stored))
	written := make(map[block.ID]time.Time, len(stored))
	for _, s := range stored {
		all = append(all, s.Meta)
		written[s.Meta.ID] = s.Modified
	}
	var out [][]Removal
	for _, f := range families(all) {
		if list := sweepFamily(now, f, written, &cfg); len(list) > 0 {
			out = append(out, list)
		}
	}
	return out
}

func sweepFamily(now time.Time, left []*block.Meta, written map[block.ID]time.Time, cfg *Config) (out []Removal) {
	visible := catalog.Visible(left)
	for _, m := range slices.Clone(left) {
		by, since := coveredBy(m, visible, written)
		if by != "" && now.Sub(since) >= cfg.Delay && catalog.Redundant(left, m.ID) {
			out = append(out, Removal{ID: m.ID, By: by})
			left = slices.DeleteFunc(left, func(o *block.Meta) bool { return o == m })
		}
	}
	return out
}

// families parts the blocks into those that have to do with each other: they
// replace one another or the same. Each has two blocks or more, in order of
// level.
func families(all []*block.Meta) [][]*block.Meta {
	all = slices.Clone(all)
	slices.SortFunc(all, byLevel)
	head := make([]int, len(all)) // a block of the same family, itself for the first
	find := func(i int) int {
		for head[i] != i {
			head[i] = head[head[i]]
			i = head[i]
		}
		return i
	}
	first := map[block.ID]int{}
	for i, m := range all {
		head[i] = i
		for _, id := range append([]block.ID{m.ID}, m.Replaces...) {
			if j, ok := first[id]; ok {
				a, b := find(i), find(j)
				head[max(a, b)] = min(a, b)
			} else {
				first[id] = i
			}
		}
	}
	members := map[int][]*block.Meta{}
	for i, m := range all {
		members[find(i)] = append(members[find(i)], m)
	}
	var out [][]*block.Meta
	for i := range all {
		if len(members[i]) > 1 {
			out = append(out, members[i])
		}
	}
	return out
}

// coveredBy finds the visible block that has spans of a hidden one, the latest
// if there are several, and since when both were complete. It is "" for a
// visible one.
func coveredBy(m *block.Meta, visible []*block.Meta, written map[block.ID]time.Time) (by block.ID, since time.Time) {
	since = written[m.ID]
	for _, v := range visible {
		if v == m {
			return "", since
		}
		if !slices.Contains(v.Replaces, m.ID) && !share(v.Replaces, m.Replaces) {
			continue
		}
		at := written[v.ID]
		if by == "" || at.After(written[by]) {
			by = v.ID
		}
		if at.After(since) {
			since = at
		}
	}
	return by, since
}

func share(a, b []block.ID) bool {
	return slices.ContainsFunc(a, func(id block.ID) bool { return slices.Contains(b, id) })
}

// Abandoned lists the folders without a meta.json that nobody has written to for
// cfg.Abandon: uploads and deletions that died.
func Abandoned(now time.Time, list []catalog.Unfinished, cfg Config) []block.ID {
	cfg = cfg.WithDefaults()
	var out []block.ID
	for _, u := range list {
		if now.Sub(u.Modified) >= cfg.Abandon {
			out = append(out, u.ID)
		}
	}
	return out
}
