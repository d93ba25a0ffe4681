// Package waltest is a disk that breaks on purpose, for tests of the log and of
// what is built on it.
//
// A [Disk] keeps files in memory and remembers which bytes were synced. [Disk.Crash]
// returns the disk that a machine finds after a power cut: synced bytes are
// there, of the others each sector by dice. [Disk.Fault] injects errors, and
// SetCapacity makes the disk full. The dice come from a seed, so a failure
// repeats.
package waltest

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/ringctl/ringctl/engine/wal"
)

// sector is the unit in which a crash keeps or loses unsynced bytes.
const sector = 512

// Op is an operation that may be made to fail.
type Op string

// The operations of a disk and its files.
const (
	OpReadDir  Op = "readdir"
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "syncdir"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
)

// ErrIO is what a broken disk says.
var ErrIO error = syscall.EIO

// Disk is a simulated file system in memory. It implements [wal.FS] and is safe
// for concurrent use.
type Disk struct {
	mu       sync.Mutex
	files    map[string]*inode // as programs see it
	durable  map[string]*inode // names after a crash for certain
	capacity int64
	fault    func(op Op, path string) error
}

// inode is the content of one file: what programs see, and what is certain to
// survive.
type inode struct {
	data    []byte
	synced  []byte
	pending []extent // written since the last sync
	doubt   []extent // given up by a failed sync: on the disk or not
}

type extent struct{ from, to int }

// New returns an empty disk of unlimited capacity.
func New() *Disk {
	return &Disk{files: map[string]*inode{}, durable: map[string]*inode{}, capacity: -1}
}

// SetCapacity limits the bytes of all files together; -1 is no limit. Writes
// beyond it are short and return ENOSPC.
func (d *Disk) SetCapacity(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = n
}

// Fault makes operations fail: f is called before each one and its error, if
// any, is the result. A failed write has written half of its bytes; a failed
// sync has given up the bytes that were waiting: a later sync does not save
// them. nil heals the disk.
func (d *Disk) Fault(f func(op Op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

func (d *Disk) check(op Op, path string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, path)
}

// Crash returns what is on the disk after a power cut now. The old disk stays
// as it is, and keeps working for whoever still holds it.
func (d *Disk) Crash(dice *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := New()
	names := map[string]*inode{}
	for path, n := range d.durable {
		if d.files[path] == n || dice.IntN(2) == 0 { // a removal may be lost
			names[path] = n
		}
	}
	for _, path := range sorted(d.files) {
		if d.durable[path] != d.files[path] && dice.IntN(2) == 0 { // a creation may be lost
			names[path] = d.files[path]
		}
	}
	for _, path := range sorted(names) {
		data := names[path].survivors(dice)
		n := &inode{data: data, synced: slices.Clone(data)}
		after.files[path], after.durable[path] = n, n
	}
	return after
}

func sorted(m map[string]*inode) []string {
	paths := make([]string, 0, len(m))
	for p := range m {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// survivors is the content after a crash.
func (n *inode) survivors(dice *rand.Rand) []byte {
	out := slices.Clone(n.synced)
	if len(n.data) < len(out) && dice.IntN(2) == 0 {
		out = out[:len(n.data)] // an unsynced truncation may have happened
	}
	mode := dice.IntN(3) // nothing, everything, or each sector by dice
	for _, e := range slices.Concat(n.doubt, n.pending) {
		for from := e.from; from < e.to; {
			to := min(from-from%sector+sector, e.to)
			if mode == 1 || mode == 2 && dice.IntN(2) == 0 {
				if last := min(to, len(n.data)); from < last {
					out = grow(out, last)
					copy(out[from:last], n.data[from:last])
				}
			}
			from = to
		}
	}
	return out
}

func grow(b []byte, n int) []byte {
	if n > len(b) {
		b = append(b, make([]byte, n-len(b))...)
	}
	return b
}

// Corrupt flips the bits of mask in the byte at off of a file, also in what is
// synced: a disk that forgets.
func (d *Disk) Corrupt(path string, off int, mask byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.files[path]
	if n == nil || off >= len(n.data) {
		return errors.New("waltest: nothing to corrupt there")
	}
	n.data[off] ^= mask
	if off < len(n.synced) {
		n.synced[off] ^= mask
	}
	return nil
}

// Bytes returns a copy of a file, nil when there is none.
func (d *Disk) Bytes(path string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.files[path]; n != nil {
		return slices.Clone(n.data)
	}
	return nil
}

// Put makes a synced file with that content.
func (d *Disk) Put(path string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := &inode{data: slices.Clone(data), synced: slices.Clone(data)}
	d.files[path], d.durable[path] = n, n
}

// MkdirAll implements wal.FS; folders exist by themselves.
func (d *Disk) MkdirAll(string) error { return nil }

// ReadDir implements wal.FS. The names are sorted.
func (d *Disk) ReadDir(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(OpReadDir, dir); err != nil {
		return nil, err
	}
	var names []string
	for _, p := range sorted(d.files) {
		if filepath.Dir(p) == filepath.Clean(dir) {
			names = append(names, filepath.Base(p))
		}
	}
	return names, nil
}

// Create implements wal.FS.
func (d *Disk) Create(path string) (wal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(OpCreate, path); err != nil {
		return nil, err
	}
	if d.files[path] != nil {
		return nil, fs.ErrExist
	}
	n := &inode{}
	d.files[path] = n
	return &file{d, path, n}, nil
}

// Open implements wal.FS.
func (d *Disk) Open(path string) (wal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(OpOpen, path); err != nil {
		return nil, err
	}
	n := d.files[path]
	if n == nil {
		return nil, fs.ErrNotExist
	}
	return &file{d, path, n}, nil
}

// Remove implements wal.FS.
func (d *Disk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(OpRemove, path); err != nil {
		return err
	}
	if d.files[path] == nil {
		return fs.ErrNotExist
	}
	delete(d.files, path)
	return nil
}

// SyncDir implements wal.FS.
func (d *Disk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(OpSyncDir, dir); err != nil {
		return err
	}
	for p := range d.durable {
		if filepath.Dir(p) == filepath.Clean(dir) && d.files[p] == nil {
			delete(d.durable, p)
		}
	}
	for p, n := range d.files {
		if filepath.Dir(p) == filepath.Clean(dir) {
			d.durable[p] = n
		}
	}
	return nil
}

func (d *Disk) used() int64 {
	var n int64
	for _, f := range d.files {
		n += int64(len(f.data))
	}
	return n
}
