package recent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	load "github.com/ringctl/ringctl/bench/gen"
	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// counted is a bucket that notes what is read.
type counted struct {
	folder
	mu    sync.Mutex
	reads []read
}

type read struct {
	object   string
	from, to int64
}

// ReadAt implements bucket.Bucket.
func (c *counted) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	c.mu.Lock()
	c.reads = append(c.reads, read{filepath.Base(name), off, off + int64(len(p))})
	c.mu.Unlock()
	return c.folder.ReadAt(ctx, name, p, off)
}

// Get implements bucket.Bucket.
func (c *counted) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	c.mu.Lock()
	c.reads = append(c.reads, read{object: filepath.Base(name)})
	c.mu.Unlock()
	return c.folder.Get(ctx, name)
}

func (c *counted) bytes() (n int64) {
	for _, r := range c.reads {
		n += r.to - r.from
	}
	return n
}

// shop makes a merged block of realistic spans, of at least n, in a folder.
func shop(t *testing.T, n int64) (dir string, m *block.Meta, truth *load.Truth) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "load")
	truth, err := load.Create(file, n, 5)
	if err != nil {
		t.Fatal(err)
	}
	f, err := load.Open(file, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	heads := []*head{newHead(), newHead()}
	for i := int64(0); ; i++ {
		r, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := heads[2*i/truth.Requests].add(r.Body, 1); err != nil {
			t.Fatal(err)
		}
	}
	dir = t.TempDir()
	var inputs []*block.Block
	for _, h := range heads {
		inputs = append(inputs, sealed(t, dir, h.columns(), block.WriterOptions{}))
	}
	w, err := block.NewWriter(block.WriterOptions{Level: 3, Blooms: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	id, err := block.NewID()
	if err != nil {
		t.Fatal(err)
	}
	m, err = w.Merge(t.Context(), filepath.Join(dir, "t", id), inputs, block.MergeOptions{Tenant: "t", ID: id, Created: time.Unix(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return dir, m, truth
}

// From a store where a request is slow, a trace costs three requests in a block
// that was never read before: metadata, the row group, resources. The next one
// of the row group costs two. A trace that is not there costs none.
func TestColdFind(t *testing.T) {
	dir, m, truth := shop(t, 140_000)
	for i := 0; i < len(truth.IDs); i += len(truth.IDs) / 20 {
		id, err := trace.ParseID(truth.IDs[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		b := &counted{folder: folder{dir: dir}}
		open, err := block.Open(t.Context(), b, "t", m.ID, block.OpenOptions{Meta: m, FewReads: true, Cache: block.NewCache(64 << 20)})
		if err != nil {
			t.Fatal(err)
		}
		want := []int{3, 2}
		for _, most := range want {
			otlp, err := open.Find(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			var td tracepb.TracesData
			if err := proto.Unmarshal(otlp, &td); err != nil {
				t.Fatal(err)
			}
			spans := 0
			for _, rs := range td.ResourceSpans {
				for _, ss := range rs.ScopeSpans {
					spans += len(ss.Spans)
				}
			}
			if spans != truth.IDs[i].Spans {
				t.Errorf("trace %s has %d spans of %d", id, spans, truth.IDs[i].Spans)
			}
			if len(b.reads) > most || b.bytes() > 4<<20 {
				t.Errorf("trace %s: %d requests, %d bytes: %v", id, len(b.reads), b.bytes(), b.reads)
			}
			b.reads = nil
		}
		absent := id
		absent[15]++
		if otlp, err := open.Find(t.Context(), absent); err != nil || otlp != nil {
			t.Errorf("absent trace: %v, %d bytes read", err, b.bytes())
		}
	}
}

// A search reads the columns that it names and those that every answer shows,
// and nothing of any other.
func TestColdSearch(t *testing.T) {
	dir, m, truth := shop(t, 70_000)
	raw, err := os.ReadFile(filepath.Join(dir, "t", m.ID, block.DataName))
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := pq.ParseTail(raw, int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	columnOf := func(r read) string {
		if r.object != block.DataName || r.from >= m.DataIndex {
			return ""
		}
		for _, g := range file.Groups {
			for i := range g.Chunks {
				if c := &g.Chunks[i]; r.from >= c.Start && r.to <= c.End {
					return file.Leaves[i].Name
				}
			}
		}
		return fmt.Sprint(r)
	}
	shown := []string{"", "trace_id", "span_id", "name", "duration", "resource_id", "start_offset", "trace_start", "trace_duration", "root_name", "root_service", "status_code"}
	for q, named := range map[string][]string{
		`{ span.http.status_code = 500 }`:                                             {"span.http.status_code"},
		`{ resource.service.name = "payment" && span.db.rows > 48 }`:                  {"span.db.rows"},
		`{ span.http.url =~ ".*/orders/12[0-9]+.*" && kind = server }`:                {"span.http.url", "kind"},
		`{ resource.service.name = "frontend" } >> { span.http.status_code = 500 }`:   {"span.http.status_code", "nested_left", "nested_right", "nested_parent"},
		`{ span.user.id = "user-nobody" }`:                                            {"span.user.id"},
		`{ span.http.status_code = 500 } | select(span.net.peer.ip, span.session.id)`: {"span.http.status_code", "span.net.peer.ip", "span.session.id"},
	} {
		b := &counted{folder: folder{dir: dir}}
		open, err := block.Open(t.Context(), b, "t", m.ID, block.OpenOptions{Meta: m, FewReads: true, Cache: block.NewCache(64 << 20)})
		if err != nil {
			t.Fatal(err)
		}
		res, err := query.Search(t.Context(), []columnar.Source{open}, query.SearchRequest{Query: q, Limit: 100_000})
		if err != nil || len(res.Partial) > 0 {
			t.Fatal(q, err, res)
		}
		if strings.HasPrefix(q, "{ span.http.status_code = 500 }") && int64(len(res.Traces)) != truth.Status500 {
			t.Errorf("%s: %d traces, want %d", q, len(res.Traces), truth.Status500)
		}
		for _, r := range b.reads {
			if c := columnOf(r); !slices.Contains(shown, c) && !slices.Contains(named, c) {
				t.Errorf("%s reads %s", q, c)
			}
		}
		t.Logf("%s: %d traces, %d requests, %d of %d bytes", q, len(res.Traces), len(b.reads), b.bytes(), m.DataBytes)
	}
}

// What is in the cache reads like what is not, however often it is asked for.
func TestWarmReads(t *testing.T) {
	dir, m, _ := shop(t, 20_000)
	cache := block.NewCache(64 << 20)
	warm, err := block.Open(t.Context(), folder{dir: dir}, "t", m.ID, block.OpenOptions{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	cold, err := block.Open(t.Context(), folder{dir: dir}, "t", m.ID, block.OpenOptions{Cache: block.NewCache(0)})
	if err != nil {
		t.Fatal(err)
	}
	keys := []columnar.Field{{Scope: columnar.ScopeIntrinsic, Key: columnar.KeyStart}, {Scope: columnar.ScopeIntrinsic, Key: columnar.KeyDuration},
		{Scope: columnar.ScopeIntrinsic, Key: columnar.KeyName}, {Scope: columnar.ScopeIntrinsic, Key: columnar.KeyKind}, {Scope: columnar.ScopeIntrinsic, Key: columnar.KeySpanID},
		{Scope: columnar.ScopeIntrinsic, Key: columnar.KeyParentID}, {Scope: columnar.ScopeIntrinsic, Key: columnar.KeyResource}, {Scope: columnar.ScopeIntrinsic, Key: columnar.KeyEvents},
		{Scope: columnar.ScopeIntrinsic, Key: columnar.KeyNestedLeft}, {Scope: columnar.ScopeTrace, Key: columnar.KeyTraceRootName}, {Scope: columnar.ScopeTrace, Key: columnar.KeyTraceEnd}}
	for _, f := range m.Fields {
		if f.Scope == columnar.ScopeSpan.String() {
			keys = append(keys, columnar.Field{Scope: columnar.ScopeSpan, Key: f.Key})
		}
	}
	for _, k := range keys {
		for i, s := range warm.Segments() {
			rows := uint32(s.Info().Rows)
			if k.Scope == columnar.ScopeTrace {
				rows = uint32(s.Info().Traces)
			}
			want := values(t, cold.Segments()[i], k, nil)
			for n := range uint32(4) {
				some := columnar.NewBitmap(s.Info().Rows)
				some.SetRange(n*rows/5, n*rows/5+100<<n)
				for _, within := range []columnar.Bitmap{nil, some} {
					got, cold := values(t, s, k, within), values(t, cold.Segments()[i], k, within)
					for r := range got {
						if within != nil && within.Has(uint32(r)) && cold[r] != want[r] {
							t.Fatalf("%s %s: row %d of group %d is %q, among few rows %q", k.Scope, k.Key, r, i, want[r], cold[r])
						}
					}
					if !slices.Equal(got, cold) {
						t.Fatalf("%s %s of row group %d is read as\n%q\nwant\n%q", k.Scope, k.Key, i, got[:20], cold[:20])
					}
				}
			}
		}
	}
}

// values reads a column into text, one entry for each row (or trace); "" is null.
func values(t *testing.T, s columnar.Segment, k columnar.Field, within columnar.Bitmap) []string {
	t.Helper()
	out := make([]string, s.Info().Rows)
	for _, c := range s.Columns(nil, k.Scope, k.Key) {
		var v columnar.Vector
		if err := c.Read(t.Context(), within, &v); err != nil {
			t.Fatal(err)
		}
		for i := range max(len(v.Codes), len(v.Ints), len(v.Floats), len(v.Offsets)-1) {
			row := i
			if v.Rows != nil {
				row = int(v.Rows[i])
			}
			if within != nil && !within.Has(uint32(row)) {
				continue
			}
			switch {
			case v.Dict == nil && v.Codes != nil:
				out[row] = fmt.Sprint(int32(v.Codes[i]))
			case v.Codes != nil && v.Codes[i] == 0:
			case v.Codes != nil && v.Dict.Ints != nil:
				out[row] = fmt.Sprint(v.Dict.Ints[v.Codes[i]-1])
			case v.Codes != nil && v.Dict.Floats != nil:
				out[row] = fmt.Sprint(v.Dict.Floats[v.Codes[i]-1])
			case v.Codes != nil:
				out[row] = string(v.Dict.Bytes(int(v.Codes[i] - 1)))
			case v.Ints != nil:
				out[row] = fmt.Sprint(v.Ints[i])
			case v.Floats != nil:
				out[row] = fmt.Sprint(v.Floats[i])
			default:
				out[row] = string(v.Arena[v.Offsets[i] : v.Offsets[i+1]-v.Gap])
			}
		}
	}
	return out
}
