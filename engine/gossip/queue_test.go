package gossip

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func id(n int) entryID { return entryID{"k", fmt.Sprint(n)} }

func TestQueueOwnChangesGoFirst(t *testing.T) {
	q := newQueue()
	q.put(id(1), []byte("forwarded"), false)
	q.put(id(2), []byte("own"), true)
	for n, want := range []string{"own", "own", "forwarded", "forwarded", ""} {
		got := bytes.Join(q.take(2, 12, 2), nil)
		if string(got) != want {
			t.Errorf("call %d: %q, want %q", n, got, want)
		}
	}
	if all, own, size := q.size(); all != 0 || own != 0 || size != 0 {
		t.Errorf("after all: %d messages, %d own, %d bytes", all, own, size)
	}
}

func TestQueueNewerReplacesOlder(t *testing.T) {
	q := newQueue()
	q.put(id(1), []byte("old"), true)
	q.take(2, 100, 4)
	q.put(id(1), []byte("new"), false)
	msgs := q.take(2, 100, 4)
	if len(msgs) != 1 || string(msgs[0]) != "new" {
		t.Errorf("got %q", msgs)
	}
	if _, own, _ := q.size(); own != 1 {
		t.Errorf("a forwarded change that contains an own one counts as %d own", own)
	}
}

// memberlist's own queue can lose a message when its counter starts again while others are still queued. Here an item
// is only ever replaced by one about the same entry.
func TestQueueLosesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	q := newQueue()
	latest, sent := map[entryID]string{}, map[entryID]int{}
	const times = 3
	for step := range 20000 {
		if rng.IntN(3) == 0 {
			i, msg := id(rng.IntN(50)), fmt.Sprintf("%d-%s", step, bytes.Repeat([]byte("x"), rng.IntN(40)))
			q.put(i, []byte(msg), rng.IntN(2) == 0)
			latest[i], sent[i] = msg, 0
		}
		limit := rng.IntN(200)
		for _, m := range q.take(3, limit, times) {
			if limit -= len(m) + 3; limit < 0 {
				t.Fatalf("step %d: more than the limit", step)
			}
			found := false
			for i, msg := range latest {
				if msg == string(m) {
					sent[i]++
					found = true
				}
			}
			if !found {
				t.Fatalf("step %d: %q is outdated", step, m)
			}
		}
	}
	for range 10 * times {
		for _, m := range q.take(3, 1<<20, times) {
			for i, msg := range latest {
				if msg == string(m) {
					sent[i]++
				}
			}
		}
	}
	for i, n := range sent {
		if n != times {
			t.Errorf("%v was sent %d times, want %d", i, n, times)
		}
	}
}

// One packet never holds a message of 64 KiB (its length would be cut to 16 bits), nor more messages than its count
// byte can say.
func TestQueueKeepsPacketsReadable(t *testing.T) {
	q := newQueue()
	q.put(id(-1), bytes.Repeat([]byte("L"), 70000), true)
	for i := range 1000 {
		q.put(id(i), []byte("small"), i%2 == 0)
	}
	msgs := q.take(3, 1<<20, 1)
	if len(msgs) != maxPerCall {
		t.Errorf("%d messages in one call", len(msgs))
	}
	for _, m := range msgs {
		if len(m) >= maxGossip {
			t.Errorf("a message of %d bytes in a packet", len(m))
		}
	}
	if large := q.takeLarge(1); len(large) != 70000 {
		t.Errorf("the large message: %d bytes", len(large))
	}
	if large := q.takeLarge(1); large != nil {
		t.Errorf("a second large message: %d bytes", len(large))
	}
}

func BenchmarkQueue(b *testing.B) {
	q := newQueue()
	msg := bytes.Repeat([]byte("x"), 2600)
	for i := range 1000 {
		q.put(id(i), msg, i == 0)
	}
	for n := 0; b.Loop(); n++ {
		q.put(id(n%1000), msg, n%1000 == 0)
		q.take(3, packetSize, 16)
	}
}
