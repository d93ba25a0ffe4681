package query

import (
	"encoding/binary"
	"strings"

	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// leaf is "attribute op literal" or a test for existence: the conditions with a fast way.
type leaf struct {
	attr   *traceql.Attr
	m      *matcher // nil: existence
	absent bool     // existence: wanted is "not there"
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
	return &leaf{attr: a, m: m}, nil
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
	traceql.Duration: KeyDuration, traceql.Name: KeyName, traceql.Status: KeyStatus, traceql.StatusMessage: KeyStatusMessage,
	traceql.Kind: KeyKind, traceql.SpanID: KeySpanID, traceql.ParentID: KeyParentID, traceql.InstrumentationVersion: "",
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
	st := &leafState{share: 0.5}
	var err error
	switch l.way() {
	case waySpan:
		st.span = s.columns(ScopeSpan, l.attr.Name)
		err = l.prepareSpan(s, st)
	case wayFixed:
		st.span = s.columns(ScopeIntrinsic, fixedColumns[l.attr.Intrinsic])
		err = l.prepareFixed(s, st)
	case wayTable:
		st.table, err = l.tableSet(s)
		if err == nil {
			st.fromTable()
		}
	case wayBoth:
		st.span = s.columns(ScopeSpan, l.attr.Name)
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
		set, err := l.columnSet(s, c)
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

// columnSet is the matching codes of one column: empty when none can match, nil when it has no dictionary.
func (l *leaf) columnSet(s *scan, c Column) (*codeSet, error) {
	t := c.Type()
	if l.attr.Intrinsic == traceql.NotIntrinsic && !l.m.accepts(t) {
		return newCodeSet(1), nil
	}
	stats := c.Stats()
	if stats.Bounded && t == Int && !l.m.invert && (l.m.hi < stats.Min || l.m.lo > stats.Max) {
		return newCodeSet(1), nil
	}
	if ex, ok := c.(Excluder); ok && l.m.op == traceql.OpEq && t.Elem() == String && ex.Excludes(l.m.lit.s) {
		return newCodeSet(1), nil
	}
	if t&Array != 0 && l.m.negative() {
		return nil, nil // needs all elements: look at each row
	}
	d, err := c.Dict(s.ctx)
	if err != nil || d == nil {
		return nil, err
	}
	return matchDict(d, l.m, s.ctx.Err)
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
		st.zero = len(s.columns(ScopeIntrinsic, key).cols) == 0
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
	t *Table
}

func tableScope(a *traceql.Attr) Scope {
	if a.Scope == traceql.ScopeInstrumentation || a.Intrinsic != traceql.NotIntrinsic {
		return ScopeInstrumentation
	}
	return ScopeResource
}

func tableValue(t *Table, i int, a *traceql.Attr) value {
	switch a.Intrinsic {
	case traceql.InstrumentationName:
		return textOrNil(t.names[i].name)
	case traceql.InstrumentationVersion:
		return textOrNil(t.names[i].version)
	}
	return t.value(i, a.Name)
}

func textOrNil(b []byte) value {
	if len(b) == 0 {
		return value{}
	}
	return stringValue(b)
}

func (l *leaf) eval(s *scan, within, out Bitmap) error {
	st, err := l.state(s)
	if err != nil || st.zero {
		return err
	}
	switch l.way() {
	case waySpan:
		return l.evalSpan(s, st, within, out)
	case wayFixed:
		return l.evalFixed(s, st, within, out)
	case wayTable:
		return s.selectTable(tableScope(l.attr), st.table, within, out)
	case wayBoth:
		return l.evalBoth(s, st, within, out)
	case wayID:
		return l.evalID(s, within, out)
	case wayTraceID:
		return l.evalTraceID(s, within, out)
	case wayTrace:
		return l.evalTrace(s, within, out)
	}
	get, err := s.attrGetter(l.attr, within)
	if err != nil {
		return err
	}
	return s.eachRow(within, out, func(row uint32) bool {
		v := get(row)
		if l.m == nil {
			return v.set != l.absent
		}
		return l.m.value(v)
	})
}

// evalSpan tests the columns of a span attribute.
func (l *leaf) evalSpan(s *scan, st *leafState, within, out Bitmap) error {
	if l.m == nil {
		return l.evalExists(s, st, within, out)
	}
	for i := range st.span.cols {
		if set := st.sets[i]; set != nil && set.n == 0 {
			continue
		}
		if err := l.evalColumn(s, st, i, within, out); err != nil {
			return err
		}
	}
	return nil
}

func (l *leaf) evalExists(s *scan, st *leafState, within, out Bitmap) error {
	if !l.absent {
		return s.present(st.span, within, out)
	}
	mark := s.used
	defer func() { s.used = mark }()
	there := s.bitmap()
	if err := s.present(st.span, within, there); err != nil {
		return err
	}
	for i := range within {
		out[i] |= within[i] &^ there[i]
	}
	return nil
}

// evalBoth: where the span has the attribute its value counts, elsewhere the resource's.
func (l *leaf) evalBoth(s *scan, st *leafState, within, out Bitmap) error {
	if len(st.span.cols) == 0 {
		return s.selectTable(ScopeResource, st.table, within, out)
	}
	if l.m != nil {
		if err := l.evalSpan(s, st, within, out); err != nil {
			return err
		}
	}
	if st.table.n == 0 && (l.m != nil || l.absent) {
		return nil
	}
	mark := s.used
	defer func() { s.used = mark }()
	there := s.bitmap()
	if err := s.present(st.span, within, there); err != nil {
		return err
	}
	rest := s.bitmap()
	copy(rest, within)
	rest.AndNot(there)
	if l.m == nil && !l.absent {
		out.Or(there)
	}
	return s.selectTable(ScopeResource, st.table, rest, out)
}

// evalColumn adds the matching rows of one column.
func (l *leaf) evalColumn(s *scan, st *leafState, i int, within, out Bitmap) error {
	c := st.span.cols[i]
	if pb, ok := c.(PageBounds); ok && c.Type() == Int && !l.m.invert {
		mark := s.used
		defer func() { s.used = mark }()
		narrow := s.bitmap()
		copy(narrow, within)
		pb.Restrict(narrow, l.m.lo, l.m.hi)
		if within = narrow; within.Empty() {
			return nil
		}
	}
	v, err := s.read(st.span, i, within)
	if err != nil {
		return err
	}
	set := st.sets[i]
	switch {
	case v.Lists != nil:
		return l.evalLists(s, v, c.Type(), within, out)
	case v.Rows != nil:
		return l.evalSparse(s, v, set, c.Type(), within, out)
	case set != nil && v.Dict != nil:
		selectCodes(v.Codes, set, within, out)
		return nil
	case v.Ints != nil && v.Present == nil:
		selectInts(v.Ints, l.m, within, out)
		return nil
	}
	if v.Ints != nil {
		return s.eachRow(within, out, func(row uint32) bool { return v.Present.Has(row) && l.m.int(v.Ints[row]) })
	}
	typ := c.Type()
	return s.eachRow(within, out, func(row uint32) bool { return l.test(v.value(row, typ)) })
}

// test is the matcher on a value of a column; kind and status are stored as numbers.
func (l *leaf) test(v value) bool {
	if t := l.m.lit.typ; v.typ == traceql.TypeInt && (t == traceql.TypeKind || t == traceql.TypeStatus) && l.attr.Intrinsic != traceql.NotIntrinsic {
		v.typ = t
	}
	return l.m.value(v)
}

func (l *leaf) evalSparse(s *scan, v *Vector, set *codeSet, typ Type, within, out Bitmap) error {
	byCode := set != nil && v.Dict != nil
	for i, row := range v.Rows {
		if err := s.step(); err != nil {
			return err
		}
		if !within.Has(row) {
			continue
		}
		if byCode && set.bits.Has(v.Codes[i]) || !byCode && l.test(v.entry(uint32(i), typ)) {
			out.Set(row)
		}
	}
	return nil
}

func (l *leaf) evalLists(s *scan, v *Vector, typ Type, within, out Bitmap) error {
	return s.eachRow(within, out, func(row uint32) bool { return l.test(v.value(row, typ)) })
}

// evalFixed is evalSpan for a fixed column: null entries have a value, and so have rows of a column that is missing.
func (l *leaf) evalFixed(s *scan, st *leafState, within, out Bitmap) error {
	null := l.matchesNull()
	if len(st.span.cols) == 0 {
		if null {
			out.Or(within)
		}
		return nil
	}
	if set := st.sets[0]; set != nil && set.n == 0 {
		return nil
	}
	if err := l.evalColumn(s, st, 0, within, out); err != nil || !null {
		return err
	}
	mark := s.used
	defer func() { s.used = mark }()
	there := s.bitmap()
	if err := s.present(st.span, within, there); err != nil {
		return err
	}
	for i := range within {
		out[i] |= within[i] &^ there[i]
	}
	return nil
}

// selectTable adds the rows whose resource (or scope) is in the set.
func (s *scan) selectTable(scope Scope, set *codeSet, within, out Bitmap) error {
	switch {
	case set.n == 0 || within.Empty():
		return nil
	case set.n == set.size:
		out.Or(within)
		return nil
	}
	key := KeyResource
	if scope == ScopeInstrumentation {
		key = KeyScope
	}
	v, err := s.intrinsic(key, within)
	if err != nil {
		return err
	}
	selectCodes(v.Codes, set, within, out)
	return nil
}

// present adds the rows that have a value in one of the columns.
func (s *scan) present(c *colSet, within, out Bitmap) error {
	for i := range c.cols {
		v, err := s.read(c, i, within)
		if err != nil {
			return err
		}
		switch {
		case v.Rows != nil:
			for _, row := range v.Rows {
				if within.Has(row) {
					out.Set(row)
				}
			}
		case v.Present != nil:
			for w := range within {
				out[w] |= within[w] & v.Present[w]
			}
		case v.Dict != nil && v.Lists == nil:
			for row, ok := within.Next(0); ok; row, ok = within.Next(row + 1) {
				if v.Codes[row] != 0 {
					out.Set(row)
				}
			}
		default:
			out.Or(within)
		}
	}
	return nil
}

// evalID compares span ids as numbers. As text they have 16 lower-case digits, or none.
func (l *leaf) evalID(s *scan, within, out Bitmap) error {
	text := string(l.m.lit.s)
	id, err := trace.ParseSpanID(text)
	if text != "" && (err != nil || id.String() != text || id.IsZero()) {
		if l.m.op == traceql.OpNe {
			out.Or(within)
		}
		return nil
	}
	v, err := s.intrinsic(fixedColumns[l.attr.Intrinsic], within)
	if err != nil {
		return err
	}
	want := int64(binary.BigEndian.Uint64(id[:]))
	return s.eachRow(within, out, func(row uint32) bool { return (v.at(row) == want) == (l.m.op == traceql.OpEq) })
}

func (l *leaf) evalTraceID(s *scan, within, out Bitmap) error {
	mark := s.used
	defer func() { s.used = mark }()
	found := s.bitmap()
	if id, err := trace.ParseID(string(l.m.lit.s)); err == nil {
		rows, err := s.seg.Find(s.ctx, id, nil)
		if err != nil {
			return err
		}
		for _, row := range rows {
			found.Set(row)
		}
	}
	for i := range within {
		if l.m.op == traceql.OpEq {
			out[i] |= within[i] & found[i]
		} else {
			out[i] |= within[i] &^ found[i]
		}
	}
	return nil
}

// evalTrace tests a property of the trace once per trace.
func (l *leaf) evalTrace(s *scan, within, out Bitmap) error {
	mark := s.used
	defer func() { s.used = mark }()
	traces, err := s.tracesOf(within)
	if err != nil {
		return err
	}
	get, err := s.traceGetter(l.attr.Intrinsic)
	if err != nil {
		return err
	}
	for t, ok := traces.Next(0); ok; t, ok = traces.Next(t + 1) {
		v := get(t)
		if l.m == nil && v.set == l.absent || l.m != nil && !l.m.value(v) {
			traces.Unset(t)
		}
		if err := s.step(); err != nil {
			return err
		}
	}
	rows, err := s.rowsOf(traces)
	if err != nil {
		return err
	}
	for i := range within {
		out[i] |= within[i] & rows[i]
	}
	return nil
}
