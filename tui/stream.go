package tui

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
)

// stream pulls snapshots from a source, one at a time, and prepares each for
// drawing. It is the one place that remembers the snapshot before, which is
// what events are made from.
type stream struct {
	mu       sync.Mutex
	next     func() (*client.Snapshot, error, bool)
	stop     func()
	timeline client.Timeline
	last     *scene.Scene
	closed   bool
}

func newStream(ctx context.Context, src Source) *stream {
	s := &stream{}
	s.next, s.stop = iter.Pull2(src.Watch(ctx))
	return s
}

// errEnded is the end of a recording.
var errEnded = errors.New("the recording has ended")

// take waits for the next snapshot. It runs in a command, never two at a time.
func (s *stream) take() frameMsg {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return frameMsg{err: errEnded}
	}
	snap, err, ok := s.next()
	switch {
	case !ok:
		return frameMsg{err: errEnded}
	case err != nil:
		return frameMsg{err: err}
	}
	events := s.timeline.Add(snap)
	changed := s.last == nil || len(events) > 0
	s.last = scene.Build(snap, s.last)
	return frameMsg{scene: s.last, events: events, changed: changed}
}

// close ends the stream; the source's context must have ended before, so that
// a take that waits comes back.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.stop()
	}
}
