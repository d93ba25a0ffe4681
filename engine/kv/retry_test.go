package kv_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringctl/ringctl/engine/kv"
)

// TestRetry: what is final is returned as it is, what is not is tried again after a pause, and the last error has a name.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("lost")
		pause := func(try int) time.Duration { return time.Duration(try) * time.Second }
		run := func(ctx context.Context, results ...error) (tries int, took time.Duration, err error) {
			began := time.Now()
			err = kv.Retry(ctx, "swap k", 3, pause, func() (bool, error) {
				r := results[tries]
				tries++
				return !errors.Is(r, lost), r
			})
			return tries, time.Since(began), err
		}
		if n, d, err := run(t.Context(), lost, lost, nil); n != 3 || d != 3*time.Second || err != nil {
			t.Errorf("the third try succeeds: %d tries, %v, %v", n, d, err)
		}
		refused := errors.New("refused")
		if n, d, err := run(t.Context(), refused); n != 1 || d != 0 || err != refused {
			t.Errorf("a final error: %d tries, %v, %v", n, d, err)
		}
		if n, _, err := run(t.Context(), lost, lost, lost); n != 3 || !errors.Is(err, lost) || err.Error() != "swap k: lost" {
			t.Errorf("all tries lost: %d tries, %v", n, err)
		}
		short, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if n, d, err := run(short, lost, lost); n != 2 || d != 1500*time.Millisecond || !errors.Is(err, lost) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the context ends in a pause: %d tries, %v, %v", n, d, err)
		}
	})
}
