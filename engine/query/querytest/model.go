package querytest

import (
	"encoding/binary"
	"reflect"
	"sort"

	"github.com/ringctl/ringctl/engine/trace"
)

// The obvious model of the data: spans as structs, attributes as maps.

type (
	duration int64
	status   int64
	kind     int64
	opaque   struct{ raw string } // a value that can only be there or not
)

type span struct {
	trace        *traceModel
	id, parentID uint64
	start, dur   int64
	kind         kind
	status       status
	name, msg    string
	attrs        map[string]any
	res, scope   map[string]any
	scopeName    string
	scopeVersion string
	events       []nestedModel
	links        []nestedModel
	traceState   string

	parent              *span
	children            []*span
	left, right, nested int64
}

type nestedModel struct {
	name, traceID, spanID string
	since                 int64
	attrs                 map[string]any
}

type traceModel struct {
	id    trace.ID
	spans []*span
}

// loader collects spans of OTLP bytes.
type loader struct {
	traces     map[trace.ID]*traceModel
	res, scope map[string]any
	name, vers string
}

func (l *loader) Resource(g *trace.Group) error {
	var r trace.Resource
	if err := trace.DecodeResource(g.Raw, &r); err != nil {
		return err
	}
	l.res = attrMap(r.Attrs)
	l.scope, l.name, l.vers = map[string]any{}, "", ""
	return nil
}

func (l *loader) Scope(g *trace.Group) error {
	var s trace.Scope
	if err := trace.DecodeScope(g.Raw, &s); err != nil {
		return err
	}
	l.scope, l.name, l.vers = attrMap(s.Attrs), string(s.Name), string(s.Version)
	return nil
}

func (l *loader) Span(raw []byte) error {
	var s trace.Span
	if err := trace.DecodeSpan(raw, &s); err != nil {
		return err
	}
	t := l.traces[s.TraceID]
	if t == nil {
		t = &traceModel{id: s.TraceID}
		l.traces[s.TraceID] = t
	}
	x := &span{
		trace: t, id: binary.BigEndian.Uint64(s.SpanID[:]), parentID: binary.BigEndian.Uint64(s.ParentID[:]),
		start: int64(s.Start), dur: int64(s.End) - int64(s.Start), kind: kind(s.Kind), status: status(s.StatusCode),
		name: string(s.Name), msg: string(s.StatusMessage), attrs: attrMap(s.Attrs), res: l.res, scope: l.scope,
		scopeName: l.name, scopeVersion: l.vers, traceState: string(s.TraceState),
	}
	x.dur = max(x.dur, 0)
	for e, err := range trace.EachEvent(s.Events) {
		if err != nil {
			return err
		}
		x.events = append(x.events, nestedModel{name: string(e.Name), since: int64(e.Time) - x.start, attrs: attrMap(e.Attrs)})
	}
	for k, err := range trace.EachLink(s.Links) {
		if err != nil {
			return err
		}
		x.links = append(x.links, nestedModel{traceID: k.TraceID.String(), spanID: k.SpanID.String(), attrs: attrMap(k.Attrs)})
	}
	for _, old := range t.spans {
		if old.id == x.id && old.kind == x.kind {
			return nil // a copy
		}
	}
	t.spans = append(t.spans, x)
	return nil
}

func attrMap(attrs []trace.Attr) map[string]any {
	m := map[string]any{}
	for i := range attrs {
		k := string(attrs[i].Key)
		if _, ok := m[k]; !ok {
			if v := plain(&attrs[i].Value); v != nil {
				m[k] = v
			}
		}
	}
	return m
}

func plain(v *trace.Value) any {
	switch v.Kind {
	case trace.KindString:
		return string(v.Bytes)
	case trace.KindInt:
		return v.Int
	case trace.KindDouble:
		return v.Float()
	case trace.KindBool:
		return v.Bool()
	case trace.KindEmpty:
		return nil
	case trace.KindArray:
		list := []any{}
		for e, err := range v.Elements() {
			if err != nil {
				return opaque{string(v.Bytes)}
			}
			x := plain(&e)
			switch x.(type) {
			case nil, opaque, []any:
				return opaque{string(v.Bytes)}
			}
			if len(list) > 0 && reflect.TypeOf(x) != reflect.TypeOf(list[0]) {
				return opaque{string(v.Bytes)} // lists of several types are not compared
			}
			list = append(list, x)
		}
		if len(list) == 0 {
			return opaque{string(v.Bytes)} // of no type
		}
		return list
	}
	return opaque{string(v.Bytes)}
}

// load reads all messages and builds the trees.
func load(otlp [][]byte) ([]*traceModel, error) {
	l := &loader{traces: map[trace.ID]*traceModel{}}
	for _, b := range otlp {
		if err := trace.Walk(b, l); err != nil {
			return nil, err
		}
	}
	var out []*traceModel
	for _, t := range l.traces {
		sort.SliceStable(t.spans, func(i, j int) bool { return t.spans[i].start < t.spans[j].start })
		t.tree()
		out = append(out, t)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].id.String() < out[j].id.String() })
	return out, nil
}

// tree links parents and children and numbers the nested set.
func (t *traceModel) tree() {
	for _, s := range t.spans {
		s.parent = t.parentOf(s)
	}
	n := int64(0)
	for _, s := range t.spans {
		if s.parent != nil {
			s.parent.children = append(s.parent.children, s)
		}
	}
	for _, orphans := range [...]bool{false, true} {
		for _, s := range t.spans {
			if s.parent == nil && (s.parentID != 0) == orphans {
				s.nested = -1
				if orphans {
					s.nested = 0
				}
				s.number(&n)
			}
		}
	}
}

func (t *traceModel) parentOf(s *span) *span {
	if s.kind == 2 {
		for _, c := range t.spans {
			if c != s && c.id == s.id && c.kind == 3 {
				return c
			}
		}
	}
	if s.parentID == 0 {
		return nil
	}
	var first *span
	for _, c := range t.spans {
		if c.id != s.parentID {
			continue
		}
		if first == nil || first.kind == 3 && c.kind == 2 {
			first = c
		}
	}
	return first
}

func (s *span) number(n *int64) {
	*n++
	s.left = *n
	for _, c := range s.children {
		c.nested = s.left
		c.number(n)
	}
	*n++
	s.right = *n
}
