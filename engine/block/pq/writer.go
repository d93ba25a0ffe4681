package pq

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const magic = "PAR1"

// Writer strings groups together into a file. Leaves may be added until Close:
// a column that appears late gets a chunk of nulls in the groups before it, as
// Parquet wants every group to list every column.
type Writer struct {
	w      io.Writer
	off    int64
	leaves []Leaf
	groups []writtenGroup
	enc    *Encoder
	err    error
}

type writtenGroup struct {
	rows   int
	at     int64
	bytes  int64
	chunks []encoded // offsets are absolute here
}

// NewWriter starts a file on w. The encoder is the caller's; it is needed once
// more, at Close.
func NewWriter(w io.Writer, enc *Encoder) *Writer {
	f := &Writer{w: w, enc: enc}
	f.write([]byte(magic))
	return f
}

func (f *Writer) write(b []byte) {
	if f.err != nil {
		return
	}
	n, err := f.w.Write(b)
	f.off += int64(n)
	if err != nil {
		f.err = fmt.Errorf("write Parquet file: %w", err)
	}
}

// AddLeaf adds a column and returns its number. Columns that not every group
// has must be optional (or lists).
func (f *Writer) AddLeaf(l Leaf) int {
	f.leaves = append(f.leaves, l)
	return len(f.leaves) - 1
}

// Leaf returns column n.
func (f *Writer) Leaf(n int) *Leaf { return &f.leaves[n] }

// AddGroup writes the pages of a row group in one stretch, so that a group can be
// fetched in one read.
func (f *Writer) AddGroup(g *Group) error {
	w := writtenGroup{rows: g.Rows, at: f.off}
	w.chunks = append(w.chunks, g.chunks...)
	base := f.off
	f.write(g.buf)
	for i := range w.chunks {
		w.chunks[i].shift(base)
	}
	w.bytes = f.off - base
	f.groups = append(f.groups, w)
	return f.err
}

// shift makes the offsets of a chunk absolute.
func (c *encoded) shift(base int64) {
	c.start, c.end, c.data = c.start+int(base), c.end+int(base), c.data+int(base)
	pages := make([]format.PageLocation, len(c.pages))
	for i, p := range c.pages {
		p.Offset += base
		pages[i] = p
	}
	c.pages = pages
}

// Tail says where a file's metadata lies: bloom filters, page indexes and footer
// are the bytes [Index, Size), in one stretch, so that one read opens the file.
type Tail struct {
	Index, Size int64
	Footer      int // length of the footer with the 8 bytes behind it
}

// KeyValue is one entry of a file's key-value metadata.
type KeyValue = format.KeyValue

// Close writes the null chunks of late columns, the bloom filters, the page
// indexes and the footer with the given metadata.
func (f *Writer) Close(kv ...KeyValue) (Tail, error) {
	for i := range f.groups {
		if err := f.fill(&f.groups[i]); err != nil {
			return Tail{}, err
		}
	}
	t := Tail{Index: f.off}
	if err := f.blooms(); err != nil {
		return Tail{}, err
	}
	b, err := f.footer(kv)
	if err != nil {
		return Tail{}, err
	}
	f.write(b)
	t.Size, t.Footer = f.off, len(b)
	return t, f.err
}

