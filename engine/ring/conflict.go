package ring

import (
	"math/bits"
	"slices"
)

// Duplicate is a token that more than one instance holds.
type Duplicate struct {
	Token uint32
	// Holders are the ids of the instances, sorted.
	Holders []string
	// Winner is the one that [Merge] would leave the token to.
	Winner string
}

// DuplicateTokens finds every token held by more than one instance that is not
// LEFT, in order of the tokens.
func (d *Desc) DuplicateTokens() []Duplicate {
	shared, holders := sharedTokens(d.Instances)
	var out []Duplicate
	for n, token := range shared {
		ids := holders[n]
		if len(ids) < 2 {
			continue // twice within one instance, or held by a tombstone
		}
		slices.Sort(ids)
		out = append(out, Duplicate{Token: token, Holders: ids, Winner: winner(d.Instances, ids)})
	}
	return out
}

// resolveConflicts leaves every token with one holder and every list sorted, if
// any token has two.
func resolveConflicts(m map[string]Instance) {
	shared, holders := sharedTokens(m)
	if len(shared) == 0 {
		return
	}
	lost := map[string][]uint32{}
	for n, token := range shared {
		w := winner(m, holders[n])
		for _, id := range holders[n] {
			if id != w {
				lost[id] = append(lost[id], token)
			}
		}
	}
	for id, i := range m {
		tokens := normalTokens(&i)
		if drop := lost[id]; drop != nil {
			tokens = without(tokens, drop)
		}
		if len(tokens) != len(i.Tokens) || !strictlySorted(i.Tokens) {
			i.Tokens = tokens
			m[id] = i
		}
	}
}

// winner is the holder that keeps a token: one that is not LEAVING before one
// that is, then the smaller id. Empty without holders.
func winner(m map[string]Instance, ids []string) string {
	best := ""
	for n, id := range ids {
		if n == 0 {
			best = id
			continue
		}
		leaving, bestLeaving := m[id].State == Leaving, m[best].State == Leaving
		if leaving != bestLeaving {
			if bestLeaving {
				best = id
			}
		} else if id < best {
			best = id
		}
	}
	return best
}

// without gives a copy of tokens without those in drop; both are sorted.
func without(tokens, drop []uint32) []uint32 {
	out := make([]uint32, 0, len(tokens))
	for _, t := range tokens {
		for len(drop) > 0 && drop[0] < t {
			drop = drop[1:]
		}
		if len(drop) == 0 || drop[0] != t {
			out = append(out, t)
		}
	}
	return out
}

// sharedTokens finds the tokens that occur more than once, sorted, and for each
// the instances that hold it and are not LEFT, in no order.
func sharedTokens(m map[string]Instance) (shared []uint32, holders [][]string) {
	lists := make([][]uint32, 0, len(m))
	for _, i := range m {
		lists = append(lists, i.Tokens)
	}
	shared = repeated(lists)
	if len(shared) == 0 {
		return nil, nil
	}
	holders = make([][]string, len(shared))
	for id, i := range m {
		eachCommon(shared, normalTokens(&i), func(n int) {
			holders[n] = append(holders[n], id)
		})
	}
	return shared, holders
}

// eachCommon calls f with the position in a of every value that is also in b;
// both are sorted and without repeats.
func eachCommon(a, b []uint32, f func(n int)) {
	if len(a)*16 < len(b) {
		for n, t := range a {
			if _, found := slices.BinarySearch(b, t); found {
				f(n)
			}
		}
		return
	}
	for n := 0; n < len(a) && len(b) > 0; {
		switch {
		case a[n] < b[0]:
			n++
		case a[n] > b[0]:
			b = b[1:]
		default:
			f(n)
			n++
		}
	}
}

// repeated finds the values that occur more than once in all lists together,
// sorted. Sorting half a million tokens for that would be slow, so they go
// through a sieve first: a token stays suspect only while it shares its slot
// of a small bitmap with another one, under a new hash each round.
func repeated(lists [][]uint32) []uint32 {
	const small = 512
	for round := uint32(0); ; round++ {
		total := 0
		for _, l := range lists {
			total += len(l)
		}
		if total <= small || round == 8 {
			break
		}
		suspects := sieve(lists, total, round)
		lists = [][]uint32{suspects}
		if len(suspects) > total/2 {
			break // mostly true repeats: more rounds would find the same
		}
	}
	all := slices.Concat(lists...)
	slices.Sort(all)
	out := all[:0]
	for n := 1; n < len(all); n++ {
		if all[n] == all[n-1] && (len(out) == 0 || out[len(out)-1] != all[n]) {
			out = append(out, all[n])
		}
	}
	return out
}

// sieve returns all values whose slot is hit at least twice. The multiplier is
// odd, hence a permutation of the 32-bit numbers, and differs per round.
func sieve(lists [][]uint32, total int, round uint32) []uint32 {
	width := bits.Len(uint(total)) + 4 // 16 to 32 slots per value
	if width > 30 {
		width = 30
	}
	seen := make([]uint64, 1<<(width-6))
	twice := make([]uint64, 1<<(width-6))
	shift, mul := 32-width, 0x9e3779b1+round*0x85ebca6a
	hits := 0
	for _, l := range lists {
		for _, t := range l {
			slot := t * mul >> shift
			word, bit := slot>>6, uint64(1)<<(slot&63)
			if seen[word]&bit != 0 {
				twice[word] |= bit
				hits++
			}
			seen[word] |= bit
		}
	}
	if hits == 0 {
		return nil
	}
	out := make([]uint32, 0, 2*hits)
	for _, l := range lists {
		for _, t := range l {
			slot := t * mul >> shift
			if twice[slot>>6]&(1<<(slot&63)) != 0 {
				out = append(out, t)
			}
		}
	}
	return out
}
