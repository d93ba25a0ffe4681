package query

import "github.com/ringctl/ringctl/engine/columnar"

// memo is the codes that conditions match in the dictionaries of one segment. Cutting a query into units tests the
// dictionaries to find out what a query is about; the units would do it again. Only sets of few codes are kept.
type memo struct {
	sets map[memoKey]memoSet
	mem  *Budget // the memory of the sets; what finds no room is not kept
	open bool    // sets are added; a memo that several goroutines may have is not open
}

type memoKey struct {
	condition string
	column    int // of those of the attribute
}

type memoSet struct {
	codes []uint32
	size  int
}

// maxMemo bounds the codes that are kept of a set.
const maxMemo = 1024

// match is the set of the key, made by test when it is not known.
func (m *memo) match(k memoKey, test func() (*codeSet, error)) (*codeSet, error) {
	if m == nil {
		return test()
	}
	if known, ok := m.sets[k]; ok {
		set := newCodeSet(known.size)
		for _, c := range known.codes {
			set.add(c)
		}
		return set, nil
	}
	set, err := test()
	if err != nil || !m.open || set.n > maxMemo || m.mem.Take(int64(sizeMemo+4*set.n)) != nil {
		return set, err
	}
	if m.sets == nil {
		m.sets = make(map[memoKey]memoSet)
	}
	codes := make([]uint32, 0, set.n)
	for c, ok := set.bits.Next(0); ok; c, ok = set.bits.Next(c + 1) {
		codes = append(codes, c)
	}
	m.sets[k] = memoSet{codes, set.size}
	return set, nil
}

// remembering is a segment with what is known of its dictionaries; a scan takes it apart.
type remembering struct {
	columnar.Segment
	memo *memo
}
