package block

import (
	"cmp"
	"slices"

	"github.com/ringctl/ringctl/engine/block/pq"
)

// dropped is the new row of a row that is left out.
const dropped = ^uint32(0)

// sparseShare is the part of the rows below which a column is sorted instead of
// spread over all rows: the cost of a sparse column follows its values.
const sparseShare = 32

// gatherer brings the values of one column into the order of the output.
// Sealing has one source and a permutation, merging has many; both say for each
// source where its rows go.
type gatherer struct {
	rows   int
	sparse bool
	single bool // leave out rows marked as joined
	n      int
	codes  []uint32
	ints   []int64
	mask   []uint64
	pairs  []pair
	out    Column
}

type pair struct {
	row uint32
	v   int64
}

// begin starts a column of rows rows and at most n values.
func (g *gatherer) begin(rows, n int, ints bool) {
	g.rows, g.n = rows, 0
	g.sparse = n*sparseShare < rows
	if g.sparse {
		g.pairs = g.pairs[:0]
		return
	}
	if !ints {
		g.codes = sized(g.codes, rows)
		clear(g.codes)
		return
	}
	g.ints = sized(g.ints, rows)
	g.mask = sized(g.mask, (rows+63)/64)
	clear(g.mask)
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/8)
	}
	return s[:n]
}

// codesOf adds a column of dictionary codes. rowMap gives the new row of each
// row from base on, remap the new code of each code.
func (g *gatherer) codesOf(c *Column, rowMap []uint32, base uint32, remap []uint32) {
	for i, k := range c.Codes {
		if k == 0 {
			continue
		}
		row := uint32(i)
		if c.Rows != nil {
			row = c.Rows[i]
		}
		to := g.place(rowMap, row-base)
		if to == dropped {
			continue
		}
		if remap != nil {
			k = remap[k-1]
		}
		g.n++
		if g.sparse {
			g.pairs = append(g.pairs, pair{to, int64(k)})
		} else {
			g.codes[to] = k
		}
	}
}

// intsOf adds a column of integers, or of codes that are numbers themselves or
// stand for those in dict.
func (g *gatherer) intsOf(c *Column, rowMap []uint32, base uint32, dict []int64) {
	for i := range c.Len() {
		row := uint32(i)
		if c.Rows != nil {
			row = c.Rows[i]
		}
		to := g.place(rowMap, row-base)
		if to == dropped {
			continue
		}
		var v int64
		switch {
		case c.Codes == nil:
			v = c.Ints[i]
		case dict != nil:
			v = dict[c.Codes[i]-1]
		default:
			v = int64(int32(c.Codes[i]))
		}
		g.set(to, v)
	}
}

func (g *gatherer) set(row uint32, v int64) {
	g.n++
	if g.sparse {
		g.pairs = append(g.pairs, pair{row, v})
		return
	}
	g.ints[row] = v
	g.mask[row>>6] |= 1 << (row & 63)
}

func at(rowMap []uint32, i uint32) uint32 {
	if i >= uint32(len(rowMap)) {
		return dropped
	}
	return rowMap[i]
}

// setCode gives one more row a code.
func (g *gatherer) setCode(row, code uint32) {
	g.n++
	if g.sparse {
		g.pairs = append(g.pairs, pair{row, int64(code)})
	} else {
		g.codes[row] = code
	}
}

// place is the output row of row i.
func (g *gatherer) place(rowMap []uint32, i uint32) uint32 {
	to := at(rowMap, i)
	if to < joined || to == dropped {
		return to
	}
	if g.single {
		return dropped
	}
	return to &^ joined
}

// finishCodes returns the gathered codes; the column is valid until begin.
func (g *gatherer) finishCodes(d *pq.Dict) *Column {
	g.out = Column{Rows: g.out.Rows[:0], Codes: g.out.Codes[:0], Ints: g.out.Ints[:0], Dict: d}
	if !g.sparse {
		return &Column{Codes: g.codes, Dict: d}
	}
	g.sortPairs()
	for _, p := range g.pairs {
		g.out.Rows, g.out.Codes = append(g.out.Rows, p.row), append(g.out.Codes, uint32(p.v))
	}
	return &Column{Rows: notNil(g.out.Rows), Codes: g.out.Codes, Dict: d}
}

// finishInts returns the gathered integers; the column is valid until begin.
func (g *gatherer) finishInts() *Column {
	g.out = Column{Rows: g.out.Rows[:0], Codes: g.out.Codes[:0], Ints: g.out.Ints[:0]}
	switch {
	case g.sparse:
		g.sortPairs()
		for _, p := range g.pairs {
			g.out.Rows, g.out.Ints = append(g.out.Rows, p.row), append(g.out.Ints, p.v)
		}
	case g.n == g.rows:
		return &Column{Ints: g.ints}
	default:
		for r, v := range g.ints {
			if g.mask[r>>6]>>(r&63)&1 != 0 {
				g.out.Rows, g.out.Ints = append(g.out.Rows, uint32(r)), append(g.out.Ints, v)
			}
		}
	}
	return &Column{Rows: notNil(g.out.Rows), Ints: g.out.Ints}
}

func (g *gatherer) sortPairs() {
	slices.SortFunc(g.pairs, func(a, b pair) int { return cmp.Compare(a.row, b.row) })
}

func notNil(rows []uint32) []uint32 {
	if rows == nil {
		return []uint32{}
	}
	return rows
}
