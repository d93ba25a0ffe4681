package frontend

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/traceql"
)

// askTags answers a question for tags, with all scopes.
func (f *Frontend) askTags(r *http.Request, withQuery bool) (*peer.Answer, error) {
	tenants, err := f.tenants(r)
	if err != nil {
		return nil, err
	}
	v := values{Values: r.URL.Query()}
	limits := f.limitsOf(tenants)
	req := query.TagsRequest{Scope: v.scope(), MaxBytes: limits.tagBytes}
	req.Limit, req.MaxStale = v.tagBounds()
	if withQuery {
		req.Query = v.Get("q")
	}
	win := v.seconds()
	if v.err != nil {
		return nil, v.err
	}
	req.Start, req.End = win.start, win.end
	a, err := f.askAll(r.Context(), tenants, peer.Question{Tags: &req}, win)
	if err != nil {
		return nil, err
	}
	a.Missing = f.missingTags(append(a.Missing, a.Tags.Partial...), a.Tags.Cut, limits.tagBytes)
	return a, nil
}

// scope reads the scope of tags; none is all.
func (v *values) scope() columnar.Scope {
	text := v.Get("scope")
	switch text {
	case "", "none":
		return columnar.ScopeNone
	}
	scopes := []columnar.Scope{columnar.ScopeResource, columnar.ScopeSpan, columnar.ScopeIntrinsic, columnar.ScopeEvent, columnar.ScopeLink, columnar.ScopeInstrumentation}
	for _, s := range scopes {
		if s.String() == text {
			return s
		}
	}
	v.fail(bad("scope=%q: want resource, span, intrinsic, event, link, instrumentation or none", text))
	return columnar.ScopeNone
}

func (v *values) tagBounds() (limit, stale int) {
	return v.count("limit", 0, 0, math.MaxInt32), v.count("maxStaleValues", 0, 0, math.MaxInt32)
}

// missingTags is what an answer says about its gaps.
func (f *Frontend) missingTags(missing []string, cut bool, most int) []string {
	if cut {
		missing = append(missing, "only the first "+strconv.Itoa(most)+" bytes (max_bytes_per_tag_values_query)")
	}
	if len(missing) > 0 {
		f.metrics.partial.WithLabelValues("metadata").Inc()
	}
	return missing
}

// tagsV1 serves /api/search/tags: names alone, and intrinsics only when they are asked for.
func (f *Frontend) tagsV1(w http.ResponseWriter, r *http.Request) error {
	a, err := f.askTags(r, false)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range a.Tags.Scopes {
		if s.Scope != columnar.ScopeIntrinsic || r.URL.Query().Get("scope") == s.Scope.String() {
			names = append(names, s.Tags...)
		}
	}
	slices.Sort(names)
	b := append([]byte(nil), `{"tagNames":`...)
	b = appendStrings(b, slices.Compact(names))
	return write(w, typeJSON, endTags(b, &a.Tags.Stats, a.Missing))
}

// tagsV2 serves /api/v2/search/tags: names by scope, on request only of spans that match a filter.
func (f *Frontend) tagsV2(w http.ResponseWriter, r *http.Request) error {
	a, err := f.askTags(r, true)
	if err != nil {
		return err
	}
	b := append([]byte(nil), `{"scopes":[`...)
	for i, s := range a.Tags.Scopes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), s.Scope.String())
		b = appendStrings(append(b, `,"tags":`...), s.Tags)
		b = append(b, '}')
	}
	return write(w, typeJSON, endTags(append(b, ']'), &a.Tags.Stats, a.Missing))
}

// tagInPath is the tag of …/tag/{tag}/values, which may have slashes.
func tagInPath(r *http.Request) (string, error) {
	tag, ok := strings.CutSuffix(r.PathValue("rest"), "/values")
	if !ok || tag == "" {
		return "", status.Error(codes.NotFound, "no such page; the values of a tag are at …/tag/{tag}/values")
	}
	return tag, nil
}

// askValues answers a question for the values of a tag.
func (f *Frontend) askValues(r *http.Request, tag, filter string) (*peer.Answer, error) {
	tenants, err := f.tenants(r)
	if err != nil {
		return nil, err
	}
	v := values{Values: r.URL.Query()}
	limits := f.limitsOf(tenants)
	req := query.TagValuesRequest{Tag: tag, Query: filter, MaxBytes: limits.tagBytes}
	req.Limit, req.MaxStale = v.tagBounds()
	win := v.seconds()
	if v.err != nil {
		return nil, v.err
	}
	req.Start, req.End = win.start, win.end
	a, err := f.askAll(r.Context(), tenants, peer.Question{Values: &req}, win)
	if err != nil {
		return nil, err
	}
	a.Missing = f.missingTags(append(a.Missing, a.Values.Partial...), a.Values.Cut, limits.tagBytes)
	return a, nil
}

// valuesV1 serves /api/search/tag/{tag}/values: the tag is a name without scope, the values are text.
func (f *Frontend) valuesV1(w http.ResponseWriter, r *http.Request) error {
	tag, err := tagInPath(r)
	if err != nil {
		return err
	}
	a, err := f.askValues(r, plainTag(tag), "")
	if err != nil {
		return err
	}
	texts := make([]string, 0, len(a.Values.Values))
	for _, v := range a.Values.Values {
		texts = append(texts, v.Text())
	}
	slices.Sort(texts)
	b := append([]byte(nil), `{"tagValues":`...)
	b = appendStrings(b, slices.Compact(texts))
	return write(w, typeJSON, endTags(b, &a.Values.Stats, a.Missing))
}

// plainTag is the attribute or intrinsic that a name without scope stands for, in TraceQL.
func plainTag(name string) string {
	switch name {
	case "root.name":
		return traceql.TraceRootName.String()
	case "root.service.name":
		return traceql.TraceRootService.String()
	case "status.code":
		return traceql.Status.String()
	}
	if i := traceql.LookupIntrinsic(name); i != traceql.NotIntrinsic && i != traceql.ParentSpan {
		return i.String()
	}
	return (&traceql.Attr{Name: name}).String()
}

// valuesV2 serves /api/v2/search/tag/{tag}/values: the tag is TraceQL, the values have types, on request only those of
// spans that match a filter.
func (f *Frontend) valuesV2(w http.ResponseWriter, r *http.Request) error {
	tag, err := tagInPath(r)
	if err != nil {
		return err
	}
	a, err := f.askValues(r, tag, r.URL.Query().Get("q"))
	if err != nil {
		return err
	}
	b := make([]byte, 0, 256+40*len(a.Values.Values))
	b = append(b, `{"tagValues":[`...)
	for i, v := range a.Values.Values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"type":`...), v.Type.String())
		b = appendString(append(b, `,"value":`...), v.Text())
		b = append(b, '}')
	}
	return write(w, typeJSON, endTags(append(b, ']'), &a.Values.Stats, a.Missing))
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// endTags adds what all answers about tags end with.
func endTags(b []byte, st *query.Stats, missing []string) []byte {
	b = appendQuotedInt(append(b, `,"metrics":{"inspectedBytes":`...), st.Bytes)
	b = strconv.AppendInt(append(b, `,"totalJobs":`...), st.Segments, 10)
	b = strconv.AppendInt(append(b, `,"completedJobs":`...), st.Segments, 10)
	b = appendQuotedInt(append(b, `,"backendReads":`...), st.Reads)
	b = append(b, '}')
	return append(appendPartial(b, missing), '}')
}
