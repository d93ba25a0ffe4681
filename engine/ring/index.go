package ring

import (
	"math/bits"
	"slices"
)

// Point is one token on the ring and the number of its owner.
type Point struct{ Token, Owner uint32 }

// point is a [Point] packed into one number, token first, so that sorting and
// comparing are single instructions.
type point uint64

func newPoint(token, owner uint32) point { return point(token)<<32 | point(owner) }

func (p point) token() uint32 { return uint32(p >> 32) }
func (p point) owner() uint32 { return uint32(p) }

// Index finds the owner of a key among sorted tokens. The top bits of a key
// select a bucket of a few points, so a search touches two cache lines. It is
// immutable once built and safe for concurrent use.
type Index struct {
	points []point
	starts []uint32 // first point of each bucket, plus the end
	shift  uint8    // key >> shift is the bucket
}

// NewIndex builds an index in which owner n holds the tokens of lists[n]. The
// lists may be unsorted and may repeat tokens; of two owners of one token,
// prefer(a, b) names the one to keep. The lists are not kept.
func NewIndex(lists [][]uint32, prefer func(a, b uint32) uint32) Index {
	total := 0
	for _, l := range lists {
		total += len(l)
	}
	width := 0
	if total > 4 {
		width = bits.Len(uint(total-1)) - 2 // two to four points per bucket
	}
	x := Index{points: make([]point, total), shift: uint8(32 - width)}
	x.scatter(lists, 1<<width)
	repeats := x.sortBuckets()
	if repeats {
		x.dropRepeats(prefer)
	}
	return x
}

// scatter puts every token in its bucket: count, add up, place. While placing,
// starts[b+1] runs from the start of bucket b to its end, which leaves starts
// as it must be.
func (x *Index) scatter(lists [][]uint32, buckets int) {
	starts := make([]uint32, buckets+2)
	for _, l := range lists {
		for _, t := range l {
			starts[t>>x.shift+2]++
		}
	}
	for b := 1; b < len(starts); b++ {
		starts[b] += starts[b-1]
	}
	for owner, l := range lists {
		for _, t := range l {
			at := &starts[t>>x.shift+1]
			x.points[*at] = newPoint(t, uint32(owner))
			*at++
		}
	}
	x.starts = starts[:buckets+1]
}

func (x *Index) sortBuckets() (repeats bool) {
	for b := 0; b+1 < len(x.starts); b++ {
		p := x.points[x.starts[b]:x.starts[b+1]]
		switch {
		case len(p) < 2:
			continue
		case len(p) <= 4:
			sort4(p)
		case len(p) <= 8:
			sort8(p)
		default:
			slices.Sort(p)
		}
		for i := 1; i < len(p); i++ {
			if p[i-1].token() == p[i].token() {
				repeats = true
			}
		}
	}
	return repeats
}

// sort4 sorts two to four points. Nearly all buckets are that small, and their
// order is random, so comparing without branches is worth its lines.
func sort4(p []point) {
	a, b, c, d := p[0], p[1], last, last
	if len(p) > 2 {
		c = p[2]
	}
	if len(p) > 3 {
		d = p[3]
	}
	a, b, c, d = order4(a, b, c, d)
	p[0], p[1] = a, b
	if len(p) > 2 {
		p[2] = c
	}
	if len(p) > 3 {
		p[3] = d
	}
}

// last sorts behind all points.
const last = ^point(0)

func order4(a, b, c, d point) (_, _, _, _ point) {
	a, b = min(a, b), max(a, b)
	c, d = min(c, d), max(c, d)
	a, c = min(a, c), max(a, c)
	b, d = min(b, d), max(b, d)
	b, c = min(b, c), max(b, c)
	return a, b, c, d
}

// sort8 sorts five to eight points: two sorted halves, then a bitonic merge.
func sort8(p []point) {
	q := [8]point{4: last, 5: last, 6: last, 7: last}
	copy(q[:], p)
	a, b, c, d := order4(q[0], q[1], q[2], q[3])
	h, g, f, e := order4(q[4], q[5], q[6], q[7]) // falling from e to h
	a, e = min(a, e), max(a, e)
	b, f = min(b, f), max(b, f)
	c, g = min(c, g), max(c, g)
	d, h = min(d, h), max(d, h)
	a, b, c, d = bitonic4(a, b, c, d)
	e, f, g, h = bitonic4(e, f, g, h)
	q = [8]point{a, b, c, d, e, f, g, h}
	copy(p, q[:])
}

func bitonic4(a, b, c, d point) (_, _, _, _ point) {
	a, c = min(a, c), max(a, c)
	b, d = min(b, d), max(b, d)
	a, b = min(a, b), max(a, b)
	c, d = min(c, d), max(c, d)
	return a, b, c, d
}

func (x *Index) dropRepeats(prefer func(a, b uint32) uint32) {
	kept, from := uint32(0), uint32(0)
	for b := 0; b+1 < len(x.starts); b++ {
		to := x.starts[b+1]
		x.starts[b] = kept
		for _, p := range x.points[from:to] {
			if kept > x.starts[b] && x.points[kept-1].token() == p.token() {
				x.points[kept-1] = newPoint(p.token(), prefer(x.points[kept-1].owner(), p.owner()))
				continue
			}
			x.points[kept] = p
			kept++
		}
		from = to
	}
	x.starts[len(x.starts)-1] = kept
	x.points = x.points[:kept:kept]
}

// owners tells for each of the lists the index was built from whether any of its
// tokens stayed its own, and whether any token was repeated.
func (x *Index) owners(lists [][]uint32) (own []bool, repeats bool) {
	own = make([]bool, len(lists))
	total := 0
	for n, l := range lists {
		own[n] = len(l) > 0
		total += len(l)
	}
	if total == len(x.points) {
		return own, false
	}
	clear(own)
	for _, p := range x.points {
		own[p.owner()] = true
	}
	return own, true
}

// Len is the number of distinct tokens.
func (x *Index) Len() int { return len(x.points) }

// At is the nth point in order of tokens.
func (x *Index) At(n int) Point { return Point{Token: x.points[n].token(), Owner: x.points[n].owner()} }

// Search gives the first point whose token is greater than key, wrapping around
// to 0. The index must not be empty.
func (x *Index) Search(key uint32) int {
	b := key >> x.shift
	from, to := x.starts[b], x.starts[b+1]
	for to-from > 16 {
		mid := from + (to-from)/2
		if x.points[mid].token() <= key {
			from = mid + 1
		} else {
			to = mid
		}
	}
	for from < to && x.points[from].token() <= key {
		from++
	}
	if int(from) == len(x.points) {
		return 0
	}
	return int(from)
}
