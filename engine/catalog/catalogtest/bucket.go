// Package catalogtest helps to test what happens to blocks in a bucket: a bucket
// in memory that fails when told to, and small blocks with known spans.
package catalogtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringctl/ringctl/engine/bucket"
)

// Bucket keeps objects in memory. It implements bucket.Bucket.
type Bucket struct {
	// Now is the store's clock; nil is time.Now.
	Now func() time.Time
	// Before is called before each operation ("put", "get", "readat", "list",
	// "delete", "stat"), After behind it; their errors are the operation's. An
	// operation whose After fails has happened, and only its answer is lost.
	Before, After func(op, name string) error

	mu      sync.Mutex
	objects map[string]object
}

type object struct {
	data     []byte
	modified time.Time
}

var _ bucket.Bucket = (*Bucket)(nil)

// Clone is another bucket with the same objects and clock.
func (b *Bucket) Clone() *Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &Bucket{Now: b.Now, objects: maps.Clone(b.objects)}
}

// Names lists the objects.
func (b *Bucket) Names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.objects))
}

// Damage changes the content of an object.
func (b *Bucket) Damage(name string, f func([]byte) []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[name]
	if !ok {
		return fmt.Errorf("damage %s: %w", name, bucket.ErrNotFound)
	}
	o.data = f(bytes.Clone(o.data))
	b.objects[name] = o
	return nil
}

func (b *Bucket) do(ctx context.Context, op, name string, f func() error) error {
	err := ctx.Err()
	if err == nil && op != "list" {
		err = bucket.CheckName(name)
	}
	if err == nil && b.Before != nil {
		err = b.Before(op, name)
	}
	if err == nil {
		err = f()
	}
	if err == nil && b.After != nil {
		err = b.After(op, name)
	}
	if err != nil {
		return fmt.Errorf("%s %q in memory: %w", op, name, err)
	}
	return nil
}

func (b *Bucket) find(name string) (object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[name]
	if !ok {
		return o, bucket.ErrNotFound
	}
	return o, nil
}

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	return b.do(ctx, "put", name, func() error {
		data, err := io.ReadAll(bucket.Exact(ctx, r, size))
		if err != nil {
			return err
		}
		now := time.Now()
		if b.Now != nil {
			now = b.Now()
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.objects == nil {
			b.objects = map[string]object{}
		}
		b.objects[name] = object{data, now}
		return nil
	})
}

// Get implements bucket.Bucket.
func (b *Bucket) Get(ctx context.Context, name string) (rc io.ReadCloser, err error) {
	err = b.do(ctx, "get", name, func() error {
		o, err := b.find(name)
		rc = io.NopCloser(bytes.NewReader(o.data))
		return err
	})
	if err != nil {
		return nil, err
	}
	return rc, nil
}

// ReadAt implements bucket.Bucket.
func (b *Bucket) ReadAt(ctx context.Context, name string, p []byte, off int64) (n int, err error) {
	short := false
	err = b.do(ctx, "readat", name, func() error {
		o, err := b.find(name)
		if err != nil {
			return err
		}
		if off < 0 {
			return fmt.Errorf("negative offset %d", off)
		}
		n = copy(p, o.data[min(off, int64(len(o.data))):])
		short = n < len(p)
		return nil
	})
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// List implements bucket.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string, f func(bucket.Object) error) error {
	return b.do(ctx, "list", prefix, func() error {
		for _, name := range b.Names() {
			if err := ctx.Err(); err != nil {
				return err
			}
			o, err := b.find(name)
			if err != nil || !strings.HasPrefix(name, prefix) {
				continue
			}
			if err := f(bucket.Object{Name: name, Size: int64(len(o.data)), Modified: o.modified}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	return b.do(ctx, "delete", name, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.objects, name)
		return nil
	})
}

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(ctx context.Context, name string) (o bucket.Object, err error) {
	err = b.do(ctx, "stat", name, func() error {
		found, err := b.find(name)
		o = bucket.Object{Name: name, Size: int64(len(found.data)), Modified: found.modified}
		return err
	})
	return o, err
}
