package query

import (
	"encoding/binary"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// eval finds the matching rows in the way that fits the attribute.
func (l *leaf) eval(s *scan, within, out columnar.Bitmap) error {
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
	case wayRow:
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
func (l *leaf) evalSpan(s *scan, st *leafState, within, out columnar.Bitmap) error {
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

func (l *leaf) evalExists(s *scan, st *leafState, within, out columnar.Bitmap) error {
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
func (l *leaf) evalBoth(s *scan, st *leafState, within, out columnar.Bitmap) error {
	if len(st.span.cols) == 0 {
		return s.selectTable(columnar.ScopeResource, st.table, within, out)
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
	return s.selectTable(columnar.ScopeResource, st.table, rest, out)
}

// evalColumn adds the matching rows of one column.
func (l *leaf) evalColumn(s *scan, st *leafState, i int, within, out columnar.Bitmap) error {
	c := st.span.cols[i]
	if pb, ok := c.(columnar.PageBounds); ok && c.Type() == columnar.Int && !l.m.invert {
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
		return l.evalLists(s, v, set, c.Type(), within, out)
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
	return s.eachRow(within, out, func(row uint32) bool { return l.test(rowValue(v, row, typ)) })
}

// test is the matcher on a value of a column; kind and status are stored as numbers.
func (l *leaf) test(v value) bool {
	if t := l.m.lit.typ; v.typ == traceql.TypeInt && (t == traceql.TypeKind || t == traceql.TypeStatus) && l.attr.Intrinsic != traceql.NotIntrinsic {
		v.typ = t
	}
	return l.m.value(v)
}

func (l *leaf) evalSparse(s *scan, v *columnar.Vector, set *codeSet, typ columnar.Type, within, out columnar.Bitmap) error {
	byCode := set != nil && v.Dict != nil
	if v.Ints != nil {
		for i, row := range v.Rows {
			if l.m.int(v.Ints[i]) && within.Has(row) {
				out.Set(row)
			}
		}
		return s.ctx.Err()
	}
	for i, row := range v.Rows {
		if err := s.step(); err != nil {
			return err
		}
		if !within.Has(row) {
			continue
		}
		if byCode && set.bits.Has(v.Codes[i]) || !byCode && l.test(entryValue(v, uint32(i), typ)) {
			out.Set(row)
		}
	}
	return nil
}

// evalLists tests the lists of an array column: an element has to match, or all of them for != and !~.
func (l *leaf) evalLists(s *scan, v *columnar.Vector, set *codeSet, typ columnar.Type, within, out columnar.Bitmap) error {
	test, all := l.elementTest(v, set, typ.Elem()), l.m.negative()
	matches := func(i uint32) bool {
		for k := v.Lists[i]; k < v.Lists[i+1]; k++ {
			if test(k) != all {
				return !all
			}
		}
		return all
	}
	if v.Rows == nil {
		return s.eachRow(within, out, func(row uint32) bool {
			return (v.Present == nil || v.Present.Has(row)) && matches(row)
		})
	}
	for i, row := range v.Rows {
		if err := s.step(); err != nil {
			return err
		}
		if within.Has(row) && matches(uint32(i)) {
			out.Set(row)
		}
	}
	return nil
}

// elementTest tests value k of the coding of an array column.
func (l *leaf) elementTest(v *columnar.Vector, set *codeSet, typ columnar.Type) func(k uint32) bool {
	switch {
	case v.Dict != nil && set != nil && set.n == 1:
		return func(k uint32) bool { return v.Codes[k] == set.one }
	case v.Dict != nil && set != nil:
		return func(k uint32) bool { return set.bits.Has(v.Codes[k]) }
	case v.Ints != nil:
		return func(k uint32) bool { return l.m.int(v.Ints[k]) }
	}
	return func(k uint32) bool { return l.test(singleValue(v, k, typ)) }
}

// evalFixed is evalSpan for a fixed column: null entries have a value, and so have rows of a column that is missing.
func (l *leaf) evalFixed(s *scan, st *leafState, within, out columnar.Bitmap) error {
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
func (s *scan) selectTable(scope columnar.Scope, set *codeSet, within, out columnar.Bitmap) error {
	switch {
	case set.n == 0 || within.Empty():
		return nil
	case set.n == set.size:
		out.Or(within)
		return nil
	}
	key := columnar.KeyResource
	if scope == columnar.ScopeInstrumentation {
		key = columnar.KeyScope
	}
	v, err := s.intrinsic(key, within)
	if err != nil {
		return err
	}
	selectCodes(v.Codes, set, within, out)
	return nil
}

// present adds the rows that have a value in one of the columns.
func (s *scan) present(c *colSet, within, out columnar.Bitmap) error {
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
func (l *leaf) evalID(s *scan, within, out columnar.Bitmap) error {
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
	return s.eachRow(within, out, func(row uint32) bool { return (v.Int(row) == want) == (l.m.op == traceql.OpEq) })
}

func (l *leaf) evalTraceID(s *scan, within, out columnar.Bitmap) error {
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
func (l *leaf) evalTrace(s *scan, within, out columnar.Bitmap) error {
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
