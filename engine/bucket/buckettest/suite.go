// Package buckettest is the acceptance suite for implementations of
// bucket.Bucket: each sentence of the contract is a test.
package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ringctl/ringctl/engine/bucket"
)

// Run tests the buckets that fresh returns; each must be empty and of its own.
func Run(t *testing.T, fresh func(t *testing.T) bucket.Bucket) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b bucket.Bucket)
	}{
		{"objects come back as they were put", roundTrip},
		{"a put replaces the whole object", replace},
		{"ranges", ranges},
		{"missing objects", missing},
		{"list is sorted, filtered and stoppable", list},
		{"delete", remove},
		{"names that cannot be", names},
		{"a reader of the wrong size changes nothing", wrongSize},
		{"ended contexts", ended},
		{"readers see one of the objects put at once", concurrent},
		{"large objects", large},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, b bucket.Bucket, name, content string) {
	t.Helper()
	must(t, b.Put(t.Context(), name, strings.NewReader(content), int64(len(content))))
}

func get(t *testing.T, b bucket.Bucket, name string) string {
	t.Helper()
	data, err := bucket.ReadAll(t.Context(), b, name, 64<<20)
	must(t, err)
	return string(data)
}

func want(t *testing.T, b bucket.Bucket, name, content string) {
	t.Helper()
	if got := get(t, b, name); got != content {
		t.Fatalf("%s holds %.60q (%d bytes), want %.60q (%d bytes)", name, got, len(got), content, len(content))
	}
}

func listed(t *testing.T, b bucket.Bucket, prefix string) []string {
	t.Helper()
	names := []string{}
	must(t, b.List(t.Context(), prefix, func(o bucket.Object) error {
		names = append(names, o.Name)
		return nil
	}))
	return names
}

func roundTrip(t *testing.T, b bucket.Bucket) {
	contents := map[string]string{
		"top":                      "x",
		"empty":                    "",
		"tenant-1/0190/data.bin":   strings.Repeat("\x00\xff\n", 10000),
		"it's (a) !_.* tenant/ü/é": "names",
	}
	for name, c := range contents {
		put(t, b, name, c)
	}
	must(t, b.Put(t.Context(), "unknown size", struct{ io.Reader }{strings.NewReader("until EOF")}, -1))
	want(t, b, "unknown size", "until EOF")
	for name, c := range contents {
		want(t, b, name, c)
		o, err := b.Stat(t.Context(), name)
		must(t, err)
		if o.Name != name || o.Size != int64(len(c)) || o.Modified.IsZero() {
			t.Fatalf("stat says %+v", o)
		}
	}
}

func replace(t *testing.T, b bucket.Bucket) {
	put(t, b, "a/b", "a long first content")
	put(t, b, "a/b", "short")
	want(t, b, "a/b", "short")
}

func ranges(t *testing.T, b bucket.Bucket) {
	const content = "0123456789"
	put(t, b, "r", content)
	put(t, b, "nothing", "")
	for off := range int64(13) {
		for n := range 13 {
			p := make([]byte, n)
			got, err := b.ReadAt(t.Context(), "r", p, off)
			part := content[min(off, 10):min(off+int64(n), 10)]
			if string(p[:got]) != part {
				t.Fatalf("%d bytes at %d: %q, want %q", n, off, p[:got], part)
			}
			if len(part) == n && err != nil || len(part) < n && err != io.EOF {
				t.Fatalf("%d bytes at %d: error %v", n, off, err)
			}
		}
	}
	if n, err := b.ReadAt(t.Context(), "nothing", make([]byte, 1), 0); n != 0 || err != io.EOF {
		t.Fatalf("read of an empty object: %d %v", n, err)
	}
}

func missing(t *testing.T, b bucket.Bucket) {
	put(t, b, "dir/object", "x")
	for _, name := range []string{"missing", "dir", "dir/missing", "dir/object/below"} {
		_, err := b.Get(t.Context(), name)
		notFound(t, "get", name, err)
		_, err = b.ReadAt(t.Context(), name, make([]byte, 1), 0)
		notFound(t, "read", name, err)
		_, err = b.Stat(t.Context(), name)
		notFound(t, "stat", name, err)
	}
	if got := listed(t, b, "missing/"); len(got) != 0 {
		t.Fatal(got)
	}
}

func notFound(t *testing.T, op, name string, err error) {
	t.Helper()
	if !errors.Is(err, bucket.ErrNotFound) || !strings.Contains(err.Error(), name) {
		t.Fatalf("%s %q: %v", op, name, err)
	}
}

