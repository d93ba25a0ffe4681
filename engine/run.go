package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// part is one thing that runs for the life of the process.
type part struct {
	name string
	run  func(ctx context.Context) error
}

// runParts starts the parts in order, waits until ctx ends or one of them
// does, and stops them in reverse order, each only after those that were
// started later are gone. It returns all their errors.
func runParts(ctx context.Context, parts []part, log *slog.Logger) error {
	type running struct {
		part
		cancel context.CancelFunc
		done   chan struct{}
		err    error
	}
	all := make([]*running, len(parts))
	ended := make(chan *running, len(parts))
	for i, p := range parts {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{part: p, cancel: cancel, done: make(chan struct{})}
		all[i] = r
		go func() {
			defer close(r.done)
			r.err = p.run(own)
			ended <- r
		}()
	}
	var early error
	select {
	case <-ctx.Done():
	case r := <-ended:
		if early = ctx.Err(); early == nil && r.err == nil {
			early = fmt.Errorf("%s ended on its own", r.name)
		}
	}
	var errs []error
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		log.Debug("stopping", "part", r.name)
		r.cancel()
		<-r.done
		if r.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.name, r.err))
		}
	}
	if len(errs) == 0 && early != nil && ctx.Err() == nil {
		return early
	}
	return errors.Join(errs...)
}
