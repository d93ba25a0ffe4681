package distributor

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/trace"
)

// replyOf is what one keeper answered.
type replyOf struct {
	from *ring.Instance
	err  error
}

// QuorumError says that too few keepers of a trace took its spans. Some may
// have: the sender should send the export again.
type QuorumError struct {
	Ring    string
	Where   string // partition, or empty
	Tenant  string
	Trace   trace.ID
	Token   uint32
	Need    int // replies needed
	Asked   int
	Replies []replyOf // those that failed
}

// Error names the ring, the key, each member that failed and why, and the
// command that shows the ring around the key.
func (e *QuorumError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ring %s: trace %s, key %d", e.Ring, e.Trace, e.Token)
	if e.Where != "" {
		fmt.Fprintf(&b, ", %s", e.Where)
	}
	fmt.Fprintf(&b, ": %d of %d keepers must store the spans, but", e.Need, e.Asked)
	for i, r := range e.Replies {
		if i > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " %s", r.from.ID)
		if r.from.Zone != "" {
			fmt.Fprintf(&b, " (zone %s)", r.from.Zone)
		}
		fmt.Fprintf(&b, ": %v", status.Convert(r.err).Message())
	}
	fmt.Fprintf(&b, "; see: ringctl lookup %s --tenant %s", e.Trace, e.Tenant)
	return b.String()
}

// Unwrap gives the keepers' errors.
func (e *QuorumError) Unwrap() []error {
	all := make([]error, len(e.Replies))
	for i, r := range e.Replies {
		all[i] = r.err
	}
	return all
}

// exhausted reports whether every keeper that failed did so because it is full.
func (e *QuorumError) exhausted() bool {
	for _, r := range e.Replies {
		if status.Code(r.err) != codes.ResourceExhausted {
			return false
		}
	}
	return true
}

func (p *plan) failed(t int, tenantID string, replies []replyOf) error {
	rs := p.traces[t]
	return &QuorumError{Ring: p.ring, Where: rs.where, Tenant: tenantID, Trace: p.ids[t], Token: p.tokens[t],
		Need: len(rs.to) - rs.maxErrors, Asked: len(rs.to), Replies: replies}
}

// pushAll sends each keeper its part at once and returns when a quorum of each
// trace is stored or cannot be. Pushes that are still under way then go on,
// detached from the export. It returns the traces that too many keepers refused
// for a limit; an error means that others have no quorum either.
func (d *Distributor) pushAll(ctx context.Context, tenantID string, p *plan, b *trace.Batch, otlp []byte) (refusals, error) {
	parts := p.parts(b, otlp)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.PushTimeout)
	replies := make(chan int32, len(p.keepers))
	errs := make([]error, len(p.keepers))
	d.pushes.Add(len(p.keepers))
	left := &countdown{done: cancel}
	left.n.Store(int32(len(p.keepers)))
	for k, to := range p.keepers {
		go func() {
			defer d.pushes.Done()
			defer left.down()
			errs[k] = d.deps.Pusher.Push(ctx, p.path, to, tenantID, parts[k])
			if errs[k] != nil && peer.Refused(errs[k]) == nil {
				d.metrics.pushFailures.WithLabelValues(to.ID).Inc()
			}
			replies <- int32(k)
		}()
	}
	return newTally(p).wait(replies, errs, tenantID)
}

// parts is the OTLP bytes of each keeper's traces, in memory of their own: a
// push may outlive the export.
func (p *plan) parts(b *trace.Batch, otlp []byte) [][]byte {
	out := make([][]byte, len(p.keepers))
	wants := make([][]bool, len(p.keepers))
	count := make([]int, len(p.keepers))
	for k := range wants {
		wants[k] = make([]bool, len(p.traces))
	}
	for t, rs := range p.traces {
		for _, k := range rs.to {
			wants[k][t] = true
			count[k]++
		}
	}
	var whole []byte
	for k := range out {
		if count[k] == len(p.traces) {
			if whole == nil {
				whole = b.AppendSubset(make([]byte, 0, len(otlp)), func(int) bool { return true })
			}
			out[k] = whole
			continue
		}
		size := len(otlp)*count[k]/len(p.traces) + 512
		out[k] = b.AppendSubset(make([]byte, 0, size), func(t int) bool { return wants[k][t] })
	}
	return out
}

// refusals is the traces of a batch, by index, that are over a limit.
type refusals map[int32]peer.Reason

// tally counts replies per trace.
type tally struct {
	p        *plan
	byKeeper [][]int32 // traces of each keeper
	need     []int32   // successes still needed, per trace; settled when it is decided
	mayFail  []int32   // failures still allowed, per trace
	open     int       // traces that are not decided
	why      refusals  // refused by at least one keeper
	lost     refusals  // that therefore have no quorum
}

// settled stands for the successes that a decided trace still needs.
const settled = -1

func newTally(p *plan) *tally {
	c := &tally{p: p, byKeeper: make([][]int32, len(p.keepers)), need: make([]int32, len(p.traces)), mayFail: make([]int32, len(p.traces)), open: len(p.traces)}
	for t, rs := range p.traces {
		c.need[t] = int32(len(rs.to) - rs.maxErrors)
		c.mayFail[t] = int32(rs.maxErrors)
		for _, k := range rs.to {
			c.byKeeper[k] = append(c.byKeeper[k], int32(t))
		}
	}
	return c
}

// wait takes replies until every trace is decided, or one cannot get its quorum
// for another reason than a limit.
func (c *tally) wait(replies <-chan int32, errs []error, tenantID string) (refusals, error) {
	var failed []replyOf
	for c.open > 0 {
		k := <-replies
		refused := peer.Refused(errs[k])
		if errs[k] != nil && refused == nil {
			failed = append(failed, replyOf{c.p.keepers[k], errs[k]})
		}
		for _, t := range c.byKeeper[k] {
			why := refused[c.p.ids[t]]
			switch {
			case c.need[t] == settled:
			case errs[k] == nil || refused != nil && why == "":
				c.stored(t)
			case c.fails(t, why):
				return nil, c.p.failed(int(t), tenantID, c.of(int(t), failed))
			}
		}
	}
	return c.lost, nil
}

// stored counts a keeper that has the trace.
func (c *tally) stored(t int32) {
	if c.need[t]--; c.need[t] == 0 {
		c.need[t] = settled
		c.open--
	}
}

// fails counts a keeper that has not, for a limit or without a reason, and tells
// whether the export failed by it. Where a keeper refused the trace, sending it
// again would not help, whatever the others said.
func (c *tally) fails(t int32, why peer.Reason) bool {
	if why != "" {
		c.why = c.why.with(t, why)
	}
	if c.mayFail[t]--; c.mayFail[t] >= 0 {
		return false
	}
	if why = c.why[t]; why == "" {
		return true
	}
	c.lost = c.lost.with(t, why)
	c.need[t] = settled
	c.open--
	return false
}

func (r refusals) with(t int32, why peer.Reason) refusals {
	if r == nil {
		r = refusals{}
	}
	r[t] = why
	return r
}

// of keeps the replies of trace t's own keepers.
func (c *tally) of(t int, failed []replyOf) []replyOf {
	var own []replyOf
	for _, r := range failed {
		for _, k := range c.p.traces[t].to {
			if c.p.keepers[k] == r.from {
				own = append(own, r)
			}
		}
	}
	return own
}

// countdown calls done when it has been told n times.
type countdown struct {
	n    atomic.Int32
	done func()
}

func (c *countdown) down() {
	if c.n.Add(-1) == 0 {
		c.done()
	}
}
