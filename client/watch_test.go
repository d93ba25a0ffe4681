package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/ring"
)

const (
	beatKey     = "collectors/ring"
	beatEvery   = 5 * time.Second
	beatTimeout = 10 * time.Second
)

// beater is a member whose ring has instances that send heartbeats, each in its own rhythm, until it stops. Time is that of
// the bubble.
type beater struct {
	began   time.Time
	phase   []time.Duration
	stopped map[int]time.Time
	// refuses tells whether a question asked now gets no answer, hangs whether it waits for one in vain.
	refuses, hangs func() bool
	asked          int
}

func newBeater(rng *rand.Rand, n int) *beater {
	b := &beater{began: time.Now(), stopped: map[int]time.Time{}, refuses: func() bool { return false }, hangs: func() bool { return false }}
	for range n {
		b.phase = append(b.phase, time.Duration(rng.Int64N(int64(beatEvery))))
	}
	return b
}

// last is the heartbeat of an instance at a moment, in whole seconds as on the wire.
func (b *beater) last(i int, at time.Time) time.Time {
	if s, ok := b.stopped[i]; ok && s.Before(at) {
		at = s
	}
	start := b.began.Add(b.phase[i] - beatEvery)
	return start.Add(at.Sub(start).Truncate(beatEvery)).Truncate(time.Second)
}

func (b *beater) instance(i int) (string, ring.Instance) {
	id := fmt.Sprintf("m-%02d", i)
	return id, ring.Instance{ID: id, Addr: "10.0.0.1:1", Zone: "a", State: ring.Active, Timestamp: b.last(i, time.Now()).Unix(), Tokens: []uint32{uint32(i + 1)}}
}

func (b *beater) desc() *ring.Desc {
	d := ring.NewDesc()
	for i := range b.phase {
		id, in := b.instance(i)
		d.Instances[id] = in
	}
	return d
}

func pairOf(d *ring.Desc) gossip.Pair {
	return gossip.Pair{Key: beatKey, Codec: ring.Codec, Value: ring.EncodeValue(d)}
}

// dial answers one question, as far as it is answered.
func (b *beater) dial(context.Context, string) (net.Conn, error) {
	b.asked++
	if b.refuses() {
		return nil, errors.New("refused")
	}
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		if _, err := theirs.Read(make([]byte, 1<<10)); err != nil {
			return
		}
		if b.hangs() {
			_, _ = io.Copy(io.Discard, theirs)
			return
		}
		pair, _ := pairOf(b.desc()).MarshalBinary()
		state := append(binary.BigEndian.AppendUint32(nil, uint32(len(pair))), pair...)
		out := append([]byte{6, 0x83, 0xa5}, "Nodes\x00\xacUserStateLen\xce"...)
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(state))), "\xa4Join\xc2"...)
		_, _ = theirs.Write(append(out, state...))
	}()
	return ours, nil
}

func (b *beater) client(t *testing.T, poll time.Duration) *Client {
	c, err := New(Config{Seeds: []string{"10.0.0.1:7946"}, Dial: b.dial, Poll: poll, HeartbeatTimeout: beatTimeout})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// unhealthy tells whether a snapshot has an instance, and not as healthy.
func unhealthy(s *Snapshot, i int) bool {
	r, ok := s.Ring(beatKey)
	return ok && r.Instances[i].Health != Healthy
}

// TestAStoppedMemberIsSeenOnTime watches from outside while one instance stops: it is shown the moment its heartbeat times
// out, and if the member that is asked then does not answer, as soon as it does.
func TestAStoppedMemberIsSeenOnTime(t *testing.T) {
	for seed := range uint64(40) {
		for _, outage := range []time.Duration{0, time.Second, 3 * time.Second, 20 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				b := newBeater(rng, 20)
				stops := b.began.Add(20*time.Second + time.Duration(rng.Int64N(int64(beatEvery))))
				b.stopped[7] = stops
				due := b.last(7, stops).Add(beatTimeout)
				back := due.Add(time.Second / 2).Add(outage)
				if outage > 0 {
					b.refuses = func() bool { return time.Now().After(due.Add(-time.Second/2)) && time.Now().Before(back) }
				}
				var shown time.Time
				for s, err := range b.client(t, 5*time.Second).Watch(t.Context()) {
					if err == nil && unhealthy(s, 7) {
						shown = time.Now()
						break
					}
				}
				// A question is repeated after as much time as has passed already, and a second, but not later than usual.
				allowed := min(back.Sub(due)+time.Second, 5*time.Second)
				if outage == 0 {
					back, allowed = due, 2*time.Millisecond
				}
				if late := shown.Sub(back); late > allowed || shown.Before(due) {
					t.Errorf("seed %d, outage %s: shown %s after the timeout, %s after answers came again", seed, outage, shown.Sub(due), late)
				}
			})
		}
	}
}

