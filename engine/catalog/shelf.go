package catalog

import (
	"container/list"
	"context"
	"sync"

	"github.com/ringctl/ringctl/engine/block"
)

// shelf keeps open blocks, the most recently used ones within a number of bytes.
// A block that leaves it goes on working for those who have it.
type shelf struct {
	limit  int64
	forget func(block.ID) // told of blocks that will not come back

	mu    sync.Mutex
	size  int64
	order list.List // of *opened, most recent first
	byKey map[shelfKey]*list.Element
	under map[shelfKey]chan struct{} // being opened; closed when done
}

type shelfKey struct {
	tenant string
	id     block.ID
}

type opened struct {
	key   shelfKey
	b     *block.Block
	size  int64
	polls int // since the block was in a poll
}

func newShelf(limit int64, forget func(block.ID)) *shelf {
	return &shelf{limit: limit, forget: forget, byKey: map[shelfKey]*list.Element{}, under: map[shelfKey]chan struct{}{}}
}

// get returns a block, opening it if need be; callers that want the same block
// at once wait for one of them to open it.
func (s *shelf) get(ctx context.Context, k shelfKey, open func() (*block.Block, error)) (*block.Block, error) {
	for {
		s.mu.Lock()
		if e := s.byKey[k]; e != nil {
			s.order.MoveToFront(e)
			s.mu.Unlock()
			return e.Value.(*opened).b, nil
		}
		wait := s.under[k]
		if wait == nil {
			break
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	done := make(chan struct{})
	s.under[k] = done
	s.mu.Unlock()
	b, err := open()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.under, k)
	close(done)
	if err != nil {
		return nil, err
	}
	s.put(&opened{key: k, b: b, size: weight(b.Meta())})
	return b, nil
}

// weight is about what an open block takes in memory: its parsed metadata, its
// resources once they are read, and its meta.
func weight(m *block.Meta) int64 {
	return 4*(m.DataBytes-m.DataIndex) + 8*m.ResourcesBytes + int64(128*(len(m.Groups)+len(m.Fields))+48*len(m.Replaces)) + 4096
}

// put keeps a block, and lets the least recently used ones go.
func (s *shelf) put(o *opened) {
	s.byKey[o.key] = s.order.PushFront(o)
	s.size += o.size
	for s.size > s.limit && s.order.Len() > 1 {
		s.remove(s.order.Back())
	}
}

func (s *shelf) remove(e *list.Element) {
	o := s.order.Remove(e).(*opened)
	delete(s.byKey, o.key)
	s.size -= o.size
}

// unseen is how many polls an open block may be missing from: it may be newer
// than the index.
const unseen = 3

// retire lets go of blocks that are gone.
func (s *shelf) retire(alive map[shelfKey]bool) {
	s.mu.Lock()
	var gone []block.ID
	for e := s.order.Front(); e != nil; {
		next := e.Next()
		o := e.Value.(*opened)
		if o.polls++; alive[o.key] {
			o.polls = 0
		} else if o.polls >= unseen {
			s.remove(e)
			gone = append(gone, o.key.id)
		}
		e = next
	}
	s.mu.Unlock()
	for _, id := range gone {
		s.forget(id)
	}
}

// count is the number of open blocks and their size.
func (s *shelf) count() (int, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.order.Len(), s.size
}
