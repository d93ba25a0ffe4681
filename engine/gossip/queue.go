package gossip

import (
	"container/list"
	"sync"
)

const (
	// maxGossip is the largest pair that travels in packets. memberlist writes the length of each part of a packet as
	// 16 bits without a check, so a part of 64 KiB or more destroys its neighbours; larger pairs go over streams.
	maxGossip = 32 << 10
	// maxPerCall keeps the parts of one packet below the 255 that its count byte can hold.
	maxPerCall = 200
	// packetSize is what memberlist may put into one packet.
	packetSize = 60000
)

// entryID names what a queued message is about: a newer message about the same entry replaces an older one.
type entryID struct{ key, entry string }

// queue holds the changes that still have to be told, one message per entry. Changes made here go first, then those
// told the fewest times, then the oldest. It replaces memberlist's own queue, which can lose messages: there, an id
// handed out twice makes one item replace an unrelated one.
type queue struct {
	mu    sync.Mutex
	items map[entryID]*list.Element
	tiers [4][]*list.List // by number of transmissions; see the tier constants
	bytes int
	own   int
}

// The tiers of a queue. The large ones are taken by another way than the rest.
const (
	tierOwn = iota
	tierForwarded
	tierLargeOwn
	tierLargeForwarded
)

type queued struct {
	id   entryID
	msg  []byte
	tier int
	sent int
}

func newQueue() *queue { return &queue{items: map[entryID]*list.Element{}} }

// put queues a message about an entry in place of an older one. A forwarded change that replaces an own one keeps the
// own one's rank, since the own change is contained in it.
func (q *queue) put(id entryID, msg []byte, own bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if old := q.items[id]; old != nil {
		own = own || old.Value.(*queued).isOwn()
		q.remove(old)
	}
	it := &queued{id: id, msg: msg, tier: tierForwarded}
	if own {
		it.tier = tierOwn
	}
	if len(msg) >= maxGossip {
		it.tier += tierLargeOwn
	}
	q.push(it)
}

func (it *queued) isOwn() bool { return it.tier == tierOwn || it.tier == tierLargeOwn }

func (q *queue) push(it *queued) {
	q.bytes += len(it.msg)
	if it.isOwn() {
		q.own++
	}
	tier := &q.tiers[it.tier]
	for len(*tier) <= it.sent {
		*tier = append(*tier, list.New())
	}
	q.items[it.id] = (*tier)[it.sent].PushBack(it)
}

func (q *queue) remove(e *list.Element) {
	it := e.Value.(*queued)
	q.tiers[it.tier][it.sent].Remove(e)
	delete(q.items, it.id)
	q.bytes -= len(it.msg)
	if it.isOwn() {
		q.own--
	}
}

// take returns the next messages for one packet: each costs its length plus overhead, together at most limit bytes and
// maxPerCall messages. A message that has been taken `times` times is done.
func (q *queue) take(overhead, limit, times int) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pick(q.tiers[:tierLargeOwn], times, maxPerCall, func(n int) bool {
		if n+overhead > limit {
			return false
		}
		limit -= n + overhead
		return true
	})
}

// takeLarge returns the next message that is too large for packets, or nil.
func (q *queue) takeLarge(times int) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if msgs := q.pick(q.tiers[tierLargeOwn:], times, 1, func(int) bool { return true }); len(msgs) > 0 {
		return msgs[0]
	}
	return nil
}

// pick chooses up to most messages whose length is accepted and moves them one tier up.
func (q *queue) pick(from [][]*list.List, times, most int, accept func(n int) bool) [][]byte {
	var chosen []*list.Element
	var msgs [][]byte
	skips := 0
	for _, tiers := range from {
		for _, l := range tiers {
			for e := l.Front(); e != nil && len(msgs) < most && skips < 2*maxPerCall; e = e.Next() {
				if msg := e.Value.(*queued).msg; accept(len(msg)) {
					chosen, msgs = append(chosen, e), append(msgs, msg)
				} else {
					skips++
				}
			}
		}
	}
	for _, e := range chosen {
		it := e.Value.(*queued)
		q.remove(e)
		if it.sent++; it.sent < times {
			q.push(it)
		}
	}
	return msgs
}

// size returns how many messages wait, how many of them are about own changes, and their bytes.
func (q *queue) size() (all, own, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.own, q.bytes
}