func list(t *testing.T, b bucket.Bucket) {
	all := []string{"a", "b-c", "b/c", "b/c-d/e", "b/c.d", "b/cc/d", "b0", "ö/x"}
	shuffled := slices.Clone(all)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, name := range shuffled {
		put(t, b, name, name)
	}
	for _, prefix := range []string{"", "a", "b", "b/", "b/c", "b/cc/", "b/cc/d", "c", "ö", "ö/"} {
		expect := []string{}
		for _, name := range all {
			if strings.HasPrefix(name, prefix) {
				expect = append(expect, name)
			}
		}
		slices.Sort(expect)
		if got := listed(t, b, prefix); !slices.Equal(got, expect) {
			t.Fatalf("prefix %q: %q, want %q", prefix, got, expect)
		}
	}
	enough := errors.New("enough")
	seen := 0
	err := b.List(t.Context(), "", func(o bucket.Object) error {
		if o.Size != int64(len(o.Name)) || o.Modified.IsZero() {
			t.Errorf("listed as %+v", o)
		}
		if seen++; seen == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 3 {
		t.Fatalf("stopped after %d with %v", seen, err)
	}
}

func remove(t *testing.T, b bucket.Bucket) {
	put(t, b, "t/block/data", "x")
	put(t, b, "t/block/meta", "x")
	must(t, b.Delete(t.Context(), "t/block/data"))
	must(t, b.Delete(t.Context(), "t/block/data"))
	must(t, b.Delete(t.Context(), "never/was"))
	must(t, b.Delete(t.Context(), "t/block")) // a prefix, not an object
	if got := listed(t, b, ""); !slices.Equal(got, []string{"t/block/meta"}) {
		t.Fatal(got)
	}
	n, err := bucket.DeletePrefix(t.Context(), b, "t/")
	if must(t, err); n != 1 || len(listed(t, b, "")) != 0 {
		t.Fatalf("%d deleted", n)
	}
	put(t, b, "t", "a name that was a prefix is free again")
}

func names(t *testing.T, b bucket.Bucket) {
	for _, name := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/.", "a\\b", "a\x00b", "a\nb", "c:a", "\xff", "a.tmp", strings.Repeat("x", 201), strings.Repeat("x/", 500) + "x"} {
		errs := []error{b.Put(t.Context(), name, strings.NewReader("x"), 1), b.Delete(t.Context(), name)}
		_, err := b.Get(t.Context(), name)
		errs = append(errs, err)
		_, err = b.ReadAt(t.Context(), name, nil, 0)
		errs = append(errs, err)
		_, err = b.Stat(t.Context(), name)
		for _, err := range append(errs, err) {
			if !errors.Is(err, bucket.ErrName) {
				t.Fatalf("%.20q: %v", name, err)
			}
		}
	}
	if got := listed(t, b, ""); len(got) != 0 {
		t.Fatal(got)
	}
}

func wrongSize(t *testing.T, b bucket.Bucket) {
	put(t, b, "old", "old content")
	broken := errors.New("source broke")
	for _, name := range []string{"old", "new/object"} {
		for _, size := range []int64{0, 2, 4, 1000} {
			if err := b.Put(t.Context(), name, strings.NewReader("abc"), size); !errors.Is(err, bucket.ErrSize) {
				t.Fatalf("3 bytes announced as %d: %v", size, err)
			}
		}
		err := b.Put(t.Context(), name, io.MultiReader(strings.NewReader("abc"), failing{broken}), 100)
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
	}
	want(t, b, "old", "old content")
	if got := listed(t, b, ""); !slices.Equal(got, []string{"old"}) {
		t.Fatal(got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func ended(t *testing.T, b bucket.Bucket) {
	put(t, b, "a", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := b.Get(ctx, "a")
	_, readErr := b.ReadAt(ctx, "a", make([]byte, 1), 0)
	_, statErr := b.Stat(ctx, "a")
	for _, err := range []error{
		getErr, readErr, statErr, b.Put(ctx, "b", strings.NewReader("x"), 1), b.Delete(ctx, "a"),
		b.List(ctx, "", func(bucket.Object) error { return nil }),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	want(t, b, "a", "x")
}

func concurrent(t *testing.T, b bucket.Bucket) {
	put(t, b, "shared/object", strings.Repeat("0", 5000))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			content := strings.Repeat(fmt.Sprint(i), 5000)
			for range 5 {
				if err := b.Put(t.Context(), "shared/object", strings.NewReader(content), 5000); err != nil {
					t.Error(err)
				}
				own := fmt.Sprintf("shared/%d/object", i)
				if err := b.Put(t.Context(), own, strings.NewReader("x"), 1); err != nil {
					t.Error(err)
				}
				if err := b.Delete(t.Context(), own); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				data, err := bucket.ReadAll(t.Context(), b, "shared/object", 1<<20)
				if err != nil || len(data) != 5000 || strings.Trim(string(data), string(data[:1])) != "" {
					t.Errorf("%d bytes, %v: not one of the objects", len(data), err)
				}
			}
		})
	}
	wg.Wait()
}

// large is more than one part of a multipart upload.
func large(t *testing.T, b bucket.Bucket) {
	content := make([]byte, 17<<20)
	dice := rand.NewChaCha8([32]byte{1})
	_, _ = dice.Read(content)
	for _, size := range []int64{int64(len(content)), -1} {
		must(t, b.Put(t.Context(), "large", struct{ io.Reader }{bytes.NewReader(content)}, size))
		if got := get(t, b, "large"); got != string(content) {
			t.Fatalf("size %d: differs", size)
		}
		p := make([]byte, 1000)
		n, err := b.ReadAt(t.Context(), "large", p, 16<<20-500)
		if must(t, err); n != len(p) || !bytes.Equal(p, content[16<<20-500:][:1000]) {
			t.Fatal("range differs")
		}
	}
	err := b.Put(t.Context(), "large", struct{ io.Reader }{bytes.NewReader(content)}, int64(len(content))-1)
	if !errors.Is(err, bucket.ErrSize) {
		t.Fatal(err)
	}
	if got := get(t, b, "large"); got != string(content) {
		t.Fatal("a failed put changed the object")
	}
}
