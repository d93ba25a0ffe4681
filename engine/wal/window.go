package wal

import (
	"errors"
	"fmt"
	"io"
)

// windowStep is how much of a file is read at a time, and sector the unit in
// which unreadable parts of it are given up.
const (
	windowStep = 1 << 20
	sector     = 4096
)

// window reads a file from front to back and lets the reader look ahead. Parts
// that the disk cannot read appear as zeros, which are no record.
type window struct {
	file   File
	size   int64
	buf    []byte // bytes of the file from base on
	base   int64
	pos    int // in buf
	badAt  int64
	badErr error // the first read error since the last explain
}

func (w *window) reset(f File, size int64) {
	*w = window{file: f, size: size, buf: w.buf[:0]}
}

// at is the offset in the file of the next byte.
func (w *window) at() int64 { return w.base + int64(w.pos) }

// seek moves to an offset of the file.
func (w *window) seek(off int64) { w.base, w.pos, w.buf = off, 0, w.buf[:0] }

func (w *window) skip(n int) { w.pos += n }

// peek returns the next n bytes, fewer at the end of the file. They are valid
// until the next peek.
func (w *window) peek(n int) []byte {
	if w.pos+n > len(w.buf) {
		w.fill(n)
	}
	return w.buf[min(w.pos, len(w.buf)):min(w.pos+n, len(w.buf))]
}

func (w *window) fill(n int) {
	if w.pos < len(w.buf) {
		w.buf = w.buf[:copy(w.buf, w.buf[w.pos:])]
	} else {
		w.buf = w.buf[:0]
	}
	w.base, w.pos = w.at(), 0
	from := w.base + int64(len(w.buf))
	want := min(int64(max(n-len(w.buf), windowStep)), w.size-from)
	if want <= 0 {
		return
	}
	have := len(w.buf)
	if need := have + int(want); need > cap(w.buf) {
		w.buf = append(make([]byte, 0, max(need, 2*windowStep)), w.buf...)
	}
	w.buf = w.buf[:have+int(want)]
	w.read(w.buf[have:], from)
}

// read fills p, sector by sector where reading at once fails.
func (w *window) read(p []byte, off int64) {
	n, err := w.file.ReadAt(p, off)
	if n == len(p) {
		return
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	for i := 0; i < len(p); {
		end := min(i+sector-int((off+int64(i))%sector), len(p))
		if n, serr := w.file.ReadAt(p[i:end], off+int64(i)); n < end-i {
			clear(p[i:end])
			if w.badErr == nil {
				w.badAt, w.badErr = off+int64(i), err
			}
			if serr != nil && !errors.Is(serr, io.EOF) {
				w.badErr = serr
			}
		}
		i = end
	}
}

// explain adds a read error to the reason why there is no record.
func (w *window) explain(reason string) string {
	if w.badErr != nil {
		reason = fmt.Sprintf("%s (read error at offset %d: %v)", reason, w.badAt, w.badErr)
		w.badErr = nil
	}
	return reason
}
