package query

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// TagsRequest asks which attribute keys there are.
type TagsRequest struct {
	Scope      columnar.Scope // only keys of this scope; ScopeNone = of all scopes, and the names of intrinsics
	Query      string         // only keys of spans that match; may be half typed, see [TagValuesRequest]
	Start, End int64          // Unix ns; only segments with a span in [Start, End]; 0 = open
	Limit      int            // most keys of a scope; 0 = no limit
	MaxStale   int            // stop after so many known keys in a row; 0 = never
	MaxBytes   int            // most bytes of all keys together; 0 = no limit
	Tenant     string
}

// TagsResult is an answer, or a part of one. Of more keys of a scope than Limit it has the first by name; which ones are
// left out because of MaxBytes may depend on the parts.
type TagsResult struct {
	Scopes  []ScopeTags // those with keys; intrinsics, which are always the same, come last
	Cut     bool        // keys were left out because of MaxBytes
	Stats   Stats
	Partial []string // what is missing and why; empty = nothing but what Cut says

	Limit, MaxBytes int // as asked for, so that Merge knows them
}

// ScopeTags is the keys of one scope.
type ScopeTags struct {
	Scope columnar.Scope
	Tags  []string // sorted
}

// IntrinsicTags lists the names of intrinsics that are worth offering to somebody who writes a query, sorted. Ids and
// nested-set numbers are not among them.
func IntrinsicTags() []string {
	return []string{
		"duration", "event:name", "event:timeSinceStart", "instrumentation:name", "instrumentation:version", "kind", "name",
		"rootName", "rootServiceName", "span:duration", "span:kind", "span:name", "span:status", "span:statusMessage", "status",
		"statusMessage", "trace:duration", "trace:rootName", "trace:rootService", "traceDuration",
	}
}

// Tags lists attribute keys, on the calling goroutine. Without a filter no data page is read: keys that lie in a
// segment count. A source that fails makes the answer partial; the end of ctx is an error.
func Tags(ctx context.Context, sources []columnar.Source, req TagsRequest) (*TagsResult, error) {
	f, err := newTagFilter(ctx, req.Query, req.Start, req.End)
	if err != nil {
		return nil, err
	}
	res := &TagsResult{Limit: req.Limit, MaxBytes: req.MaxBytes}
	c := tagCollector{req: &req, seen: make(map[colKey]struct{}), tables: make(map[*columnar.Table]struct{}), mem: BudgetFrom(ctx)}
	if req.Scope != columnar.ScopeIntrinsic {
		if res.Partial, err = f.each(ctx, sources, &res.Stats, c.visit); err != nil {
			return nil, err
		}
	}
	if c.wants(columnar.ScopeIntrinsic) {
		for _, name := range IntrinsicTags() {
			c.add(columnar.ScopeIntrinsic, []byte(name))
		}
	}
	for k := range c.seen {
		res.put(k.scope, k.key)
	}
	res.trim()
	return res, nil
}

// put adds a key, which is not there yet, in any place.
func (r *TagsResult) put(scope columnar.Scope, key string) {
	for i := range r.Scopes {
		if r.Scopes[i].Scope == scope {
			r.Scopes[i].Tags = append(r.Scopes[i].Tags, key)
			return
		}
	}
	r.Scopes = append(r.Scopes, ScopeTags{scope, []string{key}})
}

// Merge adds another part of the answer; the memory of both is used afterwards.
func (r *TagsResult) Merge(o *TagsResult) {
	r.Stats.add(o.Stats)
	r.Partial = append(r.Partial, o.Partial...)
	r.Cut = r.Cut || o.Cut
	r.Limit, r.MaxBytes = tighter(r.Limit, o.Limit), tighter(r.MaxBytes, o.MaxBytes)
	for _, from := range o.Scopes {
		i := slices.IndexFunc(r.Scopes, func(s ScopeTags) bool { return s.Scope == from.Scope })
		if i < 0 {
			r.Scopes = append(r.Scopes, from)
			continue
		}
		r.Scopes[i].Tags = append(r.Scopes[i].Tags, from.Tags...)
	}
	r.trim()
}

