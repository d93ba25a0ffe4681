package pq

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// column is the dumb twin of a chunk: one optional value per row.
type column struct {
	leaf Leaf
	rows []uint32
	lens []uint32
	ints []int64
	strs []string
}

func (c *column) chunk() Chunk {
	out := Chunk{Lens: c.lens, Ints: c.ints}
	if c.leaf.Optional || c.leaf.List != "" {
		out.Rows = c.rows
		if out.Rows == nil {
			out.Rows = []uint32{}
		}
	}
	if !c.leaf.Kind.IsInt() {
		out.Dict = new(Dict)
		seen := map[string]uint32{}
		for _, s := range c.strs {
			k := seen[s]
			if k == 0 || c.leaf.Hint == Plain {
				out.Dict.Append([]byte(s))
				k = uint32(out.Dict.Len())
				seen[s] = k
			}
			out.Codes = append(out.Codes, k)
		}
	}
	return out
}

// randomColumn makes a column of n rows with a random density and distribution.
func randomColumn(rng *rand.Rand, i, n int) column {
	kinds := []Kind{Int32, Int64, Timestamp, Double, Bool, Fixed8, String, Blob}
	c := column{leaf: Leaf{Name: fmt.Sprintf("c%d", i), Kind: kinds[rng.IntN(len(kinds))], Optional: rng.IntN(2) == 0}}
	c.leaf.Hint = []Hint{Auto, Auto, Plain, Raw}[rng.IntN(4)]
	if c.leaf.Hint == Raw && !c.leaf.Kind.IsInt() {
		c.leaf.Hint = Auto
	}
	density := []float64{0, 0.001, 0.5, 1}[rng.IntN(4)]
	spread := []int{1, 2, 300, 70000}[rng.IntN(4)]
	if rng.IntN(4) == 0 {
		c.leaf.List, c.leaf.Optional, c.leaf.Name = []string{Element, "value"}[rng.IntN(2)], true, fmt.Sprintf("l%d", i)
	}
	for r := range n {
		if c.leaf.Optional && rng.Float64() >= density {
			continue
		}
		c.rows = append(c.rows, uint32(r))
		k := 1
		if c.leaf.List != "" {
			k = rng.IntN(4)
			c.lens = append(c.lens, uint32(k))
		}
		for range k {
			c.add(rng, spread)
		}
	}
	return c
}

func (c *column) add(rng *rand.Rand, spread int) {
	v := rng.IntN(spread)
	switch c.leaf.Kind {
	case Bool:
		c.ints = append(c.ints, int64(v&1))
	case Double:
		c.ints = append(c.ints, int64(math.Float64bits(float64(v)/3)))
	case Int64, Timestamp, Fixed8:
		if rng.IntN(50) == 0 {
			c.ints = append(c.ints, int64(rng.Uint64()))
		} else {
			c.ints = append(c.ints, int64(v)*1_000_003-500)
		}
	case Int32:
		c.ints = append(c.ints, int64(int32(v)-3))
	default:
		c.strs = append(c.strs, fmt.Sprintf("value-%d", v))
	}
}

// writeFile writes columns cut into groups of the given sizes.
func writeFile(t testing.TB, groups [][]column, late int) ([]byte, Tail) {
	t.Helper()
	enc, err := NewEncoder(1)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	var buf bytes.Buffer
	w := NewWriter(&buf, enc)
	var g Group
	for gi, cols := range groups {
		g.Reset(len(rowsOf(cols)))
		for i := range cols {
			if gi == 0 && i == late {
				break
			}
			if i == len(w.leaves) {
				w.AddLeaf(cols[i].leaf)
			}
			if err := enc.Encode(&g, i, w.Leaf(i), cols[i].chunk()); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.AddGroup(&g); err != nil {
			t.Fatal(err)
		}
	}
	tail, err := w.Close(KeyValue{Key: "a", Value: "b"})
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), tail
}

func rowsOf(cols []column) []uint32 { return cols[0].rows }

