package pq

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/format"
)

// listed is decoded values as "row value"; without rows they count from first.
func listed(v *Values, first, from, to int) (out []string) {
	for i := range max(len(v.Codes), len(v.Ints), v.Plain.Len()) {
		row := first + i
		if v.Rows != nil {
			row = int(v.Rows[i])
		}
		if row < from || row >= to {
			continue
		}
		switch {
		case len(v.Codes) > 0:
			out = append(out, fmt.Sprint(row, v.Codes[i]))
		case len(v.Ints) > 0:
			out = append(out, fmt.Sprint(row, v.Ints[i]))
		default:
			out = append(out, fmt.Sprintf("%d %q", row, v.Plain.Entry(i)))
		}
	}
	return out
}

// Some rows of a page are those rows of the whole page.
func TestDecodeRows(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 2))
		n := PageValues + rng.IntN(12000)
		first := column{leaf: Leaf{Name: "first", Kind: Int64}}
		for r := range n {
			first.rows, first.ints = append(first.rows, uint32(r)), append(first.ints, int64(r))
		}
		cols := []column{first}
		for i := 1; i < 30; i++ {
			cols = append(cols, randomColumn(rng, i, n))
		}
		file, tail := writeFile(t, [][]column{cols}, -1)
		f, _, err := ParseTail(file[tail.Index:], int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDecoder()
		if err != nil {
			t.Fatal(err)
		}
		for li := range f.Leaves {
			l, c := &f.Leaves[li], &f.Groups[0].Chunks[li]
			if l.List != "" {
				continue // decoded whole
			}
			pages, err := f.Pages(0, li, file[tail.Index:], tail.Index)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pages {
				b, err := d.Body(c, p, file[p.At:])
				if err != nil {
					t.Fatal(err)
				}
				var whole Values
				if err := d.Decode(&whole, l, c, p, &b, 1<<30); err != nil {
					t.Fatal(err)
				}
				for range 12 {
					from := p.First + rng.IntN(p.Rows)
					to := from + 1 + rng.IntN(min(p.Rows, 1+1<<rng.IntN(13)))
					var some Values
					if err := d.DecodeRows(&some, l, c, p, &b, 1<<30, from, to); err != nil {
						t.Fatal(err)
					}
					got, want := listed(&some, max(from, p.First), from, to), listed(&whole, p.First, from, to)
					if !slices.Equal(got, want) {
						t.Fatalf("seed %d, column %d %v, rows %d to %d of %d+%d:\n%.300q\nwant\n%.300q", seed, li, l.Kind, from, to, p.First, p.Rows, got, want)
					}
				}
			}
		}
	}
}

// Whatever the bytes are: some rows of what decodes whole are the same rows, and
// nothing panics.
func FuzzDecodeRows(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 80, 1, 1, 80, 3}, uint8(0), true, uint8(3), uint8(9))
	f.Add([]byte{1, 11, 0xff, 0x0f, 0xf0, 0x55, 0xaa}, uint8(0), false, uint8(13), uint8(20))
	f.Add(make([]byte, 320), uint8(1), false, uint8(13), uint8(20))
	kinds := []Kind{String, Int64, Int32, Bool, Double, Fixed8, Fixed16, Blob}
	f.Fuzz(func(t *testing.T, b []byte, how uint8, optional bool, from, size uint8) {
		d, err := NewDecoder()
		if err != nil {
			t.Fatal(err)
		}
		l := &Leaf{Name: "x", Kind: kinds[int(how>>2)%len(kinds)], Optional: optional}
		body := &Body{[]format.Encoding{format.RLEDictionary, format.Plain, format.DeltaBinaryPacked}[how&3%3], 40, b}
		c, p := &ChunkInfo{Nulls: 1}, PageInfo{First: 100, Rows: 40}
		var whole, some Values
		bad := d.Decode(&whole, l, c, p, body, 5)
		lo := 100 + int(from)%40
		hi := lo + 1 + int(size)%40
		if err := d.DecodeRows(&some, l, c, p, body, 5, lo, hi); bad != nil {
			return
		} else if err != nil {
			t.Fatalf("%v, though the whole page is right", err)
		}
		if got, want := listed(&some, lo, lo, hi), listed(&whole, 100, lo, hi); !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}
