package recent

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/trace"
)

// folder is a read-only bucket on a folder.
type folder struct {
	bucket.Bucket
	dir string
}

func (f folder) Get(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(f.dir, name))
}

func (f folder) ReadAt(_ context.Context, name string, p []byte, off int64) (int, error) {
	h, err := os.Open(filepath.Join(f.dir, name))
	if err != nil {
		return 0, err
	}
	defer h.Close()
	return h.ReadAt(p, off)
}

// facts is the dumb twin of everything: each span with its resource and scope as
// text, sorted, by trace.
type facts map[string][]string

func (f facts) add(t testing.TB, otlp []byte) {
	t.Helper()
	var td tracepb.TracesData
	if err := proto.Unmarshal(otlp, &td); err != nil {
		t.Fatal(err)
	}
	for _, rs := range td.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				sortAttrs(s.Attributes)
				one := &tracepb.ResourceSpans{Resource: rs.Resource, SchemaUrl: rs.SchemaUrl, ScopeSpans: []*tracepb.ScopeSpans{{Scope: ss.Scope, SchemaUrl: ss.SchemaUrl, Spans: []*tracepb.Span{s}}}}
				one.ProtoReflect().SetUnknown(rs.ProtoReflect().GetUnknown())
				if s.Status != nil && s.Status.Code == 0 && s.Status.Message == "" {
					s.Status = nil // an empty status says the same as none
				}
				b, err := proto.MarshalOptions{Deterministic: true}.Marshal(one)
				if err != nil {
					t.Fatal(err)
				}
				id := string(s.TraceId)
				if !slices.Contains(f[id], string(b)) {
					f[id] = append(f[id], string(b))
				}
			}
		}
	}
}

func sortAttrs(a []*commonpb.KeyValue) {
	slices.SortStableFunc(a, func(x, y *commonpb.KeyValue) int { return cmp.Compare(x.Key, y.Key) })
}

func (f facts) compare(t testing.TB, got facts) {
	t.Helper()
	for id, want := range f {
		have := got[id]
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			t.Fatalf("trace %x: want %d spans, have %d\n%s", id, len(want), len(have), firstDifference(want, have))
		}
	}
	if len(f) != len(got) {
		t.Fatalf("want %d traces, have %d", len(f), len(got))
	}
}

func firstDifference(want, have []string) string {
	text := func(s string) string {
		var rs tracepb.ResourceSpans
		if err := proto.Unmarshal([]byte(s), &rs); err != nil {
			return err.Error()
		}
		return prototext.MarshalOptions{Multiline: true, EmitUnknown: true}.Format(&rs)
	}
	for i := range want {
		if i >= len(have) || want[i] != have[i] {
			out := "want " + text(want[i])
			if i < len(have) {
				out += "\nhave " + text(have[i])
			}
			return out
		}
	}
	return "more than wanted"
}

// Whatever goes into a head comes out of it, and out of the block it becomes, as
// google's protobuf sees it.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(4) {
		g := newGen(seed)
		h := newHead()
		want := facts{}
		for range 30 {
			b := g.otlp(20)
			want.add(t, b)
			if _, rejected, err := h.add(b, 1); err != nil || rejected > 0 {
				t.Fatal(err, rejected)
			}
		}
		cols := h.columns()
		got := facts{}
		for _, id := range g.traces {
			got.add(t, traceOf(t, newSegment(cols, 1, h.knownOf(cols)), trace.ID(id)))
		}
		want.compare(t, got)

		dir := t.TempDir()
		b := sealed(t, dir, cols, block.WriterOptions{GroupRows: 150})
		got = facts{}
		for _, id := range g.traces {
			otlp, err := b.Find(t.Context(), trace.ID(id))
			if err != nil {
				t.Fatal(err)
			}
			got.add(t, otlp)
		}
		want.compare(t, got)
	}
}

// sealed writes the columns as a block and opens it.
func sealed(t testing.TB, dir string, cols *block.Columns, o block.WriterOptions) *block.Block {
	t.Helper()
	w, err := block.NewWriter(o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	id, err := block.NewID()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Seal(filepath.Join(dir, "t", id), cols, block.SealOptions{Tenant: "t", ID: id, Created: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	b, err := block.Open(t.Context(), folder{dir: dir}, "t", id, block.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func traceOf(t testing.TB, s *segment, id trace.ID) []byte {
	t.Helper()
	var out trace.Builder
	if err := block.AppendTrace(t.Context(), s, id, &out); err != nil {
		t.Fatal(err)
	}
	return out.Append(nil)
}
