package query

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// after is a context that ends when it was looked at some times.
type after struct {
	context.Context
	left int
}

func (a *after) Err() error {
	if a.left--; a.left >= 0 {
		return nil
	}
	return context.Canceled
}

func TestSortUntil(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, often - 1, often, often + 1, 3*often + 7, 8 * often} {
		list := make([]int, n)
		for i := range list {
			list[i] = rng.IntN(n)
		}
		want := slices.Clone(list)
		slices.Sort(want)
		if err := sortUntil(t.Context(), list, cmp.Compare[int]); err != nil || !slices.Equal(list, want) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// The work between two looks is bounded: comparisons, not time, are counted.
func TestSortStopsWithItsContext(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	list := make([]int, 100*often)
	most := 0
	for left := range 400 {
		for i := range list {
			list[i] = rng.Int()
		}
		ctx, n, end := &after{t.Context(), left}, 0, 0
		err := sortUntil(ctx, list, func(a, b int) int {
			if n++; ctx.left == 0 {
				end++ // the next look is the last
			}
			return cmp.Compare(a, b)
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d looks: %v", left, err)
		}
		most = max(most, end)
	}
	if most == 0 || most > 20*often {
		t.Errorf("%d comparisons between two looks", most)
	}
}