// rank is the place of a scope in answers.
func rank(s columnar.Scope) int {
	if s == columnar.ScopeIntrinsic {
		return 1 << 8
	}
	return int(s)
}

// tighter is the smaller of two bounds; 0 is none.
func tighter(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// trim sorts, drops doubles and keeps the bounds.
func (r *TagsResult) trim() {
	slices.SortFunc(r.Scopes, func(a, b ScopeTags) int { return cmp.Compare(rank(a.Scope), rank(b.Scope)) })
	left := r.MaxBytes
	for i := range r.Scopes {
		tags := r.Scopes[i].Tags
		slices.Sort(tags)
		tags = slices.Compact(tags)
		if r.Limit > 0 && len(tags) > r.Limit {
			tags = tags[:r.Limit]
		}
		if r.MaxBytes > 0 {
			n := 0
			for n < len(tags) && left >= len(tags[n]) {
				left -= len(tags[n])
				n++
			}
			if n < len(tags) {
				r.Cut, tags, left = true, tags[:n], -1
			}
		}
		r.Scopes[i].Tags = tags
	}
	r.Scopes = slices.DeleteFunc(r.Scopes, func(s ScopeTags) bool { return len(s.Tags) == 0 })
}

// tagCollector gathers keys.
type tagCollector struct {
	req    *TagsRequest
	seen   map[colKey]struct{}
	tables map[*columnar.Table]struct{} // of which every entry was looked at
	vec    columnar.Vector
	stale  int // known keys since the last new one
	mem    *Budget
	err    error // of mem
}

func (c *tagCollector) wants(scope columnar.Scope) bool {
	return c.req.Scope == columnar.ScopeNone || c.req.Scope == scope
}

func (c *tagCollector) add(scope columnar.Scope, key []byte) (fresh bool) {
	if _, ok := c.seen[colKey{scope, string(key)}]; ok {
		c.stale++
		return false
	}
	if err := c.mem.Take(3*sizeTagValue + int64(len(key))); err != nil {
		c.err = err
		return false
	}
	c.seen[colKey{scope, string(key)}] = struct{}{}
	c.stale = 0
	return true
}

func (c *tagCollector) done() bool {
	return c.err != nil || c.req.MaxStale > 0 && c.stale >= c.req.MaxStale
}

// visit adds the keys of the rows, nil = all there are in the segment.
func (c *tagCollector) visit(s *scan, rows columnar.Bitmap) (done bool, err error) {
	for _, scope := range [...]columnar.Scope{columnar.ScopeResource, columnar.ScopeInstrumentation} {
		if c.wants(scope) {
			if err := c.tableKeys(s, scope, rows); err != nil {
				return false, err
			}
		}
	}
	if rows == nil {
		for i := range s.info.Fields {
			f := &s.info.Fields[i]
			if f.Type != columnar.Nil && c.wants(f.Scope) && !c.done() {
				c.add(f.Scope, []byte(f.Key))
			}
		}
		return c.done(), c.err
	}
	if c.wants(columnar.ScopeSpan) {
		if err := c.spanKeys(s, rows); err != nil {
			return false, err
		}
	}
	for _, x := range [...]struct {
		scope columnar.Scope
		key   string
	}{{columnar.ScopeEvent, columnar.KeyEvents}, {columnar.ScopeLink, columnar.KeyLinks}} {
		if c.wants(x.scope) {
			if err := c.nestedKeys(s, x.scope, x.key, rows); err != nil {
				return false, err
			}
		}
	}
	return c.done(), c.err
}

// tableKeys adds the keys of resources or instrumentation scopes.
func (c *tagCollector) tableKeys(s *scan, scope columnar.Scope, rows columnar.Bitmap) error {
	t, err := s.table(scope)
	if err != nil {
		return err
	}
	if _, ok := c.tables[t]; ok {
		return nil
	}
	used, err := s.usedEntries(t, scope, rows)
	if err != nil {
		return err
	}
	for i := range t.Len() {
		if err := s.ctx.Err(); i&63 == 0 && err != nil {
			return err
		}
		if used != nil && !used.Has(uint32(i)) {
			continue
		}
		if c.attrs(scope, t.Attrs(i)); c.done() {
			return nil
		}
	}
	if rows == nil {
		c.tables[t] = struct{}{}
	}
	return nil
}

// attrs adds the keys of attributes that have a value. It says how many were new.
func (c *tagCollector) attrs(scope columnar.Scope, attrs []trace.Attr) (fresh int) {
	for i := range attrs {
		if attrs[i].Value.Kind != trace.KindEmpty && firstOf(attrs, i) && c.add(scope, attrs[i].Key) {
			fresh++
		}
	}
	return fresh
}

// usedEntries is the set of the table's entries that the rows have; nil rows and nil = all.
func (s *scan) usedEntries(t *columnar.Table, scope columnar.Scope, rows columnar.Bitmap) (columnar.Bitmap, error) {
	if rows == nil {
		return nil, nil
	}
	key := columnar.KeyResource
	if scope == columnar.ScopeInstrumentation {
		key = columnar.KeyScope
	}
	v, err := s.intrinsic(key, rows)
	if err != nil {
		return nil, err
	}
	used := columnar.NewBitmap(t.Len())
	for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
		used.Set(v.Codes[row])
	}
	return used, nil
}