// TestASlowMemberHoldsUpNobody: when the first member is silent, what the second one says is shown as soon as it is there,
// and not when the first one has answered, too, or never will.
func TestASlowMemberHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeater(rand.New(rand.NewPCG(1, 1)), 3)
		slow := newBeater(rand.New(rand.NewPCG(1, 1)), 3)
		slow.hangs = func() bool { return true }
		c, err := New(Config{Seeds: []string{"10.0.0.1:1", "10.0.0.2:1"}, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == "10.0.0.1:1" {
				return slow.dial(ctx, addr)
			}
			return b.dial(ctx, addr)
		}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Snapshot(t.Context())
		if err != nil || s.Addr != "10.0.0.2:1" {
			t.Fatalf("%+v, %v", s, err)
		}
		if took := time.Since(b.began); took != hedge {
			t.Errorf("the view came after %s", took)
		}
	})
}

// TestManySilentAreSeenTogether: when a zone falls silent, its heartbeats time out one after the other. They are not looked
// for one by one.
func TestManySilentAreSeenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeater(rand.New(rand.NewPCG(1, 1)), 200)
		for i := range b.phase {
			b.stopped[i] = b.began.Add(20 * time.Second)
		}
		ended := b.began.Add(time.Minute)
		for _, err := range b.client(t, 5*time.Second).Watch(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if time.Now().After(ended) {
				break
			}
		}
		if b.asked > 30 {
			t.Errorf("asked %d times in a minute", b.asked)
		}
	})
}

// ear is a guest that hears what the test says.
type ear struct{ events chan gossip.Event }

func (e ear) Events() <-chan gossip.Event { return e.events }
func (e ear) Missed() int                 { return 0 }
func (e ear) Name() string                { return "ringctl-test" }

// follow runs a follower that hears all heartbeats of a member, and calls f for each snapshot until it returns false.
func follow(t *testing.T, b *beater, f func(*Snapshot, error) bool) (hear func(...int)) {
	e := ear{make(chan gossip.Event, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		fo := follower{client: b.client(t, 5*time.Second), guest: e, yield: f, seeds: []string{"10.0.0.1:7946"}}
		fo.run(ctx)
		cancel()
	}()
	hear = func(ids ...int) {
		d := ring.NewDesc()
		for _, i := range ids {
			id, in := b.instance(i)
			d.Instances[id] = in
		}
		p := pairOf(d)
		e.events <- gossip.Event{At: time.Now(), Pair: &p}
	}
	go func() {
		tick := time.NewTicker(beatEvery / 10)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			for i := range b.phase {
				if _, ok := b.stopped[i]; !ok || time.Now().Before(b.stopped[i]) {
					hear(i)
				}
			}
		}
	}()
	return hear
}