// readColumn decodes one chunk whole.
func readColumn(t testing.TB, file []byte, f *File, gi, li int) (Values, *Dict, []int64) {
	t.Helper()
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	l, c := &f.Leaves[li], &f.Groups[gi].Chunks[li]
	at := f.IndexStart()
	pages, err := f.Pages(gi, li, file[at:], at)
	if err != nil {
		t.Fatal(err)
	}
	var v Values
	var dict *Dict
	var ints []int64
	entries := 0
	if c.HasDict() {
		if l.Kind.IsInt() {
			ints, err = d.IntDict(l.Kind, c, file[c.Start:c.End])
			entries = len(ints)
		} else if dict, err = d.Dict(l.Kind, c, file[c.Start:c.End]); err == nil {
			entries = dict.Len()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range pages {
		if err := d.Page(&v, l, c, p, file[p.At:p.At+int64(p.Size)], entries); err != nil {
			t.Fatalf("column %s (%v): %v", l.Name, l.Kind, err)
		}
	}
	return v, dict, ints
}

// flat spreads decoded values to what column holds.
func flat(v *Values, dict *Dict, ints []int64) (outInts []int64, strs []string) {
	for _, k := range v.Codes {
		if dict != nil {
			strs = append(strs, string(dict.Entry(int(k-1))))
		} else {
			outInts = append(outInts, ints[k-1])
		}
	}
	outInts = append(outInts, v.Ints...)
	for i := range v.Plain.Len() {
		strs = append(strs, string(v.Plain.Entry(i)))
	}
	return outInts, strs
}

// What is written is read back, by this package and by parquet-go.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 1 + rng.IntN(20000)
		if seed == 0 {
			n = 3*PageValues + 5
		}
		groups := make([][]column, 2)
		first := column{leaf: Leaf{Name: "first", Kind: Int64}}
		for r := range n {
			first.rows, first.ints = append(first.rows, uint32(r)), append(first.ints, int64(r))
		}
		for gi := range groups {
			groups[gi] = []column{first}
		}
		for i := 1; i < 24; i++ {
			c := randomColumn(rng, i, n)
			groups[0], groups[1] = append(groups[0], c), append(groups[1], c)
		}
		last := column{leaf: Leaf{Name: "late", Kind: String, Optional: true}, rows: []uint32{uint32(n - 1)}, strs: []string{"x"}}
		groups[0], groups[1] = append(groups[0], last), append(groups[1], last)
		file, tail := writeFile(t, groups, 24)
		f, need, err := ParseTail(file[tail.Index:], int64(len(file)))
		if err != nil || need != 0 || f.Meta["a"] != "b" || f.IndexStart() != tail.Index {
			t.Fatal(err, need, f.Meta)
		}
		for gi := range groups {
			for li := range groups[gi] {
				want := groups[gi][li]
				if gi == 0 && li == 24 {
					want.rows, want.strs = nil, nil
				}
				v, dict, ints := readColumn(t, file, f, gi, li)
				gotInts, gotStrs := flat(&v, dict, ints)
				if want.leaf.Optional && v.Rows != nil && !slices.Equal(v.Rows, want.rows) || !slices.Equal(v.Lens, want.lens) {
					t.Fatalf("seed %d: rows of %+v differ", seed, want.leaf)
				}
				if !slices.Equal(gotInts, want.ints) || !slices.Equal(gotStrs, want.strs) {
					t.Fatalf("seed %d: values of %+v differ: %d/%d %d/%d", seed, want.leaf, len(gotInts), len(want.ints), len(gotStrs), len(want.strs))
				}
			}
		}
		checkParquetGo(t, file, groups)
	}
}

// checkParquetGo reads the file with parquet-go and compares counts and strings.
func checkParquetGo(t *testing.T, file []byte, groups [][]column) {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for gi, rg := range f.RowGroups() {
		for li, cc := range rg.ColumnChunks() {
			want := groups[gi][li]
			if gi == 0 && li == 24 {
				want.rows, want.strs = nil, nil
			}
			var ints []int64
			var strs []string
			pages := cc.Pages()
			for {
				p, err := pages.ReadPage()
				if err != nil {
					break
				}
				vals := make([]parquet.Value, p.NumValues())
				k, _ := p.Values().ReadValues(vals)
				for _, v := range vals[:k] {
					if v.IsNull() {
						continue
					}
					ints, strs = appendValue(ints, strs, want.leaf.Kind, v)
				}
				parquet.Release(p)
			}
			pages.Close()
			if !slices.Equal(ints, want.ints) || !slices.Equal(strs, want.strs) {
				t.Fatalf("parquet-go reads column %+v differently (%d/%d ints, %d/%d strings)", want.leaf, len(ints), len(want.ints), len(strs), len(want.strs))
			}
		}
	}
}