// footer writes the page indexes and returns the bytes of the footer.
func (f *Writer) footer(kv []KeyValue) ([]byte, error) {
	meta := format.FileMetaData{Version: 2, Schema: schema(f.leaves), CreatedBy: "ringctl", KeyValueMetadata: kv}
	for range f.leaves {
		meta.ColumnOrders = append(meta.ColumnOrders, format.ColumnOrder{Value: new(format.TypeDefinedOrder)})
	}
	for i := range f.groups {
		g := f.rowGroup(&f.groups[i], i)
		meta.RowGroups = append(meta.RowGroups, g)
		meta.NumRows += g.NumRows
	}
	// Readers fetch all column indexes in one stretch, then all offset indexes.
	for _, write := range []func(*encoded, *format.ColumnChunk) error{f.columnIndex, f.offsetIndex} {
		for i := range f.groups {
			for j := range f.groups[i].chunks {
				if err := write(&f.groups[i].chunks[j], &meta.RowGroups[i].Columns[j]); err != nil {
					return nil, err
				}
			}
		}
	}
	b, err := thrift.Marshal(&f.enc.proto, &meta)
	if err != nil {
		return nil, fmt.Errorf("encode Parquet footer: %w", err)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
	return append(b, magic...), nil
}

// fill adds the chunks that a group lacks, at the end of the file.
func (f *Writer) fill(w *writtenGroup) error {
	if len(w.chunks) == len(f.leaves) {
		return nil
	}
	var g Group
	g.Reset(w.rows)
	have := w.chunks
	all := make([]encoded, 0, len(f.leaves))
	for n := range f.leaves {
		if len(have) > 0 && have[0].leaf == n {
			all, have = append(all, have[0]), have[1:]
			continue
		}
		l := &f.leaves[n]
		if !l.Optional && l.List == "" && w.rows > 0 {
			return fmt.Errorf("write Parquet file: required column %s is missing", l.Name)
		}
		if err := f.enc.Encode(&g, n, l, Chunk{Rows: []uint32{}, Dict: &Dict{}, Plain: true}); err != nil {
			return err
		}
		all = append(all, g.chunks[len(g.chunks)-1])
		all[n].shift(f.off)
	}
	f.write(g.buf)
	w.bytes += int64(len(g.buf))
	w.chunks = all
	return f.err
}

func (f *Writer) rowGroup(w *writtenGroup, ordinal int) format.RowGroup {
	g := format.RowGroup{NumRows: int64(w.rows), FileOffset: w.at, TotalCompressedSize: w.bytes, Ordinal: int16(ordinal)}
	for i := range w.chunks {
		g.Columns = append(g.Columns, f.columnChunk(&w.chunks[i]))
		g.TotalByteSize += w.chunks[i].uncompressed
	}
	return g
}

func (f *Writer) columnChunk(c *encoded) format.ColumnChunk {
	l := &f.leaves[c.leaf]
	t, _ := l.Kind.physical()
	out := format.ColumnChunk{MetaData: format.ColumnMetaData{Type: t, Encoding: c.encodings, PathInSchema: l.path(), Codec: c.codec,
		NumValues: c.values, TotalUncompressedSize: c.uncompressed, TotalCompressedSize: int64(c.end - c.start), DataPageOffset: int64(c.data)}}
	m := &out.MetaData
	if c.dict {
		m.DictionaryPageOffset = int64(c.start)
	}
	m.Statistics = format.Statistics{NullCount: c.nulls, DistinctCount: c.distinct}
	if c.bounded {
		m.Statistics.MinValue, m.Statistics.MaxValue = c.minV, c.maxV
	}
	m.BloomFilterOffset, m.BloomFilterLength = c.bloomAt, int32(len(c.bloom))
	return out
}

// columnIndex writes the bounds of a chunk's pages, if there are any.
func (f *Writer) columnIndex(c *encoded, out *format.ColumnChunk) error {
	if !c.pageBounded || len(c.pages) < 2 {
		return nil
	}
	ci := format.ColumnIndex{NullPages: make([]bool, len(c.pages)), MinValues: c.pageMin, MaxValues: c.pageMax, NullCounts: c.pageNulls}
	b, err := thrift.Marshal(&f.enc.proto, &ci)
	if err != nil {
		return fmt.Errorf("encode column index: %w", err)
	}
	out.ColumnIndexOffset, out.ColumnIndexLength = f.off, int32(len(b))
	f.write(b)
	return f.err
}

// offsetIndex writes where a chunk's pages lie.
func (f *Writer) offsetIndex(c *encoded, out *format.ColumnChunk) error {
	b, err := thrift.Marshal(&f.enc.proto, &format.OffsetIndex{PageLocations: c.pages})
	if err != nil {
		return fmt.Errorf("encode offset index: %w", err)
	}
	out.OffsetIndexOffset, out.OffsetIndexLength = f.off, int32(len(b))
	f.write(b)
	return f.err
}

// blooms writes the bloom filters of all chunks.
func (f *Writer) blooms() error {
	for i := range f.groups {
		for j := range f.groups[i].chunks {
			c := &f.groups[i].chunks[j]
			if len(c.bloom) > 0 {
				c.bloomAt = f.off
				f.write(c.bloom)
			}
		}
	}
	return f.err
}

// bloomBytes is a filter of n bytes with its header.
func (e *Encoder) bloomBytes(filter []byte) ([]byte, error) {
	h := format.BloomFilterHeader{NumBytes: int32(len(filter)),
		Algorithm:   format.BloomFilterAlgorithm{Value: new(format.SplitBlockAlgorithm)},
		Hash:        format.BloomFilterHash{Value: new(format.XxHash)},
		Compression: format.BloomFilterCompression{Value: new(format.BloomFilterUncompressed)}}
	b, err := thrift.Marshal(&e.proto, &h)
	if err != nil {
		return nil, fmt.Errorf("encode bloom filter header: %w", err)
	}
	return append(b, filter...), nil
}
