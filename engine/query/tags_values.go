package query

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// TagValuesRequest asks which values an attribute or intrinsic has.
type TagValuesRequest struct {
	Tag string // a TraceQL identifier: resource.service.name, .x, name, span:name
	// Query limits the answer to spans that match it. Conditions that cannot be read are left out, so that somebody who
	// writes a query can be offered values: { resource.service.name = "cart" && span.http.method = }.
	Query      string
	Start, End int64 // Unix ns; only segments with a span in [Start, End]; 0 = open
	Limit      int   // most values; 0 = no limit
	MaxStale   int   // stop after so many known values in a row; 0 = never
	MaxBytes   int   // most bytes of all values together; 0 = no limit
	Tenant     string
}

// TagValuesResult is an answer, or a part of one. Of more values than the bounds allow it has the first in their order.
type TagValuesResult struct {
	Values  []TagValue // in the order of Compare
	Next    *TagValue  // the first value that was left out because of Limit or MaxBytes; nil = none was
	Cut     bool       // values were left out because of MaxBytes
	Stats   Stats
	Partial []string // what is missing and why; empty = nothing but what Cut says

	Limit, MaxBytes int // as asked for, so that Merge knows them
}

// TagType is the type of a [TagValue].
type TagType uint8

// The types of values, in their order. TagKeyword is a word of TraceQL, a status or a kind.
const (
	TagString TagType = iota
	TagInt
	TagFloat
	TagBool
	TagDuration
	TagKeyword
	tagTypes // how many there are
)

var tagTypeNames = [...]string{"string", "int", "float", "bool", "duration", "keyword"}

// String is the name in the API.
func (t TagType) String() string {
	if t < tagTypes {
		return tagTypeNames[t]
	}
	return "invalid"
}

// TagValue is one value. Values are equal when they are ==.
type TagValue struct {
	Type TagType
	Str  string // of TagString and TagKeyword
	Num  int64  // of the others: the number, 0 or 1, ns, or the bits of the float
}

// Text is the value as the API shows it.
func (v TagValue) Text() string {
	switch v.Type {
	case TagInt:
		return strconv.FormatInt(v.Num, 10)
	case TagFloat:
		return strconv.FormatFloat(v.float(), 'g', -1, 64)
	case TagBool:
		return strconv.FormatBool(v.Num != 0)
	case TagDuration:
		return traceql.Static{Type: traceql.TypeDuration, Int: v.Num}.String()
	}
	return v.Str
}

func (v TagValue) float() float64 { return math.Float64frombits(uint64(v.Num)) }

// Compare orders values by type and then by size or by bytes.
func (v TagValue) Compare(o TagValue) int {
	if v.Type != o.Type {
		return cmp.Compare(v.Type, o.Type)
	}
	if v.Type == TagFloat {
		if c := cmp.Compare(v.float(), o.float()); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(v.Num, o.Num), cmp.Compare(v.Str, o.Str))
}

// tagValueOf is a single value as it is listed; ok is false for what a query cannot compare.
func tagValueOf(v value) (out TagValue, ok bool) {
	switch v.typ {
	case traceql.TypeString:
		return TagValue{Type: TagString, Str: string(v.s)}, true
	case traceql.TypeInt:
		return TagValue{Type: TagInt, Num: v.n}, true
	case traceql.TypeFloat:
		return TagValue{Type: TagFloat, Num: int64(math.Float64bits(v.f))}, true
	case traceql.TypeBool:
		return TagValue{Type: TagBool, Num: v.n}, true
	case traceql.TypeDuration:
		return TagValue{Type: TagDuration, Num: v.n}, true
	case traceql.TypeStatus:
		return TagValue{Type: TagKeyword, Str: traceql.StatusName(v.n)}, true
	case traceql.TypeKind:
		return TagValue{Type: TagKeyword, Str: traceql.KindName(v.n)}, true
	}
	return TagValue{}, false
}

// TagValues lists the values of a tag, on the calling goroutine. Without a filter only dictionaries are read where there
// are any. Of .x the values are those of the span attribute and those of the resource attribute. Ids and nested-set
// numbers have no values to offer. A source that fails makes the answer partial; the end of ctx is an error. A tag that
// cannot be read gives a *traceql.Error or an *UnsupportedError.
func TagValues(ctx context.Context, sources []columnar.Source, req TagValuesRequest) (*TagValuesResult, error) {
	attr, err := parseTag(req.Tag)
	if err != nil {
		return nil, err
	}
	f, err := newTagFilter(ctx, req.Query, req.Start, req.End)
	if err != nil {
		return nil, err
	}
	f.traces = f.traces || attr.Intrinsic == traceql.TraceDuration || attr.Intrinsic == traceql.ChildCount
	res := &TagValuesResult{Limit: req.Limit, MaxBytes: req.MaxBytes}
	c := valueCollector{
		attr: attr, maxStale: req.MaxStale, seen: smallest{limit: req.Limit, maxBytes: req.MaxBytes},
		tables: make(map[*columnar.Table]struct{}), dicts: make(map[*columnar.Dict]struct{}), ctx: ctx, mem: BudgetFrom(ctx).Part(),
	}
	if !identifies(attr.Intrinsic) {
		if res.Partial, err = f.each(ctx, sources, &res.Stats, c.visit); err != nil {
			return nil, err
		}
	}
	if err := c.seen.trim(ctx); err != nil {
		return nil, err
	}
	if err := c.mem.Set(c.seen.size()); err != nil {
		return nil, err
	}
	res.Values, res.Next, res.Cut = c.seen.list, c.seen.over, c.seen.cutByBytes()
	return res, nil
}

