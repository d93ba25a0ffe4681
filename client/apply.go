package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringctl/ringctl/client/model"
)

// ApplyOptions say how a plan is carried out.
type ApplyOptions struct {
	// Force carries out plans whose checks say Refuse; Block is never overridden.
	Force bool
	// Wait bounds how long all members may take to agree; zero is 30 s, negative does not wait at all.
	Wait time.Duration
	// Progress is called after each model.Age of reading back.
	Progress func(Progress)
	// Sent is called once the messages are out, before anything is read back.
	Sent func(members []string)
	// Every is the pause between two looks at a scale-down; zero is 5 s.
	Every time.Duration
}

const (
	defaultWait   = 30 * time.Second
	readBackPause = 200 * time.Millisecond
	maxPause      = 2 * time.Second
	// maxPatience bounds one exchange where one silent member would hold up the news from all others.
	maxPatience = 5 * time.Second
)

// Apply carries out a plan: it reads once more and refuses if an entry moved since, sends each entry as one
// message to every member that was read, and reads back until all of them agree. With [CodeNotConverged] the
// result is valid and names the members that do not.
func (c *Client) Apply(ctx context.Context, p *Plan, o ApplyOptions) (*Result, error) {
	if err := p.Allowed(o.Force); err != nil {
		return nil, err
	}
	if p.Pending() == 0 {
		return &Result{Plan: p, Total: len(p.targets), Converged: len(p.targets)}, nil
	}
	if p.drain != nil {
		return c.applyDrain(ctx, p, o)
	}
	if err := c.recheck(ctx, p); err != nil {
		return nil, err
	}
	res := &Result{Plan: p, Total: len(p.targets)}
	start := time.Now()
	sent, err := c.send(ctx, p)
	res.Sent = sent
	if len(sent) == 0 {
		return nil, model.Fail(CodeNoView, string(p.Action)+" "+p.Ring, "", "no member took the change: %w", err)
	}
	if o.Sent != nil {
		o.Sent(sent)
	}
	if o.Wait < 0 {
		return res, nil
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	err = c.readBack(ctx, p, o, res)
	res.Took = Duration(time.Since(start))
	return res, err
}

// recheck reads the ring again and compares each entry with the one the plan was made on.
func (c *Client) recheck(ctx context.Context, p *Plan) error {
	r, err := c.read(ctx)
	if err != nil {
		return err
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Skip {
			continue
		}
		if now := r.fingerprint(p.Key, p.Action, s); now != s.Fingerprint {
			return model.Fail(CodeRefused, string(p.Action)+" "+s.ID, "look at it again and repeat the command",
				"the entry changed since the plan was made (it was: %s)", s.Before)
		}
	}
	// A member that was read for the plan and is silent now still counts: it has to agree, too.
	for _, t := range r.targets {
		if !slices.Contains(p.targets, t) {
			p.targets = append(p.targets, t)
		}
	}
	return nil
}

// send delivers all messages to all targets and returns the members that took all of them.
func (c *Client) send(ctx context.Context, p *Plan) ([]string, error) {
	type outcome struct {
		name string
		err  error
	}
	results := make(chan outcome, len(p.targets))
	limit := make(chan struct{}, parallelPulls)
	var wg sync.WaitGroup
	for _, t := range p.targets {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			results <- outcome{t.name, c.sendTo(ctx, t.addr, p.Steps)}
		})
	}
	wg.Wait()
	close(results)
	var sent []string
	var errs []error
	for r := range results {
		if r.err != nil {
			errs = append(errs, r.err)
		} else {
			sent = append(sent, r.name)
		}
	}
	slices.Sort(sent)
	return sent, errors.Join(errs...)
}

func (c *Client) sendTo(ctx context.Context, addr string, steps []Step) error {
	d := c.dialer(min(c.cfg.Timeout, maxPatience))
	for _, s := range steps {
		if s.Skip {
			continue
		}
		if err := d.Send(ctx, addr, s.pair); err != nil {
			return err
		}
	}
	return nil
}

// readBack asks the targets until every one has every change, or the time is up.
func (c *Client) readBack(ctx context.Context, p *Plan, o ApplyOptions, res *Result) error {
	limit, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	pause := readBackPause
	agreed := map[string]bool{} // with all changes, when last heard of
	for {
		res.Laggards = c.laggards(limit, p)
		if over(limit) { // the time ran out in the middle of asking: what was known before still counts
			res.Laggards = slices.DeleteFunc(res.Laggards, func(l Laggard) bool { return l.silent && agreed[l.Member] })
		}
		behind := map[string]bool{}
		for _, l := range res.Laggards {
			behind[l.Member] = true
		}
		for _, t := range p.targets {
			agreed[t.name] = !behind[t.name]
		}
		res.Converged = res.Total - len(behind)
		if o.Progress != nil {
			o.Progress(Progress{Phase: "verifying", Done: res.Converged, Total: res.Total, Laggards: res.Laggards})
		}
		if len(res.Laggards) == 0 {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, maxPause)
		case <-limit.Done():
			timer.Stop()
			if err := ctx.Err(); err != nil && errors.Is(err, context.Canceled) {
				return err
			}
			names := make([]string, 0, len(behind))
			for n := range behind {
				names = append(names, n)
			}
			slices.Sort(names)
			return model.Fail(CodeNotConverged, string(p.Action)+" "+p.Ring, "ringctl views shows who differs; repeating the command is safe",
				"%d of %d members agree after %s; not yet: %s", res.Converged, res.Total, o.Wait, model.Some(names))
		}
	}
}

// over tells whether the time of ctx is up. Connections notice a little earlier than ctx does.
func over(ctx context.Context) bool {
	end, ends := ctx.Deadline()
	return ctx.Err() != nil || ends && !time.Now().Before(end)
}

// laggards asks every target once and lists what is missing.
func (c *Client) laggards(ctx context.Context, p *Plan) []Laggard {
	var (
		mu    sync.Mutex
		out   []Laggard
		wg    sync.WaitGroup
		limit = make(chan struct{}, parallelPulls)
	)
	for _, t := range p.targets {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			missing := c.missing(ctx, p, t)
			mu.Lock()
			out = append(out, missing...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b Laggard) int {
		if d := strings.Compare(a.Member, b.Member); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

func (c *Client) missing(ctx context.Context, p *Plan, t target) []Laggard {
	view, err := c.dialer(min(c.cfg.Timeout, maxPatience)).Pull(ctx, t.addr)
	if err != nil {
		return []Laggard{{Member: t.name, Has: "no answer: " + err.Error(), silent: true}}
	}
	s := model.Decode(view, c.options(Observe))
	var out []Laggard
	for _, step := range p.Steps {
		if step.Skip {
			continue
		}
		if has, ok := step.done(s); !ok {
			out = append(out, Laggard{Member: t.name, ID: step.ID, Has: has})
		}
	}
	return out
}
