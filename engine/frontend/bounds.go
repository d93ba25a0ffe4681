package frontend

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
)

// errTooMany is Tempo's text too: clients look for it.
var errTooMany = errors.New("too many outstanding requests: the tenant has query_frontend.max_outstanding_per_tenant questions under way; ask again when some are answered")

// outstanding counts the questions under way per tenant.
type outstanding struct {
	mu    sync.Mutex
	count map[string]int
}

// enter counts a question for all tenants, or for none when one has max already.
func (o *outstanding) enter(tenants []string, most int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count == nil {
		o.count = map[string]int{}
	}
	for _, t := range tenants {
		if most > 0 && o.count[t] >= most {
			return false
		}
	}
	for _, t := range tenants {
		o.count[t]++
	}
	return true
}

func (o *outstanding) leave(tenants []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range tenants {
		if o.count[t]--; o.count[t] == 0 {
			delete(o.count, t)
		}
	}
}

// readTime is how long a client may take to read an answer, beside the time to make it.
const readTime = time.Minute

// bounded counts a question while it is under way and gives it a budget. Both
// end when the answer is written: a client that reads slowly holds them, but not
// for ever.
func (f *Frontend) bounded(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		tenants, err := f.tenants(r)
		if err != nil {
			return err
		}
		if !f.outstanding.enter(tenants, f.cfg.MaxOutstanding) {
			return errTooMany
		}
		defer f.outstanding.leave(tenants)
		ctx, mem := f.cfg.Memory.Begin(r.Context(), tenants...)
		defer mem.Release()
		if z, ok := w.(*zipped); ok {
			c := http.NewResponseController(z.ResponseWriter)
			if c.SetWriteDeadline(time.Now().Add(f.cfg.Timeout+readTime)) == nil {
				defer c.SetWriteDeadline(time.Time{}) //nolint:errcheck // the connection is closed then
			}
		}
		return h(w, r.WithContext(ctx))
	}
}

// jsonPerByte is about how long the JSON of a trace is, per byte of the trace.
const jsonPerByte = 5

// roomForJSON takes the memory of a trace's JSON, which is made in one go.
func roomForJSON(ctx context.Context, otlp []byte) error {
	if err := roomOf(ctx).fits(jsonPerByte * len(otlp)); err != nil {
		return peer.StatusOf(err)
	}
	return nil
}

// room is what the text of an answer may take. It is asked after each element.
type room struct {
	ctx context.Context
	mem *query.Budget
}

func roomOf(ctx context.Context) room { return room{ctx, query.BudgetFrom(ctx).Part()} }

// fits takes memory for n bytes of text; it also notices the end of the context.
func (r room) fits(n int) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	return r.mem.Set(int64(n))
}
