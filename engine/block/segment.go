package block

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// segment is one row group as a columnar.Segment.
type segment struct {
	b     *Block
	group int
	info  columnar.Info
	pages []pageList
}

// pageList is a column's pages, parsed at first use.
type pageList struct {
	once  sync.Once
	pages []pq.PageInfo
	bloom *pq.Bloom
	err   error
}

// Info implements columnar.Segment.
func (s *segment) Info() *columnar.Info { return &s.info }

func (s *segment) chunk(leaf int) *pq.ChunkInfo { return &s.b.file.Groups[s.group].Chunks[leaf] }
func (s *segment) leaf(leaf int) *pq.Leaf       { return &s.b.file.Leaves[leaf] }

// part names a column in an error.
func (s *segment) part(leaf int) string {
	return fmt.Sprintf("%s, row group %d, column %s", DataName, s.group, s.leaf(leaf).Name)
}

// list returns the pages of a column and its bloom filter, nil if it has none.
func (s *segment) list(leaf int) (*pageList, error) {
	l := &s.pages[leaf]
	l.once.Do(func() {
		l.pages, l.err = s.b.file.Pages(s.group, leaf, s.b.tail, s.b.tailAt)
		if c := s.chunk(leaf); l.err == nil && c.BloomLen > 0 {
			if at := c.Bloom - s.b.tailAt; at >= 0 && at+int64(c.BloomLen) <= int64(len(s.b.tail)) {
				l.bloom, l.err = pq.ParseBloom(s.b.tail[at : at+int64(c.BloomLen)])
			}
		}
		l.err = s.b.fault(s.part(leaf), l.err)
	})
	return l, l.err
}

// Table implements columnar.Segment.
func (s *segment) Table(ctx context.Context, scope columnar.Scope) (*columnar.Table, error) {
	which := 0
	if scope == columnar.ScopeInstrumentation {
		which = 1
	}
	_, t, err := s.b.groups(ctx, which)
	return t, err
}

// stored says where an intrinsic is kept and how.
type stored struct {
	leaf int
	t    columnar.Type
	form form
}

// intrinsic finds the column of an intrinsic; its type is Nil when there is none.
func intrinsic(scope columnar.Scope, key string) stored {
	if scope == columnar.ScopeTrace {
		switch key {
		case columnar.KeyTraceRootName:
			return stored{ColRootName, columnar.String, traceForm}
		case columnar.KeyTraceRootService:
			return stored{ColRootService, columnar.String, traceForm}
		case columnar.KeyTraceStart:
			return stored{ColTraceStart, columnar.Int, traceForm}
		case columnar.KeyTraceEnd:
			return stored{ColTraceDuration, columnar.Int, traceForm}
		}
	}
	if scope != columnar.ScopeIntrinsic {
		return stored{}
	}
	switch key {
	case columnar.KeySpanID:
		return stored{ColSpanID, columnar.Int, asIs}
	case columnar.KeyParentID:
		return stored{ColParentID, columnar.Int, parentForm}
	case columnar.KeyStart:
		return stored{ColStartOffset, columnar.Int, startForm}
	case columnar.KeyDuration:
		return stored{ColDuration, columnar.Int, durationForm}
	case columnar.KeyName:
		return stored{ColName, columnar.String, asIs}
	case columnar.KeyKind:
		return stored{ColKind, columnar.Int, asIs}
	case columnar.KeyStatus:
		return stored{ColStatus, columnar.Int, asIs}
	case columnar.KeyStatusMessage:
		return stored{ColStatusMessage, columnar.String, asIs}
	case columnar.KeyTraceState:
		return stored{ColTraceState, columnar.String, asIs}
	case columnar.KeyResource:
		return stored{ColResource, columnar.Int, directForm}
	case columnar.KeyScope:
		return stored{ColScope, columnar.Int, directForm}
	case columnar.KeyEvents:
		return stored{ColEvents, columnar.Bytes, asIs}
	case columnar.KeyLinks:
		return stored{ColLinks, columnar.Bytes, asIs}
	case columnar.KeyNestedLeft:
		return stored{ColNestedLeft, columnar.Int, directForm}
	case columnar.KeyNestedRight:
		return stored{ColNestedRight, columnar.Int, directForm}
	case columnar.KeyNestedParent:
		return stored{ColNestedParent, columnar.Int, directForm}
	}
	return stored{}
}

// columnTypes are the types of attributes that can have a column.
var columnTypes = [...]columnar.Type{columnar.String, columnar.Int, columnar.Float, columnar.Bool,
	columnar.String | columnar.Array, columnar.Int | columnar.Array, columnar.Float | columnar.Array, columnar.Bool | columnar.Array}

// Columns implements columnar.Segment.
func (s *segment) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	if i := intrinsic(scope, key); i.t != columnar.Nil {
		if c := s.chunk(i.leaf); i.form == asIs && c.Nulls == c.Values {
			return dst
		}
		return append(dst, &columnReader{s: s, n: i.leaf, t: i.t, form: i.form})
	}
	if scope != columnar.ScopeSpan {
		return dst
	}
	for _, t := range columnTypes {
		if leaf, ok := s.b.attrs[Attr{key, t}]; ok {
			if c := s.chunk(leaf); c.Nulls < c.Values {
				dst = append(dst, &columnReader{s: s, n: leaf, t: t})
			}
		}
	}
	if c := s.chunk(ColOverflowKey); c.Nulls == c.Values {
		return dst
	}
	at, _ := slices.BinarySearchFunc(s.b.fields, key, compareSpanField)
	for ; at < len(s.b.fields) && compareSpanField(s.b.fields[at], key) == 0; at++ {
		t := s.b.fields[at].Type
		if _, own := s.b.attrs[Attr{key, t}]; !own || s.b.strays[Attr{key, t}] {
			dst = append(dst, &overflowReader{s: s, key: key, t: t})
		}
	}
	return dst
}

