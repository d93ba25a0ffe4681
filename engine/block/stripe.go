package block

import (
	"slices"

	"github.com/ringctl/ringctl/engine/block/pq"
)

// stripe is a run of output rows, cut into row groups, whose columns are encoded
// one at a time: only one column is ever in memory as values.
type stripe struct {
	enc    *pq.Encoder
	rows   int
	cuts   []int // group g is rows [cuts[g], cuts[g+1])
	groups []pq.Group
	rel    []uint32
}

// begin starts a stripe with the given group edges.
func (s *stripe) begin(enc *pq.Encoder, cuts []int) {
	s.enc, s.cuts, s.rows = enc, cuts, cuts[len(cuts)-1]
	for len(s.groups) < len(cuts)-1 {
		s.groups = append(s.groups, pq.Group{})
	}
	for g := range len(cuts) - 1 {
		s.groups[g].Reset(cuts[g+1] - cuts[g])
	}
}

// put encodes one column into all groups. Columns come in the order of their
// numbers.
func (s *stripe) put(number int, leaf *pq.Leaf, c *Column) error {
	lo, elem := 0, 0
	for g := range len(s.cuts) - 1 {
		from, to := s.cuts[g], s.cuts[g+1]
		ch := pq.Chunk{Dict: c.Dict, Plain: c.Plain}
		a, b := from, to // entries
		if c.Rows != nil {
			n, _ := slices.BinarySearch(c.Rows[lo:], uint32(to))
			a, b = lo, lo+n
			ch.Rows = s.relative(c.Rows[a:b], uint32(from))
			lo = b
		}
		if c.Lens != nil {
			ch.Lens = c.Lens[a:b]
			a, b = elem, elem
			for _, n := range ch.Lens {
				b += int(n)
			}
			elem = b
		}
		if c.Ints != nil || leaf.Kind.IsInt() {
			ch.Ints = c.Ints[a:b]
		} else {
			ch.Codes = c.Codes[a:b]
		}
		if err := s.enc.Encode(&s.groups[g], number, leaf, ch); err != nil {
			return err
		}
	}
	return nil
}

// relative counts rows from the start of a group.
func (s *stripe) relative(rows []uint32, from uint32) []uint32 {
	if from == 0 {
		return notNil(rows)
	}
	s.rel = sized(s.rel, len(rows))
	for i, r := range rows {
		s.rel[i] = r - from
	}
	return notNil(s.rel)
}
