package compactor_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket/local"
	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/compactor"
	"github.com/ringctl/ringctl/engine/recent"
	"github.com/ringctl/ringctl/engine/trace"
)

// shipped fills a bucket with n blocks that share traces, and returns the ids of
// the traces with their numbers of spans.
func shipped(t *testing.T, b *local.Bucket, n int) map[trace.ID]int {
	t.Helper()
	s, err := recent.Open(recent.Config{Dir: t.TempDir(), Ship: func(ctx context.Context, _, dir string, m *block.Meta) error {
		return block.Upload(ctx, b, dir, m)
	}}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[trace.ID]int{}
	for range n {
		ss := &tracepb.ScopeSpans{}
		for range 50 {
			id := trace.ID{1, byte(rng.IntN(20))}
			want[id]++
			span := make([]byte, 8)
			span[0], span[1], span[2] = 1, byte(want[id]), byte(id[1])
			ss.Spans = append(ss.Spans, &tracepb.Span{TraceId: id[:], SpanId: span, Name: "op", StartTimeUnixNano: uint64(time.Hour) + uint64(rng.IntN(1000))})
		}
		raw, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{ss}}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Push(t.Context(), "t", raw), s.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// From many blocks to one: nothing is lost or doubled at any step, for readers
// that list the bucket and for readers of the index.
func TestCompaction(t *testing.T) {
	for _, remote := range []bool{false, true} {
		b, err := local.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		want := shipped(t, b, 5)
		now := time.Now().Add(time.Hour)
		clock := func() time.Time { return now }
		writer := open(t, b, catalog.Config{WriteIndex: true, Now: clock})
		reader := open(t, b, catalog.Config{ReadIndex: time.Minute, Now: clock})
		count(t, writer, want)
		count(t, reader, want)

		jobs := compactor.Plan(writer.All("t"), compactor.Config{}, now)
		if len(jobs) != 1 || len(jobs[0].Inputs) != 5 {
			t.Fatalf("jobs %+v", jobs)
		}
		env := compactor.Env{Bucket: b, Scratch: t.TempDir(), Remote: remote, Now: clock}
		m, err := compactor.Execute(t.Context(), jobs[0], env)
		if err != nil {
			t.Fatal(err)
		}
		again, err := compactor.Execute(t.Context(), jobs[0], env)
		if err != nil || again.ID != m.ID || !again.Created.Equal(m.Created) {
			t.Fatal("a job done twice makes two blocks", err)
		}
		refresh(t, writer, reader)
		count(t, writer, want)
		count(t, reader, want)
		if n := len(reader.Blocks("t")); n != 1 || len(reader.All("t")) != 6 {
			t.Fatalf("%d blocks answer", n)
		}

		now = now.Add(time.Hour)
		for _, j := range compactor.Plan(writer.All("t"), compactor.Config{}, now) {
			if _, err := compactor.Execute(t.Context(), j, env); err != nil {
				t.Fatal(err)
			}
		}
		refresh(t, writer, reader)
		count(t, writer, want)
		if len(writer.All("t")) != 1 {
			t.Fatalf("%d blocks are left", len(writer.All("t")))
		}
		for _, j := range compactor.Plan(writer.All("t"), compactor.Config{Retention: time.Minute}, now) {
			if _, err := compactor.Execute(t.Context(), j, env); err != nil {
				t.Fatal(err)
			}
		}
		refresh(t, writer)
		if len(writer.Tenants()) != 0 {
			t.Fatalf("tenants %v after the retention", writer.Tenants())
		}
	}
}

func open(t *testing.T, b *local.Bucket, cfg catalog.Config) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(b, cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	refresh(t, c)
	return c
}

func refresh(t *testing.T, list ...*catalog.Catalog) {
	t.Helper()
	for _, c := range list {
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// count compares the spans of all blocks that answer with what must be there.
func count(t *testing.T, c *catalog.Catalog, want map[trace.ID]int) {
	t.Helper()
	total, rows := 0, int64(0)
	for id, n := range want {
		var all trace.Builder
		for _, m := range c.Blocks("t") {
			b, err := c.Open(t.Context(), "t", m.ID)
			if err != nil {
				t.Fatal(err)
			}
			otlp, err := b.Find(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if err := all.AddAll(otlp); err != nil {
				t.Fatal(err)
			}
		}
		if all.Spans() != n {
			t.Fatalf("trace %s: %d spans, want %d", id, all.Spans(), n)
		}
		total += n
	}
	for _, m := range c.Blocks("t") {
		rows += m.Spans
	}
	if int(rows) != total {
		t.Fatalf("%d rows for %d spans", rows, total)
	}
}

func TestOutputID(t *testing.T) {
	a, _ := block.NewID()
	b, _ := block.NewID()
	one, err := compactor.OutputID(compactor.Job{Tenant: "t", Inputs: []block.ID{a, b}})
	if err != nil {
		t.Fatal(err)
	}
	two, _ := compactor.OutputID(compactor.Job{Tenant: "t", Inputs: []block.ID{b, a}})
	other, _ := compactor.OutputID(compactor.Job{Tenant: "u", Inputs: []block.ID{a, b}})
	if one != two || one == other || slices.Contains([]block.ID{a, b}, one) || one[14] != '7' {
		t.Errorf("ids %s %s %s", one, two, other)
	}
}
