// Package bucket keeps objects by name: bytes that are written once, read in
// whole or in ranges, listed by prefix and deleted.
//
// [Bucket] is the whole contract; bucket/local keeps it on a folder, bucket/s3
// on an S3-compatible store, and the acceptance suite bucket/buckettest checks
// each sentence of it. There is no rename, no append and no lock: whoever needs
// an object to appear whole writes it under its final name last.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Bucket is a store of objects. All methods may be called from several
// goroutines at once, return early when ctx ends, and return errors that name
// the operation, the bucket and the object. A name that [CheckName] refuses is
// an error of every method.
type Bucket interface {
	// Put writes size bytes of r as the object name. Readers see the old
	// object or the whole new one, never a part; after a nil return the object
	// is durable. A reader that yields fewer or more bytes is an error and
	// leaves the old state. size -1 means until EOF.
	Put(ctx context.Context, name string, r io.Reader, size int64) error
	// Get opens an object for reading from its start. The caller closes it.
	// A missing object is an error that wraps ErrNotFound.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// ReadAt fills p from offset off. When the object ends before p is full it
	// returns the bytes read and io.EOF. A missing object is ErrNotFound.
	ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error)
	// List calls f for each object whose name starts with prefix, in ascending
	// byte order of the names, until f returns an error, which is returned. The
	// prefix is plain text and need not end at a slash; "" lists everything.
	List(ctx context.Context, prefix string, f func(Object) error) error
	// Delete removes an object; a missing one is no error.
	Delete(ctx context.Context, name string) error
	// Stat describes an object; a missing one is ErrNotFound.
	Stat(ctx context.Context, name string) (Object, error)
}

// Object describes one stored object.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time // when it was last written, by the store's clock
}

var (
	// ErrNotFound is wrapped by the errors of reads of objects that do not exist.
	ErrNotFound = errors.New("object not found")
	// ErrNoBucket is wrapped when the bucket or folder itself is missing.
	ErrNoBucket = errors.New("bucket not found")
	// ErrDenied is wrapped when the store refuses access.
	ErrDenied = errors.New("access denied")
	// ErrName is wrapped when a name cannot be an object's.
	ErrName = errors.New("bad object name")
)

// MaxName is the longest object name in bytes, S3's limit less some room for a
// prefix.
const MaxName = 900

// maxPart is the longest part of a name between slashes, so that a folder can
// hold it beside the suffix of a temporary file.
const maxPart = 200

// CheckName returns an error that wraps ErrName unless name can be an object's:
// UTF-8, 1 to MaxName bytes, parts of 1 to 200 bytes separated by single
// slashes, no part "." or ".." or ending in ".tmp", no backslash, colon or
// control character.
func CheckName(name string) error {
	bad := func(why string) error { return fmt.Errorf("%w %q: %s", ErrName, name, why) }
	if name == "" || len(name) > MaxName {
		return bad(fmt.Sprintf("want 1 to %d bytes", MaxName))
	}
	if !utf8.ValidString(name) {
		return bad("not valid UTF-8")
	}
	for _, c := range name {
		if c < 0x20 || c == 0x7f || c == '\\' || c == ':' {
			return bad(fmt.Sprintf("character %q is not allowed", c))
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return bad("empty part")
		case part == "." || part == "..":
			return bad("part " + part)
		case len(part) > maxPart:
			return bad(fmt.Sprintf("a part is longer than %d bytes", maxPart))
		case strings.HasSuffix(part, ".tmp"):
			return bad("a part ends in .tmp, which marks unfinished files")
		}
	}
	return nil
}

// ReadAll returns the content of an object of at most limit bytes; a larger one
// is an error.
func ReadAll(ctx context.Context, b Bucket, name string, limit int64) ([]byte, error) {
	rc, err := b.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: larger than %d bytes", name, limit)
	}
	return data, nil
}

// DeletePrefix removes all objects whose names start with prefix and returns
// how many they were. On error some may remain.
func DeletePrefix(ctx context.Context, b Bucket, prefix string) (int, error) {
	var names []string
	err := b.List(ctx, prefix, func(o Object) error {
		names = append(names, o.Name)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, name := range names {
		if err := b.Delete(ctx, name); err != nil {
			return i, err
		}
	}
	return len(names), nil
}