// parseTag reads an attribute or intrinsic of the span itself.
func parseTag(tag string) (*traceql.Attr, error) {
	a, err := traceql.ParseAttr(tag)
	if err != nil {
		return nil, fmt.Errorf("tag %q: %w", tag, err)
	}
	if a.Parent || a.Intrinsic == traceql.ParentSpan {
		return nil, &UnsupportedError{"values of the parent span alone; leave out parent to get those of any span"}
	}
	return a, nil
}

// identifies reports intrinsics that are different for every span.
func identifies(i traceql.Intrinsic) bool {
	switch i {
	case traceql.SpanID, traceql.ParentID, traceql.TraceID, traceql.LinkTraceID, traceql.LinkSpanID,
		traceql.NestedSetLeft, traceql.NestedSetRight, traceql.NestedSetParent:
		return true
	}
	return false
}

// Size is about the memory of the answer, in bytes.
func (r *TagValuesResult) Size() int64 {
	n := int64(0)
	for i := range r.Values {
		n += r.Values[i].size()
	}
	return n
}

// size is about the memory of a value in a list.
func (v *TagValue) size() int64 { return sizeTagValue + int64(len(v.Str)) }

// Merge adds another part of the answer; the memory of both is used afterwards.
func (r *TagValuesResult) Merge(o *TagValuesResult) {
	_ = r.MergeUntil(context.Background(), o) // which does not end
}

// MergeUntil is Merge unless ctx ends first; then it is its error, and r is of no use.
func (r *TagValuesResult) MergeUntil(ctx context.Context, o *TagValuesResult) error {
	r.Stats.add(o.Stats)
	r.Partial = append(r.Partial, o.Partial...)
	r.Limit, r.MaxBytes = tighter(r.Limit, o.Limit), tighter(r.MaxBytes, o.MaxBytes)
	all := smallest{limit: r.Limit, maxBytes: r.MaxBytes, list: append(r.Values, o.Values...), over: r.Next}
	if all.over == nil || o.Next != nil && o.Next.Compare(*all.over) < 0 {
		all.over = o.Next
	}
	err := all.trim(ctx)
	r.Values, r.Next, r.Cut = all.list, all.over, all.cutByBytes()
	return err
}

// smallest keeps the smallest of the values added, as many as the bounds allow: so the same ones are kept in whatever
// parts and order they come.
type smallest struct {
	limit, maxBytes int // 0 = no bound
	list            []TagValue
	have            map[TagValue]struct{}
	bytes           int       // about what list holds
	over            *TagValue // the smallest one left out; nil = none
}

// room is how far list may grow over the bounds before it is trimmed.
const room = 1024

// add reports whether the value is a new one that has room. The error is the end of ctx.
func (s *smallest) add(ctx context.Context, v TagValue) (fresh bool, err error) {
	if s.over != nil && v.Compare(*s.over) >= 0 {
		return false, nil
	}
	if _, ok := s.have[v]; ok {
		return false, nil
	}
	if s.have == nil {
		s.have = make(map[TagValue]struct{})
	}
	s.have[v] = struct{}{}
	s.list = append(s.list, v)
	s.bytes += len(v.Text())
	if s.limit > 0 && len(s.list) > 2*s.limit+room || s.maxBytes > 0 && s.bytes > 2*s.maxBytes+room {
		if err := s.trim(ctx); err != nil {
			return true, err
		}
		clear(s.have)
		for i, v := range s.list {
			if i&(often-1) == 0 && ctx.Err() != nil {
				return true, ctx.Err()
			}
			s.have[v] = struct{}{}
		}
	}
	return true, nil
}

// knows reports a string that add would say no to. It makes no copy of it.
func (s *smallest) knows(b []byte) bool {
	if s.over != nil && s.over.Type == TagString && string(b) >= s.over.Str {
		return true
	}
	_, ok := s.have[TagValue{Type: TagString, Str: string(b)}]
	return ok
}

// size is about the memory of the values, in bytes.
func (s *smallest) size() int64 { return 3*sizeTagValue*int64(len(s.list)) + int64(s.bytes) }

// trim sorts, drops doubles and keeps the bounds, unless ctx ends first.
func (s *smallest) trim(ctx context.Context) error {
	if err := sortUntil(ctx, s.list, TagValue.Compare); err != nil {
		return err
	}
	s.list = slices.Compact(s.list)
	n := 0
	for s.bytes = 0; n < len(s.list); n++ {
		size := len(s.list[n].Text())
		if s.over != nil && s.list[n].Compare(*s.over) >= 0 {
			break
		}
		if s.limit > 0 && n == s.limit || s.maxBytes > 0 && s.bytes+size > s.maxBytes {
			over := s.list[n]
			s.over = &over
			break
		}
		s.bytes += size
	}
	clear(s.list[n:])
	s.list = s.list[:n]
	return nil
}

// cutByBytes reports, after trim, that something was left out that the limit had room for.
func (s *smallest) cutByBytes() bool {
	return s.over != nil && (s.limit == 0 || len(s.list) < s.limit)
}
