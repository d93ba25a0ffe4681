package screen

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestPlaceLaws lays out random tables: columns keep their order, never
// overlap, stay within the line where they can, and the important ones stay.
func TestPlaceLaws(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 9))
		cols := make([]column, 1+rng.IntN(9))
		needed := 0
		for i := range cols {
			cols[i] = column{width: 1 + rng.IntN(20), grow: rng.IntN(3) == 0, keep: rng.IntN(90), wide: rng.IntN(4) == 0}
			if i == 0 {
				cols[i].keep, cols[i].wide = always, false
				needed = cols[i].width
			}
		}
		total := rng.IntN(150)
		at := place(cols, total, rng.IntN(2) == 0)
		if len(at) == 0 || at[0].index != 0 {
			t.Fatalf("seed %d: the first column is missing", seed)
		}
		for i, p := range at {
			if p.w < cols[p.index].width {
				t.Fatalf("seed %d: column %d is narrower than it needs", seed, p.index)
			}
			if i > 0 && (p.index <= at[i-1].index || p.x != at[i-1].x+at[i-1].w+gap) {
				t.Fatalf("seed %d: column %d is out of place", seed, p.index)
			}
		}
		if last := at[len(at)-1]; needed <= total && last.x+last.w > total {
			t.Fatalf("seed %d: the table is %d wide, the line %d", seed, last.x+last.w, total)
		}
	}
}

func TestNatural(t *testing.T) {
	order := []string{"a", "a-1", "a-2", "a-10", "a-10-b", "a-010-c", "a-11", "b"}
	for i := range order {
		for j := range order {
			if got, want := sign(float64(natural(order[i], order[j]))), sign(float64(i-j)); got != want {
				t.Errorf("natural(%q, %q) is %d, want %d", order[i], order[j], got, want)
			}
		}
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 3*time.Hour + 4*time.Minute: "3h04m", 50 * time.Hour: "2d02h",
		-90 * time.Second: "-1m30s", 400 * 24 * time.Hour: "400d",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
	for f, want := range map[float64]string{0: "0%", 0.01: "<0.1%", 12.34: "12.3%", 99.99: "100%"} {
		if got := percent(f); got != want {
			t.Errorf("percent(%v) = %q, want %q", f, got, want)
		}
	}
}
