package client_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
)

// late is a context that says so a moment after its time is up: connections, which have the same deadline, are quicker.
type late struct {
	context.Context
	passed atomic.Bool
	done   chan struct{}
}

func (l *late) Deadline() (time.Time, bool) {
	if l.passed.Load() {
		return time.Now(), true
	}
	return time.Now().Add(time.Minute), true
}

func (l *late) Done() <-chan struct{} { return l.done }

func (l *late) Err() error {
	select {
	case <-l.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestAgreementIsNotLostAtTheEnd: members that agreed are not counted as silent because the last question to them was cut
// off by the end of the time.
func TestAgreementIsNotLostAtTheEnd(t *testing.T) {
	cluster := start(t, clienttest.Config{})
	now := time.Now()
	must(t, cluster.Put(ingester, clienttest.Edit(clienttest.Ring("ingester", 4, 16, now), "ingester-2", clienttest.Aged(now, time.Hour))))
	cluster.Deafen("node-1")
	c := dial(t, client.Config{Seeds: cluster.Seeds()})
	p, err := c.PlanForget(t.Context(), client.ForgetRequest{Ring: "ingester", IDs: []string{"ingester-2"}})
	must(t, err)
	ctx := &late{Context: t.Context(), done: make(chan struct{})}
	res, err := c.Apply(ctx, p, client.ApplyOptions{Wait: time.Hour, Progress: func(p client.Progress) {
		switch {
		case ctx.Err() != nil:
		case ctx.passed.Load():
			close(ctx.done)
		default:
			ctx.passed.Store(p.Done == 2)
		}
	}})
	if client.CodeOf(err) != client.CodeNotConverged || res.Converged != 2 || len(res.Laggards) != 1 || res.Laggards[0].Member != "node-1" {
		t.Fatalf("%v, %+v", err, res)
	}
}
