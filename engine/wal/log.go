package wal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/ringctl/ringctl/engine/folderlock"
)

var (
	// ErrFull is wrapped when the disk or a quota is full. Nothing that was
	// acknowledged is lost, and appends work again when there is space.
	ErrFull = errors.New("no space left for the log")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("wal: log is closed")
	// ErrTooLarge is wrapped when a record is larger than Options.MaxRecord.
	ErrTooLarge = errors.New("record is too large for the log")
	// ErrHeld is wrapped by Open when another process has the folder.
	ErrHeld = folderlock.ErrHeld

	errVersion = errors.New("segment has format version")
)

// Options of a log. The zero Options is right for production.
type Options struct {
	// SegmentBytes is the size at which a segment is closed and the next one
	// begins. Default 64 MiB.
	SegmentBytes int64
	// MaxRecord is the largest record, before compression. Default 64 MiB.
	MaxRecord int
	// Raw stores records uncompressed.
	Raw bool
	// FS is the file system. Default Disk.
	FS FS
	// Rand makes the markers of segments. Default crypto/rand.
	Rand io.Reader
}

func (o *Options) setDefaults() {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.MaxRecord <= 0 {
		o.MaxRecord = 64 << 20
	}
	if o.FS == nil {
		o.FS = Disk{}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
}

// minCompress is the size below which a record is stored as it is.
const minCompress = 64

// keptBuffer is the largest buffer that is kept for reuse.
const keptBuffer = 8 << 20

// Log is a write-ahead log in one folder, which it has for itself: two that
// write into one folder would remove each other's segments. All methods are safe
// for concurrent use.
type Log struct {
	dir   string
	lock  io.Closer
	opt   Options
	left  []segmentID // segments found by Open, for Replay
	stage sync.Pool   // *[]byte for compression outside the locks

	// mu guards the group that collects records. It is never held during I/O.
	mu     sync.Mutex
	open   *group
	closed bool

	// flush is held by whoever writes: one group, a rotation or a removal.
	// Lock order: flush before mu.
	flush    sync.Mutex
	segments []segmentInfo // on disk, oldest first; the current one last
	current  *segment      // nil until the next group needs one
	next     uint64        // number of the next segment
	stamped  []byte
	free     *group // a finished group's buffer
}

// group is a set of records that become durable together.
type group struct {
	drafts []byte
	done   chan struct{}
	err    error // set before done is closed
}

type segment struct {
	id   segmentID
	path string
	file File
	size int64 // up to the last durable record
}

type segmentInfo struct {
	id   segmentID
	size int64
}

// Open takes dir, which is made if it is missing, and finds the segments in it.
// No segment is written before the first Append. Call Replay before appending.
// The error wraps ErrHeld, and names the folder and the process, when another
// process has dir; one that crashed has not.
func Open(dir string, o Options) (*Log, error) {
	o.setDefaults()
	if uint64(o.MaxRecord) > 1<<30 {
		return nil, fmt.Errorf("wal: MaxRecord %d is above 1 GiB", o.MaxRecord)
	}
	if err := o.FS.MkdirAll(dir); err != nil {
		return nil, explain("make folder", dir, err)
	}
	lock, err := takeFolder(o.FS, dir)
	if err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	l := &Log{dir: dir, lock: lock, opt: o, next: 1}
	if err := l.find(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return l, nil
}

// takeFolder locks a folder of the real disk. A simulated one is nobody else's.
func takeFolder(f FS, dir string) (io.Closer, error) {
	if _, ok := f.(Disk); !ok {
		return io.NopCloser(nil), nil
	}
	return folderlock.Take(dir)
}

// find lists the segments of the folder.
func (l *Log) find() error {
	names, err := l.opt.FS.ReadDir(l.dir)
	if err != nil {
		return explain("list", l.dir, err)
	}
	for _, name := range names {
		id, ok := parseName(name)
		if !ok {
			continue
		}
		size, err := l.sizeOf(id)
		if err != nil {
			return err
		}
		l.left = append(l.left, id)
		l.segments = append(l.segments, segmentInfo{id, size})
		l.next = max(l.next, id.num+1)
	}
	slices.SortFunc(l.left, func(a, b segmentID) int { return cmp.Compare(a.num, b.num) })
	slices.SortFunc(l.segments, func(a, b segmentInfo) int { return cmp.Compare(a.id.num, b.id.num) })
	return nil
}

func (l *Log) path(name string) string { return filepath.Join(l.dir, name) }

func (l *Log) sizeOf(id segmentID) (int64, error) {
	f, err := l.opt.FS.Open(l.path(id.name()))
	if err != nil {
		return 0, explain("open", id.name(), err)
	}
	size, err := f.Size()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return size, explain("size of", id.name(), err)
}

// Append returns nil when rec is durable. rec is not kept. When ctx ends first,
// its error is returned and the record may or may not be in the log. Errors wrap
// ErrFull, ErrTooLarge, ErrClosed or what the disk said.
func (l *Log) Append(ctx context.Context, rec []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(rec) > l.opt.MaxRecord {
		return fmt.Errorf("wal: %w: %d bytes, the limit is %d", ErrTooLarge, len(rec), l.opt.MaxRecord)
	}
	draft := l.draft(rec)
	g, leads, err := l.join(*draft)
	l.stage.Put(draft)
	if err != nil {
		return err
	}
	if leads {
		return l.lead(g)
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("wal: waiting for the disk: %w", context.Cause(ctx))
	}
}

// draft compresses rec and sums it up, outside of any lock.
func (l *Log) draft(rec []byte) *[]byte {
	buf, _ := l.stage.Get().(*[]byte)
	if buf == nil || cap(*buf) > keptBuffer {
		buf = new([]byte)
	}
	if l.opt.Raw || len(rec) < minCompress {
		*buf = appendDraft((*buf)[:0], rec, 0)
		return buf
	}
	// The compressed bytes are made in place behind the room for the header.
	need := recordSize + s2.MaxEncodedLen(len(rec))
	if cap(*buf) < need {
		*buf = make([]byte, need)
	}
	b := (*buf)[:need]
	stored := s2.Encode(b[recordSize:], rec)
	if len(stored) >= len(rec) {
		*buf = appendDraft(b[:0], rec, 0)
		return buf
	}
	binary.LittleEndian.PutUint32(b, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(stored)))
	binary.LittleEndian.PutUint32(b[8:], payloadSum(stored))
	b[12] = flagS2
	*buf = b[:recordSize+len(stored)]
	return buf
}

// join adds a draft to the group that collects. The first one in leads it.
func (l *Log) join(draft []byte) (g *group, leads bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false, ErrClosed
	}
	if l.open == nil {
		l.open = &group{done: make(chan struct{})}
		if l.free != nil {
			l.open.drafts, l.free = l.free.drafts[:0], nil
		}
		leads = true
	}
	g = l.open
	g.drafts = append(g.drafts, draft...)
	return g, leads, nil
}