func appendValue(ints []int64, strs []string, k Kind, v parquet.Value) ([]int64, []string) {
	switch k {
	case Int32:
		return append(ints, int64(v.Int32())), strs
	case Bool:
		b := int64(0)
		if v.Boolean() {
			b = 1
		}
		return append(ints, b), strs
	case Double:
		return append(ints, int64(math.Float64bits(v.Double()))), strs
	case Fixed8:
		return append(ints, intAt(Fixed8, v.ByteArray())), strs
	case String, Blob:
		return ints, append(strs, string(v.ByteArray()))
	}
	return append(ints, v.Int64()), strs
}

func TestBloom(t *testing.T) {
	c := column{leaf: Leaf{Name: "id", Kind: String, Bloom: true}}
	for i := range 3000 {
		c.rows, c.strs = append(c.rows, uint32(i)), append(c.strs, fmt.Sprintf("user-%d", i))
	}
	file, tail := writeFile(t, [][]column{{c}}, -1)
	f, _, err := ParseTail(file[tail.Index:], int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	ch := &f.Groups[0].Chunks[0]
	b, err := ParseBloom(file[ch.Bloom : ch.Bloom+int64(ch.BloomLen)])
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i := range 3000 {
		if b.Excludes(fmt.Appendf(nil, "user-%d", i)) {
			t.Fatal("filter excludes a value that is there")
		}
		if !b.Excludes(fmt.Appendf(nil, "nobody-%d", i)) {
			wrong++
		}
	}
	if wrong > 150 {
		t.Errorf("%d of 3000 absent values are not excluded", wrong)
	}
}

func FuzzTail(f *testing.F) {
	c := column{leaf: Leaf{Name: "id", Kind: String}, rows: []uint32{0, 1}, strs: []string{"a", "b"}}
	file, tail := writeFile(f, [][]column{{c}}, -1)
	f.Add(file[tail.Index:])
	lists, end := writeFile(f, [][]column{{c, listColumn("tags", String, 2)}}, -1)
	f.Add(lists[end.Index:])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _, err := ParseTail(b, int64(len(file)))
		if err != nil || m == nil {
			return
		}
		for g := range m.Groups {
			for l := range m.Leaves {
				_, _ = m.Pages(g, l, file[tail.Index:], tail.Index)
			}
		}
	})
}

func FuzzPage(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	cols := []column{}
	for i := range 12 {
		c := randomColumn(rng, i, 40)
		cols = append(cols, c)
	}
	for i, k := range []Kind{String, Int64, Double, Bool} {
		cols = append(cols, listColumn(fmt.Sprintf("list%d", i), k, 40))
	}
	base := column{leaf: Leaf{Name: "n", Kind: Int64}}
	for r := range 40 {
		base.rows, base.ints = append(base.rows, uint32(r)), append(base.ints, int64(r*r))
	}
	cols = append([]column{base}, cols...)
	file, tail := writeFile(f, [][]column{cols}, -1)
	m, _, err := ParseTail(file[tail.Index:], int64(len(file)))
	if err != nil {
		f.Fatal(err)
	}
	for li := range m.Leaves {
		c := m.Groups[0].Chunks[li]
		f.Add(file[c.Data:c.End], uint8(li))
		f.Add(file[c.Start:c.End], uint8(li))
	}
	f.Fuzz(func(t *testing.T, b []byte, li uint8) {
		d, err := NewDecoder()
		if err != nil {
			t.Fatal(err)
		}
		l := &m.Leaves[int(li)%len(m.Leaves)]
		for _, compressed := range []bool{true, false} {
			c := ChunkInfo{Start: 0, Data: int64(len(b)), End: int64(len(b)), Values: 1 << 20, Nulls: 1, compressed: compressed}
			_, _ = d.Dict(l.Kind, &c, b)
			_, _ = d.IntDict(l.Kind, &c, b)
			var v Values
			p := PageInfo{Rows: 40, Size: len(b)}
			if err := d.Page(&v, l, &c, p, b, 5); err == nil && l.List != "" {
				checkLists(t, &v, p)
			}
		}
		_, _ = ParseBloom(b)
	})
}
