package query

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// TagsRequest asks for the names of attributes.
type TagsRequest struct {
	Scope      string // span, resource, event, link, instrumentation, intrinsic; empty or none = all
	Query      string // only of spans that match this spanset; empty = all
	Start, End int64  // Unix ns; 0 = open
	Limit      int    // most names per scope; 0 = no bound
	Tenant     string
}

// TagsResult is the names found, or a part of them.
type TagsResult struct {
	Scopes  []TagScope // sorted by name
	Stats   Stats
	Partial []string
}

// TagScope is the names of one scope, sorted.
type TagScope struct {
	Name string
	Tags []string
}

// intrinsicTags are the names of scope intrinsic.
var intrinsicTags = [...]string{"duration", "event:name", "event:timeSinceStart", "instrumentation:name", "instrumentation:version", "kind",
	"link:spanID", "link:traceID", "name", "rootName", "rootServiceName", "span:childCount", "span:duration", "span:id", "span:kind",
	"span:name", "span:parentID", "span:status", "span:statusMessage", "status", "statusMessage", "trace:duration", "trace:id",
	"trace:rootName", "trace:rootService", "traceDuration"}

// Tags lists the attributes of the sources. A source that fails makes the answer partial.
func Tags(ctx context.Context, sources []Source, req TagsRequest) (*TagsResult, error) {
	scope := req.Scope
	if scope == "none" {
		scope = ""
	}
	if scope != "" && !validTagScope(scope) {
		return nil, &UnsupportedError{"scope " + strconv.Quote(scope) + "; scopes are resource, span, intrinsic, event, link, instrumentation, none"}
	}
	filter, err := newFilter(req.Query)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]struct{}{}
	add := func(f Field) {
		name := f.Scope.String()
		if scope != "" && name != scope {
			return
		}
		if found[name] == nil {
			found[name] = map[string]struct{}{}
		}
		found[name][f.Key] = struct{}{}
	}
	res := &TagsResult{}
	each := func(seg Segment) error {
		if filter == nil {
			for _, f := range seg.Info().Fields {
				add(f)
			}
			return nil
		}
		return filter.fields(ctx, seg, add)
	}
	if err := res.Stats.eachSegment(ctx, sources, req.Start, req.End, &res.Partial, each); err != nil {
		return nil, err
	}
	for name, tags := range found {
		res.Scopes = append(res.Scopes, TagScope{name, sortedKeys(tags)})
	}
	if scope == "" || scope == "intrinsic" {
		res.Scopes = append(res.Scopes, TagScope{"intrinsic", slices.Clone(intrinsicTags[:])})
	}
	sort.Slice(res.Scopes, func(i, j int) bool { return res.Scopes[i].Name < res.Scopes[j].Name })
	res.limit(req.Limit)
	return res, nil
}

func validTagScope(s string) bool {
	return slices.Contains([]string{"resource", "span", "intrinsic", "event", "link", "instrumentation"}, s)
}

func sortedKeys(m map[string]struct{}) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func (r *TagsResult) limit(n int) {
	for i := range r.Scopes {
		if n > 0 && len(r.Scopes[i].Tags) > n {
			r.Scopes[i].Tags = r.Scopes[i].Tags[:n]
		}
	}
}

// eachSegment calls f for every segment with a span in the range.
func (s *Stats) eachSegment(ctx context.Context, sources []Source, start, end int64, partial *[]string, f func(Segment) error) error {
	meter := &Meter{}
	for _, src := range sources {
		for _, seg := range src.Segments() {
			info := seg.Info()
			if info.Rows == 0 || start != 0 && info.End < start || end != 0 && info.Start > end {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			s.Segments++
			if err := f(seg); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				*partial = append(*partial, src.Name()+": "+err.Error())
			}
		}
	}
	bytes, reads := meter.Total()
	s.Bytes, s.Reads = s.Bytes+bytes, s.Reads+reads
	return nil
}

