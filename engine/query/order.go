package query

import (
	"context"
	"slices"
)

// often is how many cheap things may be done between two looks at the context.
const often = 1 << 10

// sortUntil sorts the list unless ctx ends first; then the list is in no order.
func sortUntil[T any](ctx context.Context, list []T, compare func(a, b T) int) error {
	for lo := 0; lo < len(list); lo += often {
		if err := ctx.Err(); err != nil {
			return err
		}
		slices.SortFunc(list[lo:min(lo+often, len(list))], compare)
	}
	if len(list) <= often {
		return nil
	}
	from, to := list, make([]T, len(list))
	for width := often; width < len(list); width *= 2 {
		for lo := 0; lo < len(list); lo += 2 * width {
			mid, hi := min(lo+width, len(list)), min(lo+2*width, len(list))
			if err := mergeUntil(ctx, to[lo:hi], from[lo:mid], from[mid:hi], compare); err != nil {
				return err
			}
		}
		from, to = to, from
	}
	if &from[0] != &list[0] {
		copy(list, from)
	}
	return nil
}

// mergeUntil merges two sorted lists into dst, which is as long as both.
func mergeUntil[T any](ctx context.Context, dst, a, b []T, compare func(a, b T) int) error {
	for i := range dst {
		if i&(often-1) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if len(b) == 0 || len(a) > 0 && compare(a[0], b[0]) <= 0 {
			dst[i], a = a[0], a[1:]
		} else {
			dst[i], b = b[0], b[1:]
		}
	}
	return nil
}
