package waltest

import (
	"io"
	"slices"
	"syscall"
)

// file is an open file of a Disk.
type file struct {
	disk *Disk
	path string
	node *inode
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.check(OpRead, f.path); err != nil {
		return 0, err
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.check(OpWrite, f.path)
	if err != nil {
		p = p[:len(p)/2]
	}
	if room := f.disk.capacity - f.disk.used() + int64(len(f.node.data)) - off; f.disk.capacity >= 0 && int64(len(p)) > room {
		p, err = p[:max(room, 0)], syscall.ENOSPC
	}
	to := int(off) + len(p)
	f.node.data = grow(f.node.data, to)
	copy(f.node.data[off:], p)
	if len(p) > 0 {
		f.node.pending = append(f.node.pending, extent{int(off), to})
	}
	return len(p), err
}

func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.check(OpTruncate, f.path); err != nil {
		return err
	}
	if int(size) <= len(f.node.data) {
		f.node.data = slices.Clone(f.node.data[:size])
	} else {
		f.node.data = grow(f.node.data, int(size))
	}
	return nil
}

// Sync saves what was written since the last one. A failed Sync forgets what
// was waiting, as Linux does: the pages count as clean although they are not on
// the disk, and a later Sync has nothing to save.
func (f *file) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := f.node
	waiting := n.pending
	n.pending = nil
	if err := f.disk.check(OpSync, f.path); err != nil {
		n.doubt = append(n.doubt, waiting...)
		return err
	}
	if len(n.data) < len(n.synced) {
		n.synced = n.synced[:len(n.data)]
	}
	for _, e := range waiting {
		to := min(e.to, len(n.data))
		if e.from < to {
			n.synced = grow(n.synced, to)
			copy(n.synced[e.from:to], n.data[e.from:to])
		}
	}
	return nil
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *file) Close() error { return nil }
