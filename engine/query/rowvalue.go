package query

import (
	"bytes"
	"encoding/hex"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// getter gives the value of an expression for a row.
type getter func(row uint32) value

// rowValue is the value of a row in a column of the type.
func rowValue(v *columnar.Vector, row uint32, typ columnar.Type) value {
	if i, ok := v.Entry(row); ok {
		return entryValue(v, i, typ)
	}
	return value{}
}

// entryValue is entry i of the vector, a list in an array column.
func entryValue(v *columnar.Vector, i uint32, typ columnar.Type) value {
	if v.Lists == nil {
		return singleValue(v, i, typ.Elem())
	}
	elem := make([]value, 0, v.Lists[i+1]-v.Lists[i])
	for k := v.Lists[i]; k < v.Lists[i+1]; k++ {
		elem = append(elem, singleValue(v, k, typ.Elem()))
	}
	return listValue(elem)
}

// singleValue is value i of the coding.
func singleValue(v *columnar.Vector, i uint32, typ columnar.Type) value {
	if v.Dict != nil && v.Codes[i] == 0 {
		return value{}
	}
	switch typ {
	case columnar.String:
		return stringValue(v.TextAt(i))
	case columnar.Float:
		if v.Dict != nil {
			return floatValue(v.Dict.Floats[v.Codes[i]-1])
		}
		return floatValue(v.Floats[i])
	case columnar.Bytes:
		x := trace.BytesValue(v.TextAt(i))
		return value{set: true, raw: trace.AppendValue(nil, &x)}
	case columnar.Other:
		return value{set: true, raw: v.TextAt(i)}
	}
	t := traceql.TypeInt
	if typ == columnar.Bool {
		t = traceql.TypeBool
	}
	switch {
	case v.Ints != nil:
		return intValue(t, v.Ints[i])
	case v.Dict == nil:
		return intValue(t, int64(int32(v.Codes[i])))
	}
	return intValue(t, v.Dict.Ints[v.Codes[i]-1])
}

// getter prepares an expression for the rows of within (nil = all).
func (s *scan) getter(f traceql.Field, within columnar.Bitmap) (getter, error) {
	switch f := f.(type) {
	case *traceql.Lit:
		v := staticValue(f.Value)
		return func(uint32) value { return v }, nil
	case *traceql.Attr:
		return s.attrGetter(f, within)
	case *traceql.Unary:
		x, err := s.getter(f.Expr, within)
		if err != nil {
			return nil, err
		}
		if f.Op == traceql.OpNot {
			return func(row uint32) value { return not(x(row)) }, nil
		}
		return func(row uint32) value { return arithmetic(traceql.OpSub, intValue(traceql.TypeInt, 0), x(row)) }, nil
	case *traceql.Binary:
		return s.binaryGetter(f, within)
	}
	return func(uint32) value { return value{} }, nil
}

// not is !v: of a list, whether a false is in it.
func not(v value) value {
	switch {
	case v.list:
		return boolValue(compareValues(traceql.OpEq, v, boolValue(false)))
	case v.typ == traceql.TypeBool:
		return boolValue(v.n == 0)
	}
	return value{}
}

func (s *scan) binaryGetter(f *traceql.Binary, within columnar.Bitmap) (getter, error) {
	l, err := s.getter(f.Left, within)
	if err != nil {
		return nil, err
	}
	r, err := s.getter(f.Right, within)
	if err != nil {
		return nil, err
	}
	op := f.Op
	switch {
	case isNil(f.Left):
		return func(row uint32) value { return boolValue(r(row).set == (op == traceql.OpNe)) }, nil
	case isNil(f.Right):
		return func(row uint32) value { return boolValue(l(row).set == (op == traceql.OpNe)) }, nil
	case op == traceql.OpAnd:
		return func(row uint32) value { return boolValue(l(row).truth() && r(row).truth()) }, nil
	case op == traceql.OpOr:
		return func(row uint32) value { return boolValue(l(row).truth() || r(row).truth()) }, nil
	case op.Regex():
		m, err := newMatcher(op, f.Right.(*traceql.Lit).Value)
		if err != nil {
			return nil, err
		}
		m.re.during(s.ctx)
		return func(row uint32) value { return boolValue(m.value(l(row))) }, nil
	case op.Comparison():
		return func(row uint32) value { return boolValue(compareValues(op, l(row), r(row))) }, nil
	}
	return func(row uint32) value { return arithmetic(op, l(row), r(row)) }, nil
}

func isNil(f traceql.Field) bool {
	l, ok := f.(*traceql.Lit)
	return ok && l.Value.Type == traceql.TypeNil
}

// attrGetter prepares an attribute or intrinsic.
func (s *scan) attrGetter(a *traceql.Attr, within columnar.Bitmap) (getter, error) {
	if a.Parent || a.Intrinsic == traceql.ParentSpan {
		return s.parentGetter(a, within)
	}
	if a.Intrinsic != traceql.NotIntrinsic {
		return s.intrinsicGetter(a, within)
	}
	switch a.Scope {
	case traceql.ScopeSpan:
		return s.spanGetter(a.Name, within)
	case traceql.ScopeResource, traceql.ScopeInstrumentation:
		return s.tableGetter(a, within)
	case traceql.ScopeEvent, traceql.ScopeLink:
		return s.eventGetter(a, within)
	}
	span, err := s.spanGetter(a.Name, within)
	if err != nil {
		return nil, err
	}
	res, err := s.tableGetter(a, within)
	if err != nil {
		return nil, err
	}
	return func(row uint32) value {
		if v := span(row); v.set {
			return v
		}
		return res(row)
	}, nil
}

func (s *scan) spanGetter(key string, within columnar.Bitmap) (getter, error) {
	c := s.columns(columnar.ScopeSpan, key)
	for i := range c.cols {
		if _, err := s.read(c, i, within); err != nil {
			return nil, err
		}
	}
	if len(c.cols) == 1 {
		v, typ := c.reads[0].vec, c.cols[0].Type()
		return func(row uint32) value { return rowValue(v, row, typ) }, nil
	}
	return func(row uint32) value {
		for i := range c.cols {
			if v := rowValue(c.reads[i].vec, row, c.cols[i].Type()); v.set {
				return v
			}
		}
		return value{}
	}, nil
}

// tableGetter looks the attribute up once per entry of the table.
func (s *scan) tableGetter(a *traceql.Attr, within columnar.Bitmap) (getter, error) {
	scope := tableScope(a)
	t, err := s.table(scope)
	if err != nil {
		return nil, err
	}
	values := make([]value, t.Len())
	any := false
	for i := range values {
		values[i] = tableValue(t, i, a)
		any = any || values[i].set
	}
	if !any {
		return func(uint32) value { return value{} }, nil
	}
	key := columnar.KeyResource
	if scope == columnar.ScopeInstrumentation {
		key = columnar.KeyScope
	}
	v, err := s.intrinsic(key, within)
	if err != nil {
		return nil, err
	}
	return func(row uint32) value { return values[v.Codes[row]] }, nil
}

func (s *scan) intrinsicGetter(a *traceql.Attr, within columnar.Bitmap) (getter, error) {
	switch a.Intrinsic {
	case traceql.InstrumentationName, traceql.InstrumentationVersion:
		return s.tableGetter(a, within)
	case traceql.EventName, traceql.EventTimeSinceStart, traceql.LinkTraceID, traceql.LinkSpanID:
		return s.eventGetter(a, within)
	case traceql.TraceDuration, traceql.TraceRootName, traceql.TraceRootService, traceql.TraceID:
		return s.traceRowGetter(a.Intrinsic)
	case traceql.ChildCount, traceql.NestedSetLeft, traceql.NestedSetRight, traceql.NestedSetParent:
		return s.nestedGetter(a.Intrinsic)
	}
	v, err := s.optional(fixedColumns[a.Intrinsic], within)
	if err != nil {
		return nil, err
	}
	if v == nil {
		v = &columnar.Vector{Rows: []uint32{}}
	}
	switch a.Intrinsic {
	case traceql.Duration:
		return func(row uint32) value { return intValue(traceql.TypeDuration, v.Int(row)) }, nil
	case traceql.Status:
		return func(row uint32) value { return intValue(traceql.TypeStatus, v.Int(row)) }, nil
	case traceql.Kind:
		return func(row uint32) value { return intValue(traceql.TypeKind, v.Int(row)) }, nil
	case traceql.SpanID, traceql.ParentID:
		return func(row uint32) value { return hexValue(uint64(v.Int(row))) }, nil
	}
	return func(row uint32) value { return stringValue(v.Text(row)) }, nil
}

// traceRowGetter is a property of the row's trace.
func (s *scan) traceRowGetter(i traceql.Intrinsic) (getter, error) {
	t, err := s.loadTraces()
	if err != nil {
		return nil, err
	}
	get, err := s.traceGetter(i)
	if err != nil {
		return nil, err
	}
	if t.Perm != nil {
		of := s.traceOf(t)
		return func(row uint32) value { return get(of[row]) }, nil
	}
	at := 0
	return func(row uint32) value {
		if t.Offsets[at] > row {
			at = 0
		}
		at = advance(t.Offsets, at, row)
		return get(uint32(at))
	}, nil
}

// traceGetter is a property of a trace by its number.
func (s *scan) traceGetter(i traceql.Intrinsic) (func(t uint32) value, error) {
	if _, err := s.loadTraces(); err != nil {
		return nil, err
	}
	if i == traceql.TraceID {
		return func(t uint32) value { return stringValue(trimmedHex(s.traces.IDs[t][:])) }, nil
	}
	sum, err := s.summaries(nil)
	if err != nil {
		return nil, err
	}
	switch i {
	case traceql.TraceDuration:
		return func(t uint32) value { return intValue(traceql.TypeDuration, sum.end(t)-sum.start(t)) }, nil
	case traceql.TraceRootName:
		return func(t uint32) value { return rootValue(sum.rootName(t)) }, nil
	}
	return func(t uint32) value { return rootValue(sum.rootService(t)) }, nil
}

func rootValue(b []byte) value {
	if b == nil {
		return value{}
	}
	return stringValue(b)
}

// trimmedHex is a trace id as TraceQL sees it: without leading zeros.
func trimmedHex(id []byte) []byte {
	return bytes.TrimLeft(hex.AppendEncode(nil, id), "0")
}

// eventsKey is the column that an event or link attribute is decoded from, or empty.
func eventsKey(a *traceql.Attr) string {
	switch a.Intrinsic {
	case traceql.NotIntrinsic:
		switch a.Scope {
		case traceql.ScopeEvent:
			return columnar.KeyEvents
		case traceql.ScopeLink:
			return columnar.KeyLinks
		}
	case traceql.EventName, traceql.EventTimeSinceStart:
		return columnar.KeyEvents
	case traceql.LinkTraceID, traceql.LinkSpanID:
		return columnar.KeyLinks
	}
	return ""
}

// eventGetter is the list of an attribute's values in the events or links of a span.
func (s *scan) eventGetter(a *traceql.Attr, within columnar.Bitmap) (getter, error) {
	key := eventsKey(a)
	v, err := s.optional(key, within)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return func(uint32) value { return value{} }, nil
	}
	var start *columnar.Vector
	if a.Intrinsic == traceql.EventTimeSinceStart {
		if start, err = s.intrinsic(columnar.KeyStart, within); err != nil {
			return nil, err
		}
	}
	return func(row uint32) value {
		blob := v.Text(row)
		if len(blob) == 0 {
			return value{}
		}
		var elem []value
		if key == columnar.KeyLinks {
			elem = linkValues(blob, a)
		} else {
			elem = eventValues(blob, a, start, row)
		}
		if len(elem) == 0 {
			return value{}
		}
		return listValue(elem)
	}, nil
}

