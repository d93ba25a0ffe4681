package pq

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/format"
)

// Limits of what a file may claim; a file beyond them is damaged or foreign.
const (
	MaxFooter    = 256 << 20
	maxPageSize  = 1 << 30
	maxGroupRows = 1 << 24
	maxLeaves    = 1 << 16
)

// ErrDamaged is wrapped by every error about bytes that are not what this
// package writes.
var ErrDamaged = errors.New("not a sound Parquet file of this engine")

func damaged(f string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(f, args...))
}

// File is the metadata of a file. It is immutable.
type File struct {
	Size   int64
	Rows   int64
	Leaves []Leaf
	Groups []GroupInfo
	Meta   map[string]string
}

// GroupInfo describes a row group.
type GroupInfo struct {
	Rows     int
	FirstRow int64 // number of the group's first row in the file
	Chunks   []ChunkInfo
}

// ChunkInfo describes a column chunk. Offsets count from the start of the file.
type ChunkInfo struct {
	Start, End       int64 // dictionary page (if any) and data pages
	Data             int64 // first data page; Start when there is no dictionary
	Values           int64 // entries of all pages, nulls included
	Nulls, Distinct  int64
	Min, Max         []byte // PLAIN bounds, nil when there are none
	Bloom            int64
	BloomLen         int
	offsets, columns indexRange
	compressed       bool
}

type indexRange struct {
	at int64
	n  int
}

// HasDict reports whether the chunk starts with a dictionary page.
func (c *ChunkInfo) HasDict() bool { return c.Data > c.Start }

// Ints returns the bounds of a chunk of integers.
func (c *ChunkInfo) Ints(k Kind) (low, high int64, ok bool) {
	n := 1
	if k != Bool {
		n = intSize(k)
	}
	if !k.IsInt() || len(c.Min) != n || len(c.Max) != n {
		return 0, 0, false
	}
	return intAt(k, c.Min), intAt(k, c.Max), true
}

// ParseTail reads the metadata of a file of the given size from its last bytes.
// When tail is too short for the footer it returns the number of bytes needed.
func ParseTail(tail []byte, size int64) (f *File, need int, err error) {
	if len(tail) < 12 || size < 12 || string(tail[len(tail)-4:]) != magic {
		return nil, 0, damaged("no %s at the end", magic)
	}
	n := int64(binary.LittleEndian.Uint32(tail[len(tail)-8:])) + 8
	if n > MaxFooter || n > size-4 {
		return nil, 0, damaged("footer of %d bytes in a file of %d", n, size)
	}
	if n > int64(len(tail)) {
		return nil, int(n), nil
	}
	f = &File{Size: size, Meta: map[string]string{}}
	r := compact{b: tail[len(tail)-int(n) : len(tail)-8]}
	var nodes []format.SchemaElement
	var groups [][]rawChunk
	var rows []int64
	r.each(func(id int, typ byte) bool {
		switch {
		case id == 2 && typ == tList:
			nodes = r.schema()
		case id == 3 && typ == tI64:
			f.Rows = r.int()
		case id == 4 && typ == tList:
			groups, rows = r.groups()
		case id == 5 && typ == tList:
			for n, _ := r.list(); n > 0 && !r.bad; n-- {
				k, v := r.keyValue()
				f.Meta[k] = v
			}
		default:
			return false
		}
		return true
	})
	if r.bad {
		return nil, 0, damaged("footer is malformed")
	}
	if f.Leaves, err = leavesOf(nodes); err != nil {
		return nil, 0, err
	}
	return f, 0, f.addGroups(groups, rows)
}

func (r *compact) keyValue() (k, v string) {
	r.each(func(id int, typ byte) bool {
		if typ != tBinary || id > 2 {
			return false
		}
		if b := r.bytes(); id == 1 {
			k = string(b)
		} else {
			v = string(b)
		}
		return true
	})
	return k, v
}

