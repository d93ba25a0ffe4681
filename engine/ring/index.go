package ring

import (
	"cmp"
	"math/bits"
	"slices"
)

// Point is one token on the ring and the number of its owner.
type Point struct{ Token, Owner uint32 }

// Index finds the owner of a key among sorted tokens. The top bits of a key
// select a bucket of a few points, so a search touches two cache lines. It is
// immutable once built and safe for concurrent use.
type Index struct {
	points []Point
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
	x := Index{points: make([]Point, total), shift: uint8(32 - width)}
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
			x.points[*at] = Point{Token: t, Owner: uint32(owner)}
			*at++
		}
	}
	x.starts = starts[:buckets+1]
}

func (x *Index) sortBuckets() (repeats bool) {
	const small = 24
	for b := 0; b+1 < len(x.starts); b++ {
		p := x.points[x.starts[b]:x.starts[b+1]]
		if len(p) > small {
			slices.SortFunc(p, func(a, b Point) int { return cmp.Compare(a.Token, b.Token) })
		}
		for i := 1; i < len(p); i++ {
			v, j := p[i], i
			for ; j > 0 && p[j-1].Token > v.Token; j-- {
				p[j] = p[j-1]
			}
			p[j] = v
			if j > 0 && p[j-1].Token == v.Token {
				repeats = true
			}
		}
	}
	return repeats
}

func (x *Index) dropRepeats(prefer func(a, b uint32) uint32) {
	kept, from := uint32(0), uint32(0)
	for b := 0; b+1 < len(x.starts); b++ {
		to := x.starts[b+1]
		x.starts[b] = kept
		for _, p := range x.points[from:to] {
			if last := kept; last > x.starts[b] && x.points[last-1].Token == p.Token {
				x.points[last-1].Owner = prefer(x.points[last-1].Owner, p.Owner)
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
		own[p.Owner] = true
	}
	return own, true
}

// Len is the number of distinct tokens.
func (x *Index) Len() int { return len(x.points) }

// At is the nth point in order of tokens.
func (x *Index) At(n int) Point { return x.points[n] }

// Points are all points in order of tokens; not to be changed.
func (x *Index) Points() []Point { return x.points }

// Search gives the first point whose token is greater than key, wrapping around
// to 0. The index must not be empty.
func (x *Index) Search(key uint32) int {
	b := key >> x.shift
	from, to := x.starts[b], x.starts[b+1]
	for to-from > 16 {
		mid := from + (to-from)/2
		if x.points[mid].Token <= key {
			from = mid + 1
		} else {
			to = mid
		}
	}
	for from < to && x.points[from].Token <= key {
		from++
	}
	if int(from) == len(x.points) {
		return 0
	}
	return int(from)
}
