package block

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// segment is one row group as a query.Segment.
type segment struct {
	b     *Block
	group int
	info  query.Info
	pages []pageList
}

// pageList is a column's pages, parsed at first use.
type pageList struct {
	once  sync.Once
	pages []pq.PageInfo
	bloom *pq.Bloom
	err   error
}

// Info implements query.Segment.
func (s *segment) Info() *query.Info { return &s.info }

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

// Table implements query.Segment.
func (s *segment) Table(ctx context.Context, scope query.Scope) (*query.Table, error) {
	which := 0
	if scope == query.ScopeInstrumentation {
		which = 1
	}
	_, t, err := s.b.groups(ctx, which)
	return t, err
}

// stored says where an intrinsic is kept and how.
type stored struct {
	leaf int
	t    query.Type
	form form
}

// intrinsic finds the column of an intrinsic; its type is Nil when there is none.
func intrinsic(scope query.Scope, key string) stored {
	if scope == query.ScopeTrace {
		switch key {
		case query.KeyTraceRootName:
			return stored{ColRootName, query.String, traceForm}
		case query.KeyTraceRootService:
			return stored{ColRootService, query.String, traceForm}
		case query.KeyTraceStart:
			return stored{ColTraceStart, query.Int, traceForm}
		case query.KeyTraceEnd:
			return stored{ColTraceDuration, query.Int, traceForm}
		}
	}
	if scope != query.ScopeIntrinsic {
		return stored{}
	}
	switch key {
	case query.KeySpanID:
		return stored{ColSpanID, query.Int, asIs}
	case query.KeyParentID:
		return stored{ColParentID, query.Int, parentForm}
	case query.KeyStart:
		return stored{ColStartOffset, query.Int, startForm}
	case query.KeyDuration:
		return stored{ColDuration, query.Int, durationForm}
	case query.KeyName:
		return stored{ColName, query.String, asIs}
	case query.KeyKind:
		return stored{ColKind, query.Int, asIs}
	case query.KeyStatus:
		return stored{ColStatus, query.Int, asIs}
	case query.KeyStatusMessage:
		return stored{ColStatusMessage, query.String, asIs}
	case query.KeyTraceState:
		return stored{ColTraceState, query.String, asIs}
	case query.KeyResource:
		return stored{ColResource, query.Int, directForm}
	case query.KeyScope:
		return stored{ColScope, query.Int, directForm}
	case query.KeyEvents:
		return stored{ColEvents, query.Bytes, asIs}
	case query.KeyLinks:
		return stored{ColLinks, query.Bytes, asIs}
	case query.KeyNestedLeft:
		return stored{ColNestedLeft, query.Int, directForm}
	case query.KeyNestedRight:
		return stored{ColNestedRight, query.Int, directForm}
	case query.KeyNestedParent:
		return stored{ColNestedParent, query.Int, directForm}
	}
	return stored{}
}

// columnTypes are the types of attributes that can have a column.
var columnTypes = [...]query.Type{query.String, query.Int, query.Float, query.Bool,
	query.String | query.Array, query.Int | query.Array, query.Float | query.Array, query.Bool | query.Array}

// Columns implements query.Segment.
func (s *segment) Columns(dst []query.Column, scope query.Scope, key string) []query.Column {
	if i := intrinsic(scope, key); i.t != query.Nil {
		if c := s.chunk(i.leaf); i.form == asIs && c.Nulls == c.Values {
			return dst
		}
		return append(dst, &columnReader{s: s, n: i.leaf, t: i.t, form: i.form})
	}
	if scope != query.ScopeSpan {
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
func compareSpanField(f query.Field, key string) int {
	if f.Scope != query.ScopeSpan {
		return bytes.Compare([]byte(f.Scope.String()), []byte(query.ScopeSpan.String()))
	}
	switch {
	case f.Key < key:
		return -1
	case f.Key > key:
		return 1
	}
	return 0
}

// Traces implements query.Segment.
func (s *segment) Traces(ctx context.Context) (*query.Traces, error) {
	key := cacheKey{s.b.meta.ID, s.group, cacheTraces}
	if t, ok := s.b.cache.get(key).(*query.Traces); ok {
		return t, nil
	}
	return s.readTraces(ctx, nil)
}

// readTraces reads the column of trace ids, some of whose bytes may be in memory.
func (s *segment) readTraces(ctx context.Context, near *regions) (*query.Traces, error) {
	var v query.Vector
	err := s.readNear(ctx, ColTraceID, nil, near, func(r *raw) error {
		r.vector(query.Bytes, &v)
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
func (s *segment) tracesOf(v *query.Vector) (*query.Traces, error) {
	if v.Dict == nil || len(v.Codes) != s.info.Rows {
		return nil, fmt.Errorf("%w: trace ids without dictionary", pq.ErrDamaged)
	}
	t := &query.Traces{IDs: make([]trace.ID, 0, v.Dict.Len()), Offsets: make([]uint32, 0, v.Dict.Len()+1)}
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

// Find implements query.Segment. A trace that is not here costs no read, thanks to
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
func AppendTrace(ctx context.Context, s query.Segment, id trace.ID, out *trace.Builder) error {
	rows, err := s.Find(ctx, id, nil)
	if err != nil || len(rows) == 0 {
		return err
	}
	resources, err := s.Table(ctx, query.ScopeResource)
	if err != nil {
		return err
	}
	scopes, err := s.Table(ctx, query.ScopeInstrumentation)
	if err != nil {
		return err
	}
	lastRes, lastScope := -1, -1
	return s.Spans(ctx, rows, func(r query.RawSpan) error {
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
