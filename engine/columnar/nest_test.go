package columnar

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// TestNestStories: spans are written id<parent, kinds as a suffix c (client) or s (server); numbers are left-right/parent.
func TestNestStories(t *testing.T) {
	for spans, want := range map[string]string{
		"1":               "1-2/-1",
		"1 2<1 3<1 4<2":   "1-8/-1 2-5/1 6-7/1 3-4/2",
		"4<2 3<1 2<1 1":   "5-6/4 2-3/1 4-7/1 1-8/-1", // any order in the input
		"1 2":             "1-2/-1 3-4/-1",            // two roots
		"1 3<9 2<3":       "1-2/-1 3-6/0 4-5/3",       // an orphan with a child
		"3<9 1":           "3-4/0 1-2/-1",             // roots are numbered before orphans
		"1<2 2<1":         "0-0/0 0-0/0",              // a cycle
		"1 2<3 3<2 4<3":   "1-2/-1 0-0/0 0-0/0 0-0/0", // and what hangs below it
		"5<5":             "0-0/0",                    // its own parent
		"1c 1s 2<1":       "1-6/-1 2-5/1 3-4/2",       // a shared id: the server is below the client, the child below the server
		"1s 1c 2<1":       "2-5/1 1-6/-1 3-4/2",       // in any order
		"1 2c<1 2s<1 3<2": "1-8/-1 2-7/1 3-6/2 4-5/3",
		"1 2<1 2<1 3<2":   "1-8/-1 2-5/1 6-7/1 3-4/2", // one id twice: the first has the children
		"1c 1s 1s":        "1-6/-1 2-3/1 4-5/1",
	} {
		var ids, parents []uint64
		var kinds []uint8
		for _, w := range strings.Fields(spans) {
			var id, parent uint64
			own, up, _ := strings.Cut(w, "<")
			kind := uint8(1)
			switch own[len(own)-1] {
			case 'c':
				kind = kindClient
			case 's':
				kind = kindServer
			}
			if up == "" {
				up = "0"
			}
			if _, err := fmt.Sscan(strings.TrimRight(own, "cs")+" "+up, &id, &parent); err != nil {
				t.Fatal(err)
			}
			ids, parents, kinds = append(ids, id), append(parents, parent), append(kinds, kind)
		}
		left, right, parent := make([]int32, len(ids)), make([]int32, len(ids)), make([]int32, len(ids))
		new(Nester).Nest(ids, parents, kinds, left, right, parent)
		var got []string
		for i := range ids {
			got = append(got, fmt.Sprintf("%d-%d/%d", left[i], right[i], parent[i]))
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: %s, want %s", spans, g, want)
		}
	}
}

// TestNestLaws: intervals nest or are apart, all numbers are used once, and a parent's interval is around its child's.
func TestNestLaws(t *testing.T) {
	var n Nester
	for seed := range int64(200) {
		r := rand.New(rand.NewSource(seed))
		m := 1 + r.Intn(30)
		ids, parents, kinds := make([]uint64, m), make([]uint64, m), make([]uint8, m)
		for i := range ids {
			ids[i], parents[i], kinds[i] = uint64(1+r.Intn(m)), uint64(r.Intn(m+3)), uint8(r.Intn(6))
		}
		left, right, parent := make([]int32, m), make([]int32, m), make([]int32, m)
		n.Nest(ids, parents, kinds, left, right, parent)
		used := map[int32]bool{}
		for i := range ids {
			if left[i] == 0 {
				if right[i] != 0 || parent[i] != 0 {
					t.Fatalf("seed %d: span %d is half unknown", seed, i)
				}
				continue
			}
			if left[i] >= right[i] || used[left[i]] || used[right[i]] || left[i] <= 0 || right[i] > int32(2*m) {
				t.Fatalf("seed %d: span %d has %d-%d", seed, i, left[i], right[i])
			}
			used[left[i]], used[right[i]] = true, true
			found := parent[i] <= 0
			for k := range ids {
				if left[k] > 0 && left[k] < left[i] && left[i] < right[k] && right[k] < right[i] {
					t.Fatalf("seed %d: intervals of %d and %d cross", seed, i, k)
				}
				if left[k] == parent[i] && left[k] < left[i] && right[i] < right[k] {
					found = true
				}
			}
			if !found {
				t.Fatalf("seed %d: the parent of %d is not around it", seed, i)
			}
		}
	}
}

func TestBitmap(t *testing.T) {
	for seed := range int64(300) {
		r := rand.New(rand.NewSource(seed))
		n := 1 + r.Intn(300)
		b, set := NewBitmap(n), make([]bool, n)
		for range r.Intn(6) {
			lo := r.Intn(n + 1)
			hi := lo + r.Intn(n+1-lo)
			b.SetRange(uint32(lo), uint32(hi))
			for i := lo; i < hi; i++ {
				set[i] = true
			}
		}
		lo := r.Intn(n)
		hi := lo + r.Intn(n+1-lo)
		count, in, next := 0, int64(0), -1
		for i, yes := range set {
			if b.Has(uint32(i)) != yes {
				t.Fatalf("seed %d: row %d", seed, i)
			}
			if !yes {
				continue
			}
			count++
			if i >= lo && i < hi {
				in++
			}
			if i >= lo && next < 0 {
				next = i
			}
		}
		got, ok := b.Next(uint32(lo))
		if b.Count() != count || b.AnyIn(uint32(lo), uint32(hi)) != (in > 0) || b.CountRange(uint32(lo), uint32(hi)) != in ||
			ok != (next >= 0) || ok && int(got) != next || len(b.Append(nil)) != count || b.Empty() != (count == 0) {
			t.Fatalf("seed %d: %d to %d of %d", seed, lo, hi, n)
		}
	}
}
