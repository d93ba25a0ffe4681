// Package local keeps a bucket on a folder: one file per object, the slashes of
// the name are folders.
//
// An object is written under a temporary name, synced, renamed, and the folder
// synced; a power cut leaves the old object or the new one. Folders appear with
// their first object and go with their last. Unlike on S3, a name cannot be an
// object and the prefix "name/" of others at the same time.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/bucket"
)

// tempSuffix ends the names of unfinished files; no object may have it.
const tempSuffix = ".tmp"

// staleAfter is the age at which an unfinished file belongs to no living writer.
const staleAfter = 24 * time.Hour

// Bucket is a folder. It implements [bucket.Bucket].
type Bucket struct{ root string }

var _ bucket.Bucket = (*Bucket)(nil)

// Open uses the folder root, which is made if it is missing, and removes
// unfinished files that are older than a day.
func Open(root string) (*Bucket, error) {
	if root == "" {
		return nil, errors.New("local bucket: no folder given")
	}
	root, err := filepath.Abs(root)
	if err == nil {
		err = os.MkdirAll(root, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("local bucket: %w", err)
	}
	b := &Bucket{root: root}
	return b, b.sweep(time.Now().Add(-staleAfter))
}

// sweep removes unfinished files last written before a time. What it cannot
// read or remove stays for the next time.
func (b *Bucket) sweep(before time.Time) error {
	return filepath.WalkDir(b.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, tempSuffix) {
			return nil
		}
		if info, err := d.Info(); err == nil && info.ModTime().Before(before) {
			_ = os.Remove(path)
		}
		return nil
	})
}

// Root returns the folder.
func (b *Bucket) Root() string { return b.root }

func (b *Bucket) path(name string) (string, error) {
	if err := bucket.CheckName(name); err != nil {
		return "", err
	}
	return filepath.Join(b.root, filepath.FromSlash(name)), nil
}

// explain names the operation, object and folder, and marks the known causes.
func (b *Bucket) explain(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || isNotDir(err) && op != "put":
		err = bucket.ErrNotFound
		if _, serr := os.Stat(b.root); errors.Is(serr, fs.ErrNotExist) {
			err = bucket.ErrNoBucket
		}
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: %w", bucket.ErrDenied, err)
	}
	return fmt.Errorf("%s %q in folder %s: %w", op, name, b.root, err)
}

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	path, err := b.path(name)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return b.explain("put", name, err)
	}
	if err := b.write(path, bucket.Exact(ctx, r, size)); err != nil {
		b.prune(filepath.Dir(path))
		return b.explain("put", name, err)
	}
	return nil
}

// prune removes a folder and those above it as long as they are empty.
func (b *Bucket) prune(dir string) {
	// Remove refuses folders that are not empty, which ends the loop.
	for dir != b.root && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

func (b *Bucket) write(path string, r io.Reader) error {
	tmp, err := b.createTemp(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, r)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return err
	}
	return b.syncUp(filepath.Dir(path))
}

// createTemp makes the folders of path and a file beside it. A Delete at the
// same time may remove an empty folder in between, so it tries again.
func (b *Bucket) createTemp(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	if _, err := os.Stat(b.root); err != nil {
		return nil, err // the root is not made again: its disk may be gone
	}
	for try := 0; ; try++ {
		err := os.MkdirAll(dir, 0o755)
		if err != nil {
			return nil, err
		}
		f, err := os.CreateTemp(dir, base+".*"+tempSuffix)
		if err == nil {
			return f, f.Chmod(0o644)
		}
		if !errors.Is(err, fs.ErrNotExist) || try >= 10 {
			return nil, err
		}
	}
}

// syncUp makes a new name durable: its folder, and the folders above it, which
// may be new themselves.
func (b *Bucket) syncUp(dir string) error {
	for {
		if err := syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if dir == b.root {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// Get implements bucket.Bucket.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	f, err := b.open(ctx, "get", name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (b *Bucket) open(ctx context.Context, op, name string) (*os.File, error) {
	path, err := b.path(name)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, b.explain(op, name, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, b.explain(op, name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = f.Close()
		return nil, b.explain(op, name, err)
	}
	return f, nil
}

// ReadAt implements bucket.Bucket.
func (b *Bucket) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	f, err := b.open(ctx, "read", name)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		if n == len(p) {
			return n, nil
		}
		return n, io.EOF
	}
	return n, b.explain("read", name, err)
}

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(ctx context.Context, name string) (bucket.Object, error) {
	path, err := b.path(name)
	if err != nil {
		return bucket.Object{}, err
	}
	err = ctx.Err()
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(path)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return bucket.Object{}, b.explain("stat", name, err)
	}
	return bucket.Object{Name: name, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	path, err := b.path(name)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return b.explain("delete", name, err)
	}
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
		err = nil
	}
	if err != nil {
		return b.explain("delete", name, err)
	}
	b.prune(filepath.Dir(path))
	return nil
}

// List implements bucket.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string, f func(bucket.Object) error) error {
	if prefix != "" {
		if err := bucket.CheckName(strings.TrimSuffix(prefix, "/")); err != nil {
			return err
		}
	}
	if _, err := os.Stat(b.root); err != nil {
		return b.explain("list", prefix, err)
	}
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	return b.walk(ctx, folder, prefix, f)
}

// walk visits the folder of names that start with folder, in the order of the
// full names: a folder sorts as if its name ended in the slash.
func (b *Bucket) walk(ctx context.Context, folder, prefix string, f func(bucket.Object) error) error {
	if err := ctx.Err(); err != nil {
		return b.explain("list", prefix, err)
	}
	entries, err := os.ReadDir(filepath.Join(b.root, filepath.FromSlash(folder)))
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
		return nil
	}
	if err != nil {
		return b.explain("list", prefix, err)
	}
	slices.SortFunc(entries, func(x, y fs.DirEntry) int { return cmp.Compare(sortName(x), sortName(y)) })
	for _, e := range entries {
		name := folder + sortName(e)
		if e.IsDir() {
			if strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name) {
				if err := b.walk(ctx, name, prefix, f); err != nil {
					return err
				}
			}
			continue
		}
		if !strings.HasPrefix(name, prefix) || strings.HasSuffix(name, tempSuffix) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return b.explain("list", name, err)
		}
		if err := f(bucket.Object{Name: name, Size: info.Size(), Modified: info.ModTime()}); err != nil {
			return err
		}
	}
	return nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
