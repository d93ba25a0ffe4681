package ring

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The deterministic generator makes at most this many tokens per instance, for
// at most this many zones and instances. The family uses the first two numbers;
// the third bounds the work, as an instance's tokens follow from those of all
// lower ones.
const (
	SpreadTokens       = 512
	SpreadZones        = 8
	MaxSpreadInstances = 1 << 13
)

// ErrNoSpreadTokens: the generator cannot serve this instance or zone.
var ErrNoSpreadTokens = errors.New("no spread-minimizing tokens")

// SpreadMinimizing gives the deterministic tokens of an instance number in a
// zone number: sorted, without those in taken, at most n. Instances 0 to N that
// all use them own almost equal shares.
func SpreadMinimizing(instance, zone, n int, taken []uint32) ([]uint32, error) {
	all, err := NewSpreader(zone).Tokens(instance)
	if err != nil {
		return nil, err
	}
	used := slices.Clone(taken)
	slices.Sort(used)
	free := without(all, used)
	return free[:min(max(n, 0), len(free))], nil
}

// SpreadMinimizingByName is [SpreadMinimizing] for an instance name that ends
// in "-" and a number, in one of at most eight zones; the order of zones does
// not matter.
func SpreadMinimizingByName(name, zone string, zones []string, n int, taken []uint32) ([]uint32, error) {
	instance, ok := Ordinal(name)
	if !ok {
		return nil, fmt.Errorf("%w: name %q does not end in - and a number", ErrNoSpreadTokens, name)
	}
	sorted := slices.Clone(zones)
	slices.Sort(sorted)
	number, ok := slices.BinarySearch(sorted, zone)
	if !ok {
		return nil, fmt.Errorf("%w: zone %q is not one of %q", ErrNoSpreadTokens, zone, sorted)
	}
	if len(zones) > SpreadZones {
		return nil, fmt.Errorf("%w: %d zones, at most %d are possible", ErrNoSpreadTokens, len(zones), SpreadZones)
	}
	return SpreadMinimizing(instance, number, n, taken)
}

// Ordinal is the number at the end of a name such as ingester-zone-a-12.
func Ordinal(name string) (int, bool) {
	dash := strings.LastIndexByte(name, '-')
	if dash < 0 || strings.IndexFunc(name[dash+1:], func(c rune) bool { return c < '0' || c > '9' }) >= 0 {
		return 0, false
	}
	n, err := strconv.Atoi(name[dash+1:])
	return n, err == nil
}

// Spreader computes the deterministic tokens of one zone, instance after
// instance, and remembers them. It is not safe for concurrent use.
type Spreader struct {
	zone   int
	tokens [][]uint32  // sorted, by instance
	gaps   [][]gap     // a heap of the same tokens by instance
	shares heap[share] // all instances
}

// gap is a token and the number of keys it covers, from the previous token on,
// packed so that the order of the numbers is the order of division: the largest
// gap first, of equal ones the higher token.
type gap uint64

func newGap(token, prev uint32) gap { return gap(token-prev)<<32 | gap(token) }

func (g gap) keys() uint32  { return uint32(g >> 32) }
func (g gap) token() uint32 { return uint32(g) }
func (g gap) prev() uint32  { return g.token() - g.keys() }

// share is an instance and the number of keys it owns, packed likewise.
type share uint64

const shareBits = 13 // of the instance, below [MaxSpreadInstances]

func newShare(instance int, keys int64) share { return share(keys)<<shareBits | share(instance) }

func (s share) keys() int64   { return int64(s >> shareBits) }
func (s share) instance() int { return int(s & (1<<shareBits - 1)) }

// heap has the largest element first.
type heap[T ~uint64] []T

func (h *heap[T]) push(e T) {
	a := append(*h, e)
	for i := len(a) - 1; i > 0 && a[(i-1)/2] < a[i]; i = (i - 1) / 2 {
		a[(i-1)/2], a[i] = a[i], a[(i-1)/2]
	}
	*h = a
}

