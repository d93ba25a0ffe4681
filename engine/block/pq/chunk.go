package pq

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	convertedUTF8 = deprecated.UTF8
	convertedList = deprecated.List
)

// PageValues is the number of values after which a page ends. Smaller pages
// make a trace's spans cheaper to fetch, larger ones compress better: 2 k pages
// cost 2.4 bytes a span more than 8 k, 32 k pages save 0.7 and make a lookup
// half as fast again.
const PageValues = 8192

// maxStat is the longest string kept as a statistic; longer ones leave the
// chunk without bounds rather than with rounded ones.
const maxStat = 64

// Dict holds byte strings: entry i is Arena[Offsets[i] : Offsets[i+1]-Gap].
type Dict struct {
	Arena   []byte
	Offsets []uint32
	Gap     uint32
}

// Len is the number of entries.
func (d *Dict) Len() int { return max(len(d.Offsets)-1, 0) }

// Entry returns entry i; it aliases the arena.
func (d *Dict) Entry(i int) []byte { return d.Arena[d.Offsets[i] : d.Offsets[i+1]-d.Gap] }

// Append adds an entry; only for dictionaries without a gap.
func (d *Dict) Append(v []byte) {
	if len(d.Offsets) == 0 {
		d.Offsets = append(d.Offsets, 0)
	}
	d.Arena = append(d.Arena, v...)
	d.Offsets = append(d.Offsets, uint32(len(d.Arena)))
}

// Reset empties the dictionary and keeps its memory.
func (d *Dict) Reset() { d.Arena, d.Offsets, d.Gap = d.Arena[:0], d.Offsets[:0], 0 }

// Chunk is the values of one column in one row group.
type Chunk struct {
	// Rows lists, ascending, the rows that have a value. nil: every row has one
	// (of Codes: every row whose code is not 0).
	Rows []uint32
	// Lens, for a LIST, is the number of elements of each of Rows.
	Lens []uint32
	// Ints holds the values of integer kinds, one for each of Rows (or element).
	Ints []int64
	// Codes holds the values of the other kinds: entry code-1 of Dict; 0 is null
	// and only allowed when Rows is nil.
	Codes []uint32
	Dict  *Dict
	// Plain writes the strings one by one, for values that hardly repeat.
	Plain bool
}

// Group collects the encoded chunks of one row group. Reset it to use it again.
type Group struct {
	Rows   int
	buf    []byte
	chunks []encoded
}

// Reset empties the group for another n rows and keeps its memory.
func (g *Group) Reset(n int) { g.Rows, g.buf, g.chunks = n, g.buf[:0], g.chunks[:0] }

// Size is the number of bytes encoded so far.
func (g *Group) Size() int { return len(g.buf) }

// encoded is one finished chunk; offsets count from the start of the group.
type encoded struct {
	leaf                 int
	start, end           int
	data                 int // offset of the first data page
	dict                 bool
	values, nulls        int64
	uncompressed         int64
	encodings            []format.Encoding
	codec                format.CompressionCodec
	pages                []format.PageLocation
	minV, maxV           []byte
	pageMin, pageMax     [][]byte
	pageNulls            []int64
	bounded, pageBounded bool
	distinct             int64
	bloom                []byte // header and bits
	bloomAt              int64
}

// Encoder turns chunks into pages. It is for one goroutine and keeps its
// buffers between chunks.
type Encoder struct {
	z      *zstd.Encoder
	page   []byte
	zbuf   []byte
	head   bytes.Buffer
	codes  []uint32
	rows   []uint32
	remap  []uint32
	order  []uint32
	table  intTable
	hashes []uint64
	levels []uint32
	rep    levelWriter
	def    levelWriter
	proto  thrift.CompactProtocol
	cut    func(from, to int) int // shortens pages of long strings
}

// NewEncoder makes an encoder; level 1 is for blocks that will soon be merged,
// 3 for those that stay.
func NewEncoder(level int) (*Encoder, error) {
	// Windows beyond a megabyte bring nothing: only dictionary pages are larger.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevel(level)), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	return &Encoder{z: z}, nil
}

// Close frees the encoder's memory.
func (e *Encoder) Close() error { return e.z.Close() }

// Encode appends the chunk of the leaf with this number to the group. Leaves
// must come in ascending order.
func (e *Encoder) Encode(g *Group, number int, leaf *Leaf, c Chunk) error {
	ch := encoded{leaf: number, start: len(g.buf), codec: format.Zstd}
	if leaf.Hint == Raw {
		ch.codec = format.Uncompressed
	}
	var err error
	switch {
	case leaf.Kind.IsInt():
		err = e.ints64(g, &ch, leaf, c)
	default:
		err = e.strings(g, &ch, leaf, c)
	}
	if err != nil {
		return fmt.Errorf("encode column %s: %w", leaf.Name, err)
	}
	ch.end = len(g.buf)
	g.chunks = append(g.chunks, ch)
	return nil
}

