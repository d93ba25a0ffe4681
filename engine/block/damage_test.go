package block_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// memory is a read-only bucket in memory that counts what is asked of it.
type memory struct {
	bucket.Bucket
	objects map[string][]byte
	reads   int
	bytes   int
}

func (m *memory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	b, ok := m.objects[name]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", name, bucket.ErrNotFound)
	}
	m.reads, m.bytes = m.reads+1, m.bytes+len(b)
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memory) ReadAt(_ context.Context, name string, p []byte, off int64) (int, error) {
	b, ok := m.objects[name]
	if !ok {
		return 0, fmt.Errorf("read %s: %w", name, bucket.ErrNotFound)
	}
	if off > int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	m.reads, m.bytes = m.reads+1, m.bytes+n
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// load reads a block folder into memory.
func load(t testing.TB, dir, id string) *memory {
	t.Helper()
	m := &memory{objects: map[string][]byte{}}
	for _, name := range []string{block.DataName, block.ResourcesName, block.MetaName} {
		b, err := os.ReadFile(filepath.Join(dir, "t", id, name))
		if err != nil {
			t.Fatal(err)
		}
		m.objects[block.Path("t", id)+name] = b
	}
	return m
}

// readAll reads everything of a block in every way and returns the first error.
func readAll(ctx context.Context, b *block.Block) error {
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, s := range b.Segments() {
		var cols []columnar.Column
		for _, key := range []string{columnar.KeySpanID, columnar.KeyParentID, columnar.KeyStart, columnar.KeyDuration, columnar.KeyName, columnar.KeyKind, columnar.KeyStatus,
			columnar.KeyStatusMessage, columnar.KeyTraceState, columnar.KeyResource, columnar.KeyScope, columnar.KeyEvents, columnar.KeyLinks, columnar.KeyNestedLeft} {
			cols = s.Columns(cols, columnar.ScopeIntrinsic, key)
		}
		for _, key := range []string{columnar.KeyTraceRootName, columnar.KeyTraceRootService, columnar.KeyTraceStart, columnar.KeyTraceEnd} {
			cols = s.Columns(cols, columnar.ScopeTrace, key)
		}
		for _, f := range s.Info().Fields {
			cols = s.Columns(cols, f.Scope, f.Key)
		}
		some := columnar.NewBitmap(s.Info().Rows)
		some.Set(uint32(s.Info().Rows - 1))
		for _, c := range cols {
			var v columnar.Vector
			note(c.Read(ctx, nil, &v))
			note(c.Read(ctx, some, &v))
			_, err := c.Dict(ctx)
			note(err)
			c.Stats()
		}
		_, err := s.Table(ctx, columnar.ScopeResource)
		note(err)
		rows := []uint32{0, uint32(s.Info().Rows / 2), uint32(s.Info().Rows - 1)}
		note(s.Spans(ctx, rows, func(columnar.RawSpan) error { return nil }))
	}
	_, err := b.Find(ctx, trace.ID{37, 0, 1, 1})
	note(err)
	return first
}

// Whatever byte is wrong in whatever file: an error that names the block, or the
// old content, never a panic and never another block's trouble.
func TestDamage(t *testing.T) {
	c, _ := exampleColumns(600)
	dir := t.TempDir()
	seal(t, dir, "x", c, block.WriterOptions{GroupRows: 250, Blooms: true})
	whole := load(t, dir, "x")
	rng := rand.New(rand.NewPCG(9, 9))
	found := 0
	for round := range 400 {
		m := &memory{objects: map[string][]byte{}}
		for k, v := range whole.objects {
			m.objects[k] = bytes.Clone(v)
		}
		name := block.Path("t", "x") + []string{block.DataName, block.DataName, block.ResourcesName, block.MetaName}[round%4]
		b := m.objects[name]
		switch rng.IntN(3) {
		case 0: // torn
			m.objects[name] = b[:rng.IntN(len(b))]
		case 1: // a burst
			for i := range b[:min(len(b), 16)] {
				b[(rng.IntN(len(b))+i)%len(b)] = byte(rng.Uint32())
			}
		default:
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		bl, err := block.Open(t.Context(), m, "t", "x", block.OpenOptions{})
		if err == nil {
			err = readAll(t.Context(), bl)
		}
		var corrupt *block.CorruptError
		if err != nil && !errors.As(err, &corrupt) {
			t.Fatalf("round %d, %s: %T %v", round, name, err, err)
		}
		if err != nil {
			found++
		}
	}
	if found < 200 {
		t.Errorf("only %d of 400 damages were noticed", found)
	}
}

func TestMissing(t *testing.T) {
	_, err := block.Open(t.Context(), &memory{}, "t", "x", block.OpenOptions{})
	if !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("a missing block is %v", err)
	}
}

// A trace is found with three requests once its block is open, and one that is
// not there with none.
func TestFindRequests(t *testing.T) {
	c, _ := exampleColumns(30000)
	dir := t.TempDir()
	seal(t, dir, "x", c, block.WriterOptions{Blooms: true})
	m := load(t, dir, "x")
	b, err := block.Open(t.Context(), m, "t", "x", block.OpenOptions{FewReads: true})
	if err != nil {
		t.Fatal(err)
	}
	if m.reads != 2 {
		t.Errorf("%d requests to open a block, want meta.json and one more", m.reads)
	}
	if _, err := b.Segments()[0].Table(t.Context(), columnar.ScopeResource); err != nil {
		t.Fatal(err)
	}
	for _, id := range c.IDs[:3] {
		m.reads, m.bytes = 0, 0
		otlp, err := b.Find(t.Context(), id)
		if err != nil || len(otlp) == 0 {
			t.Fatal("trace is not found", err)
		}
		if m.reads > 3 || m.bytes > 4<<20 {
			t.Errorf("%d requests, %d bytes", m.reads, m.bytes)
		}
	}
	m.reads = 0
	for i := range 100 {
		if otlp, err := b.Find(t.Context(), trace.ID{9, 9, byte(i)}); otlp != nil || err != nil {
			t.Fatal("found what is not there", err)
		}
	}
	if m.reads > 0 {
		t.Errorf("%d requests for traces that are not there", m.reads)
	}
}

func FuzzMeta(f *testing.F) {
	m := block.Meta{Version: block.Version, Tenant: "t", ID: "x", Spans: 3, DataIndex: 4, DataBytes: 9, Groups: []block.Group{{Rows: 3, Traces: 2}}, Fields: []block.Field{{Scope: "span", Key: "k", Type: "int[]"}}}
	b, err := m.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := block.ParseMeta(b)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := block.ParseMeta(again); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzBlock(f *testing.F) {
	c, _ := exampleColumns(60)
	dir := f.TempDir()
	seal(f, dir, "x", c, block.WriterOptions{GroupRows: 25})
	whole := load(f, dir, "x")
	data := whole.objects[block.Path("t", "x")+block.DataName]
	f.Add(uint16(100), []byte{1, 2, 3})
	f.Add(uint16(len(data)-40), []byte{0xff})
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		m := &memory{objects: map[string][]byte{}}
		for k, v := range whole.objects {
			m.objects[k] = bytes.Clone(v)
		}
		d := m.objects[block.Path("t", "x")+block.DataName]
		copy(d[int(at)%len(d):], patch)
		b, err := block.Open(t.Context(), m, "t", "x", block.OpenOptions{})
		if err == nil {
			_ = readAll(t.Context(), b)
		}
	})
}
