package query_test

import (
	"context"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/traceql"
)

// tagLines is the answer in the form of Twin.Tags, without intrinsics.
func tagLines(r *query.TagsResult) []string {
	var out []string
	for _, s := range r.Scopes {
		for _, tag := range s.Tags {
			if s.Scope != columnar.ScopeIntrinsic {
				out = append(out, s.Scope.String()+" "+tag)
			}
		}
	}
	slices.Sort(out)
	return out
}

// valueLines is the answer in the form of Twin.TagValues.
func valueLines(r *query.TagValuesResult) []string {
	var out []string
	for _, v := range r.Values {
		out = append(out, v.Type.String()+" "+v.Text())
	}
	slices.Sort(out)
	return out
}

var tagsOfRandom = []string{
	".a", ".b", "span.a", "span.rare", "span.svc", "resource.a", "resource.service.name", "resource.region", "instrumentation.a",
	"event.a", "link.a", "name", "status", "kind", "statusMessage", "duration", "traceDuration", "span:childCount", "event:name",
	"event:timeSinceStart", "instrumentation:name", "instrumentation:version", ".nowhere", "event.nowhere",
}

// randomSpanset is a filter, at times one that looks at whole traces, or none.
func randomSpanset(r *rand.Rand) string {
	switch r.Intn(5) {
	case 0:
		return ""
	case 1:
		return querytest.RandomQuery(r)
	}
	return "{ " + querytest.RandomFilter(r, r.Intn(3)) + " }"
}

func TestTagsAgainstTwin(t *testing.T) {
	ctx := context.Background()
	filtered := 0
	for seed := range int64(30) {
		r := rand.New(rand.NewSource(seed))
		otlp := querytest.Random(seed, 20)
		twin, err := querytest.NewTwin(otlp)
		if err != nil {
			t.Fatal(err)
		}
		sources := spread(t, r, otlp)
		for i := range sources {
			if r.Intn(3) == 0 {
				sources[i] = sharedDicts{sources[i].Segments()[0]}
			}
		}
		for range 40 {
			text, q := randomSpanset(r), (*traceql.Query)(nil)
			if text != "" {
				if q, err = traceql.Parse(text); err != nil || bareAtEnd(q) {
					continue
				}
				if _, err := query.Prepare(query.SearchRequest{Query: text}); err != nil {
					continue // not evaluated: lists everything
				}
			}
			want, err := twin.Tags(q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := query.Tags(ctx, sources, query.TagsRequest{Query: text})
			if err != nil || len(got.Partial) > 0 {
				t.Fatalf("seed %d: %s: %v, %v", seed, text, err, got.Partial)
			}
			if lines := tagLines(got); !slices.Equal(lines, want) {
				t.Fatalf("seed %d: tags of %s:\n got %q\nwant %q", seed, text, lines, want)
			}
			tag := tagsOfRandom[r.Intn(len(tagsOfRandom))]
			a, err := traceql.ParseAttr(tag)
			if err != nil {
				t.Fatal(err)
			}
			if want, err = twin.TagValues(q, a); err != nil {
				t.Fatal(err)
			}
			values, err := query.TagValues(ctx, sources, query.TagValuesRequest{Tag: tag, Query: text})
			if err != nil || len(values.Partial) > 0 {
				t.Fatalf("seed %d: %s of %s: %v, %v", seed, tag, text, err, values.Partial)
			}
			if lines := valueLines(values); !slices.Equal(lines, want) {
				t.Fatalf("seed %d: %s of %s:\n got %q\nwant %q", seed, tag, text, lines, want)
			}
			if text != "" && len(want) > 0 {
				filtered++
			}
		}
	}
	if filtered < 100 {
		t.Errorf("only %d filters with an answer", filtered)
	}
}

// bareAtEnd reports a filter that ends in an attribute alone, which counts as half typed.
func bareAtEnd(q *traceql.Query) bool {
	if len(q.Pipeline.Stages) != 1 {
		return false
	}
	f, ok := q.Pipeline.Stages[0].(*traceql.Filter)
	if !ok {
		return false
	}
	x := f.Expr
	for {
		b, ok := x.(*traceql.Binary)
		if !ok || !b.Op.Boolean() {
			break
		}
		x = b.Right
	}
	_, bare := x.(*traceql.Attr)
	return bare
}

// sharedDicts is a segment whose dictionaries have entries that no row has.
type sharedDicts struct{ columnar.Segment }

func (sharedDicts) Name() string                   { return "shared" }
func (s sharedDicts) Segments() []columnar.Segment { return []columnar.Segment{s} }

func (s sharedDicts) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	from := len(dst)
	dst = s.Segment.Columns(dst, scope, key)
	for i := from; i < len(dst); i++ {
		dst[i] = sharedColumn{dst[i]}
	}
	return dst
}

