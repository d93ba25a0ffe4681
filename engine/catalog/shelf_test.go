package catalog

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/catalog/catalogtest"
)

func openReal(t *testing.T, cfg Config, blocks int) (*Catalog, *catalogtest.Bucket, []*block.Meta) {
	t.Helper()
	b := new(catalogtest.Bucket)
	var metas []*block.Meta
	for i := range blocks {
		metas = append(metas, catalogtest.Ship(t, b, "t", time.Unix(1e9, 0), time.Unix(1e9, 0), []catalogtest.Span{{Trace: 1 + i, Number: 1 + i}}))
	}
	w := &world{b: b, ops: map[string]int{}}
	w.restart(t)
	if cfg.OpenBytes > 0 {
		w.c.open.limit = cfg.OpenBytes
	}
	return w.c, b, metas
}

// Readers that want a block at once share one opening, and the result is kept.
func TestOpenOnce(t *testing.T) {
	c, b, metas := openReal(t, Config{}, 1)
	var gets atomic.Int32
	waiting := make(chan struct{})
	b.Before = func(op, _ string) error {
		if op == "get" && gets.Add(1) == 1 {
			<-waiting
		}
		return nil
	}
	var wg sync.WaitGroup
	got := make([]*block.Block, 8)
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = c.Open(t.Context(), "t", metas[0].ID); err != nil {
				t.Error(err)
			}
		})
	}
	close(waiting)
	wg.Wait()
	for _, one := range got {
		if one != got[0] {
			t.Fatal("readers have different blocks")
		}
	}
	if gets.Load() != 1 {
		t.Fatalf("meta.json was read %d times", gets.Load())
	}
	if len(got[0].Meta().Groups) == 0 {
		t.Fatal("an open block has no row groups in its meta")
	}
}

// A caller that gives up does not spoil it for others, and errors are not kept.
func TestOpenAgainAfterError(t *testing.T) {
	c, b, metas := openReal(t, Config{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Open(ctx, "t", metas[0].ID); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	strike := errors.New("strike")
	b.Before = func(string, string) error { return strike }
	if _, err := c.Open(t.Context(), "t", metas[0].ID); !errors.Is(err, strike) {
		t.Fatal(err)
	}
	b.Before = nil
	if _, err := c.Open(t.Context(), "t", metas[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), "t", idOf("a")); !errors.Is(err, bucket.ErrNotFound) {
		t.Fatal(err)
	}
}

// Open blocks take a bounded room; one that left goes on working, and blocks that
// are gone from the bucket are let go of.
func TestOpenIsBounded(t *testing.T) {
	c, b, metas := openReal(t, Config{OpenBytes: 1}, 3)
	first, err := c.Open(t.Context(), "t", metas[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metas {
		if _, err := c.Open(t.Context(), "t", m.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := c.open.count(); n != 1 {
		t.Fatalf("%d blocks are open", n)
	}
	if otlp, err := first.Find(t.Context(), catalogtest.TraceID(1)); err != nil || len(otlp) == 0 {
		t.Fatal("a block that left the shelf does not work", err)
	}
	for _, m := range metas {
		if err := block.Delete(t.Context(), b, "t", m.ID); err != nil {
			t.Fatal(err)
		}
	}
	for range unseen {
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, size := c.open.count(); n != 0 || size != 0 {
		t.Fatalf("%d blocks of %d bytes are still open", n, size)
	}
}
