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
	tokens [][]uint32    // sorted, by instance
	queues [][]spreadGap // the same as heaps of gaps
	share  []spreadShare // heap of instances by ownership
}

// spreadGap is a token and the keys it covers, from the previous token on.
// order is the number of keys and, below it, the token: the largest is divided
// first.
type spreadGap struct {
	order uint64
	prev  uint32
}

func (g spreadGap) keys() uint32  { return uint32(g.order >> 32) }
func (g spreadGap) token() uint32 { return uint32(g.order) }

func newSpreadGap(token, prev uint32) spreadGap {
	return spreadGap{order: uint64(token-prev)<<32 | uint64(token), prev: prev}
}

// spreadShare is an instance and all keys it covers.
type spreadShare struct {
	keys     int64
	instance int
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
	const gap = uint32(keySpace / SpreadTokens)
	var queue []spreadGap
	for i := range uint32(SpreadTokens) {
		token := i*gap + uint32(s.zone)
		queue = append(queue, newSpreadGap(token, token-gap))
	}
	s.add(queue, keySpace)
}

// next takes a little from the instances that own most, always from their
// largest gap, until the new instance owns its share.
func (s *Spreader) next() error {
	instance := len(s.tokens)
	optimal := float64(keySpace) / float64(instance+1)
	var owned int64
	var aside []spreadShare
	queue := make([]spreadGap, 0, SpreadTokens)
	for len(queue) < SpreadTokens {
		want := uint32(optimal-float64(owned)) / uint32(SpreadTokens-len(queue))
		want -= want % SpreadZones
		if len(s.share) == 0 || s.share[0].keys <= int64(want) {
			return fmt.Errorf("%w: no room for instance %d", ErrNoSpreadTokens, instance)
		}
		donor := &s.share[0]
		gaps := s.queues[donor.instance]
		gap := gaps[0]
		if gap.keys() <= want {
			aside = append(aside, s.popShare())
			continue
		}
		token := splitGap(gap.prev, want)
		queue = append(queue, newSpreadGap(token, gap.prev))
		gaps[0] = newSpreadGap(gap.token(), token)
		given := int64(gap.keys()) - int64(gaps[0].keys())
		siftDown(gaps, func(a, b *spreadGap) bool { return a.order > b.order })
		owned += given
		donor.keys -= given
		siftDown(s.share, richer)
	}
	for _, a := range aside {
		s.pushShare(a)
	}
	s.add(queue, owned)
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

func (s *Spreader) add(queue []spreadGap, keys int64) {
	slices.SortFunc(queue, func(a, b spreadGap) int {
		if a.order > b.order {
			return -1
		}
		return 1
	})
	tokens := make([]uint32, len(queue))
	for i, g := range queue {
		tokens[i] = g.token()
	}
	slices.Sort(tokens)
	s.pushShare(spreadShare{keys: keys, instance: len(s.tokens)})
	s.tokens = append(s.tokens, tokens)
	s.queues = append(s.queues, queue)
}

func richer(a, b *spreadShare) bool {
	return a.keys > b.keys || a.keys == b.keys && a.instance > b.instance
}

func (s *Spreader) pushShare(e spreadShare) {
	s.share = append(s.share, e)
	for i := len(s.share) - 1; i > 0; {
		up := (i - 1) / 2
		if !richer(&s.share[i], &s.share[up]) {
			return
		}
		s.share[i], s.share[up] = s.share[up], s.share[i]
		i = up
	}
}

func (s *Spreader) popShare() spreadShare {
	top, last := s.share[0], len(s.share)-1
	s.share[0] = s.share[last]
	s.share = s.share[:last]
	siftDown(s.share, richer)
	return top
}

// siftDown restores a heap whose first element became smaller.
func siftDown[T any](h []T, before func(a, b *T) bool) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && before(&h[child+1], &h[child]) {
			child++
		}
		if !before(&h[child], &h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
