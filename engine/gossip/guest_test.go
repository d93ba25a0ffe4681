package gossip

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, nodes := simulate(t, 5, nil)
		await(t, "five members", 3*time.Minute, func() bool { return len(nodes[4].Members()) == 5 })
		nodes[0].set(t, "before", "1")
		await(t, "one view", 3*time.Minute, func() bool { return agree(nodes) })
		g, err := joinAsGuest(t.Context(), GuestConfig{Name: "guest", Label: "test", Seeds: []string{nodes[0].Addr()},
			BindAddr: "10.9.9.9", Timeout: 5 * time.Second}, quiet(), host{nw, "10.9.9.9"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Leave(context.Background()) })
		await(t, "the guest is a member", 3*time.Minute, func() bool { return len(nodes[4].Members()) == 6 && len(g.Members()) == 6 })
		nodes[3].set(t, "news", "2")
		await(t, "the guest hears news", 3*time.Minute, func() bool { return hears(g, "news") })

		if state := (guestDelegate{g}).LocalState(false); state != nil {
			t.Errorf("a guest pushes %d bytes", len(state))
		}
		if msgs := (guestDelegate{g}).GetBroadcasts(3, packetSize); len(msgs) != 0 {
			t.Errorf("a guest forwards %d messages", len(msgs))
		}
		repair := Pair{Key: toyKey, Codec: "toy", Value: toy{"before": {At: time.Now().Unix() + 1, Left: true}}.Encode()}
		if err := g.Announce(repair); err != nil {
			t.Fatal(err)
		}
		await(t, "the guest's own change spreads", 3*time.Minute, func() bool {
			return agree(nodes) && !strings.Contains(nodes[0].view(), "before")
		})
		if err := g.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		if err := g.Leave(t.Context()); err != nil {
			t.Error("leaving twice:", err)
		}
		without := func() (n int) {
			for _, m := range nodes {
				if len(m.Members()) == 5 {
					n++
				}
			}
			return n
		}
		// It tells three; whether the others hear it from those is a matter of luck, else an exchange or a probe tells them.
		await(t, "it left at once", 5*time.Second, func() bool { return without() >= 3 })
		await(t, "all know that it left", 3*time.Minute, func() bool { return without() == 5 })
		if _, more := <-drainEvents(g); more {
			t.Error("events after leaving")
		}
	})
}

func hears(g *Guest, what string) bool {
	for {
		select {
		case e := <-g.Events():
			if e.Pair != nil && strings.Contains(string(e.Pair.Value), what) {
				return true
			}
		default:
			return false
		}
	}
}

func drainEvents(g *Guest) <-chan Event {
	for range g.Events() {
	}
	return g.Events()
}

// A guest that members cannot reach must not join: they would hold it for dead, and their attempts would block others.
func TestUnreachableGuestStaysOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, nodes := simulate(t, 3, nil)
		await(t, "three members", 3*time.Minute, func() bool { return len(nodes[2].Members()) == 3 })
		_, err := joinAsGuest(t.Context(), GuestConfig{Name: "guest", Label: "test", Seeds: []string{nodes[0].Addr()},
			BindAddr: "10.9.9.9", AdvertiseAddr: "10.8.8.8", Timeout: 5 * time.Second}, quiet(), host{nw, "10.9.9.9"})
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		if err := pause(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if len(n.Members()) != 3 {
				t.Errorf("%s has %d members", n.Name(), len(n.Members()))
			}
		}
	})
}

// A guest that cannot reach a member must not have it declared dead for all, and one that dies without leaving does no
// harm but its own absence.
func TestGuestAccusesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, nodes := simulate(t, 4, nil)
		await(t, "four members", 3*time.Minute, func() bool { return len(nodes[3].Members()) == 4 })
		g, err := joinAsGuest(t.Context(), GuestConfig{Name: "guest", Label: "test", Seeds: []string{nodes[0].Addr()},
			BindAddr: "10.9.9.9", Timeout: 5 * time.Second}, quiet(), host{nw, "10.9.9.9"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Leave(context.Background()) })
		await(t, "the guest is in", 3*time.Minute, func() bool { return len(nodes[3].Members()) == 5 })
		nw.setDown("10.9.9.9", true)
		await(t, "the guest is given up", 5*time.Minute, func() bool { return len(nodes[0].Members()) == 4 && len(nodes[3].Members()) == 4 })
		nw.setDown("10.9.9.9", false)
		if err := pause(t.Context(), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if got := len(n.Members()); got < 4 {
				t.Errorf("%s has lost members: %d", n.Name(), got)
			}
		}
	})
}

// deaf is a network on which answers are lost: what a conn reads after the first dial ends in an error.
type deaf struct {
	host
	dials *atomic.Int32
}

type deafConn struct{ net.Conn }

func (c deafConn) Read([]byte) (int, error) {
	if _, err := io.Copy(io.Discard, c.Conn); err != nil {
		return 0, err
	}
	return 0, errors.New("the answer is lost")
}

func (d deaf) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := d.host.Dial(ctx, addr)
	if err != nil || d.dials.Add(1) == 1 {
		return c, err
	}
	return deafConn{c}, nil
}

// A join whose answer is lost leaves the guest in the list of the seed: it must take that back.
func TestHalfJoinIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, nodes := simulate(t, 3, nil)
		await(t, "three members", time.Minute, func() bool { return len(nodes[0].Members()) == 3 && len(nodes[2].Members()) == 3 })
		_, err := joinAsGuest(t.Context(), GuestConfig{Name: "guest", Label: "test", Seeds: []string{nodes[0].Addr()},
			BindAddr: "10.9.9.9", Timeout: 5 * time.Second}, quiet(), deaf{host{nw, "10.9.9.9"}, new(atomic.Int32)})
		if !errors.Is(err, ErrJoin) {
			t.Fatalf("got %v", err)
		}
		await(t, "the seed knows that the guest has left", 10*time.Second, func() bool {
			view, err := (Dialer{Label: "test", Dial: host{nw, "10.9.9.8"}.Dial}).Pull(t.Context(), nodes[0].Addr())
			return err == nil && slices.ContainsFunc(view.Nodes, func(n Node) bool { return n.Name == "guest" && n.State == NodeLeft })
		})
	})
}
