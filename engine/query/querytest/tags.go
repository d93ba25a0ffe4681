package querytest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/ringctl/ringctl/engine/traceql"
)

// matching is the spans that a search finds; nil finds all.
func (t *Twin) matching(q *traceql.Query) ([]*span, error) {
	var out []*span
	for _, tr := range t.traces {
		if q == nil {
			out = append(out, tr.spans...)
			continue
		}
		sets, err := pipeline(q.Pipeline, []set{{spans: tr.spans}})
		if err != nil {
			return nil, err
		}
		for _, s := range sets {
			out = append(out, s.spans...)
		}
	}
	return out, nil
}

// Tags lists the attribute keys of the spans that a search finds (nil = all spans), as "scope key", sorted.
func (t *Twin) Tags(q *traceql.Query) ([]string, error) {
	spans, err := t.matching(q)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	add := func(scope string, attrs map[string]any) {
		for key := range attrs {
			found[scope+" "+key] = true
		}
	}
	for _, s := range spans {
		add("span", s.attrs)
		add("resource", s.res)
		add("instrumentation", s.scope)
		for _, e := range s.events {
			add("event", e.attrs)
		}
		for _, l := range s.links {
			add("link", l.attrs)
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// TagValues lists the values of an attribute in the spans that a search finds (nil = all spans), as "type value",
// sorted.
func (t *Twin) TagValues(q *traceql.Query, a *traceql.Attr) ([]string, error) {
	spans, err := t.matching(q)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, s := range spans {
		if a.Intrinsic == traceql.NotIntrinsic && a.Scope == traceql.ScopeNone {
			listValues(found, s.attrs[a.Name])
			listValues(found, s.res[a.Name])
			continue
		}
		listValues(found, attr(a, s))
	}
	if a.Intrinsic != traceql.NotIntrinsic {
		delete(found, "string ")
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func listValues(found map[string]bool, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			listValues(found, e)
		}
	case string:
		found["string "+v] = true
	case int64:
		found[fmt.Sprintf("int %d", v)] = true
	case float64:
		found["float "+strconv.FormatFloat(v, 'g', -1, 64)] = true
	case bool:
		found[fmt.Sprintf("bool %v", v)] = true
	case duration:
		found["duration "+traceql.Static{Type: traceql.TypeDuration, Int: int64(v)}.String()] = true
	case status, kind:
		found["keyword "+Show(v)] = true
	}
}
