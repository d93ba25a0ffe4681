package ring

import (
	"math/rand/v2"
	"slices"
)

// RandomTokens draws n distinct tokens that are not in taken, sorted. It gives
// fewer only when the key space has no more.
func RandomTokens(n int, taken []uint32, rng *rand.Rand) []uint32 {
	used := make(map[uint32]struct{}, len(taken)+max(n, 0))
	for _, t := range taken {
		used[t] = struct{}{}
	}
	var tokens []uint32
	for len(tokens) < n && int64(len(used)) < keySpace {
		t := rng.Uint32()
		if _, ok := used[t]; ok {
			continue
		}
		used[t] = struct{}{}
		tokens = append(tokens, t)
	}
	slices.Sort(tokens)
	return tokens
}

// Tokens are all tokens of the instances that are not LEFT, in no order; what
// [RandomTokens] takes as taken.
func (d *Desc) Tokens() []uint32 {
	var all []uint32
	for _, i := range d.Instances {
		if i.State != Left {
			all = append(all, i.Tokens...)
		}
	}
	return all
}