// schema reads the list of schema elements, as far as this package uses them.
func (r *compact) schema() []format.SchemaElement {
	n, _ := r.list()
	out := make([]format.SchemaElement, 0, min(n, 1024))
	for ; n > 0 && !r.bad; n-- {
		var e format.SchemaElement
		r.each(func(id int, typ byte) bool {
			switch {
			case id == 1 && typ == tI32:
				e.Type.Set(format.Type(r.int()))
			case id == 2 && typ == tI32:
				e.TypeLength.Set(int32(r.int()))
			case id == 3 && typ == tI32:
				e.RepetitionType.Set(format.FieldRepetitionType(r.int()))
			case id == 4 && typ == tBinary:
				e.Name = string(r.bytes())
			case id == 5 && typ == tI32:
				e.NumChildren.Set(int32(r.int()))
			case id == 6 && typ == tI32:
				e.ConvertedType.Set(convertedUTF8 + 0)
				if v := r.int(); v != int64(convertedUTF8) {
					e.ConvertedType.Reset()
				}
			case id == 10 && typ == tStruct:
				e.LogicalType = r.logical()
			default:
				return false
			}
			return true
		})
		out = append(out, e)
	}
	return out
}

// logical tells timestamps from other annotations.
func (r *compact) logical() (t format.LogicalType) {
	r.each(func(id int, typ byte) bool {
		if id == 8 {
			t.Value = new(format.TimestampType)
		}
		return false
	})
	return t
}

// leavesOf turns the depth-first nodes back into leaves.
func leavesOf(nodes []format.SchemaElement) ([]Leaf, error) {
	var out []Leaf
	if len(nodes) == 0 || len(nodes) > maxLeaves {
		return nil, damaged("schema of %d nodes", len(nodes))
	}
	for i := 1; i < len(nodes); i++ {
		n := &nodes[i]
		if !n.NumChildren.Valid {
			k, err := kindOf(n)
			if err != nil {
				return nil, err
			}
			out = append(out, Leaf{Name: n.Name, Kind: k, Optional: n.RepetitionType.V == format.Optional})
			continue
		}
		if i+2 >= len(nodes) || nodes[i+1].Name != "list" || nodes[i+2].Name != Element {
			return nil, damaged("column %s is a group but no list", n.Name)
		}
		i += 2
		if e := &nodes[i]; !e.NumChildren.Valid {
			k, err := kindOf(e)
			if err != nil {
				return nil, err
			}
			out = append(out, Leaf{Name: n.Name, List: Element, Kind: k, Optional: true})
			continue
		}
		for members := int(nodes[i].NumChildren.V); members > 0; members-- {
			i++
			if i >= len(nodes) || nodes[i].NumChildren.Valid || nodes[i].Name == Element {
				return nil, damaged("column %s is cut off", n.Name)
			}
			k, err := kindOf(&nodes[i])
			if err != nil {
				return nil, err
			}
			out = append(out, Leaf{Name: n.Name, List: nodes[i].Name, Kind: k, Optional: true})
		}
	}
	return out, nil
}

func kindOf(n *format.SchemaElement) (Kind, error) {
	_, ts := n.LogicalType.Value.(*format.TimestampType)
	switch t, length := n.Type.V, n.TypeLength.V; {
	case !n.Type.Valid:
	case t == format.Boolean:
		return Bool, nil
	case t == format.Int32:
		return Int32, nil
	case t == format.Int64 && ts:
		return Timestamp, nil
	case t == format.Int64:
		return Int64, nil
	case t == format.Double:
		return Double, nil
	case t == format.FixedLenByteArray && length == 8:
		return Fixed8, nil
	case t == format.FixedLenByteArray && length == 16:
		return Fixed16, nil
	case t == format.ByteArray && n.ConvertedType.Valid:
		return String, nil
	case t == format.ByteArray:
		return Blob, nil
	}
	return 0, damaged("column %s has an unexpected type", n.Name)
}

// rawChunk is a chunk as the footer says it.
type rawChunk struct {
	ChunkInfo
	dict, data, size int64
}

func (r *compact) groups() (out [][]rawChunk, rows []int64) {
	for n, _ := r.list(); n > 0 && !r.bad; n-- {
		var chunks []rawChunk
		var count int64
		r.each(func(id int, typ byte) bool {
			switch {
			case id == 1 && typ == tList:
				k, _ := r.list()
				chunks = make([]rawChunk, 0, min(k, 4096))
				for ; k > 0 && !r.bad; k-- {
					chunks = append(chunks, r.chunk())
				}
			case id == 3 && typ == tI64:
				count = r.int()
			default:
				return false
			}
			return true
		})
		out, rows = append(out, chunks), append(rows, count)
	}
	return out, rows
}

