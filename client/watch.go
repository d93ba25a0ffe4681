package client

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
)

const (
	// calm is the least time between two snapshots of a joined watch: changes in between arrive as one.
	calm = 500 * time.Millisecond
	// retry is how soon a watch asks again when nobody has answered; it doubles up to the usual pause.
	retry = time.Second
	// A watch that observes reads at most observeRate bytes per second in the long run, and earlyRate when heartbeats expire.
	observeRate = 1 << 20
	earlyRate   = 4 << 20
)

// pauseFor is how long to pause after reading so many bytes to keep to a rate.
func pauseFor(bytes, rate int) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}

// Watch yields a snapshot now and then whenever something may have changed, until ctx ends or the loop breaks.
// With [Config.Join] it becomes a guest member and hears of changes as they spread; where that is impossible it
// observes instead and says so in [Snapshot.Note]. When observing, it asks every [Config.Poll], less often where the state
// is larger than 5 MB, and whenever a heartbeat times out that was not followed by another one.
//
// An error is a moment without a view, not the end: the sequence goes on. It ends with ctx, without an error.
func (c *Client) Watch(ctx context.Context) iter.Seq2[*Snapshot, error] {
	return func(yield func(*Snapshot, error) bool) {
		note := ""
		if c.cfg.Join && len(c.cfg.HTTP) == 0 {
			err := c.watchAsGuest(ctx, yield)
			if err == nil || ctx.Err() != nil {
				return
			}
			note = "observing: " + err.Error()
		}
		c.poll(ctx, note, yield)
	}
}

// poll asks the seeds again and again, always in the same order, so that one member's view is followed.
func (c *Client) poll(ctx context.Context, note string, yield func(*Snapshot, error) bool) {
	p := pace{usual: max(c.cfg.Poll, time.Second)}
	var last *Snapshot
	for {
		s, err := c.snapshotLike(ctx, last)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			last = s
		}
		if err == nil && note != "" {
			s.Note = note
		}
		if !yield(s, err) {
			return
		}
		timer := time.NewTimer(p.next(s, c.cfg.Now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// pace says when to ask next.
type pace struct {
	usual time.Duration
	// failures is how many questions in a row were not answered.
	failures int
	// early is when it was last said to ask because a heartbeat times out.
	early time.Time
}

// next is how long to wait after s, or after a failure if it is nil.
func (p *pace) next(s *Snapshot, now time.Time) time.Duration {
	if s == nil {
		p.failures++
		return min(retry<<min(p.failures-1, 8), p.usual)
	}
	p.failures = 0
	wait := max(p.usual, pauseFor(s.StateBytes, observeRate))
	due, expires := expiry(s)
	if !expires || due.Sub(now) >= wait {
		return wait
	}
	// The first one that falls silent is seen on time. When many do, one after the other, a look is for several of them.
	if rest := p.early.Add(max(calm, pauseFor(s.StateBytes, earlyRate))); due.Before(rest) {
		due = rest
	}
	p.early = due
	return min(wait, max(due.Sub(now), 0))
}

// expiry is the moment after which the next healthy instance counts as unhealthy, unless it is heard of before.
// Somebody who watches should look then, and not later.
func expiry(s *Snapshot) (at time.Time, expires bool) {
	if s == nil {
		return at, false
	}
	for i := range s.Rings {
		r := &s.Rings[i]
		for j := range r.Instances {
			in := &r.Instances[j]
			if in.Health != Healthy || r.HeartbeatTimeout == 0 {
				continue
			}
			if t := timesOut(in.Heartbeat, r); !expires || t.Before(at) {
				at, expires = t, true
			}
		}
	}
	return at, expires
}

// timesOut is the first moment at which an instance with this heartbeat is not healthy any more.
func timesOut(heartbeat time.Time, r *Ring) time.Time {
	return heartbeat.Add(time.Duration(r.HeartbeatTimeout) + time.Millisecond)
}

// watchAsGuest joins and follows. It returns an error only when nothing was yielded and observing is worth a try.
func (c *Client) watchAsGuest(ctx context.Context, yield func(*Snapshot, error) bool) error {
	seeds, err := c.seeds(ctx)
	if err != nil {
		return err
	}
	cfg := gossip.GuestConfig{Seeds: seeds, Label: c.cfg.Label, TLS: c.cfg.TLS, Timeout: min(c.cfg.Timeout, 5*time.Second)}
	if c.cfg.Advertise != "" {
		host, port, err := net.SplitHostPort(c.cfg.Advertise)
		if err != nil {
			return fmt.Errorf("advertised address %q: %w", c.cfg.Advertise, err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return fmt.Errorf("advertised address %q: %w", c.cfg.Advertise, err)
		}
		cfg.AdvertiseAddr, cfg.AdvertisePort, cfg.BindPort = host, int(n), int(n)
	}
	guest, err := gossip.JoinAsGuest(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	// The context may be over when we leave; leaving is then still owed to the members.
	defer func() { _ = guest.Leave(context.WithoutCancel(ctx)) }()
	f := follower{client: c, guest: guest, yield: yield, seeds: seeds}
	f.run(ctx)
	return nil
}
