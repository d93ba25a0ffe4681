package query

import (
	"cmp"
	"context"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// valueCollector gathers the values of an attribute.
type valueCollector struct {
	attr     *traceql.Attr
	seen     smallest
	tables   map[*columnar.Table]struct{} // of which every entry was looked at
	dicts    map[*columnar.Dict]struct{}
	vec      columnar.Vector
	maxStale int
	stale    int // known values since the last new one
	mem      *Budget
	fresh    int // new values since mem was asked
	ctx      context.Context
	err      error // of mem or ctx
}

// add adds a value, or the elements of a list. What cannot be compared is left out, and so are intrinsics that are
// empty: they say that there is nothing.
func (c *valueCollector) add(v value) {
	if v.list {
		for _, e := range v.elem {
			c.add(e)
		}
		return
	}
	if v.typ == traceql.TypeString {
		c.addString(v.s)
		return
	}
	if t, ok := tagValueOf(v); ok {
		c.put(t)
	}
}

// addString makes a string only of a value that is not known.
func (c *valueCollector) addString(b []byte) {
	if len(b) == 0 && c.attr.Intrinsic != traceql.NotIntrinsic {
		return
	}
	if c.seen.knows(b) {
		c.stale++
		return
	}
	c.put(TagValue{Type: TagString, Str: string(b)})
}

func (c *valueCollector) put(t TagValue) {
	if c.err != nil {
		return
	}
	var fresh bool
	if fresh, c.err = c.seen.add(c.ctx, t); !fresh {
		c.stale++
		return
	}
	c.stale = 0
	if c.fresh++; c.fresh&(often-1) == 0 && c.err == nil {
		c.err = c.mem.Set(c.seen.size())
	}
}

func (c *valueCollector) done() bool { return c.err != nil || c.maxStale > 0 && c.stale >= c.maxStale }

// visit adds the values of the rows, nil = all there are in the segment.
func (c *valueCollector) visit(s *scan, rows columnar.Bitmap) (done bool, err error) {
	switch a := c.attr; a.Intrinsic {
	case traceql.NotIntrinsic:
		err = c.attribute(s, rows)
	case traceql.Name, traceql.StatusMessage, traceql.Status, traceql.Kind, traceql.Duration:
		err = c.columns(s, columnar.ScopeIntrinsic, fixedColumns[a.Intrinsic], rows)
	case traceql.InstrumentationName, traceql.InstrumentationVersion:
		err = c.table(s, columnar.ScopeInstrumentation, rows)
	case traceql.TraceRootName:
		err = c.traceLevel(s, columnar.KeyTraceRootName, rows)
	case traceql.TraceRootService:
		err = c.traceLevel(s, columnar.KeyTraceRootService, rows)
	case traceql.TraceDuration:
		err = c.traceLevel(s, "", rows)
	default:
		err = c.byRow(s, rows)
	}
	return c.done(), cmp.Or(err, c.err)
}

func (c *valueCollector) attribute(s *scan, rows columnar.Bitmap) error {
	switch c.attr.Scope {
	case traceql.ScopeSpan:
		return c.columns(s, columnar.ScopeSpan, c.attr.Name, rows)
	case traceql.ScopeResource:
		return c.table(s, columnar.ScopeResource, rows)
	case traceql.ScopeInstrumentation:
		return c.table(s, columnar.ScopeInstrumentation, rows)
	case traceql.ScopeEvent:
		return c.nested(s, columnar.ScopeEvent, rows)
	case traceql.ScopeLink:
		return c.nested(s, columnar.ScopeLink, rows)
	}
	if err := c.columns(s, columnar.ScopeSpan, c.attr.Name, rows); err != nil || c.done() {
		return err
	}
	return c.table(s, columnar.ScopeResource, rows)
}

// columns adds what the columns of a key have.
func (c *valueCollector) columns(s *scan, scope columnar.Scope, key string, rows columnar.Bitmap) error {
	for _, col := range s.columns(scope, key).cols {
		if err := c.column(s, col, rows); err != nil || c.done() {
			return err
		}
	}
	return nil
}

// column adds what a column with an entry per row has: of all rows, its dictionary.
func (c *valueCollector) column(s *scan, col columnar.Column, rows columnar.Bitmap) error {
	switch col.Type().Elem() {
	case columnar.Bytes, columnar.Other:
		return nil
	}
	if listed, err := c.listed(s, col, rows); err != nil || listed {
		return err
	}
	c.vec.Reset()
	if err := col.Read(s.ctx, rows, &c.vec); err != nil {
		return err
	}
	if rows == nil {
		rows = s.rows()
	}
	return c.vector(s, col.Type().Elem(), rows)
}

// listed adds all that is known to be in a column without its data pages; false when they must be read.
func (c *valueCollector) listed(s *scan, col columnar.Column, rows columnar.Bitmap) (bool, error) {
	typ := col.Type().Elem()
	if st := col.Stats(); st.Bounded && typ == columnar.Int && st.Max-st.Min >= 0 && st.Max-st.Min < 16 {
		known := true
		for n := st.Min; n <= st.Max && known; n++ {
			t, _ := tagValueOf(c.number(n))
			_, known = c.seen.have[t]
		}
		if known {
			return true, nil
		}
	}
	if rows != nil {
		return false, nil
	}
	d, err := col.Dict(s.ctx)
	if err != nil || d == nil || d.Shared {
		return false, err
	}
	if _, ok := c.dicts[d]; ok {
		return true, nil
	}
	c.dicts[d] = struct{}{}
	for i := range d.Len() {
		if err := s.step(); err != nil || c.done() {
			return true, err
		}
		c.entry(d, i, typ)
	}
	return true, nil
}

// number is a number of a fixed column as what it means, or a plain one.
func (c *valueCollector) number(n int64) value {
	if c.attr.Intrinsic != traceql.NotIntrinsic {
		return intValue(c.attr.Intrinsic.Type(), n)
	}
	return intValue(traceql.TypeInt, n)
}

// entry adds entry i of a dictionary.
func (c *valueCollector) entry(d *columnar.Dict, i int, typ columnar.Type) {
	switch {
	case typ == columnar.String:
		c.addString(d.Bytes(i))
	case typ == columnar.Float:
		c.add(floatValue(d.Floats[i]))
	case typ == columnar.Bool:
		c.add(intValue(traceql.TypeBool, d.Ints[i]))
	default:
		c.add(c.number(d.Ints[i]))
	}
}

// vector adds what was read for the rows. Of a dictionary every entry that occurs is looked at once.
func (c *valueCollector) vector(s *scan, typ columnar.Type, rows columnar.Bitmap) error {
	v := &c.vec
	var used columnar.Bitmap
	if v.Dict != nil {
		used = columnar.NewBitmap(v.Dict.Len() + 1)
	}
	one := func(k uint32) {
		if used != nil {
			used.Set(v.Codes[k])
			return
		}
		x := singleValue(v, k, typ)
		if x.typ == traceql.TypeInt {
			x = c.number(x.n)
		}
		c.add(x)
	}
	if err := s.eachValue(v, rows, one); err != nil {
		return err
	}
	for code, ok := used.Next(1); ok && !c.done(); code, ok = used.Next(code + 1) {
		c.entry(v.Dict, int(code)-1, typ)
	}
	return nil
}

// eachValue calls one for the place in the coding of every value of the rows.
func (s *scan) eachValue(v *columnar.Vector, rows columnar.Bitmap, one func(k uint32)) error {
	entry := func(i uint32) error {
		if v.Lists == nil {
			one(i)
		} else {
			for k := v.Lists[i]; k < v.Lists[i+1]; k++ {
				one(k)
			}
		}
		return s.step()
	}
	if v.Rows != nil {
		for i, row := range v.Rows {
			if rows.Has(row) {
				if err := entry(uint32(i)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
		if !v.Has(row) {
			continue
		}
		if err := entry(row); err != nil {
			return err
		}
	}
	return nil
}

// table adds what the resources or instrumentation scopes have.
func (c *valueCollector) table(s *scan, scope columnar.Scope, rows columnar.Bitmap) error {
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
		if err := s.step(); err != nil || c.done() {
			return err
		}
		if used == nil || used.Has(uint32(i)) {
			c.add(tableValue(t, i, c.attr))
		}
	}
	if rows == nil {
		c.tables[t] = struct{}{}
	}
	return nil
}

// nested adds what events or links have: from columns of their own, or decoded when the segment knows the key.
func (c *valueCollector) nested(s *scan, scope columnar.Scope, rows columnar.Bitmap) error {
	known := false
	for i := range s.info.Fields {
		f := &s.info.Fields[i]
		known = known || f.Scope == scope && f.Key == c.attr.Name
	}
	cols := s.columns(scope, c.attr.Name).cols
	if !known && len(cols) == 0 {
		return nil
	}
	for _, col := range cols {
		if listed, err := c.listed(s, col, rows); err != nil || c.done() {
			return err
		} else if !listed {
			return c.byRow(s, rows)
		}
	}
	if len(cols) > 0 {
		return nil
	}
	return c.byRow(s, rows)
}

// byRow evaluates the attribute for each row.
func (c *valueCollector) byRow(s *scan, rows columnar.Bitmap) error {
	get, err := s.attrGetter(c.attr, rows)
	if err != nil {
		return err
	}
	if rows == nil {
		rows = s.rows()
	}
	for row, ok := rows.Next(0); ok && !c.done(); row, ok = rows.Next(row + 1) {
		if err := s.step(); err != nil {
			return err
		}
		c.add(get(row))
	}
	return nil
}

// traceLevel adds a property of the traces that the rows are of.
func (c *valueCollector) traceLevel(s *scan, key string, rows columnar.Bitmap) error {
	if key != "" {
		for _, col := range s.columns(columnar.ScopeTrace, key).cols {
			if listed, err := c.listed(s, col, rows); err != nil || listed {
				return err
			}
		}
	}
	if rows == nil {
		rows = s.rows()
	}
	get, err := s.traceGetter(c.attr.Intrinsic)
	if err != nil {
		return err
	}
	traces, err := s.tracesOf(rows)
	if err != nil {
		return err
	}
	for t, ok := traces.Next(0); ok && !c.done(); t, ok = traces.Next(t + 1) {
		if err := s.step(); err != nil {
			return err
		}
		c.add(get(t))
	}
	return nil
}
