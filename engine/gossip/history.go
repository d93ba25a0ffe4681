package gossip

import (
	"sync"
	"time"
)

// Message is one gossiped pair in the history of a member.
type Message struct {
	ID      int // unique within the process
	At      time.Time
	Pair    Pair
	Version uint64   // of the key afterwards; 0 when nothing changed
	Changes []string // entries that changed
}

// history keeps the latest messages of one direction within a budget of bytes.
type history struct {
	mu     sync.Mutex
	budget int
	bytes  int
	msgs   []Message
}

func (m Message) size() int { return len(m.Pair.Key) + len(m.Pair.Value) + len(m.Pair.Codec) + 64 }

func (h *history) add(m Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.msgs = append(h.msgs, m)
	h.bytes += m.size()
	drop := 0
	for h.bytes > h.budget && drop < len(h.msgs) {
		h.bytes -= h.msgs[drop].size()
		drop++
	}
	h.msgs = append(h.msgs[:0:0], h.msgs[drop:]...)
}

// all returns the messages, oldest first.
func (h *history) all() []Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Message(nil), h.msgs...)
}

func (h *history) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.msgs, h.bytes = nil, 0
}
