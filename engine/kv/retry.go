package kv

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Retry makes attempts of a compare-and-swap until one is done, at most tries, with pauses that pause gives by the
// number of the attempt to come. attempt tells whether its result is final; op names the error of the last that is not.
func Retry(ctx context.Context, op string, tries int, pause func(try int) time.Duration, attempt func() (done bool, err error)) error {
	var last error
	for try := range tries {
		if try > 0 {
			if err := Wait(ctx, pause(try)); err != nil {
				return errors.Join(last, err)
			}
		}
		done, err := attempt()
		if done {
			return err
		}
		last = err
	}
	return fmt.Errorf("%s: %w", op, last)
}

// Wait returns after d, or with the error of ctx when that ends first.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
