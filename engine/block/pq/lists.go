package pq

import (
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go/format"
)

// listPages cuts a LIST column into pages at row edges.
func (e *Encoder) listPages(g *Group, ch *encoded, leaf *Leaf, c Chunk, rows []uint32, n int, body func(from, to int) format.Encoding) error {
	row, at, from := 0, 0, 0
	for {
		i, to := at, from
		for i < len(rows) && to-from < PageValues {
			if leaf.List == Element && c.Lens[i] > MaxElements {
				return fmt.Errorf("list of %d values in row %d, %d at most", c.Lens[i], rows[i], MaxElements)
			}
			next := to + int(c.Lens[i])
			if e.cut != nil && i > at && e.cut(from, next) < next {
				break
			}
			to = next
			i++
		}
		end := g.Rows
		if i < len(rows) {
			end = int(rows[i])
		}
		levels := e.listLevels(rows[at:i], c.Lens[at:i], row, end)
		enc := body(from, to)
		if err := e.dataPage(g, ch, enc, row, levels); err != nil {
			return err
		}
		nulls := int64(levels - (to - from))
		ch.values, ch.nulls = ch.values+int64(levels), ch.nulls+nulls
		ch.pageNulls = append(ch.pageNulls, nulls)
		row, at, from = end, i, to
		if at == len(rows) {
			if from != n {
				return fmt.Errorf("%d values in lists of %d", n, from)
			}
			return nil
		}
	}
}

// listLevels starts e.page with the repetition and definition levels of rows
// [from, to) and returns their number. Its cost follows the values, not the rows.
func (e *Encoder) listLevels(rows, lens []uint32, from, to int) (n int) {
	rep, def := &e.rep, &e.def
	rep.begin(1)
	def.begin(2)
	null := func(k int) {
		rep.add(0, k)
		def.add(0, k)
		n += k
	}
	for i, r := range rows {
		null(int(r) - from)
		from = int(r) + 1
		rep.add(0, 1)
		if k := int(lens[i]); k == 0 {
			def.add(1, 1)
			n++
		} else {
			rep.add(1, k-1)
			def.add(2, k)
			n += k
		}
	}
	null(to - from)
	e.page = e.page[:0]
	for _, l := range []*levelWriter{rep, def} {
		out := l.end()
		e.page = binary.LittleEndian.AppendUint32(e.page, uint32(len(out)))
		e.page = append(e.page, out...)
	}
	return n
}

// levelWriter is appendHybrid for values that come as runs.
type levelWriter struct {
	width int
	out   []byte
	loose []uint32 // values that are not written yet, from a multiple of 8 on
	v     uint32   // the run that may still grow
	n     int
}

func (l *levelWriter) begin(width int) {
	*l = levelWriter{width: width, out: l.out[:0], loose: l.loose[:0]}
}

// add appends n times v.
func (l *levelWriter) add(v uint32, n int) {
	switch {
	case n == 0:
	case v == l.v:
		l.n += n
	default:
		l.flush()
		l.v, l.n = v, n
	}
}

// flush writes the last run.
func (l *levelWriter) flush() {
	pad := -len(l.loose) & 7
	if l.n-pad < minRun {
		pad = l.n
	}
	for range pad {
		l.loose = append(l.loose, l.v)
	}
	if pad == l.n {
		return
	}
	l.out = appendPacked(l.out, l.loose, l.width)
	l.out = appendRun(l.out, l.v, l.n-pad, l.width)
	l.loose = l.loose[:0]
}

// end returns the encoded levels, valid until begin.
func (l *levelWriter) end() []byte {
	l.flush()
	return appendPacked(l.out, l.loose, l.width)
}

// levelReader reads levels run by run. Bit-packed ones come one by one.
type levelReader struct {
	src    []byte
	width  int
	left   int // of the run
	run    bool
	v      uint32 // of the run
	packed []byte
	at     int // next value of packed
}

// fill makes sure that there is a level.
func (l *levelReader) fill() error {
	if l.left > 0 {
		return nil
	}
	h, k := binary.Uvarint(l.src)
	if k <= 0 || h>>1 == 0 || h>>1 > 1<<28 {
		return errHybrid
	}
	l.src = l.src[k:]
	n := int(h >> 1)
	if l.run = h&1 == 0; l.run {
		if len(l.src) < 1 || l.src[0]>>l.width != 0 {
			return errHybrid
		}
		l.left, l.v, l.src = n, uint32(l.src[0]), l.src[1:]
		return nil
	}
	if len(l.src) < n*l.width {
		return errHybrid
	}
	l.left, l.at = 8*n, 0
	l.packed, l.src = l.src[:n*l.width], l.src[n*l.width:]
	return nil
}

// next is the next level; fill comes before.
func (l *levelReader) next() uint32 {
	l.left--
	if l.run {
		return l.v
	}
	bit := l.at * l.width
	l.at++
	return uint32(l.packed[bit>>3]>>(bit&7)) & (1<<l.width - 1)
}

// listLevels reads the n levels of a page of a LIST column into v.Rows and v.Lens.
// It returns what follows them and the number of values.
func listLevels(v *Values, l *Leaf, c *ChunkInfo, body []byte, n int, p PageInfo) (rest []byte, values int, err error) {
	// Runs make many levels of few bytes; what the page and the chunk may have
	// bounds them before memory is taken.
	if n < p.Rows || int64(n) > c.Values || n > maxGroupRows || l.List == Element && n > p.Rows+PageValues+MaxElements {
		return nil, 0, damaged("page of %d values in %d rows", n, p.Rows)
	}
	var levels [2][]byte
	for i := range levels {
		if levels[i], body, err = prefixed(body); err != nil {
			return nil, 0, err
		}
	}
	rep, def := levelReader{src: levels[0], width: 1}, levelReader{src: levels[1], width: 2}
	rows := listRows{v: v, row: p.First - 1}
	for n > 0 {
		if err := rep.fill(); err != nil {
			return nil, 0, damaged("repetition levels: %v", err)
		}
		if err := def.fill(); err != nil {
			return nil, 0, damaged("definition levels: %v", err)
		}
		k := min(rep.left, def.left, n)
		n -= k
		if rep.run && def.run {
			rep.left, def.left = rep.left-k, def.left-k
			if !rows.add(rep.v, def.v, k) {
				return nil, 0, damaged("levels of a list")
			}
			continue
		}
		for range k {
			if !rows.add(rep.next(), def.next(), 1) {
				return nil, 0, damaged("levels of a list")
			}
		}
	}
	if rows.row != p.First+p.Rows-1 {
		return nil, 0, damaged("page of %d rows instead of %d", rows.row-p.First+1, p.Rows)
	}
	return body, rows.values, nil
}

// listRows puts rows together from levels.
type listRows struct {
	v      *Values
	row    int
	open   bool // the row has a list with values
	values int
}

// add takes n equal pairs of levels; false when they are no list.
func (l *listRows) add(rep, def uint32, n int) bool {
	switch {
	case rep == 1 && def == 2 && l.open:
		l.v.Lens[len(l.v.Lens)-1] += uint32(n)
		l.values += n
	case rep != 0 || def > 2:
		return false
	case def == 0:
		l.row += n
		l.open = false
	default: // a list without values, or its first one
		for range n {
			l.row++
			l.v.Rows, l.v.Lens = append(l.v.Rows, uint32(l.row)), append(l.v.Lens, def-1)
		}
		l.open = def == 2
		l.values += n * int(def-1)
	}
	return true
}
