package query

import (
	"strings"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// leaf is "attribute op literal" or a test for existence: the conditions with a fast way.
type leaf struct {
	attr   *traceql.Attr
	m      *matcher // nil: existence
	absent bool     // existence: wanted is "not there"
	text   string   // the condition, as the key of a memo
}

// leafState is what is known of a leaf on one segment before data pages are read.
type leafState struct {
	span  *colSet
	sets  []*codeSet // per column: matching codes, nil = no dictionary; empty = none can match
	table *codeSet   // entries of the resource or scope table that match, direct codes
	zero  bool       // no row can match
	share float64
}

func newLeaf(a *traceql.Attr, op traceql.Op, lit traceql.Static) (pred, error) {
	if !op.Regex() && (a.Intrinsic == traceql.TraceID || a.Intrinsic == traceql.LinkTraceID) {
		lit.Str = strings.TrimLeft(strings.ToLower(lit.Str), "0")
	}
	m, err := newMatcher(op, lit)
	if err != nil {
		return nil, err
	}
	return &leaf{attr: a, m: m, text: a.String() + op.String() + lit.String()}, nil
}

func newExists(a *traceql.Attr, op traceql.Op) pred {
	return &leaf{attr: a, absent: op == traceql.OpEq}
}

// Ways to evaluate a leaf.
type leafWay uint8

const (
	wayRow     leafWay = iota // row by row
	waySpan                   // columns of span attributes
	wayTable                  // resource or instrumentation scope attributes
	wayBoth                   // span, then resource
	wayFixed                  // a fixed column that every span has a value in
	wayID                     // span id or parent id equal to a hex string
	wayTrace                  // a property of the trace
	wayTraceID                // trace id equal to a hex string
)

var fixedColumns = [...]string{
	traceql.Duration: columnar.KeyDuration, traceql.Name: columnar.KeyName, traceql.Status: columnar.KeyStatus, traceql.StatusMessage: columnar.KeyStatusMessage,
	traceql.Kind: columnar.KeyKind, traceql.SpanID: columnar.KeySpanID, traceql.ParentID: columnar.KeyParentID, traceql.InstrumentationVersion: "",
}

func (l *leaf) way() leafWay {
	a := l.attr
	if a.Parent {
		return wayRow
	}
	equal := l.m != nil && (l.m.op == traceql.OpEq || l.m.op == traceql.OpNe)
	switch a.Intrinsic {
	case traceql.NotIntrinsic:
		switch a.Scope {
		case traceql.ScopeNone:
			return wayBoth
		case traceql.ScopeSpan:
			return waySpan
		case traceql.ScopeResource, traceql.ScopeInstrumentation:
			return wayTable
		}
	case traceql.Duration, traceql.Name, traceql.Status, traceql.StatusMessage, traceql.Kind:
		if l.m != nil {
			return wayFixed
		}
	case traceql.SpanID, traceql.ParentID:
		if equal {
			return wayID
		}
	case traceql.TraceID:
		if equal {
			return wayTraceID
		}
		return wayTrace
	case traceql.TraceDuration, traceql.TraceRootName, traceql.TraceRootService:
		return wayTrace
	case traceql.InstrumentationName, traceql.InstrumentationVersion:
		return wayTable
	}
	return wayRow
}

func (l *leaf) share(s *scan) (float64, error) {
	st, err := l.state(s)
	if err != nil {
		return 0, err
	}
	if st.zero {
		return 0, nil
	}
	return max(st.share, 1e-9), nil
}

// state prepares the leaf for the segment, once.
func (l *leaf) state(s *scan) (*leafState, error) {
	if st, ok := s.leaves[l]; ok {
		return st, nil
	}
	if err := s.ctx.Err(); err != nil { // there may be thousands of conditions
		return nil, err
	}
	if l.m != nil {
		l.m.re.during(s.ctx)
	}
	st := &leafState{share: 0.5}
	var err error
	switch l.way() {
	case waySpan:
		st.span = s.columns(columnar.ScopeSpan, l.attr.Name)
		err = l.prepareSpan(s, st)
	case wayFixed:
		st.span = s.columns(columnar.ScopeIntrinsic, fixedColumns[l.attr.Intrinsic])
		err = l.prepareFixed(s, st)
	case wayTable:
		st.table, err = l.tableSet(s)
		if err == nil {
			st.fromTable()
		}
	case wayBoth:
		st.span = s.columns(columnar.ScopeSpan, l.attr.Name)
		if err = l.prepareSpan(s, st); err == nil {
			none, share := st.zero, st.share
			if st.table, err = l.tableSet(s); err == nil {
				st.fromTable()
				st.zero, st.share = st.zero && none, min(1, st.share+share)
			}
		}
	case wayTrace, wayID, wayTraceID:
		st.share = 0.01
	case wayRow:
		l.prepareRow(s, st)
	}
	if err != nil {
		return nil, err
	}
	s.leaves[l] = st
	return st, nil
}

func (st *leafState) fromTable() {
	st.zero = st.table.n == 0
	st.share = float64(st.table.n) / float64(max(1, st.table.size))
}

// prepareSpan tests the dictionaries of the attribute's columns.
func (l *leaf) prepareSpan(s *scan, st *leafState) error {
	st.sets = make([]*codeSet, len(st.span.cols))
	if l.m == nil {
		st.zero = len(st.span.cols) == 0 && !l.absent
		return nil
	}
	st.zero, st.share = true, 0
	rows := float64(max(1, s.n))
	for i, c := range st.span.cols {
		stats := c.Stats()
		share := 1.0
		if stats.Values > 0 {
			share = float64(stats.Values) / rows
		}
		set, err := l.columnSet(s, st, i)
		if err != nil {
			return err
		}
		st.sets[i] = set
		if set != nil {
			if set.n == 0 {
				continue
			}
			share *= float64(set.n) / float64(set.size)
		}
		st.zero = false
		st.share = min(1, st.share+share)
	}
	return nil
}

// columnSet is the matching codes of column i: empty when none can match, nil when it has no dictionary.
func (l *leaf) columnSet(s *scan, st *leafState, i int) (*codeSet, error) {
	c := st.span.cols[i]
	t := c.Type()
	if l.attr.Intrinsic == traceql.NotIntrinsic && !l.m.accepts(t) {
		return newCodeSet(1), nil
	}
	stats := c.Stats()
	if stats.Bounded && t.Elem() == columnar.Int && !l.m.invert && (l.m.hi < stats.Min || l.m.lo > stats.Max) {
		return newCodeSet(1), nil
	}
	if ex, ok := c.(columnar.Excluder); ok && l.m.op == traceql.OpEq && t.Elem() == columnar.String && ex.Excludes(l.m.lit.s) {
		return newCodeSet(1), nil
	}
	d, err := c.Dict(s.ctx)
	if err != nil || d == nil {
		return nil, err
	}
	return s.memo.match(memoKey{l.text, i}, func() (*codeSet, error) { return matchDict(d, l.m, s.ctx.Err) })
}

// prepareFixed is prepareSpan for a fixed column, whose nulls stand for the empty string or 0.
func (l *leaf) prepareFixed(s *scan, st *leafState) error {
	if err := l.prepareSpan(s, st); err != nil {
		return err
	}
	if l.matchesNull() {
		st.zero, st.share = false, 0.5
		for _, set := range st.sets {
			if set != nil {
				set.add(0)
			}
		}
	}
	return nil
}

func (l *leaf) matchesNull() bool {
	if l.m.lit.typ == traceql.TypeString {
		return l.m.str(nil)
	}
	return l.m.int(0)
}

// prepareRow rules out events and links in segments without any.
func (l *leaf) prepareRow(s *scan, st *leafState) {
	if key := eventsKey(l.attr); key != "" && !l.absent && !l.attr.Parent {
		st.zero = len(s.columns(columnar.ScopeIntrinsic, key).cols) == 0
		st.share = 0.3
	}
}

// tableSet is the entries of the resource or scope table that match.
func (l *leaf) tableSet(s *scan) (*codeSet, error) {
	scope := tableScope(l.attr)
	t, err := s.table(scope)
	if err != nil {
		return nil, err
	}
	key := tableKey{l, t}
	if set, ok := s.tableSets[key]; ok {
		return set, nil
	}
	set := newCodeSet(t.Len())
	for i := range t.Len() {
		if i&1023 == 1023 && s.ctx.Err() != nil {
			return nil, s.ctx.Err()
		}
		v := tableValue(t, i, l.attr)
		if l.m == nil && v.set != l.absent || l.m != nil && l.m.value(v) {
			set.add(uint32(i))
		}
	}
	s.tableSets[key] = set
	return set, nil
}

type tableKey struct {
	l *leaf
	t *columnar.Table
}

func tableScope(a *traceql.Attr) columnar.Scope {
	if a.Scope == traceql.ScopeInstrumentation || a.Intrinsic != traceql.NotIntrinsic {
		return columnar.ScopeInstrumentation
	}
	return columnar.ScopeResource
}

func tableValue(t *columnar.Table, i int, a *traceql.Attr) value {
	switch name, version := t.ScopeName(i); a.Intrinsic {
	case traceql.InstrumentationName:
		return textOrNil(name)
	case traceql.InstrumentationVersion:
		return textOrNil(version)
	}
	return tableAttr(t, i, a.Name)
}

// tableAttr is an attribute of entry i.
func tableAttr(t *columnar.Table, i int, key string) value {
	if v := t.Find(i, key); v != nil {
		return valueOf(v)
	}
	return value{}
}

func textOrNil(b []byte) value {
	if len(b) == 0 {
		return value{}
	}
	return stringValue(b)
}
