package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
)

type emptyKeeper struct{ peer.Keeper }

func (emptyKeeper) Ask(context.Context, *peer.Question) (*peer.Answer, error) {
	return &peer.Answer{}, nil
}

// A keeper is behind those with copies until their blocks of the time when it was down are seen by all.
func TestKeeperSaysThatItIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Default(TargetIngester, t.TempDir())
		r := c.Ingester.Recent
		r.MaxBlockAge, c.Storage.Trace.Poll = time.Minute, time.Second
		k := &keeper{emptyKeeper{}, nil, c.caughtUp(r)}
		for _, want := range []time.Duration{122 * time.Second, 61 * time.Second, 0, 0} {
			a, err := k.Ask(t.Context(), &peer.Question{})
			if err != nil || a.Behind != want {
				t.Errorf("behind for %s, want %s: %v", a.Behind, want, err)
			}
			<-time.After(61 * time.Second)
		}
	})
}
