package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/ring"
)

// Instance keeps one entry in an instance ring alive, and follows the ring like a [Watcher].
//
// Run does the work; all other methods may be called from anywhere while it runs.
type Instance struct {
	*Watcher
	cfg        Config
	store      *kv.Typed[*ring.Desc]
	log        *slog.Logger
	metrics    *instanceMetrics
	dice       *rand.Rand
	requests   chan request
	stopped    chan struct{} // closed when Run returns
	unregister atomic.Bool
	readyOnce  atomic.Bool // the ring was seen complete once
	now        atomic.Pointer[machine]
}

// request asks the loop to apply an event.
type request struct {
	ev   any
	done chan error
}

// stopTimeout bounds the last writes after the context of Run has ended.
const stopTimeout = 10 * time.Second

// New makes an instance; nothing is written before Run. reg may be nil.
func New(cfg Config, store kv.Store, log *slog.Logger, reg prometheus.Registerer) (*Instance, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w, err := NewWatcher(cfg.Key, cfg.name(), cfg.Lookup, store, log, reg)
	if err != nil {
		return nil, err
	}
	i := &Instance{
		Watcher: w, cfg: cfg, store: w.store, log: log.With("ring", cfg.Key, "instance", cfg.ID),
		dice:     rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		requests: make(chan request), stopped: make(chan struct{}),
	}
	i.unregister.Store(cfg.UnregisterOnShutdown)
	i.now.Store(&machine{cfg: &i.cfg})
	if i.metrics, err = newInstanceMetrics(reg, cfg); err != nil {
		return nil, err
	}
	return i, nil
}

// ID is the instance's id.
func (i *Instance) ID() string { return i.cfg.ID }

// State is the instance's own state; it may be a moment ahead of what the ring shows.
func (i *Instance) State() ring.State { return i.now.Load().phase.state() }

// ReadOnly tells whether the instance is marked read-only.
func (i *Instance) ReadOnly() bool { return i.now.Load().readOnly }

// SetReadOnly marks the instance read-only, or not: it keeps its data but takes no new keys where shuffle
// sharding is used. It returns once the ring has it.
func (i *Instance) SetReadOnly(ctx context.Context, on bool) error {
	return i.ask(ctx, setReadOnly{on})
}

// Leave marks the instance LEAVING and returns once the ring has it. The instance beats on until the
// context of Run ends, so that a worker can hand over its data in between.
func (i *Instance) Leave(ctx context.Context) error { return i.ask(ctx, leave{}) }

// SetUnregister decides whether the entry is removed at the end (true) or stays behind as LEAVING.
// It overrides the configured value until it is called again.
func (i *Instance) SetUnregister(on bool) { i.unregister.Store(on) }

// UnregisterOnShutdown tells what will happen to the entry at the end.
func (i *Instance) UnregisterOnShutdown() bool { return i.unregister.Load() }

func (i *Instance) ask(ctx context.Context, ev any) error {
	r := request{ev: ev, done: make(chan error, 1)}
	select {
	case i.requests <- r:
		return <-r.done
	case <-i.stopped:
		return fmt.Errorf("ring %q: %w", i.cfg.Key, errNotRegistered)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run registers the instance, keeps it alive until ctx ends, and then takes it off the ring. It may be
// called once. It returns nil after an orderly end; an error when the entry could not be registered for a
// reason that waiting does not cure ([FutureEntryError], an unreadable tokens file), or not be removed.
func (i *Instance) Run(ctx context.Context) error {
	defer close(i.stopped)
	if err := i.loadTokens(); err != nil {
		return fmt.Errorf("join ring %q: %w", i.cfg.Key, err)
	}
	watchCtx, stopWatch := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() { // the one goroutine: Run waits for it below
		defer close(watched)
		_ = i.Watcher.Run(watchCtx)
	}()
	err := i.live(ctx)
	if err == nil {
		err = i.stop(context.WithoutCancel(ctx))
	}
	stopWatch()
	<-watched
	return err
}

func (i *Instance) loadTokens() error {
	if i.cfg.TokensFile == "" || i.cfg.NumTokens == 0 {
		return nil
	}
	tokens, err := loadTokens(i.cfg.TokensFile)
	if err != nil {
		return err
	}
	m := *i.now.Load()
	m.tokens = tokens
	i.now.Store(&m)
	return nil
}

// live is the loop: one actor that owns the machine. A failed write is tried again at the next beat.
func (i *Instance) live(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-i.requests:
			r.done <- i.apply(ctx, r.ev)
		case <-timer.C:
			err := i.apply(ctx, tick{})
			var future *FutureEntryError
			if errors.As(err, &future) {
				return err
			}
			if err != nil && ctx.Err() == nil {
				i.metrics.failed.Inc()
				i.log.WarnContext(ctx, "heartbeat failed, will try again", "in", i.cfg.HeartbeatPeriod, "err", err)
			}
			timer.Reset(i.untilNext())
		}
	}
}

// untilNext is the time to the next beat, or to the next step of joining if that is sooner.
func (i *Instance) untilNext() time.Duration {
	wait := i.cfg.HeartbeatPeriod
	m := i.now.Load()
	if m.phase == waiting || m.phase == observing {
		wait = min(wait, max(time.Until(m.due), time.Millisecond))
	}
	return wait
}

// stop takes the entry off the ring in one write, or leaves it behind as LEAVING. A worker that has data to
// hand over first calls Leave before it ends the context.
func (i *Instance) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	start := time.Now()
	var err error
	if i.unregister.Load() {
		err = insist(ctx, func() error { return i.apply(ctx, depart{}) })
	} else if err = insist(ctx, func() error { return i.apply(ctx, leave{}) }); err == nil {
		err = i.apply(ctx, depart{keep: true})
	}
	i.metrics.observeShutdown(time.Since(start), err)
	if err != nil {
		return fmt.Errorf("leave ring %q: %w (the entry stays until it is forgotten: ringctl forget %s %s)",
			i.cfg.Key, err, i.cfg.name(), i.cfg.ID)
	}
	return nil
}

// insist makes a last write again while others are faster: when a whole cluster stops, all of them leave at once.
func insist(ctx context.Context, write func() error) error {
	err := write()
	for errors.Is(err, kv.ErrConflict) && ctx.Err() == nil {
		err = write()
	}
	return err
}

// apply runs one step inside a compare-and-swap and then does what the step wants done.
func (i *Instance) apply(ctx context.Context, ev any) error {
	before := i.now.Load()
	next, e := *before, effect{}
	err := i.store.CAS(ctx, i.cfg.Key, func(in *ring.Desc) (*ring.Desc, bool, error) {
		if in == nil {
			in = &ring.Desc{}
		}
		var err error
		next, e, err = before.step(ev, in, time.Now(), i.dice)
		if err != nil || !e.changed {
			return nil, false, err
		}
		return in, true, nil
	})
	if err != nil {
		return err
	}
	i.now.Store(&next)
	i.metrics.observe(next, e)
	for _, n := range e.notes {
		n.log(ctx, i.log)
	}
	if e.save && i.cfg.TokensFile != "" && i.cfg.NumTokens > 0 {
		if err := saveTokens(i.cfg.TokensFile, next.tokens); err != nil {
			i.log.ErrorContext(ctx, "tokens not saved; a restart would take others", "err", err)
		}
	}
	return nil
}
