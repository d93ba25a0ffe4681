package engine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestPartsStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var stopped []string
		record := func(name string) part {
			return part{name, func(ctx context.Context) error {
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				stopped = append(stopped, name)
				return nil
			}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- runParts(ctx, []part{record("gossip"), record("ingester"), record("receiver")}, slog.New(slog.DiscardHandler))
		}()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("err = %v", err)
		}
		if want := []string{"receiver", "ingester", "gossip"}; !slices.Equal(stopped, want) {
			t.Errorf("stopped %v, want %v", stopped, want)
		}
	})
}

func TestOneFailureStopsAll(t *testing.T) {
	boom := errors.New("disk is on fire")
	waits := part{"gossip", func(ctx context.Context) error { <-ctx.Done(); return nil }}
	fails := part{"ingester", func(context.Context) error { return boom }}
	err := runParts(t.Context(), []part{waits, fails, waits}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "ingester") {
		t.Errorf("err = %v", err)
	}
}

func TestPartThatEndsOnItsOwnIsAFailure(t *testing.T) {
	ends := part{"receiver", func(context.Context) error { return nil }}
	if err := runParts(t.Context(), []part{ends}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "receiver ended") {
		t.Errorf("err = %v", err)
	}
}