// strings encodes a chunk of codes.
func (e *Encoder) strings(g *Group, ch *encoded, leaf *Leaf, c Chunk) error {
	rows, codes := c.Rows, c.Codes
	if rows == nil && leaf.Optional && leaf.List == "" {
		rows, codes = e.present(codes)
	}
	if err := e.used(c.Dict, codes); err != nil {
		return err
	}
	e.stringStats(ch, leaf, c.Dict)
	if leaf.Bloom {
		var err error
		if ch.bloom, err = e.bloomOf(leaf, c.Dict); err != nil {
			return err
		}
	}
	ch.distinct = int64(len(e.order))
	if c.Plain || leaf.Hint == Plain || e.dictBytes(c.Dict) > maxDict {
		ch.encodings = []format.Encoding{format.Plain, format.RLE}
		ch.data = len(g.buf)
		e.cut = func(from, to int) int { return cutBytes(c.Dict, codes, from, to) }
		defer func() { e.cut = nil }()
		return e.pages(g, ch, leaf, c, rows, len(codes), func(from, to int) format.Encoding {
			for _, k := range codes[from:to] {
				e.page = appendPlain(e.page, leaf.Kind, c.Dict.Entry(int(k-1)))
			}
			return format.Plain
		})
	}
	e.page = e.page[:0]
	for _, k := range e.order {
		e.page = appendPlain(e.page, leaf.Kind, c.Dict.Entry(int(k)))
	}
	if err := e.dictPage(g, ch, len(e.order)); err != nil {
		return err
	}
	width := indexWidth(len(e.order))
	ch.pageBounded = leaf.Kind == Fixed16 && len(codes) > 0
	return e.pages(g, ch, leaf, c, rows, len(codes), func(from, to int) format.Encoding {
		if ch.pageBounded {
			low, high := idBounds(c.Dict, codes[from:to])
			ch.pageMin, ch.pageMax = append(ch.pageMin, low), append(ch.pageMax, high)
		}
		e.codes = e.codes[:0]
		for _, k := range codes[from:to] {
			e.codes = append(e.codes, e.remap[k-1]-1)
		}
		e.page = appendHybrid(append(e.page, byte(width)), e.codes, width)
		return format.RLEDictionary
	})
}

// Pages end after pageBytes of strings: who wants one trace decompresses a page
// of each column for it. A dictionary beyond maxDict bytes is not written as one:
// readers hold it in memory whole.
const (
	pageBytes = 128 << 10
	maxDict   = 16 << 20
)

// dictBytes is the size of the used entries.
func (e *Encoder) dictBytes(d *Dict) (n int) {
	for _, k := range e.order {
		n += len(d.Entry(int(k)))
	}
	return n
}

// cutBytes returns where a page of strings from `from` ends, at most to.
func cutBytes(d *Dict, codes []uint32, from, to int) int {
	n := 0
	for i, k := range codes[from:to] {
		if n += len(d.Entry(int(k-1))) + 4; n > pageBytes && i > 0 {
			return from + i
		}
	}
	return to
}

// present splits dense codes into the rows that have one and their codes.
func (e *Encoder) present(codes []uint32) (rows, out []uint32) {
	e.rows, e.levels = e.rows[:0], e.levels[:0]
	for i, k := range codes {
		if k != 0 {
			e.rows = append(e.rows, uint32(i))
			e.levels = append(e.levels, k)
		}
	}
	return e.rows, e.levels
}

// used fills order with the entries in order of first use and remap with 1 + the
// place of an entry in it.
func (e *Encoder) used(d *Dict, codes []uint32) error {
	n := d.Len()
	if cap(e.remap) < n {
		e.remap = make([]uint32, n+n/4)
	}
	e.remap = e.remap[:n]
	clear(e.remap)
	e.order = e.order[:0]
	for _, k := range codes {
		if k-1 >= uint32(n) {
			return fmt.Errorf("code %d of a dictionary of %d", k, n)
		}
		if e.remap[k-1] == 0 {
			e.order = append(e.order, k-1)
			e.remap[k-1] = uint32(len(e.order))
		}
	}
	return nil
}

