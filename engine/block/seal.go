package block

import (
	"time"

	"github.com/ringctl/ringctl/engine/block/pq"
)

// SealOptions names the block that Seal writes.
type SealOptions struct {
	Tenant, ID string
	Created    time.Time
}

// Seal sorts the columns and writes them as a block into dir, a folder that must
// not exist; on error nothing is left of it. The columns are only read. The
// files are durable on return, the name dir is not: the caller syncs its parent.
func (w *Writer) Seal(dir string, c *Columns, o SealOptions) (*Meta, error) {
	out, err := w.create(dir, Meta{Tenant: o.Tenant, ID: o.ID, Created: o.Created.UTC()})
	if err != nil {
		return nil, err
	}
	m, err := w.seal(out, c)
	if err != nil {
		out.abort()
		return nil, err
	}
	return m, nil
}

func (w *Writer) seal(out *output, c *Columns) (*Meta, error) {
	tables := newTables(c.Resources, c.Scopes)
	services, serviceDict := tables.services()
	w.sorter.sort(c)
	rows := w.sorter.layout(c, &w.forest, services)
	if rows == 0 {
		return out.finish(w, tables, nil)
	}
	cuts := w.forest.cut(w.o.GroupRows)
	w.stripe.begin(w.enc, cuts)
	w.forest.errors(&out.meta)
	if err := w.sealFixed(out, c, rows, serviceDict); err != nil {
		return nil, err
	}
	w.fields.reset()
	w.fields.Update(c)
	if err := w.sealAttrs(out, c, rows); err != nil {
		return nil, err
	}
	if err := out.addGroups(&w.stripe, w.forest.groups(cuts)); err != nil {
		return nil, err
	}
	return out.finish(w, tables, w.fields.list(out.attrs))
}

// errors adds the number of error spans to the meta.
func (f *forest) errors(m *Meta) {
	for i := range f.traces {
		m.Errors += int64(f.traces[i].errors)
	}
}

// sealFixed writes the fixed columns but the overflow.
func (w *Writer) sealFixed(out *output, c *Columns, rows int, services *pq.Dict) error {
	rowMap := w.sorter.rowMap
	for n := range ColOverflowKey {
		leaf := out.pq.Leaf(n)
		col := w.computed(n, rows, c.Fixed[ColName].Dict, services)
		if col == nil {
			col = w.gatherOne(leaf, &c.Fixed[n], rowMap, rows)
		}
		if err := w.stripe.put(n, leaf, col); err != nil {
			return err
		}
	}
	return nil
}

// gatherOne brings one column of Columns into output order.
func (w *Writer) gatherOne(leaf *pq.Leaf, c *Column, rowMap []uint32, rows int) *Column {
	if c.Lens != nil {
		w.lists.begin()
		w.lists.add(c, rowMap, nil, nil)
		return w.listColumn(leaf.Kind.IsInt(), c.Dict, c.Plain)
	}
	w.gather.begin(rows, c.Len(), leaf.Kind.IsInt())
	if leaf.Kind.IsInt() {
		w.gather.intsOf(c, rowMap, 0, nil)
		return w.gather.finishInts()
	}
	d := c.Dict
	if d == nil {
		d = new(pq.Dict)
	}
	w.gather.codesOf(c, rowMap, 0, nil)
	return w.codeColumn(d, c.Plain)
}

// computed returns the columns that come from the forest, nil for the others.
func (w *Writer) computed(n, rows int, names, services *pq.Dict) *Column {
	f := &w.forest
	switch n {
	case ColTraceID:
		return w.traceIDs(rows)
	case ColParentID:
		c := &Column{Rows: []uint32{}}
		c.Rows, c.Ints = f.parentIDs(c.Rows, c.Ints)
		return c
	case ColNestedLeft:
		return w.numbers(f.left[:rows])
	case ColNestedRight:
		return w.numbers(f.right[:rows])
	case ColNestedParent:
		return w.numbers(f.parent[:rows])
	case ColTraceStart:
		return &Column{Ints: f.start[:rows]}
	case ColStartOffset:
		return &Column{Ints: f.offset[:rows]}
	case ColTraceDuration:
		return f.perTrace(func(t *traceInfo) (int64, bool) { return t.end - t.start, true })
	case ColRootName:
		c := f.perTraceCodes(func(t *traceInfo) uint32 { return t.root })
		c.Dict = names
		return c
	case ColRootService:
		c := f.perTraceCodes(func(t *traceInfo) uint32 { return t.service })
		c.Dict = services
		return c
	case ColTraceSpans:
		return f.perTrace(func(t *traceInfo) (int64, bool) { return int64(t.n), true })
	case ColTraceErrors:
		return f.perTrace(func(t *traceInfo) (int64, bool) { return int64(t.errors), t.errors > 0 })
	}
	return nil
}

// traceIDs is the column of trace ids: ascending codes of ascending ids.
func (w *Writer) traceIDs(rows int) *Column {
	w.ids.Reset()
	w.gather.begin(rows, rows, false)
	for i := range w.forest.traces {
		t := &w.forest.traces[i]
		w.ids.Append(t.id[:])
		for r := t.row; r < t.row+t.n; r++ {
			w.gather.codes[r] = uint32(i + 1)
		}
	}
	return &Column{Codes: w.gather.codes, Dict: &w.ids}
}

func (w *Writer) numbers(v []int32) *Column {
	w.gather.begin(len(v), len(v), true)
	for i, n := range v {
		w.gather.ints[i] = int64(n)
	}
	return &Column{Ints: w.gather.ints}
}

// sealAttrs writes the overflow and then the attribute columns.
func (w *Writer) sealAttrs(out *output, c *Columns, rows int) error {
	keep := chooseColumns(c.Attrs, rows)
	w.over.begin()
	w.over.addList(&c.Fixed[ColOverflowKey], &c.Fixed[ColOverflowValue], w.sorter.rowMap, 0, nil)
	for i := range c.Attrs {
		if !keep[i] {
			w.over.addAttr(&c.Attrs[i], w.sorter.rowMap)
		}
	}
	if err := w.over.put(&w.stripe, out.pq); err != nil {
		return err
	}
	for i := range c.Attrs {
		if keep[i] {
			out.attr(c.Attrs[i].Attr)
		}
	}
	next := FixedColumns
	for i := range c.Attrs {
		if !keep[i] {
			continue
		}
		leaf := out.pq.Leaf(next)
		if err := w.stripe.put(next, leaf, w.gatherOne(leaf, &c.Attrs[i].Column, w.sorter.rowMap, rows)); err != nil {
			return err
		}
		next++
	}
	return nil
}
