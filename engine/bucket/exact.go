package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrSize is wrapped when a reader yields fewer or more bytes than announced.
var ErrSize = errors.New("object has not the announced size")

// Exact returns a reader of r for implementations of Put: it stops with the
// error of ctx when that ends, and with ErrSize when r yields another number of
// bytes than size. A surplus is noticed before the last bytes are handed out,
// so that a store which counts bytes never completes the object. size -1 only
// watches ctx.
func Exact(ctx context.Context, r io.Reader, size int64) io.Reader {
	return &exactReader{ctx: ctx, r: r, size: size, left: size}
}

type exactReader struct {
	ctx  context.Context
	r    io.Reader
	size int64
	left int64
	over bool // the end was checked
}

func (e *exactReader) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	if e.size < 0 {
		return e.r.Read(p)
	}
	if e.left == 0 {
		if err := e.checkEnd(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	switch {
	case err == io.EOF && e.left > 0:
		return 0, fmt.Errorf("%w: %d bytes, announced %d", ErrSize, e.size-e.left, e.size)
	case err != nil && err != io.EOF:
		return n, err
	case e.left == 0:
		if err := e.checkEnd(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// checkEnd reads one byte beyond the announced size, once.
func (e *exactReader) checkEnd() error {
	if e.over {
		return nil
	}
	var b [1]byte
	n, err := io.ReadFull(e.r, b[:])
	if n > 0 {
		return fmt.Errorf("%w: more than the announced %d bytes", ErrSize, e.size)
	}
	if err != io.EOF {
		return err
	}
	e.over = true
	return nil
}
