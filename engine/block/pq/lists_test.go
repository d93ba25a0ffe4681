package pq

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// listColumn is a column of lists in every third of n rows.
func listColumn(name string, k Kind, n int) column {
	rng := rand.New(rand.NewPCG(2, 2))
	c := column{leaf: Leaf{Name: name, List: Element, Kind: k, Optional: true}}
	for r := 0; r < n; r += 3 {
		c.rows, c.lens = append(c.rows, uint32(r)), append(c.lens, uint32(1+r%4))
		for range 1 + r%4 {
			c.add(rng, 9)
		}
	}
	return c
}

// checkLists makes sure that decoded lists are lists: whatever the bytes were.
func checkLists(t *testing.T, v *Values, p PageInfo) {
	t.Helper()
	values := 0
	for i, r := range v.Rows {
		if int(r) < p.First || int(r) >= p.First+p.Rows || i > 0 && v.Rows[i-1] >= r {
			t.Fatalf("rows %v of a page of %d", v.Rows, p.Rows)
		}
		values += int(v.Lens[i])
	}
	if len(v.Lens) != len(v.Rows) || values != v.Count || values != max(len(v.Codes), len(v.Ints), v.Plain.Len()) {
		t.Fatalf("%d rows, %d lengths, %d values of %d", len(v.Rows), len(v.Lens), values, v.Count)
	}
}

// Levels that come as runs are written like levels that come one by one, and read
// back.
func TestLevels(t *testing.T) {
	var w levelWriter
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 4))
		width := 1 + int(seed%2)
		var want []uint32
		w.begin(width)
		for range rng.IntN(60) {
			v, n := uint32(rng.IntN(1<<width)), rng.IntN([]int{3, 40, 1000}[rng.IntN(3)])
			w.add(v, n)
			for range n {
				want = append(want, v)
			}
		}
		got := w.end()
		if !slices.Equal(got, appendHybrid(nil, want, width)) {
			t.Fatalf("seed %d: %d levels are written as %x", seed, len(want), got)
		}
		r := levelReader{src: got, width: width}
		for i, v := range want {
			if err := r.fill(); err != nil {
				t.Fatal(err)
			}
			if x := r.next(); x != v {
				t.Fatalf("seed %d: level %d is %d, want %d", seed, i, x, v)
			}
		}
	}
}

// Lists whose levels lie are damage with a name.
func TestLevelsThatLie(t *testing.T) {
	leaf := Leaf{Name: "tags", List: Element, Kind: String, Optional: true}
	levels := func(rep, def []uint32) []byte {
		var out []byte
		for i, l := range [][]uint32{rep, def} {
			b := appendHybrid(nil, l, i+1)
			out = append(append(out, byte(len(b)), 0, 0, 0), b...)
		}
		return out
	}
	for _, c := range []struct {
		name     string
		rep, def []uint32
		n, rows  int
		values   int64
		ok       bool
	}{
		{"two lists", []uint32{0, 1, 0, 0}, []uint32{2, 2, 0, 2}, 4, 3, 4, true},
		{"an empty list", []uint32{0, 0}, []uint32{1, 2}, 2, 2, 2, true},
		{"starts within a list", []uint32{1, 0}, []uint32{2, 2}, 2, 1, 2, false},
		{"goes on without a list", []uint32{0, 1}, []uint32{0, 2}, 2, 1, 2, false},
		{"goes on after an empty list", []uint32{0, 1}, []uint32{1, 2}, 2, 1, 2, false},
		{"a null within a list", []uint32{0, 1}, []uint32{2, 0}, 2, 1, 2, false},
		{"a level that does not exist", []uint32{0, 0}, []uint32{2, 3}, 2, 2, 2, false},
		{"too many rows", []uint32{0, 0, 0}, []uint32{2, 2, 2}, 3, 2, 3, false},
		{"too few rows", []uint32{0, 1, 1}, []uint32{2, 2, 2}, 3, 2, 3, false},
		{"fewer values than rows", []uint32{0}, []uint32{2}, 1, 2, 2, false},
		{"more values than the chunk", []uint32{0, 1, 1}, []uint32{2, 2, 2}, 3, 1, 2, false},
		{"levels that end", []uint32{0, 1}, []uint32{2, 2}, 20, 1, 20, false},
		{"a page of too many values", make([]uint32, 20000), make([]uint32, 20000), 20000, 1, 20000, false},
	} {
		var v Values
		rest, values, err := listLevels(&v, &leaf, &ChunkInfo{Values: c.values}, levels(c.rep, c.def), c.n, PageInfo{Rows: c.rows})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.ok && (len(rest) > 0 || values != int(v.Lens[0]+v.Lens[1])) {
			t.Errorf("%s: %d values in %v, %d bytes left", c.name, values, v.Lens, len(rest))
		}
	}
}

// A list that is longer than readers expect is not written.
func TestListTooLong(t *testing.T) {
	c := column{leaf: Leaf{Name: "long", List: Element, Kind: Int64, Optional: true}, rows: []uint32{0}, lens: []uint32{MaxElements + 1}, ints: make([]int64, MaxElements+1)}
	enc, err := NewEncoder(1)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	var g Group
	g.Reset(1)
	if err := enc.Encode(&g, 0, &c.leaf, c.chunk()); err == nil {
		t.Fatal("it was written")
	}
	c.lens[0], c.ints = MaxElements, c.ints[:MaxElements]
	if err := enc.Encode(&g, 0, &c.leaf, c.chunk()); err != nil {
		t.Fatal(err)
	}
}

// The schema of a file with lists of values and of groups is read back.
func TestListSchema(t *testing.T) {
	var cols []column
	for i, k := range []Kind{Int64, Double, Bool, String} {
		cols = append(cols, listColumn(fmt.Sprintf("l%d", i), k, 30))
	}
	a, b := listColumn("pair", String, 30), listColumn("pair", Blob, 30)
	a.leaf.List, b.leaf.List = "key", "value"
	base := column{leaf: Leaf{Name: "n", Kind: Int64}}
	for r := range 30 {
		base.rows, base.ints = append(base.rows, uint32(r)), append(base.ints, int64(r))
	}
	cols = append(append([]column{base}, cols...), a, b)
	file, tail := writeFile(t, [][]column{cols}, -1)
	f, _, err := ParseTail(file[tail.Index:], int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range cols {
		if want := cols[i].leaf; f.Leaves[i] != want {
			t.Errorf("column %+v is read as %+v", want, f.Leaves[i])
		}
	}
	checkParquetGo(t, file, [][]column{cols})
}
