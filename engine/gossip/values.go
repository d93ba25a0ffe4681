package gossip

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	casTries = 10
	casPause = time.Second // timestamps have whole seconds: a second change within one is lost on other nodes
)

// Get returns a copy of the value of key without tombstones, or nil when there is none.
func (c *Cluster) Get(key string) Value {
	v, _ := c.get(key)
	return v
}

func (c *Cluster) get(key string) (Value, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.Get(key)
}

// Keys returns the keys with the prefix, sorted.
func (c *Cluster) Keys(prefix string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.Keys(prefix)
}

// CAS replaces the value of key with what f makes of a copy without tombstones; f gets nil when there is none and
// returns nil for "no change". Entries that f leaves out become tombstones. f is called again when the value changed
// meanwhile, and, if it said retry, a second later when its update said nothing new or when it failed.
func (c *Cluster) CAS(ctx context.Context, key, codec string, f func(in Value) (out Value, retry bool, err error)) error {
	var last error
	for try := range casTries {
		if try > 0 && !errors.Is(last, ErrVersion) {
			if err := pause(ctx, casPause); err != nil {
				return errors.Join(last, err)
			}
		}
		c.metrics.casAttempts.Inc()
		in, version := c.get(key)
		out, retry, err := f(in)
		if err == nil && out == nil {
			c.metrics.casSuccesses.Inc()
			return nil
		}
		if err == nil {
			err = c.put(key, codec, version, out)
		}
		if err == nil {
			c.metrics.casSuccesses.Inc()
			return nil
		}
		last = err
		if !retry && !errors.Is(err, ErrVersion) {
			break
		}
	}
	c.metrics.casFailures.Inc()
	return fmt.Errorf("gossip: compare-and-swap: %w", last)
}

func (c *Cluster) put(key, codec string, version uint64, v Value) error {
	c.mu.Lock()
	change, err := c.store.CAS(key, codec, version, v, time.Now())
	c.mu.Unlock()
	if err != nil {
		return err
	}
	c.spread(change, true, false)
	return nil
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Merge merges one pair into this member as if it had been received, and spreads what was new in it. It is for explicit
// repairs; ordinary updates use CAS.
func (c *Cluster) Merge(p Pair) error { return c.receive(p) }

// Admin is what the /memberlist page shows.
type Admin struct {
	Now         time.Time
	Self        string
	HealthScore int // 0 is healthy
	Members     []Node
	Keys        []KeyInfo
	Queued      int // changes waiting to be gossiped
	QueuedBytes int
	History     bool      // whether messages are kept
	Sent        []Message // own changes, oldest first
	Received    []Message // oldest first
}

// Admin gathers the state of this member.
func (c *Cluster) Admin() Admin {
	a := Admin{Now: time.Now(), Self: c.name, HealthScore: c.ml.GetHealthScore(), Members: c.Members(), Keys: c.info()}
	a.Queued, _, a.QueuedBytes = c.queue.size()
	if c.sent != nil {
		a.History, a.Sent, a.Received = true, c.sent.all(), c.received.all()
	}
	return a
}

// ClearHistory drops the kept messages.
func (c *Cluster) ClearHistory() {
	if c.sent != nil {
		c.sent.clear()
		c.received.clear()
	}
}

func (c *Cluster) info() []KeyInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.Info()
}

// Raw returns one key as it is sent, with its tombstones.
func (c *Cluster) Raw(key string) (Pair, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.Pair(key)
}

// Pairs returns all keys as they are sent, with their tombstones, sorted. Value bytes must not be changed.
func (c *Cluster) Pairs() []Pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.Pairs()
}
