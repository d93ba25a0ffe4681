package client_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
)

// TestViewsAreJudgedAsOfTheirArrival: a member that hangs does not make heartbeats in the views of others look old.
func TestViewsAreJudgedAsOfTheirArrival(t *testing.T) {
	cluster := start(t, clienttest.Config{})
	must(t, cluster.Put(ingester, clienttest.Ring("ingester", 3, 16, time.Now(), "a", "b", "c")))
	hangs := cluster.Addr("node-2")
	var hung atomic.Int64
	c := dial(t, client.Config{
		Seeds: []string{cluster.Addr("node-0")},
		Now:   func() time.Time { return time.Now().Add(time.Duration(hung.Load())) },
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == hangs { // the seed has answered by then
				hung.Store(int64(time.Hour))
				return nil, errors.New("hangs")
			}
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
	})
	views, err := c.Views(t.Context())
	var lost *client.Unreached
	if !errors.As(err, &lost) || len(views) == 0 {
		t.Fatalf("%d views, %v", len(views), err)
	}
	r, ok := views[0].Ring("ingester")
	if views[0].From != "node-0" || !ok || r.HealthyCount != 3 {
		t.Errorf("view of %s: %d healthy instances, want 3 in that of node-0", views[0].From, r.HealthyCount)
	}
}