// TestAStoppedMemberIsHeardOnTime is the same for a watch that joined, also while the member that it compares itself with
// does not answer.
func TestAStoppedMemberIsHeardOnTime(t *testing.T) {
	for seed := range uint64(20) {
		for _, hangs := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 2))
				b := newBeater(rng, 20)
				stops := b.began.Add(20*time.Second + time.Duration(rng.Int64N(int64(beatEvery))))
				b.stopped[7] = stops
				b.hangs = func() bool { return hangs && time.Since(b.began) > time.Second }
				due := b.last(7, stops).Add(beatTimeout)
				shown := make(chan time.Time, 1)
				snapshots := 0
				follow(t, b, func(s *Snapshot, err error) bool {
					snapshots++
					if s != nil && unhealthy(s, 7) {
						shown <- time.Now()
						return false
					}
					return true
				})
				at := <-shown
				if late := at.Sub(due); late < 0 || late > 5*time.Millisecond {
					t.Errorf("seed %d, hangs %v: shown %s after the timeout", seed, hangs, late)
				}
				if snapshots > 10 {
					t.Errorf("seed %d: %d snapshots in %s in which nothing but heartbeats came", seed, snapshots, time.Since(b.began))
				}
			})
		}
	}
}

// TestALostClusterIsNotShownAsFresh: when all members are gone, a watch that joined says so, and says nothing else until a
// member is there again. A seed that is gone while other members are heard is no loss.
func TestALostClusterIsNotShownAsFresh(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBeater(rand.New(rand.NewPCG(1, 1)), 20)
			ends := b.began.Add(20 * time.Second)
			back := ends.Add(time.Minute)
			away := func() bool { return time.Now().After(ends) && time.Now().Before(back) }
			b.refuses = away
			if gone {
				for i := range b.phase {
					b.stopped[i] = ends
				}
			}
			lost, calm := time.Time{}, make(chan struct{})
			follow(t, b, func(s *Snapshot, err error) bool {
				now := time.Now()
				switch {
				case now.After(back.Add(10 * time.Second)):
					if gone && lost.IsZero() {
						t.Error("nothing was said of the loss")
					}
					close(calm)
					return false
				case err != nil && lost.IsZero():
					lost = now
					if late := now.Sub(ends); !gone || late < 0 || late > silence+2*refreshSoon {
						t.Errorf("gone %v: an error %s after the end: %v", gone, late, err)
					}
				case err == nil && !lost.IsZero() && now.Before(back):
					t.Errorf("a snapshot %s after the loss was told", now.Sub(lost))
				}
				return true
			})
			<-calm
		})
	}
}

// TestAChangeIsHeardAtOnce: what changes while all is calm is shown a moment later, and what follows within half a second
// with the next snapshot.
func TestAChangeIsHeardAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeater(rand.New(rand.NewPCG(1, 1)), 20)
		shown := make(chan time.Time, 100)
		hear := follow(t, b, func(s *Snapshot, err error) bool {
			if r, ok := s.Ring(beatKey); ok && len(r.Instances) > 20 {
				shown <- time.Now()
			}
			return true
		})
		calmed := time.NewTimer(12 * time.Second)
		<-calmed.C
		synctest.Wait()
		b.phase = append(b.phase, 0)
		began := time.Now()
		hear(20)
		if took := (<-shown).Sub(began); took > 2*gather {
			t.Errorf("the change was shown after %s", took)
		}
	})
}

// TestAMemberByItsStem: gossip names have a random part, which nobody types while one member only has the rest of it.
func TestAMemberByItsStem(t *testing.T) {
	s := &Snapshot{Members: []Member{
		{Name: "ingester-0-1a2b3c4d", State: "dead", Addr: "10.0.0.1:1"},
		{Name: "ingester-0-5e6f7a8b", State: "alive", Addr: "10.0.0.1:2"},
		{Name: "ingester-1-1a2b3c4d", State: "alive", Addr: "10.0.0.2:1"},
		{Name: "ingester-1-5e6f7a8b", State: "suspect", Addr: "10.0.0.2:2"},
	}}
	for name, want := range map[string]string{
		"ingester-0":          "10.0.0.1:2",
		"ingester-0-1a2b3c4d": "10.0.0.1:1",
		"10.0.0.2:1":          "10.0.0.2:1",
		"ingester-1":          "", // which of the two?
		"ingester":            "",
	} {
		m, ok := member(s, name)
		if ok != (want != "") || ok && m.Addr != want {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