// Merge adds another part of the answer.
func (r *TagsResult) Merge(o *TagsResult) {
	r.Stats.add(o.Stats)
	r.Partial = append(r.Partial, o.Partial...)
	for _, sc := range o.Scopes {
		i, ok := slices.BinarySearchFunc(r.Scopes, sc.Name, func(a TagScope, name string) int { return strings.Compare(a.Name, name) })
		if !ok {
			r.Scopes = slices.Insert(r.Scopes, i, TagScope{Name: sc.Name})
		}
		r.Scopes[i].Tags = append(slices.Clone(r.Scopes[i].Tags), sc.Tags...)
		slices.Sort(r.Scopes[i].Tags)
		r.Scopes[i].Tags = slices.Compact(r.Scopes[i].Tags)
	}
}

// tagFilter is the condition of a request for tags or values.
type tagFilter struct{ pipe pipeStage }

// newFilter reads a condition leniently; nil matches everything.
func newFilter(text string) (*tagFilter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	q := traceql.ParseLenient(text)
	if q.String() == "{ }" {
		return nil, nil
	}
	pipe, err := newPipeline(q.Pipeline)
	return &tagFilter{pipe}, err
}

// rows evaluates the condition; s is ready afterwards. A nil filter gives all rows.
func (f *tagFilter) rows(ctx context.Context, s *scan, seg Segment) (Bitmap, error) {
	s.begin(ctx, seg, nil)
	all := s.bitmap()
	copy(all, s.live)
	if f == nil {
		return all, nil
	}
	share, err := f.pipe.share(s)
	if err != nil || share == 0 {
		return s.bitmap(), err
	}
	st, err := f.pipe.run(s, state{rows: all})
	return st.rows, err
}

// fields calls add for the attributes that the matching spans of a segment have.
func (f *tagFilter) fields(ctx context.Context, seg Segment, add func(Field)) error {
	var s scan
	rows, err := f.rows(ctx, &s, seg)
	if err != nil || rows.Empty() {
		return err
	}
	for _, x := range seg.Info().Fields {
		if x.Scope != ScopeSpan {
			continue
		}
		hit := s.bitmap()
		if err := s.present(s.columns(x.Scope, x.Key), rows, hit); err != nil {
			return err
		}
		if !hit.Empty() {
			add(x)
		}
		s.used--
	}
	for _, scope := range [...]Scope{ScopeResource, ScopeInstrumentation} {
		if err := s.tableFields(scope, rows, add); err != nil {
			return err
		}
	}
	return s.eventFields(rows, add)
}

// tableFields is the attributes of the resources (or scopes) of some rows.
func (s *scan) tableFields(scope Scope, rows Bitmap, add func(Field)) error {
	t, err := s.table(scope)
	if err != nil {
		return err
	}
	key := KeyResource
	if scope == ScopeInstrumentation {
		key = KeyScope
	}
	v, err := s.intrinsic(key, rows)
	if err != nil {
		return err
	}
	used := make([]bool, t.Len())
	for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
		used[v.Codes[row]] = true
	}
	for i, yes := range used {
		if yes {
			for k := range t.attrs[i] {
				add(Field{Scope: scope, Key: string(t.attrs[i][k].Key)})
			}
		}
	}
	return nil
}

func (s *scan) eventFields(rows Bitmap, add func(Field)) error {
	events, err := s.optional(KeyEvents, rows)
	if err != nil {
		return err
	}
	links, err := s.optional(KeyLinks, rows)
	if err != nil {
		return err
	}
	return s.eachRow(rows, s.bitmap(), func(row uint32) bool {
		if events != nil {
			for e, err := range trace.EachEvent(events.text(row)) {
				if err == nil {
					addAll(ScopeEvent, e.Attrs, add)
				}
			}
		}
		if links != nil {
			for l, err := range trace.EachLink(links.text(row)) {
				if err == nil {
					addAll(ScopeLink, l.Attrs, add)
				}
			}
		}
		return false
	})
}

func addAll(scope Scope, attrs []trace.Attr, add func(Field)) {
	for i := range attrs {
		add(Field{Scope: scope, Key: string(attrs[i].Key)})
	}
}

