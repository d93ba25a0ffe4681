package compactor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/catalog/catalogtest"
)

// twoBlocks is a bucket with two blocks that share a trace and a span, and the
// job to merge them.
func twoBlocks(t *testing.T) (*catalogtest.Bucket, Job) {
	t.Helper()
	b := new(catalogtest.Bucket)
	job := Job{Tenant: "t", Window: storyNow}
	for i := range 2 {
		m := catalogtest.Ship(t, b, "t", storyNow, storyNow, []catalogtest.Span{{Trace: 1, Number: 1}, {Trace: 1, Number: 2 + i}, {Trace: 2 + i, Number: 4 + i}})
		job.Inputs, job.Replaces = append(job.Inputs, m), append(job.Replaces, m.ID)
	}
	return b, job
}

// readAll gives the spans that a reader sees who looks now.
func readAll(t *testing.T, b *catalogtest.Bucket) []int {
	t.Helper()
	c, err := catalog.Open(b, catalog.Config{}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans, err := catalogtest.Read(t.Context(), c, "t", c.Blocks("t"), []int{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return spans
}

func TestExecute(t *testing.T) {
	b, job := twoBlocks(t)
	tmp := t.TempDir()
	for range 2 { // the second time by accident
		m, err := Execute(t.Context(), b, "t", job, tmp)
		if err != nil {
			t.Fatal(err)
		}
		if m.Spans != 5 || m.Traces != 3 || m.Level != 1 || !slices.Equal(m.Replaces, job.Replaces) {
			t.Fatalf("%+v", m)
		}
		if got := readAll(t, b); !slices.Equal(got, []int{1, 2, 3, 4, 5}) {
			t.Fatalf("read %v", got)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v %v", left, err)
	}
}

// An upload that fails leaves nothing; one whose last answer is lost is done.
func TestExecuteOnStrike(t *testing.T) {
	strike := errors.New("strike")
	for _, object := range []string{block.DataName, block.ResourcesName, block.MetaName} {
		b, job := twoBlocks(t)
		on := func(op, name string) error {
			if op == "put" && strings.HasSuffix(name, object) {
				return strike
			}
			return nil
		}
		b.Before = on
		if _, err := Execute(t.Context(), b, "t", job, t.TempDir()); !errors.Is(err, strike) {
			t.Fatal(err)
		}
		if len(b.Names()) != 6 {
			t.Fatalf("left behind: %v", b.Names())
		}
		b.Before, b.After = nil, on
		_, err := Execute(t.Context(), b, "t", job, t.TempDir())
		if (err == nil) != (object == block.MetaName) {
			t.Fatalf("answer lost for %s: %v", object, err)
		}
		b.After = nil
		want := []int{1, 1, 2, 3, 4, 5}
		if err == nil {
			want = []int{1, 2, 3, 4, 5}
		}
		if got := readAll(t, b); !slices.Equal(got, want) {
			t.Fatalf("read %v", got)
		}
	}
}

func TestExecuteCancelled(t *testing.T) {
	b, job := twoBlocks(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.Before = func(op, name string) error {
		if op == "get" && strings.HasPrefix(name, block.Path("t", job.Inputs[1].ID)) {
			cancel()
		}
		return nil
	}
	tmp := t.TempDir()
	if _, err := Execute(ctx, b, "t", job, tmp); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 || len(b.Names()) != 6 {
		t.Fatalf("left behind: %v %v %v", left, err, b.Names())
	}
}