// spanKeys reads the columns of the keys that are not known yet until one of the rows has a value.
func (c *tagCollector) spanKeys(s *scan, rows columnar.Bitmap) error {
	for i := range s.info.Fields {
		f := &s.info.Fields[i]
		if f.Scope != columnar.ScopeSpan || f.Type == columnar.Nil {
			continue
		}
		if _, known := c.seen[colKey{columnar.ScopeSpan, f.Key}]; known {
			continue
		}
		for _, col := range s.columns(columnar.ScopeSpan, f.Key).cols {
			found := col.Stats().Values == s.n
			if !found {
				c.vec.Reset()
				if err := col.Read(s.ctx, rows, &c.vec); err != nil {
					return err
				}
				found = c.vec.AnyOf(rows)
			}
			if found {
				c.add(columnar.ScopeSpan, []byte(f.Key))
				break
			}
		}
	}
	return nil
}

// nestedKeys decodes events or links of the rows until all keys of the segment are known.
func (c *tagCollector) nestedKeys(s *scan, scope columnar.Scope, column string, rows columnar.Bitmap) error {
	unknown := map[string]struct{}{}
	for i := range s.info.Fields {
		f := &s.info.Fields[i]
		if f.Scope != scope || f.Type == columnar.Nil {
			continue
		}
		if _, known := c.seen[colKey{scope, f.Key}]; !known {
			unknown[f.Key] = struct{}{}
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	v, err := s.optional(column, rows)
	if err != nil || v == nil {
		return err
	}
	left := len(unknown)
	for row, ok := rows.Next(0); ok && left > 0 && !c.done(); row, ok = rows.Next(row + 1) {
		if err := s.step(); err != nil {
			return err
		}
		left -= c.nested(scope, v.Text(row))
	}
	return nil
}

// nested adds the keys of one span's events or links. What is malformed ends them; it was checked when it came in.
func (c *tagCollector) nested(scope columnar.Scope, blob []byte) (fresh int) {
	if scope == columnar.ScopeLink {
		for l, err := range trace.EachLink(blob) {
			if err != nil {
				break
			}
			fresh += c.attrs(scope, l.Attrs)
		}
		return fresh
	}
	for e, err := range trace.EachEvent(blob) {
		if err != nil {
			break
		}
		fresh += c.attrs(scope, e.Attrs)
	}
	return fresh
}

// firstOf reports that no attribute before i has its key.
func firstOf(attrs []trace.Attr, i int) bool {
	for k := range i {
		if bytes.Equal(attrs[k].Key, attrs[i].Key) {
			return false
		}
	}
	return true
}
