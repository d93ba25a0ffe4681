package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/bucket/buckettest"
	"github.com/ringctl/ringctl/engine/bucket/local"
)

func fresh(t *testing.T) *local.Bucket {
	b, err := local.Open(filepath.Join(t.TempDir(), "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAcceptance(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket { return fresh(t) })
}

// Nothing unfinished and no empty folder stays behind.
func TestLeavesNothingBehind(t *testing.T) {
	b := fresh(t)
	ctx := context.Background()
	if err := b.Put(ctx, "a/b/c/d", strings.NewReader("short"), 100); err == nil {
		t.Fatal("no error")
	}
	if err := b.Put(ctx, "x/y", strings.NewReader("1"), 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, "x/y"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(b.Root())
	if err != nil || len(left) != 0 {
		t.Fatalf("left %v, %v", left, err)
	}
}

// A file that a crash left unfinished is not listed, and removed when it is old.
func TestUnfinishedFiles(t *testing.T) {
	b := fresh(t)
	old, young := filepath.Join(b.Root(), "a.123.tmp"), filepath.Join(b.Root(), "b.123.tmp")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	b, err := local.Open(b.Root())
	if err != nil {
		t.Fatal(err)
	}
	err = b.List(context.Background(), "", func(o bucket.Object) error { return errors.New("listed " + o.Name) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Fatalf("old unfinished file: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Fatal(err)
	}
}

// A root that vanished is named, and not made again: a disk may be unmounted.
func TestMissingRoot(t *testing.T) {
	b := fresh(t)
	if err := os.RemoveAll(b.Root()); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, err := b.Get(ctx, "a")
	for _, err := range []error{err, b.Put(ctx, "a", strings.NewReader(""), 0), b.List(ctx, "", nil)} {
		if !errors.Is(err, bucket.ErrNoBucket) || !strings.Contains(err.Error(), b.Root()) {
			t.Fatal(err)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"a/b", "../x", "a//b", "x.tmp", "é"} {
		f.Add(s)
	}
	root := filepath.Join(string(filepath.Separator), "root")
	f.Fuzz(func(t *testing.T, name string) {
		if bucket.CheckName(name) != nil {
			return
		}
		path := filepath.Join(root, filepath.FromSlash(name))
		if rel, err := filepath.Rel(root, path); err != nil || filepath.ToSlash(rel) != name || !filepath.IsLocal(name) {
			t.Fatalf("%q becomes %q", name, path)
		}
	})
}