// lead waits for its turn on the disk, while others join, and then makes the
// whole group durable.
func (l *Log) lead(g *group) error {
	l.flush.Lock()
	l.mu.Lock()
	l.open = nil
	closed := l.closed
	l.mu.Unlock()
	if closed {
		g.err = ErrClosed
	} else {
		g.err = l.commit(g.drafts)
	}
	err := g.err
	close(g.done)
	l.flush.Unlock()

	if cap(g.drafts) <= keptBuffer {
		l.mu.Lock()
		l.free = &group{drafts: g.drafts}
		l.mu.Unlock()
	}
	return err
}

// commit makes drafts durable, if need be in a fresh segment. The caller holds
// flush.
func (l *Log) commit(drafts []byte) error {
	if l.current != nil && l.current.size >= l.opt.SegmentBytes {
		// All of it is durable, so an error of close changes nothing.
		_ = l.closeCurrent()
	}
	err := l.write(drafts)
	var lost *syncError
	if errors.As(err, &lost) {
		err = l.write(drafts) // the segment is given up; this goes to a new one
	}
	return err
}

// syncError marks a failed fsync: the segment must not be trusted further.
type syncError struct{ err error }

func (e *syncError) Error() string { return e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

func (l *Log) write(drafts []byte) error {
	fresh := l.current == nil
	if fresh {
		if err := l.create(); err != nil {
			return err
		}
	}
	s := l.current
	l.stamped = l.stamped[:0]
	if fresh {
		l.stamped = s.id.appendHeader(l.stamped)
	}
	head := len(l.stamped)
	l.stamped = slices.Grow(l.stamped, len(drafts))[:head+len(drafts)]
	s.id.stamp(l.stamped[head:], drafts)
	n := len(l.stamped)
	_, err := s.file.WriteAt(l.stamped, s.size)
	if cap(l.stamped) > keptBuffer {
		l.stamped = nil
	}
	if err != nil {
		return l.undo(explain("write", s.path, err), fresh)
	}
	if err := s.file.Sync(); err != nil {
		l.abandon(fresh)
		return &syncError{explain("sync", s.path, err)}
	}
	if fresh {
		if err := l.opt.FS.SyncDir(l.dir); err != nil {
			l.abandon(fresh)
			return &syncError{explain("sync folder", l.dir, err)}
		}
		l.segments = append(l.segments, segmentInfo{id: s.id})
	}
	s.size += int64(n)
	l.segments[len(l.segments)-1].size = s.size
	return nil
}

// create makes the file of the next segment. Its name becomes durable with the
// first group.
func (l *Log) create() error {
	id := segmentID{num: l.next}
	if _, err := io.ReadFull(l.opt.Rand, id.marker[:]); err != nil {
		return fmt.Errorf("wal: make marker: %w", err)
	}
	path := l.path(id.name())
	f, err := l.opt.FS.Create(path)
	if err != nil {
		return explain("create", path, err)
	}
	l.next++
	l.current = &segment{id: id, path: path, file: f}
	return nil
}

// undo takes a failed write back, so that no torn record stays in the middle of
// the segment. A segment that cannot be cut is given up.
func (l *Log) undo(cause error, fresh bool) error {
	if fresh || l.current.file.Truncate(l.current.size) != nil {
		l.abandon(fresh)
	}
	return cause
}

// abandon stops using the current segment after a failure. What was durable in
// it stays; what was not is cut off if the disk lets us, else replay sees it as
// unacknowledged records. A segment without durable records is removed. Errors
// here have no one to go to: the failure that led here is already reported.
func (l *Log) abandon(fresh bool) {
	s := l.current
	l.current = nil
	if !fresh {
		_ = s.file.Truncate(s.size)
	}
	_ = s.file.Close()
	if fresh {
		_ = l.opt.FS.Remove(s.path)
	}
}

func (l *Log) closeCurrent() error {
	s := l.current
	if s == nil {
		return nil
	}
	l.current = nil
	return explain("close", s.path, s.file.Close())
}

// Rotate ends the current segment and returns the number of the next one. Every
// record whose Append returned before Rotate was called is in a segment below
// that number.
func (l *Log) Rotate() (uint64, error) {
	l.flush.Lock()
	defer l.flush.Unlock()
	if l.isClosed() {
		return 0, ErrClosed
	}
	err := l.closeCurrent()
	return l.next, err
}

// RemoveBefore deletes the segments with numbers below seg, oldest first,
// except the one being written. On error some may remain.
func (l *Log) RemoveBefore(seg uint64) error {
	l.flush.Lock()
	defer l.flush.Unlock()
	if l.isClosed() {
		return ErrClosed
	}
	removed := false
	for len(l.segments) > 0 {
		id := l.segments[0].id
		if id.num >= seg || l.current != nil && l.current.id == id {
			break
		}
		if err := l.opt.FS.Remove(l.path(id.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return explain("remove", id.name(), err)
		}
		l.segments = l.segments[1:]
		removed = true
	}
	if !removed {
		return nil
	}
	return explain("sync folder", l.dir, l.opt.FS.SyncDir(l.dir))
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Stats describes the log's files.
type Stats struct {
	Segments int
	Bytes    int64
	Oldest   uint64 // number of the oldest segment, 0 when there is none
	Next     uint64 // number of the segment after the newest
}

// Stats returns the present state; it waits for a running write.
func (l *Log) Stats() Stats {
	l.flush.Lock()
	defer l.flush.Unlock()
	s := Stats{Segments: len(l.segments), Next: l.next}
	for _, seg := range l.segments {
		s.Bytes += seg.size
	}
	if len(l.segments) > 0 {
		s.Oldest = l.segments[0].id.num
	}
	return s
}

// Close waits for the running write and closes the log. Appends that are
// waiting for their turn return ErrClosed, and the folder is free for others. A
// second Close returns nil.
func (l *Log) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	l.flush.Lock()
	defer l.flush.Unlock()
	err := l.closeCurrent()
	if !was {
		err = errors.Join(err, l.lock.Close())
	}
	return err
}