type sharedColumn struct{ columnar.Column }

func withMore(d *columnar.Dict) *columnar.Dict {
	if d == nil || d.Offsets == nil {
		return d
	}
	more := *d
	more.Arena = append(slices.Clone(d.Arena[:d.Offsets[len(d.Offsets)-1]]), "nobody"...)
	more.Arena = append(more.Arena, make([]byte, d.Gap)...)
	more.Offsets = append(slices.Clone(d.Offsets), uint32(len(more.Arena)))
	more.Sorted, more.Shared = false, true
	return &more
}

func (c sharedColumn) Dict(ctx context.Context) (*columnar.Dict, error) {
	d, err := c.Column.Dict(ctx)
	return withMore(d), err
}

func (c sharedColumn) Read(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) error {
	err := c.Column.Read(ctx, within, dst)
	dst.Dict = withMore(dst.Dict)
	return err
}

// TestBoundedTagsAreTheFirst asks for few values in parts and expects the first of all, however the parts are merged.
func TestBoundedTagsAreTheFirst(t *testing.T) {
	ctx := context.Background()
	for seed := range int64(40) {
		r := rand.New(rand.NewSource(seed))
		sources := spread(t, r, querytest.Random(seed, 30))
		for _, tag := range tagsOfRandom {
			if tag == "traceDuration" || tag == "span:childCount" {
				continue // not the same in the parts of a trace
			}
			all, err := query.TagValues(ctx, sources, query.TagValuesRequest{Tag: tag})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSortedFunc(all.Values, query.TagValue.Compare) {
				t.Fatalf("seed %d: %s: not sorted: %v", seed, tag, all.Values)
			}
			req := query.TagValuesRequest{Tag: tag, Limit: r.Intn(6), MaxBytes: r.Intn(30)}
			want, bytes := []query.TagValue(nil), 0
			for _, v := range all.Values {
				bytes += len(v.Text())
				if req.Limit > 0 && len(want) == req.Limit || req.MaxBytes > 0 && bytes > req.MaxBytes {
					break
				}
				want = append(want, v)
			}
			cut := len(want) < len(all.Values) && (req.Limit == 0 || len(want) < req.Limit)
			got := new(query.TagValuesResult)
			for _, i := range r.Perm(len(sources)) {
				part, err := query.TagValues(ctx, sources[i:i+1], req)
				if err != nil {
					t.Fatal(err)
				}
				b, err := part.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				var came query.TagValuesResult
				if err := came.UnmarshalBinary(b); err != nil {
					t.Fatal(err)
				}
				got.Merge(&came)
			}
			if len(got.Values) != len(want) || len(want) > 0 && !reflect.DeepEqual(got.Values, want) || got.Cut != cut {
				t.Fatalf("seed %d: %s, limit %d, %d bytes: got %v %v, want %v %v", seed, tag, req.Limit, req.MaxBytes, got.Values, got.Cut, want, cut)
			}
		}
		all, err := query.Tags(ctx, sources, query.TagsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		limit, merged := 1+r.Intn(5), new(query.TagsResult)
		for i := range sources {
			part, err := query.Tags(ctx, sources[i:i+1], query.TagsRequest{Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			merged.Merge(part)
		}
		for i, s := range all.Scopes {
			if want := s.Tags[:min(limit, len(s.Tags))]; !slices.Equal(merged.Scopes[i].Tags, want) {
				t.Fatalf("seed %d: first %d tags of %s: %q, want %q", seed, limit, s.Scope, merged.Scopes[i].Tags, want)
			}
		}
	}
}