func (r *compact) chunk() (c rawChunk) {
	r.each(func(id int, typ byte) bool {
		switch {
		case id == 3 && typ == tStruct:
			r.chunkMeta(&c)
		case id == 4 && typ == tI64:
			c.offsets.at = r.int()
		case id == 5 && typ == tI32:
			c.offsets.n = int(r.int())
		case id == 6 && typ == tI64:
			c.columns.at = r.int()
		case id == 7 && typ == tI32:
			c.columns.n = int(r.int())
		default:
			return false
		}
		return true
	})
	return c
}

func (r *compact) chunkMeta(c *rawChunk) {
	r.each(func(id int, typ byte) bool {
		switch {
		case id == 4 && typ == tI32:
			v := r.int()
			c.compressed = v == int64(format.Zstd)
			if !c.compressed && v != int64(format.Uncompressed) {
				r.fail()
			}
		case id == 5 && typ == tI64:
			c.Values = r.int()
		case id == 7 && typ == tI64:
			c.size = r.int()
		case id == 9 && typ == tI64:
			c.data = r.int()
		case id == 11 && typ == tI64:
			c.dict = r.int()
		case id == 12 && typ == tStruct:
			r.statistics(c)
		case id == 14 && typ == tI64:
			c.Bloom = r.int()
		case id == 15 && typ == tI32:
			c.BloomLen = int(r.int())
		default:
			return false
		}
		return true
	})
}

func (r *compact) statistics(c *rawChunk) {
	r.each(func(id int, typ byte) bool {
		switch {
		case id == 3 && typ == tI64:
			c.Nulls = r.int()
		case id == 4 && typ == tI64:
			c.Distinct = r.int()
		case id == 5 && typ == tBinary:
			c.Max = append([]byte{}, r.bytes()...)
		case id == 6 && typ == tBinary:
			c.Min = append([]byte{}, r.bytes()...)
		default:
			return false
		}
		return true
	})
}

// addGroups checks what the footer claims about row groups against the file.
func (f *File) addGroups(groups [][]rawChunk, rows []int64) error {
	var first int64
	for i, chunks := range groups {
		if rows[i] < 0 || rows[i] > maxGroupRows || len(chunks) != len(f.Leaves) {
			return damaged("row group %d has %d rows in %d of %d columns", i, rows[i], len(chunks), len(f.Leaves))
		}
		g := GroupInfo{Rows: int(rows[i]), FirstRow: first, Chunks: make([]ChunkInfo, len(chunks))}
		for j, c := range chunks {
			info, err := f.chunkInfo(c, rows[i])
			if err != nil {
				return fmt.Errorf("row group %d, column %s: %w", i, f.Leaves[j].Name, err)
			}
			g.Chunks[j] = info
		}
		f.Groups = append(f.Groups, g)
		first += rows[i]
	}
	if first != f.Rows {
		return damaged("row groups have %d rows, the file %d", first, f.Rows)
	}
	return nil
}

func (f *File) chunkInfo(c rawChunk, rows int64) (ChunkInfo, error) {
	c.Start, c.Data = c.data, c.data
	if c.dict > 0 {
		c.Start = c.dict
	}
	c.End = c.Start + c.size
	inside := func(at int64, n int) bool { return at >= 0 && n >= 0 && at <= f.Size-int64(n) }
	switch {
	case c.Start < 4 || c.size < 0 || c.End > f.Size || c.Data > c.End || c.Start > c.Data:
		return c.ChunkInfo, damaged("pages at [%d, %d)", c.Start, c.End)
	case !inside(c.offsets.at, c.offsets.n) || !inside(c.columns.at, c.columns.n) || !inside(c.Bloom, c.BloomLen):
		return c.ChunkInfo, damaged("an index lies outside of the file")
	case c.Values < rows || c.Values > maxGroupRows*16 || c.Nulls < 0 || c.Nulls > c.Values:
		return c.ChunkInfo, damaged("%d values, %d nulls", c.Values, c.Nulls)
	}
	return c.ChunkInfo, nil
}

// PageInfo is one data page of a chunk.
type PageInfo struct {
	At        int64
	Size      int
	First     int // first row, within the group
	Rows      int
	HasBounds bool
	Low, High int64  // bounds of integers
	Min, Max  []byte // bounds of Fixed16
}

