package pq

import (
	"encoding/binary"

	"github.com/parquet-go/parquet-go/format"
)

// pages cuts a chunk of n values into pages. body appends the values [from, to)
// to e.page and returns their encoding.
func (e *Encoder) pages(g *Group, ch *encoded, leaf *Leaf, c Chunk, rows []uint32, n int, body func(from, to int) format.Encoding) error {
	if leaf.List != "" {
		return e.listPages(g, ch, leaf, c, rows, n, body)
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
