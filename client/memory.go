package client

import "sync"

// memory lends the memory that states are read into. A state may be large, and the next one is about as large: reading it
// into fresh memory each time costs more than reading it.
type memory struct {
	mu   sync.Mutex
	idle []byte
}

// keepBytes is the largest memory that is kept while nobody reads.
const keepBytes = 16 << 20

// take returns memory, or nil when it is lent out.
func (m *memory) take() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.idle
	m.idle = nil
	return b
}

// give takes memory back. Nothing may refer to it any more.
func (m *memory) give(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cap(b) > cap(m.idle) && cap(b) <= keepBytes {
		m.idle = b
	}
}
