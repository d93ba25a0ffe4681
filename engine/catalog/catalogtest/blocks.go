package catalogtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/recent"
	"github.com/ringctl/ringctl/engine/trace"
)

// Span is one span of a test: its number, from 1, is its span id, and it is one
// of the trace with the number Trace, also from 1.
type Span struct{ Trace, Number int }

// Ship makes a block of spans, which start one millisecond after another from a
// time, and puts it into a bucket. Created is the store's clock.
func Ship(t testing.TB, b bucket.Bucket, tenantID string, start time.Time, created time.Time, spans []Span) *block.Meta {
	t.Helper()
	var meta *block.Meta
	store, err := recent.Open(recent.Config{Dir: t.TempDir(), Now: func() time.Time { return created },
		Ship: func(ctx context.Context, _, dir string, m *block.Meta) error {
			meta = m
			return block.Upload(ctx, b, dir, m)
		}}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(request(start, spans))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Push(t.Context(), tenantID, raw), store.Flush(t.Context()), store.Close()); err != nil {
		t.Fatal(err)
	}
	if meta == nil || meta.Spans != int64(len(spans)) {
		t.Fatalf("no block of %d spans was shipped", len(spans))
	}
	return meta
}

func request(start time.Time, spans []Span) *tracepb.TracesData {
	ss := &tracepb.ScopeSpans{}
	for i, s := range spans {
		id := TraceID(s.Trace)
		at := uint64(start.UnixNano()) + uint64(i)*1_000_000
		ss.Spans = append(ss.Spans, &tracepb.Span{TraceId: id[:], SpanId: binary.BigEndian.AppendUint64(nil, uint64(s.Number)),
			Name: fmt.Sprintf("op %d", s.Number%5), StartTimeUnixNano: at, EndTimeUnixNano: at + 500_000})
	}
	service := &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "shop"}}
	return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "service.name", Value: service}}},
		ScopeSpans: []*tracepb.ScopeSpans{ss}}}}
}

// TraceID is the id of the trace with a number.
func TraceID(n int) (id trace.ID) {
	binary.BigEndian.PutUint32(id[:], uint32(n)*2654435761)
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// Opener opens blocks: a catalog.
type Opener interface {
	Open(ctx context.Context, tenantID string, id block.ID) (*block.Block, error)
}

// Read returns the numbers of all spans of some traces in blocks, sorted, as
// often as they occur.
func Read(ctx context.Context, o Opener, tenantID string, blocks []*block.Meta, traces []int) ([]int, error) {
	var out []int
	for _, m := range blocks {
		b, err := o.Open(ctx, tenantID, m.ID)
		if err != nil {
			return nil, err
		}
		for _, n := range traces {
			otlp, err := b.Find(ctx, TraceID(n))
			if err != nil {
				return nil, err
			}
			var td tracepb.TracesData
			if err := proto.Unmarshal(otlp, &td); err != nil {
				return nil, err
			}
			for _, rs := range td.ResourceSpans {
				for _, ss := range rs.ScopeSpans {
					for _, s := range ss.Spans {
						out = append(out, int(binary.BigEndian.Uint64(s.SpanId)))
					}
				}
			}
		}
	}
	slices.Sort(out)
	return out, nil
}