// IndexStart is where the metadata starts: bloom filters, page indexes, footer.
func (f *File) IndexStart() int64 {
	at := f.Size
	for i := range f.Groups {
		for j := range f.Groups[i].Chunks {
			if c := &f.Groups[i].Chunks[j]; c.offsets.n > 0 {
				at = min(at, c.offsets.at)
				if c.BloomLen > 0 {
					at = min(at, c.Bloom)
				}
				if c.columns.n > 0 {
					at = min(at, c.columns.at)
				}
			}
		}
	}
	return at
}

// Pages reads the list of a chunk's pages out of index, the bytes of the file
// from offset at on.
func (f *File) Pages(group, leaf int, index []byte, at int64) ([]PageInfo, error) {
	g, c := &f.Groups[group], &f.Groups[group].Chunks[leaf]
	b, ok := cut(index, at, c.offsets)
	if !ok {
		return nil, damaged("column %s has no offset index", f.Leaves[leaf].Name)
	}
	r := compact{b: b}
	var out []PageInfo
	r.each(func(id int, typ byte) bool {
		if id != 1 || typ != tList {
			return false
		}
		n, _ := r.list()
		for ; n > 0 && !r.bad; n-- {
			out = append(out, r.location())
		}
		return true
	})
	end := c.Data
	for i := range out {
		p := &out[i]
		next := g.Rows
		if i+1 < len(out) {
			next = out[i+1].First
		}
		p.Rows = next - p.First
		if p.At != end || p.Size <= 0 || p.Rows < 0 || p.First > g.Rows || i == 0 && p.First != 0 {
			r.bad = true
			break
		}
		end += int64(p.Size)
	}
	if r.bad || len(out) == 0 || end != c.End {
		return nil, damaged("offset index of column %s", f.Leaves[leaf].Name)
	}
	if b, ok := cut(index, at, c.columns); ok {
		pageBounds(out, b, f.Leaves[leaf].Kind)
	}
	return out, nil
}

func cut(index []byte, at int64, r indexRange) ([]byte, bool) {
	from := r.at - at
	if r.n <= 0 || from < 0 || from+int64(r.n) > int64(len(index)) {
		return nil, false
	}
	return index[from : from+int64(r.n)], true
}

func (r *compact) location() (p PageInfo) {
	r.each(func(id int, _ byte) bool {
		switch id {
		case 1:
			p.At = r.int()
		case 2:
			p.Size = int(r.int())
		case 3:
			p.First = int(r.int())
		default:
			return false
		}
		return true
	})
	return p
}

// pageBounds adds minimum and maximum to integer pages; a malformed index is
// as good as none.
func pageBounds(pages []PageInfo, b []byte, k Kind) {
	if !k.IsInt() && k != Fixed16 || k == Bool {
		return
	}
	size := 16
	if k.IsInt() {
		size = intSize(k)
	}
	r := compact{b: b}
	var lists [2][][]byte
	r.each(func(id int, typ byte) bool {
		if id != 2 && id != 3 || typ != tList {
			return false
		}
		n, _ := r.list()
		for ; n > 0 && !r.bad; n-- {
			v := r.bytes()
			if len(v) != size {
				r.fail()
				break
			}
			lists[id-2] = append(lists[id-2], v)
		}
		return true
	})
	if r.bad || len(lists[0]) != len(pages) || len(lists[1]) != len(pages) {
		return
	}
	for i := range pages {
		p := &pages[i]
		p.HasBounds = true
		if k == Fixed16 {
			p.Min, p.Max = lists[0][i], lists[1][i]
		} else {
			p.Low, p.High = intAt(k, lists[0][i]), intAt(k, lists[1][i])
		}
	}
}

// Bloom is a chunk's bloom filter.
type Bloom struct{ f bloom.SplitBlockFilter }

// ParseBloom reads the bytes that ChunkInfo.Bloom points to.
func ParseBloom(b []byte) (*Bloom, error) {
	r := compact{b: b}
	n := -1
	r.each(func(id int, typ byte) bool {
		if id == 1 && typ == tI32 {
			n = int(r.int())
			return true
		}
		return false
	})
	if r.bad || n != len(r.b) || n == 0 || n%bloom.BlockSize != 0 {
		return nil, damaged("bloom filter")
	}
	// A copy, because the filter is a slice of words and b may not be aligned.
	f := make(bloom.SplitBlockFilter, n/bloom.BlockSize)
	copy(f.Bytes(), r.b)
	return &Bloom{f}, nil
}

// Excludes reports that no value of the chunk equals v.
func (b *Bloom) Excludes(v []byte) bool { return !b.f.Check(xxhash.Sum64(v)) }