// compareSpanField orders fields as fieldSet.list does, by name of scope and key.
func compareSpanField(f columnar.Field, key string) int {
	if f.Scope != columnar.ScopeSpan {
		return bytes.Compare([]byte(f.Scope.String()), []byte(columnar.ScopeSpan.String()))
	}
	switch {
	case f.Key < key:
		return -1
	case f.Key > key:
		return 1
	}
	return 0
}

// Traces implements columnar.Segment.
func (s *segment) Traces(ctx context.Context) (*columnar.Traces, error) {
	key := cacheKey{s.b.meta.ID, s.group, cacheTraces}
	if t, ok := s.b.cache.get(key).(*columnar.Traces); ok {
		return t, nil
	}
	return s.readTraces(ctx, nil)
}

// readTraces reads the column of trace ids, some of whose bytes may be in memory.
func (s *segment) readTraces(ctx context.Context, near *regions) (*columnar.Traces, error) {
	var v columnar.Vector
	err := s.readNear(ctx, ColTraceID, nil, near, func(r *raw) error {
		r.vector(columnar.Bytes, &v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	t, err := s.tracesOf(&v)
	if err != nil {
		return nil, s.b.fault(s.part(ColTraceID), err)
	}
	s.b.cache.put(cacheKey{s.b.meta.ID, s.group, cacheTraces}, t, int64(20*len(t.IDs)))
	return t, nil
}

// tracesOf turns the column of trace ids into runs of rows.
func (s *segment) tracesOf(v *columnar.Vector) (*columnar.Traces, error) {
	if v.Dict == nil || len(v.Codes) != s.info.Rows {
		return nil, fmt.Errorf("%w: trace ids without dictionary", pq.ErrDamaged)
	}
	t := &columnar.Traces{IDs: make([]trace.ID, 0, v.Dict.Len()), Offsets: make([]uint32, 0, v.Dict.Len()+1)}
	last := uint32(0)
	for row, c := range v.Codes {
		if c == last {
			continue
		}
		id := v.Dict.Bytes(int(c - 1))
		if n := len(t.IDs); len(id) != 16 || n > 0 && bytes.Compare(t.IDs[n-1][:], id) >= 0 {
			return nil, fmt.Errorf("%w: trace ids are not sorted", pq.ErrDamaged)
		}
		last = c
		t.IDs, t.Offsets = append(t.IDs, trace.ID(id)), append(t.Offsets, uint32(row))
	}
	t.Offsets = append(t.Offsets, uint32(len(v.Codes)))
	return t, nil
}

// Find implements columnar.Segment. A trace that is not here costs no read, thanks to
// the bounds of the row group and the bloom filter of its ids.
func (s *segment) Find(ctx context.Context, id trace.ID, dst []uint32) ([]uint32, error) {
	if bytes.Compare(id[:], s.info.MinID[:]) < 0 || bytes.Compare(id[:], s.info.MaxID[:]) > 0 {
		return dst, nil
	}
	l, err := s.list(ColTraceID)
	if err != nil {
		return dst, err
	}
	if l.bloom != nil && l.bloom.Excludes(id[:]) {
		return dst, nil
	}
	t, err := s.tracesForFind(ctx)
	if err != nil {
		return dst, err
	}
	i, ok := slices.BinarySearchFunc(t.IDs, id, func(a, b trace.ID) int { return bytes.Compare(a[:], b[:]) })
	if !ok {
		s.b.cache.take(s.groupKey())
		return dst, nil
	}
	for r := t.Offsets[i]; r < t.Offsets[i+1]; r++ {
		dst = append(dst, r)
	}
	return dst, nil
}

// Find returns a trace as TracesData bytes, nil when the block does not have it.
func (b *Block) Find(ctx context.Context, id trace.ID) ([]byte, error) {
	var out trace.Builder
	for _, s := range b.segments {
		if err := AppendTrace(ctx, s, id, &out); err != nil {
			return nil, err
		}
	}
	if out.Spans() == 0 {
		return nil, nil
	}
	return out.Append(nil), nil
}

// AppendTrace adds the spans of one trace in a segment to a builder.
func AppendTrace(ctx context.Context, s columnar.Segment, id trace.ID, out *trace.Builder) error {
	rows, err := s.Find(ctx, id, nil)
	if err != nil || len(rows) == 0 {
		return err
	}
	resources, err := s.Table(ctx, columnar.ScopeResource)
	if err != nil {
		return err
	}
	scopes, err := s.Table(ctx, columnar.ScopeInstrumentation)
	if err != nil {
		return err
	}
	lastRes, lastScope := -1, -1
	return s.Spans(ctx, rows, func(r columnar.RawSpan) error {
		if int(r.Resource) != lastRes {
			lastRes, lastScope = int(r.Resource), -1
			g := resources.Entry(lastRes)
			out.SetResource(&g)
		}
		if int(r.Scope) != lastScope {
			lastScope = int(r.Scope)
			g := scopes.Entry(lastScope)
			out.SetScope(&g)
		}
		_, err := out.Add(r.Span)
		return err
	})
}