// TagValuesRequest asks for the values of an attribute.
type TagValuesRequest struct {
	Tag        string // an attribute or intrinsic in TraceQL: resource.service.name, .x, name
	Query      string // only of spans that match this spanset; empty = all
	Start, End int64  // Unix ns; 0 = open
	Limit      int    // most values; 0 = bounded by MaxBytes only
	MaxBytes   int    // most bytes of values; 0 = 1,000,000
	Tenant     string
}

const defaultValueBytes = 1_000_000

// TagValuesResult is the values found, or a part of them.
type TagValuesResult struct {
	Values    []TagValue // sorted by value, then type
	Truncated bool       // there are more
	Stats     Stats
	Partial   []string
}

// TagValue is one value as text. Type is string, int, float, bool, duration or keyword.
type TagValue struct{ Type, Value string }

func (v TagValue) compare(o TagValue) int {
	if c := strings.Compare(v.Value, o.Value); c != 0 {
		return c
	}
	return strings.Compare(v.Type, o.Type)
}

// Merge adds another part of the answer.
func (r *TagValuesResult) Merge(o *TagValuesResult) {
	r.Stats.add(o.Stats)
	r.Partial = append(r.Partial, o.Partial...)
	r.Truncated = r.Truncated || o.Truncated
	if len(o.Values) == 0 {
		return
	}
	r.Values = append(slices.Clone(r.Values), o.Values...)
	slices.SortFunc(r.Values, TagValue.compare)
	r.Values = slices.Compact(r.Values)
}

// valueSet collects distinct values up to a bound.
type valueSet struct {
	seen     map[TagValue]struct{}
	bytes    int
	maxBytes int
	limit    int
	full     bool
}

func (s *valueSet) add(v value) {
	switch {
	case v.list:
		for _, e := range v.elem {
			s.add(e)
		}
		return
	case !v.set || v.raw != nil || s.full:
		return
	}
	tv := tagValueOf(v)
	if _, ok := s.seen[tv]; ok {
		return
	}
	if s.bytes+len(tv.Value) > s.maxBytes || s.limit > 0 && len(s.seen) >= s.limit {
		s.full = true
		return
	}
	s.seen[tv] = struct{}{}
	s.bytes += len(tv.Value)
}

func tagValueOf(v value) TagValue {
	switch v.typ {
	case traceql.TypeString:
		return TagValue{"string", string(v.s)}
	case traceql.TypeFloat:
		return TagValue{"float", strconv.FormatFloat(v.f, 'g', -1, 64)}
	case traceql.TypeBool:
		return TagValue{"bool", strconv.FormatBool(v.n != 0)}
	case traceql.TypeDuration:
		return TagValue{"duration", time.Duration(v.n).String()}
	case traceql.TypeStatus:
		return TagValue{"keyword", traceql.StatusName(v.n)}
	case traceql.TypeKind:
		return TagValue{"keyword", traceql.KindName(v.n)}
	}
	return TagValue{"int", strconv.FormatInt(v.n, 10)}
}

// TagValues lists the values of an attribute. A source that fails makes the answer partial.
func TagValues(ctx context.Context, sources []Source, req TagValuesRequest) (*TagValuesResult, error) {
	a, err := traceql.ParseAttr(req.Tag)
	if err != nil {
		return nil, err
	}
	filter, err := newFilter(req.Query)
	if err != nil {
		return nil, err
	}
	set := &valueSet{seen: map[TagValue]struct{}{}, maxBytes: req.MaxBytes, limit: req.Limit}
	if set.maxBytes <= 0 {
		set.maxBytes = defaultValueBytes
	}
	res := &TagValuesResult{}
	if listable(a) {
		var s scan
		err = res.Stats.eachSegment(ctx, sources, req.Start, req.End, &res.Partial, func(seg Segment) error {
			if set.full {
				return nil
			}
			return filter.values(ctx, &s, seg, a, set)
		})
		if err != nil {
			return nil, err
		}
	}
	for v := range set.seen {
		res.Values = append(res.Values, v)
	}
	slices.SortFunc(res.Values, TagValue.compare)
	res.Truncated = set.full
	return res, nil
}

