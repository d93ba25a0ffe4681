package pq

import (
	"encoding/binary"

	"github.com/parquet-go/parquet-go/format"
)

// pages cuts a chunk of n values into pages. body appends the values [from, to)
// to e.page and returns their encoding.
func (e *Encoder) pages(g *Group, ch *encoded, leaf *Leaf, c Chunk, rows []uint32, n int, body func(from, to int) format.Encoding) error {
	if leaf.List != "" {
		return e.listPages(g, ch, c, rows, n, body)
	}
	ch.values, ch.nulls = int64(g.Rows), int64(g.Rows-n)
	row := 0
	for from := 0; ; {
		to := min(from+PageValues, n)
		if e.cut != nil {
			to = e.cut(from, to)
		}
		end := g.Rows // the last page takes the rows without a value behind it
		switch {
		case to == n:
		case rows == nil:
			end = to
		default:
			end = int(rows[to])
		}
		e.page = e.page[:0]
		if leaf.Optional {
			e.page = append(e.page, 0, 0, 0, 0)
			present := rows
			if rows != nil {
				present = rows[from:to]
			}
			if rows == nil {
				e.page = appendRun(e.page, 1, end-row, 1)
			} else {
				e.page = appendPresence(e.page, present, row, end)
			}
			binary.LittleEndian.PutUint32(e.page, uint32(len(e.page)-4))
		}
		enc := body(from, to)
		if err := e.dataPage(g, ch, enc, row, end-row); err != nil {
			return err
		}
		ch.pageNulls = append(ch.pageNulls, int64(end-row-(to-from)))
		row, from = end, to
		if from == n {
			return nil
		}
	}
}

// dataPage writes e.page as a data page of n values (nulls included) from row.
func (e *Encoder) dataPage(g *Group, ch *encoded, enc format.Encoding, row, n int) error {
	h := format.PageHeader{Type: format.DataPage}
	h.DataPageHeader.Set(format.DataPageHeader{NumValues: int32(n), Encoding: enc,
		DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE})
	at := len(g.buf)
	if err := e.writePage(g, ch, &h); err != nil {
		return err
	}
	ch.pages = append(ch.pages, format.PageLocation{Offset: int64(at), CompressedPageSize: int32(len(g.buf) - at), FirstRowIndex: int64(row)})
	return nil
}

// listPages cuts a LIST column into pages at row edges.
func (e *Encoder) listPages(g *Group, ch *encoded, c Chunk, rows []uint32, n int, body func(from, to int) format.Encoding) error {
	row, at, from := 0, 0, 0
	for {
		i, to := at, from
		for i < len(rows) && to-from < PageValues {
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
			return nil
		}
	}
}

// listLevels starts e.page with the repetition and definition levels of rows
// [from, to) and returns their number.
func (e *Encoder) listLevels(rows, lens []uint32, from, to int) int {
	e.levels, e.levels2 = e.levels[:0], e.levels2[:0]
	add := func(rep, def uint32) {
		e.levels, e.levels2 = append(e.levels, rep), append(e.levels2, def)
	}
	for i, r := range rows {
		for ; from < int(r); from++ {
			add(0, 0)
		}
		from++
		if lens[i] == 0 {
			add(0, 1)
		}
		for k := range lens[i] {
			add(min(k, 1), 2)
		}
	}
	for ; from < to; from++ {
		add(0, 0)
	}
	e.page = e.page[:0]
	for i, l := range [][]uint32{e.levels, e.levels2} {
		at := len(e.page)
		e.page = appendHybrid(append(e.page, 0, 0, 0, 0), l, i+1)
		binary.LittleEndian.PutUint32(e.page[at:], uint32(len(e.page)-at-4))
	}
	return len(e.levels)
}
