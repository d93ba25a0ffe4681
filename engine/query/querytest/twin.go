package querytest

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/ringctl/ringctl/engine/traceql"
)

// Twin answers searches the slow way: it looks at every span of every trace and follows pointers.
type Twin struct{ traces []*traceModel }

// NewTwin reads the spans of OTLP messages; copies of a span count once.
func NewTwin(otlp [][]byte) (*Twin, error) {
	t, err := load(otlp)
	return &Twin{t}, err
}

// set is a spanset: some spans of one trace with attributes.
type set struct {
	spans []*span
	attrs []string // "key=value", in order
}

// Search gives the canonical text of the answer: one line per spanset, "trace [attributes]: span span …", sorted.
func (t *Twin) Search(q *traceql.Query) (string, error) {
	var lines []string
	for _, tr := range t.traces {
		sets, err := pipeline(q.Pipeline, []set{{spans: tr.spans}})
		if err != nil {
			return "", err
		}
		for _, s := range sets {
			lines = append(lines, Line(tr.id.String(), s.attrs, ids(s.spans)))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n"), nil
}

func ids(spans []*span) []uint64 {
	var out []uint64
	for _, s := range spans {
		out = append(out, s.id)
	}
	return out
}

// Line is the canonical text of one spanset.
func Line(traceID string, attrs []string, spans []uint64) string {
	var b strings.Builder
	b.WriteString(strings.TrimLeft(traceID, "0"))
	if len(attrs) > 0 {
		fmt.Fprintf(&b, " [%s]", strings.Join(attrs, " "))
	}
	b.WriteString(":")
	sort.Slice(spans, func(i, j int) bool { return spans[i] < spans[j] })
	for _, s := range spans {
		fmt.Fprintf(&b, " %d", s)
	}
	return b.String()
}

func pipeline(p *traceql.Pipeline, in []set) ([]set, error) {
	for _, x := range p.Stages {
		var err error
		if in, err = stage(x, in); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func stage(x traceql.Stage, in []set) ([]set, error) {
	switch x := x.(type) {
	case *traceql.Pipeline:
		return pipeline(x, in)
	case *traceql.Coalesce:
		return coalesce(in), nil
	case *traceql.Select:
		return in, nil
	}
	var out []set
	for _, s := range in {
		got, err := oneSet(x, s)
		if err != nil {
			return nil, err
		}
		for _, g := range got {
			if len(g.spans) > 0 {
				out = append(out, g)
			}
		}
	}
	return out, nil
}

func coalesce(in []set) []set {
	var all []*span
	for _, s := range in {
		all = append(all, s.spans...)
	}
	if len(all) == 0 {
		return nil
	}
	place := map[*span]int{}
	for i, s := range all[0].trace.spans {
		place[s] = i
	}
	sort.Slice(all, func(i, j int) bool { return place[all[i]] < place[all[j]] })
	return []set{{spans: all}}
}

func oneSet(x traceql.Stage, s set) ([]set, error) {
	switch x := x.(type) {
	case *traceql.Filter:
		return []set{{filter(x, s.spans), s.attrs}}, nil
	case *traceql.SpansetOp:
		spans, err := combine(x, s.spans)
		return []set{{spans, s.attrs}}, err
	case *traceql.Group:
		return group(x, s), nil
	case *traceql.ScalarFilter:
		return scalarFilter(x, s)
	}
	return nil, fmt.Errorf("stage %T", x)
}

func filter(f *traceql.Filter, spans []*span) []*span {
	if f.Expr == nil {
		return spans
	}
	var out []*span
	for _, s := range spans {
		if truth(eval(f.Expr, s)) {
			out = append(out, s)
		}
	}
	return out
}

func group(g *traceql.Group, in set) []set {
	var out []set
	at := map[string]int{}
	for _, s := range in.spans {
		v := eval(g.Expr, s)
		label := "by(" + traceql.FieldString(g.Expr) + ")=" + Show(v)
		key := fmt.Sprintf("%T %#v", v, v) // 1 and 1.0 and "1" are different
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, set{attrs: append(append([]string(nil), in.attrs...), label)})
		}
		out[i].spans = append(out[i].spans, s)
	}
	return out
}

// one runs an operand, which must give one spanset.
func one(x traceql.Stage, spans []*span) ([]*span, error) {
	sets, err := stage(x, []set{{spans: spans}})
	if err != nil || len(sets) == 0 {
		return nil, err
	}
	return sets[0].spans, nil
}

func combine(x *traceql.SpansetOp, spans []*span) ([]*span, error) {
	l, err := one(x.Left, spans)
	if err != nil {
		return nil, err
	}
	r, err := one(x.Right, spans)
	if err != nil {
		return nil, err
	}
	keep := map[*span]bool{}
	switch {
	case x.Op == traceql.OpOr || x.Op == traceql.OpAnd && len(l) > 0 && len(r) > 0:
		for _, s := range append(append([]*span(nil), l...), r...) {
			keep[s] = true
		}
	case x.Op == traceql.OpAnd:
	default:
		for _, b := range r {
			found := false
			for _, a := range l {
				if related(x.Op.Relation(), a, b) {
					found = true
					if x.Op.Union() {
						keep[a] = true
					}
				}
			}
			if found != x.Op.Negated() && b.left > 0 {
				keep[b] = true
			}
		}
	}
	var out []*span
	for _, s := range spans {
		if keep[s] {
			out = append(out, s)
		}
	}
	return out, nil
}

// related says whether b is the child (parent, descendant, …) of a. Spans on cycles have no place in the tree.
func related(op traceql.Op, a, b *span) bool {
	if a == b || a.left == 0 || b.left == 0 {
		return false
	}
	switch op {
	case traceql.OpChild:
		return b.parent == a
	case traceql.OpParent:
		return a.parent == b
	case traceql.OpSibling:
		return a.parent != nil && a.parent == b.parent
	case traceql.OpAncestor:
		a, b = b, a
	}
	for p := b.parent; p != nil; p = p.parent {
		if p == a {
			return true
		}
	}
	return false
}

func scalarFilter(x *traceql.ScalarFilter, in set) ([]set, error) {
	var shown []string
	l, err := scalar(x.Left, in.spans, &shown)
	if err != nil {
		return nil, err
	}
	r, err := scalar(x.Right, in.spans, &shown)
	if err != nil || !compare(x.Op, l, r) {
		return nil, err
	}
	return []set{{in.spans, append(append([]string(nil), in.attrs...), shown...)}}, nil
}

func scalar(x traceql.Scalar, spans []*span, shown *[]string) (any, error) {
	switch x := x.(type) {
	case *traceql.Number:
		return literal(x.Value), nil
	case *traceql.Aggregate:
		v := aggregate(x, spans)
		if shown != nil {
			label := x.Func.String() + "()"
			if x.Expr != nil {
				label = x.Func.String() + "(" + traceql.FieldString(x.Expr) + ")"
			}
			*shown = append(*shown, label+"="+Show(v))
		}
		return v, nil
	case *traceql.ScalarOp:
		l, err := scalar(x.Left, spans, shown)
		if err != nil {
			return nil, err
		}
		r, err := scalar(x.Right, spans, shown)
		return calculate(x.Op, l, r), err
	case *traceql.PipelineScalar:
		sets, err := pipeline(x.Pipeline, []set{{spans: spans}})
		if err != nil {
			return nil, err
		}
		if len(sets) == 0 {
			sets = []set{{}}
		}
		return aggregate(x.Aggregate, sets[0].spans), nil
	}
	return nil, fmt.Errorf("scalar %T", x)
}

func aggregate(a *traceql.Aggregate, spans []*span) any {
	if a.Func == traceql.Count {
		return int64(len(spans))
	}
	var nums []any
	for _, s := range spans {
		if v := eval(a.Expr, s); isNumber(v) {
			nums = append(nums, v)
		}
	}
	if len(nums) == 0 {
		return nil
	}
	best := nums[0]
	for _, v := range nums[1:] {
		switch {
		case a.Func == traceql.Sum || a.Func == traceql.Avg:
			best = calculate(traceql.OpAdd, best, v)
		case a.Func == traceql.Min && compare(traceql.OpLt, v, best), a.Func == traceql.Max && compare(traceql.OpGt, v, best):
			best = v
		}
	}
	if d, ok := best.(duration); ok && a.Func == traceql.Avg {
		return d / duration(len(nums))
	}
	if a.Func == traceql.Avg && best != nil {
		return toFloat(best) / float64(len(nums))
	}
	return best
}

// eval is the value of an expression for a span: nil, bool, int64, float64, string, duration, status, kind, []any, opaque.
func eval(f traceql.Field, s *span) any {
	switch f := f.(type) {
	case *traceql.Lit:
		return literal(f.Value)
	case *traceql.Attr:
		return attr(f, s)
	case *traceql.Unary:
		v := eval(f.Expr, s)
		if f.Op == traceql.OpSub {
			return calculate(traceql.OpSub, int64(0), v)
		}
		return not(v)
	case *traceql.Binary:
		l, r := eval(f.Left, s), eval(f.Right, s)
		if f.Op.Comparison() && (isTraceID(f.Left) || isTraceID(f.Right)) {
			l, r = trimZeros(l), trimZeros(r)
		}
		return binary2(f, l, r)
	}
	return nil
}

// truth: a list is true when one of its values is, and not(list) is true when one of them is false.
func truth(v any) bool { return compare(traceql.OpEq, v, true) }

func not(v any) any {
	switch v := v.(type) {
	case bool:
		return !v
	case []any:
		return compare(traceql.OpEq, v, false)
	}
	return nil
}

// Leading zeros of trace ids do not count, nor does case.
func isTraceID(f traceql.Field) bool {
	a, ok := f.(*traceql.Attr)
	return ok && (a.Intrinsic == traceql.TraceID || a.Intrinsic == traceql.LinkTraceID)
}

func trimZeros(v any) any {
	if s, ok := v.(string); ok {
		return strings.TrimLeft(strings.ToLower(s), "0")
	}
	return v
}

func isNilLit(f traceql.Field) bool {
	l, ok := f.(*traceql.Lit)
	return ok && l.Value.Type == traceql.TypeNil
}

func binary2(f *traceql.Binary, l, r any) any {
	switch {
	case isNilLit(f.Left):
		return (r == nil) == (f.Op == traceql.OpEq)
	case isNilLit(f.Right):
		return (l == nil) == (f.Op == traceql.OpEq)
	case f.Op == traceql.OpAnd:
		return truth(l) && truth(r)
	case f.Op == traceql.OpOr:
		return truth(l) || truth(r)
	case f.Op.Arithmetic():
		return calculate(f.Op, l, r)
	}
	return compare(f.Op, l, r)
}

func literal(s traceql.Static) any {
	switch s.Type {
	case traceql.TypeInt:
		return s.Int
	case traceql.TypeFloat:
		return s.Float
	case traceql.TypeDuration:
		return duration(s.Int)
	case traceql.TypeString:
		return s.Str
	case traceql.TypeBool:
		return s.Int != 0
	case traceql.TypeStatus:
		return status(s.Int)
	case traceql.TypeKind:
		return kind(s.Int)
	}
	return nil
}

func attr(a *traceql.Attr, s *span) any {
	if a.Parent || a.Intrinsic == traceql.ParentSpan {
		if s.parent == nil || s.left == 0 {
			return nil
		}
		if a.Intrinsic == traceql.ParentSpan {
			return true
		}
		own := *a
		own.Parent = false
		return attr(&own, s.parent)
	}
	if a.Intrinsic != traceql.NotIntrinsic {
		return intrinsic(a.Intrinsic, s)
	}
	switch a.Scope {
	case traceql.ScopeSpan:
		return s.attrs[a.Name]
	case traceql.ScopeResource:
		return s.res[a.Name]
	case traceql.ScopeInstrumentation:
		return s.scope[a.Name]
	case traceql.ScopeEvent:
		return gather(s.events, func(e nestedModel) any { return e.attrs[a.Name] })
	case traceql.ScopeLink:
		return gather(s.links, func(e nestedModel) any { return e.attrs[a.Name] })
	}
	if v, ok := s.attrs[a.Name]; ok {
		return v
	}
	return s.res[a.Name]
}

// gather is the list of the values of all events or links that have one.
func gather(list []nestedModel, get func(nestedModel) any) any {
	var out []any
	for _, e := range list {
		switch v := get(e).(type) {
		case nil:
		case []any:
			out = append(out, v...)
		default:
			out = append(out, v)
		}
	}
	if out == nil {
		return nil
	}
	return out
}

func intrinsic(i traceql.Intrinsic, s *span) any {
	hex := func(id uint64) any {
		if id == 0 {
			return ""
		}
		return fmt.Sprintf("%016x", id)
	}
	orNil := func(t string) any {
		if t == "" {
			return nil
		}
		return t
	}
	switch i {
	case traceql.Duration:
		return duration(s.dur)
	case traceql.Name:
		return s.name
	case traceql.Status:
		return s.status
	case traceql.StatusMessage:
		return s.msg
	case traceql.Kind:
		return s.kind
	case traceql.SpanID:
		return hex(s.id)
	case traceql.ParentID:
		return hex(s.parentID)
	case traceql.ChildCount:
		if s.left == 0 {
			return int64(0)
		}
		return int64(len(s.children))
	case traceql.NestedSetLeft:
		return s.left
	case traceql.NestedSetRight:
		return s.right
	case traceql.NestedSetParent:
		return s.nested
	case traceql.TraceID:
		return strings.TrimLeft(s.trace.id.String(), "0")
	case traceql.TraceDuration:
		lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
		for _, x := range s.trace.spans {
			lo, hi = min(lo, x.start), max(hi, x.start+x.dur)
		}
		return duration(hi - lo)
	case traceql.TraceRootName, traceql.TraceRootService:
		for _, x := range s.trace.spans {
			if x.parentID == 0 {
				if i == traceql.TraceRootName {
					return x.name
				}
				name, _ := x.res["service.name"].(string)
				return name
			}
		}
		return nil
	case traceql.EventName:
		return gather(s.events, func(e nestedModel) any { return e.name })
	case traceql.EventTimeSinceStart:
		return gather(s.events, func(e nestedModel) any { return duration(e.since) })
	case traceql.LinkTraceID:
		return gather(s.links, func(e nestedModel) any { return strings.TrimLeft(e.traceID, "0") })
	case traceql.LinkSpanID:
		return gather(s.links, func(e nestedModel) any { return e.spanID })
	case traceql.InstrumentationName:
		return orNil(s.scopeName)
	case traceql.InstrumentationVersion:
		return orNil(s.scopeVersion)
	}
	return nil
}