func eventValues(blob []byte, a *traceql.Attr, start *columnar.Vector, row uint32) []value {
	var elem []value
	for e, err := range trace.EachEvent(blob) {
		if err != nil {
			break
		}
		switch a.Intrinsic {
		case traceql.EventName:
			elem = append(elem, stringValue(e.Name))
		case traceql.EventTimeSinceStart:
			elem = append(elem, intValue(traceql.TypeDuration, int64(e.Time)-start.Int(row)))
		default:
			elem = appendAttr(elem, e.Attrs, a.Name)
		}
	}
	return elem
}

func linkValues(blob []byte, a *traceql.Attr) []value {
	var elem []value
	for l, err := range trace.EachLink(blob) {
		if err != nil {
			break
		}
		switch a.Intrinsic {
		case traceql.LinkTraceID:
			elem = append(elem, stringValue(trimmedHex(l.TraceID[:])))
		case traceql.LinkSpanID:
			elem = append(elem, stringValue(hex.AppendEncode(nil, l.SpanID[:])))
		default:
			elem = appendAttr(elem, l.Attrs, a.Name)
		}
	}
	return elem
}

// appendAttr appends the value of one event's attribute; arrays are flattened.
func appendAttr(elem []value, attrs []trace.Attr, key string) []value {
	for i := range attrs {
		if string(attrs[i].Key) != key {
			continue
		}
		v := valueOf(&attrs[i].Value)
		if v.list {
			return append(elem, v.elem...)
		}
		if v.set {
			return append(elem, v)
		}
		return elem
	}
	return elem
}