func (h *heap[T]) pop() T {
	a := *h
	top, last := a[0], a[len(a)-1]
	*h = a[:len(a)-1]
	if len(*h) > 0 {
		h.replaceTop(last)
	}
	return top
}

// replaceTop puts e, not larger than the top, in its place.
func (h *heap[T]) replaceTop(e T) {
	a, i := *h, 0
	for child := 1; child < len(a); child = 2*i + 1 {
		if child+1 < len(a) && a[child+1] > a[child] {
			child++
		}
		if a[child] <= e {
			break
		}
		a[i] = a[child]
		i = child
	}
	a[i] = e
}

// NewSpreader starts a generator for a zone number from 0 to 7.
func NewSpreader(zone int) *Spreader { return &Spreader{zone: zone} }

// Tokens gives the 512 tokens of an instance, sorted; not to be changed.
func (s *Spreader) Tokens(instance int) ([]uint32, error) {
	if s.zone < 0 || s.zone >= SpreadZones {
		return nil, fmt.Errorf("%w: zone number %d is not in 0 to %d", ErrNoSpreadTokens, s.zone, SpreadZones-1)
	}
	if instance < 0 || instance >= MaxSpreadInstances {
		return nil, fmt.Errorf("%w: instance number %d is not in 0 to %d", ErrNoSpreadTokens, instance, MaxSpreadInstances-1)
	}
	if len(s.tokens) == 0 {
		s.first()
	}
	for len(s.tokens) <= instance {
		if err := s.next(); err != nil {
			return nil, err
		}
	}
	return s.tokens[instance], nil
}

// first divides the ring evenly.
func (s *Spreader) first() {
	const size = uint32(keySpace / SpreadTokens)
	gaps := make([]gap, SpreadTokens)
	for i := range gaps {
		token := uint32(i)*size + uint32(s.zone)
		gaps[i] = newGap(token, token-size)
	}
	s.add(gaps, keySpace)
}

// next takes a little from the instances that own most, always from their
// largest gap, until the new instance owns its share.
func (s *Spreader) next() error {
	instance := len(s.tokens)
	optimal := float64(keySpace) / float64(instance+1)
	var owned int64
	var aside []share
	gaps := make([]gap, 0, SpreadTokens)
	for len(gaps) < SpreadTokens {
		want := uint32(optimal-float64(owned)) / uint32(SpreadTokens-len(gaps))
		want -= want % SpreadZones
		if len(s.shares) == 0 || s.shares[0].keys() <= int64(want) {
			return fmt.Errorf("%w: no room for instance %d", ErrNoSpreadTokens, instance)
		}
		donor := s.shares[0]
		donated := (*heap[gap])(&s.gaps[donor.instance()])
		old := (*donated)[0]
		if old.keys() <= want {
			aside = append(aside, s.shares.pop())
			continue
		}
		token := splitGap(old.prev(), want)
		rest := newGap(old.token(), token)
		gaps = append(gaps, newGap(token, old.prev()))
		donated.replaceTop(rest)
		given := int64(old.keys()) - int64(rest.keys())
		owned += given
		s.shares.replaceTop(newShare(donor.instance(), donor.keys()-given))
	}
	for _, a := range aside {
		s.shares.push(a)
	}
	s.add(gaps, owned)
	return nil
}

// splitGap is the token that covers want keys from prev on. Wrapping around
// skips the eight highest numbers, which the family's generator does too.
func splitGap(prev, want uint32) uint32 {
	const highest = uint32(keySpace - SpreadZones)
	if left := highest - prev; left < want {
		return want - left
	}
	return prev + want
}

// add notes a finished instance. Gaps in falling order are a heap.
func (s *Spreader) add(gaps []gap, keys int64) {
	slices.Sort(gaps)
	slices.Reverse(gaps)
	tokens := make([]uint32, len(gaps))
	for i, g := range gaps {
		tokens[i] = g.token()
	}
	slices.Sort(tokens)
	s.shares.push(newShare(len(s.tokens), keys))
	s.tokens = append(s.tokens, tokens)
	s.gaps = append(s.gaps, gaps)
}
