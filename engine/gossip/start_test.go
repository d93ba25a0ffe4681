package gossip

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A stop while a member joins is no failure, although nobody may hear its goodbye in time.
func TestStopWhileJoining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := simLAN(t)
		a := start(t, testConfig("10.0.0.1"), host{nw, "10.0.0.1"})
		cfg := testConfig("10.0.0.2")
		cfg.GossipInterval, cfg.LeaveTimeout = time.Hour, time.Second
		b, err := open(cfg, nil, quiet(), nil, host{nw, "10.0.0.2"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.ml.Join([]string{a.Addr()}); err != nil { // as far as the join came
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := b.Run(ctx); err != nil {
			t.Errorf("stopped while joining: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A stop does not wait for all the seeds that do not answer.
func TestStopAmongSilentSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := simLAN(t)
		cfg := testConfig("10.0.0.1")
		for _, ip := range []string{"10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6"} {
			cfg.JoinMembers = append(cfg.JoinMembers, ip+":7946")
		}
		c, err := open(cfg, nil, quiet(), nil, silence{host{nw, "10.0.0.1"}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		began := time.Now()
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second+cfg.StreamTimeout {
			t.Errorf("it took %s", took)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// silence is a network whose packets to others are lost.
type silence struct{ host }

func (n silence) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if addr == "10.0.0.1:7946" {
		return n.host.Dial(ctx, addr)
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// lossy is a network on which one dial fails.
type lossy struct {
	host
	at *atomic.Int32
}

func (n lossy) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if n.at.Add(-1) == 0 {
		return nil, errors.New("lost")
	}
	return n.host.Dial(ctx, addr)
}

// A ping that gets lost does not make a guest unreachable.
func TestGuestPingsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := simLAN(t)
		a := start(t, testConfig("10.0.0.1"), host{nw, "10.0.0.1"})
		second := new(atomic.Int32) // the first is that of the view
		second.Store(2)
		g, err := joinAsGuest(t.Context(), GuestConfig{Name: "ringctl-test", Seeds: []string{a.Addr()}, Label: "test", BindAddr: "10.9.9.9"}, quiet(),
			lossy{host{nw, "10.9.9.9"}, second})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// hiccup is the network, on which the first connections break.
type hiccup struct {
	tcp
	left *atomic.Int32
}

func (n hiccup) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := n.tcp.Dial(ctx, addr)
	if err == nil && n.left.Add(-1) >= 0 {
		return conn, conn.Close()
	}
	return conn, err
}

// That one exchange of a member with itself breaks off does not keep it from starting.
func TestAdvertisedAddressIsCheckedAgain(t *testing.T) {
	for breaks, ok := range map[int32]bool{1: true, checksAgain: true, checksAgain + 1: false} {
		left := new(atomic.Int32)
		left.Store(breaks)
		c, err := open(loopback("a"), nil, quiet(), nil, hiccup{left: left})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		select {
		case <-c.Joined():
			stop()
			err = <-done
		case err = <-done:
			stop()
		}
		if ok && err != nil || !ok && !errors.Is(err, ErrAdvertise) {
			t.Errorf("%d connections break: %v", breaks, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Who waited for the join may close the member at once.
func TestCloseAsSoonAsJoined(t *testing.T) {
	for range 100 {
		c, err := open(loopback("a"), nil, quiet(), nil, tcp{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		<-c.Joined()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A member whose list of seeds is only itself is the first of its cluster: nothing is wrong with that, not even when a
// failed join is to end it.
func TestFirstMemberIsItsOwnSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := simLAN(t)
		var out bytes.Buffer
		cfg := testConfig("10.0.0.1")
		cfg.JoinMembers = []string{"10.0.0.1:7946"}
		cfg.AbortIfClusterFastJoinFails, cfg.AbortIfClusterJoinFails = true, true
		c, err := open(cfg, nil, slog.New(slog.NewTextHandler(&out, nil)), nil, host{nw, "10.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour) // by then it has given up to look for others
		defer stop()
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if said := out.String(); strings.Contains(said, "WARN") || strings.Contains(said, "ERROR") || strings.Count(said, "the first member") != 1 {
			t.Errorf("it says\n%s", said)
		}
	})
}

// Seeds without an address are told as that.
func TestSeedsWithoutAddress(t *testing.T) {
	c := start(t, testConfig("127.0.0.1"), host{newLAN(), "127.0.0.1"})
	if got, err := c.seeds(t.Context(), nil); len(got) != 0 || !errors.Is(err, errNoAddress) {
		t.Errorf("%v, %v", got, err)
	}
}