// listable reports attributes whose values are worth listing: not measures and ids.
func listable(a *traceql.Attr) bool {
	switch a.Intrinsic {
	case traceql.Duration, traceql.TraceDuration, traceql.EventTimeSinceStart, traceql.SpanID, traceql.ParentID, traceql.TraceID,
		traceql.LinkTraceID, traceql.LinkSpanID, traceql.ParentSpan, traceql.NestedSetLeft, traceql.NestedSetRight, traceql.NestedSetParent,
		traceql.ChildCount:
		return false
	}
	return true
}

func (f *tagFilter) values(ctx context.Context, s *scan, seg Segment, a *traceql.Attr, set *valueSet) error {
	if f == nil && !a.Parent {
		s.begin(ctx, seg, nil)
		if done, err := s.storedValues(a, set); done || err != nil {
			return err
		}
	}
	rows, err := f.rows(ctx, s, seg)
	if err != nil || rows.Empty() {
		return err
	}
	if a.Intrinsic == traceql.TraceRootName || a.Intrinsic == traceql.TraceRootService {
		return s.rootValues(a, rows, set)
	}
	c, err := s.labelColumn(a, rows)
	if err != nil {
		return err
	}
	used := make([]bool, len(c.values))
	for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
		used[c.number[c.codes[row]]] = true
	}
	for i, yes := range used {
		if yes {
			set.add(c.values[i])
		}
	}
	return nil
}

// rootValues looks at the traces of the rows.
func (s *scan) rootValues(a *traceql.Attr, rows Bitmap, set *valueSet) error {
	traces, err := s.tracesOf(rows)
	if err != nil {
		return err
	}
	get, err := s.traceGetter(a.Intrinsic)
	if err != nil {
		return err
	}
	for t, ok := traces.Next(0); ok; t, ok = traces.Next(t + 1) {
		set.add(get(t))
	}
	return nil
}

// storedValues takes the values from tables and dictionaries alone, where all of them are there.
func (s *scan) storedValues(a *traceql.Attr, set *valueSet) (done bool, err error) {
	switch {
	case a.Intrinsic == traceql.Name:
		return s.dictValues(s.columns(ScopeIntrinsic, KeyName), set)
	case a.Intrinsic == traceql.TraceRootName:
		return s.dictValues(s.columns(ScopeTrace, KeyTraceRootName), set)
	case a.Intrinsic == traceql.TraceRootService:
		return s.dictValues(s.columns(ScopeTrace, KeyTraceRootService), set)
	case a.Intrinsic != traceql.NotIntrinsic && a.Intrinsic != traceql.InstrumentationName && a.Intrinsic != traceql.InstrumentationVersion:
		return false, nil
	}
	span := a.Scope == traceql.ScopeSpan || a.Scope == traceql.ScopeNone && a.Intrinsic == traceql.NotIntrinsic
	if a.Scope == traceql.ScopeEvent || a.Scope == traceql.ScopeLink {
		return false, nil
	}
	if span {
		c := s.columns(ScopeSpan, a.Name)
		if len(c.cols) > 0 {
			if done, err := s.dictValues(c, set); !done || err != nil {
				return false, err
			}
		}
	}
	if a.Scope == traceql.ScopeSpan {
		return true, nil
	}
	t, err := s.table(tableScope(a))
	if err != nil {
		return false, err
	}
	for i := range t.Len() {
		set.add(tableValue(t, i, a))
	}
	return true, nil
}

func (s *scan) dictValues(c *colSet, set *valueSet) (done bool, err error) {
	if len(c.cols) == 0 {
		return false, nil
	}
	dicts := make([]*Dict, len(c.cols))
	for i, col := range c.cols {
		if dicts[i], err = col.Dict(s.ctx); err != nil || dicts[i] == nil || dicts[i].Shared {
			return false, err
		}
	}
	for i, d := range dicts {
		one := Vector{Dict: d, Codes: []uint32{0}}
		for code := 1; code <= d.Len() && !set.full; code++ {
			one.Codes[0] = uint32(code)
			set.add(one.single(0, c.cols[i].Type().Elem()))
		}
	}
	return true, nil
}