func appendPlain(dst []byte, k Kind, v []byte) []byte {
	if k != Fixed16 {
		n := uint32(len(v))
		dst = append(dst, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	return append(dst, v...)
}

// idBounds returns the smallest and the largest of the entries.
func idBounds(d *Dict, codes []uint32) (low, high []byte) {
	last := uint32(0)
	for _, k := range codes {
		if k == last {
			continue
		}
		last = k
		v := d.Entry(int(k - 1))
		if low == nil || bytes.Compare(v, low) < 0 {
			low = v
		}
		if high == nil || bytes.Compare(v, high) > 0 {
			high = v
		}
	}
	return bytes.Clone(low), bytes.Clone(high)
}

// manyStrings is the number of distinct strings from which bounds are only worth
// their comparisons in files that stay, those with bloom filters.
const manyStrings = 1024

// stringStats sets the chunk's bounds from the used entries. Most comparisons end
// at the first 8 bytes.
func (e *Encoder) stringStats(ch *encoded, leaf *Leaf, d *Dict) {
	if leaf.Kind == Blob || len(e.order) == 0 || len(e.order) > manyStrings && !leaf.Bloom {
		return
	}
	low := d.Entry(int(e.order[0]))
	high := low
	lowHead, highHead := first8(low), first8(low)
	for _, k := range e.order[1:] {
		v := d.Entry(int(k))
		head := first8(v)
		if head < lowHead || head == lowHead && bytes.Compare(v, low) < 0 {
			low, lowHead = v, head
		}
		if head > highHead || head == highHead && bytes.Compare(v, high) > 0 {
			high, highHead = v, head
		}
	}
	if len(low) <= maxStat && len(high) <= maxStat {
		ch.minV, ch.maxV, ch.bounded = bytes.Clone(low), bytes.Clone(high), true
	}
}

// first8 is the start of v as a number that orders like v.
func first8(v []byte) uint64 {
	if len(v) >= 8 {
		return binary.BigEndian.Uint64(v)
	}
	var b [8]byte
	copy(b[:], v)
	return binary.BigEndian.Uint64(b[:])
}

// Bloom filters pay for columns of many short values, the ids that people
// search for, and always for trace ids: below bloomMin values the dictionary page is as small, and with
// values longer than bloomMaxLen (URLs, statements) nobody asks for equality.
const (
	bloomMin    = 1024
	bloomMaxLen = 48
	bloomBits   = 8 // bits a value: 1 in 40 absent values is not excluded
)

// bloomOf builds the split-block filter of the used entries.
func (e *Encoder) bloomOf(leaf *Leaf, d *Dict) ([]byte, error) {
	if len(e.order) < bloomMin && leaf.Kind != Fixed16 || len(e.order) == 0 {
		return nil, nil
	}
	total := 0
	e.hashes = e.hashes[:0]
	for _, k := range e.order {
		v := d.Entry(int(k))
		total += len(v)
		e.hashes = append(e.hashes, xxhash.Sum64(v))
	}
	if total > bloomMaxLen*len(e.order) {
		return nil, nil
	}
	f := make(bloom.SplitBlockFilter, bloom.NumSplitBlocksOf(int64(len(e.order)), bloomBits))
	f.InsertBulk(e.hashes)
	return e.bloomBytes(f.Bytes())
}

// dictPage writes e.page as the dictionary of n values.
func (e *Encoder) dictPage(g *Group, ch *encoded, n int) error {
	ch.dict = true
	ch.encodings = []format.Encoding{format.Plain, format.RLEDictionary, format.RLE}
	h := format.PageHeader{Type: format.DictionaryPage}
	h.DictionaryPageHeader.Set(format.DictionaryPageHeader{NumValues: int32(n), Encoding: format.Plain})
	err := e.writePage(g, ch, &h)
	ch.data = len(g.buf)
	return err
}

// writePage compresses e.page and appends it with its header.
func (e *Encoder) writePage(g *Group, ch *encoded, h *format.PageHeader) error {
	body := e.page
	if ch.codec == format.Zstd {
		e.zbuf = e.z.EncodeAll(e.page, e.zbuf[:0])
		body = e.zbuf
	}
	h.UncompressedPageSize, h.CompressedPageSize = int32(len(e.page)), int32(len(body))
	h.CRC = int32(crc32.ChecksumIEEE(body))
	e.head.Reset()
	if err := thrift.NewEncoder(e.proto.NewWriter(&e.head)).Encode(h); err != nil {
		return fmt.Errorf("page header: %w", err)
	}
	g.buf = append(append(g.buf, e.head.Bytes()...), body...)
	ch.uncompressed += int64(e.head.Len() + len(e.page))
	return nil
}
