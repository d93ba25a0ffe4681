package block

import (
	"container/list"
	"sync"

	"github.com/ringctl/ringctl/engine/block/pq"
)

// Cache keeps what readers of blocks decode again and again – dictionaries, trace
// tables – up to a number of bytes, the least recently used going first. It also
// lends decoders. Many blocks share one Cache. Safe for concurrent use.
type Cache struct {
	limit int64

	mu    sync.Mutex
	size  int64
	order list.List // of *cached, most recent first
	byKey map[cacheKey]*list.Element

	scratch sync.Pool // of *scratch
	buffers sync.Pool // of *[]byte, for the bytes of one lookup
}

type cacheKey struct {
	block string
	group int
	leaf  int // column, or one of the negative names
}

// Names of what is cached beside dictionaries.
const (
	cacheTraces = -1 - iota
	cacheTimes
	cacheGroup
)

// Added to a column's number for its decompressed pages, and for its values.
const (
	cachePages   = 1 << 20
	cacheVectors = 2 << 20
)

// keepsPages tells whether decompressed pages of a chunk of n stored bytes are
// worth their place: half of a warm query is decompression. Small caches belong
// to those who read everything once.
func (c *Cache) keepsPages(n int64) bool { return c.limit >= 16<<20 && n <= c.limit/256 }

type cached struct {
	key  cacheKey
	v    any
	size int64
}

// scratch is what one read needs; it is lent, not shared.
type scratch struct {
	dec  *pq.Decoder
	vals pq.Values
	buf  []byte
}

// NewCache makes a cache of at most limit bytes.
func NewCache(limit int64) *Cache {
	return &Cache{limit: limit, byKey: make(map[cacheKey]*list.Element)}
}

func (c *Cache) get(k cacheKey) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[k]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).v
}

// put keeps v, unless it alone is an eighth of the cache or something is there;
// it tells whether it did.
func (c *Cache) put(k cacheKey, v any, size int64) bool {
	if size > c.limit/8 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[k] != nil {
		return false
	}
	c.byKey[k] = c.order.PushFront(&cached{k, v, size})
	c.size += size
	for c.size > c.limit {
		last := c.order.Back()
		old := c.order.Remove(last).(*cached)
		delete(c.byKey, old.key)
		c.size -= old.size
	}
	return true
}

// take removes what is kept under k and returns it.
func (c *Cache) take(k cacheKey) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[k]
	if e == nil {
		return nil
	}
	delete(c.byKey, k)
	old := c.order.Remove(e).(*cached)
	c.size -= old.size
	return old.v
}

// Forget drops everything of a block.
func (c *Cache) Forget(block string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.byKey {
		if k.block == block {
			c.size -= e.Value.(*cached).size
			c.order.Remove(e)
			delete(c.byKey, k)
		}
	}
}

// borrow lends a scratch; hand it back with giveBack.
func (c *Cache) borrow() (*scratch, error) {
	if s, ok := c.scratch.Get().(*scratch); ok {
		return s, nil
	}
	dec, err := pq.NewDecoder()
	if err != nil {
		return nil, err
	}
	return &scratch{dec: dec}, nil
}

// maxLent bounds the memory that a scratch keeps between reads.
const maxLent = 8 << 20

func (c *Cache) giveBack(s *scratch) {
	if cap(s.buf) > maxLent {
		s.buf = nil
	}
	if cap(s.vals.Plain.Arena) > maxLent {
		s.vals = pq.Values{}
	}
	s.vals.Reset()
	c.scratch.Put(s)
}

// lend lends a buffer of n bytes; hand it back with takeBack.
func (c *Cache) lend(n int) []byte {
	if b, ok := c.buffers.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:n]
	}
	return make([]byte, n, n+n/4)
}

func (c *Cache) takeBack(b []byte) {
	if cap(b) <= maxLent {
		c.buffers.Put(&b)
	}
}
