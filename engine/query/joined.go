package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// joined is a [columnar.Segment] made of some traces of several others, so that traces whose parts lie in different places are
// seen whole. It holds no span: a column of it reads the rows it needs from the columns of the parts. A span that
// several parts have is there once, from the first of them. Rows go part by part.
type joined struct {
	info   columnar.Info
	traces columnar.Traces
	parts  []joinedPart
	tables [2]*columnar.Table
}

type joinedPart struct {
	seg  columnar.Segment
	rows []uint32  // of seg, ascending: rows base, base+1, … of the whole
	base uint32    // of rows
	off  [2]uint32 // of the part's table entries in the whole's tables
	n    int       // rows of seg
}

// part is some traces of one segment.
type part struct {
	p      *piece
	traces []splitTrace // ascending joint numbers
}

// joinedRow is a row of a part with the joint number of its trace.
type joinedRow struct {
	row   uint32
	joint int
	start int64
}

// newJoined makes the segment; parts are in the order in which copies of a span count, some of them empty.
func newJoined(ctx context.Context, parts []part) (*joined, error) {
	j := &joined{}
	parts = slices.DeleteFunc(slices.Clone(parts), func(x part) bool { return len(x.traces) == 0 })
	joint := 0
	for _, x := range parts {
		joint = max(joint, x.traces[len(x.traces)-1].joint+1)
	}
	seen := make(map[copyKey]struct{})
	var all []joinedRow // of the whole
	for _, x := range parts {
		rows, err := x.unseen(ctx, seen)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.p.source, err)
		}
		if len(rows) == 0 {
			continue
		}
		p := joinedPart{seg: x.p.seg.Segment, base: uint32(len(all)), n: x.p.info.Rows, rows: make([]uint32, len(rows))}
		for i, r := range rows {
			p.rows[i] = r.row
			all = append(all, joinedRow{p.base + uint32(i), r.joint, r.start})
		}
		j.parts = append(j.parts, p)
		j.know(x.p.info, len(rows))
	}
	j.group(parts, all, joint)
	for kind := range j.tables {
		if err := j.joinTables(ctx, kind); err != nil {
			return nil, err
		}
	}
	j.listFields()
	return j, nil
}

// unseen lists the live rows of the part, ascending, without the spans in seen, and adds them to it.
func (x *part) unseen(ctx context.Context, seen map[copyKey]struct{}) ([]joinedRow, error) {
	m, err := x.p.members(ctx, numbers(x.traces))
	if err != nil {
		return nil, err
	}
	defer m.s.end()
	start, err := m.s.intrinsic(columnar.KeyStart, m.within)
	if err != nil {
		return nil, err
	}
	var rows []joinedRow
	for _, t := range x.traces {
		spans, err := m.of(t.number)
		if err != nil {
			return nil, err
		}
		for _, y := range spans {
			k := copyKey{t.joint, y.id, y.kind}
			if _, dup := seen[k]; !dup {
				seen[k] = struct{}{}
				rows = append(rows, joinedRow{y.row, t.joint, start.Int(y.row)})
			}
		}
	}
	slices.SortFunc(rows, func(a, b joinedRow) int { return cmp.Compare(a.row, b.row) })
	return rows, nil
}

// know adds what is known of a part.
func (j *joined) know(of *columnar.Info, rows int) {
	if j.info.Rows == 0 || of.Start < j.info.Start {
		j.info.Start = of.Start
	}
	j.info.Rows += rows
	j.info.End = max(j.info.End, of.End)
	j.info.Bytes += of.Bytes * int64(rows) / int64(of.Rows)
}

// group lists the rows trace by trace, within a trace by start. Joint numbers ascend with the ids.
func (j *joined) group(parts []part, all []joinedRow, joint int) {
	ids := make([]trace.ID, joint)
	for _, x := range parts {
		for _, t := range x.traces {
			ids[t.joint] = x.p.traces.IDs[t.number]
		}
	}
	slices.SortStableFunc(all, func(a, b joinedRow) int {
		return cmp.Or(cmp.Compare(a.joint, b.joint), cmp.Compare(a.start, b.start))
	})
	j.traces.Perm = make([]uint32, len(all))
	for i, r := range all {
		j.traces.Perm[i] = r.row
		if i == 0 || all[i-1].joint != r.joint {
			j.traces.IDs = append(j.traces.IDs, ids[r.joint])
			j.traces.Offsets = append(j.traces.Offsets, uint32(i))
		}
	}
	j.traces.Offsets = append(j.traces.Offsets, uint32(len(all)))
	j.info.Unique, j.info.Traces = true, len(j.traces.IDs)
	if n := len(j.traces.IDs); n > 0 {
		j.info.MinID, j.info.MaxID = j.traces.IDs[0], j.traces.IDs[n-1]
	}
}

var tableScopes = [2]columnar.Scope{columnar.ScopeResource, columnar.ScopeInstrumentation}

// joinTables puts the parts' tables one after the other, each once.
func (j *joined) joinTables(ctx context.Context, kind int) error {
	var all []*columnar.Table
	size := 0
	places := make(map[*columnar.Table]uint32)
	for i := range j.parts {
		t, err := j.parts[i].seg.Table(ctx, tableScopes[kind])
		if err != nil {
			return err
		}
		place, ok := places[t]
		if !ok {
			place = uint32(size)
			places[t] = place
			all, size = append(all, t), size+t.Len()
		}
		j.parts[i].off[kind] = place
	}
	j.tables[kind] = columnar.JoinTables(all...)
	return nil
}

func (j *joined) listFields() {
	seen := make(map[columnar.Field]struct{})
	for _, p := range j.parts {
		for _, f := range p.seg.Info().Fields {
			if _, ok := seen[f]; !ok {
				seen[f] = struct{}{}
				j.info.Fields = append(j.info.Fields, f)
			}
		}
	}
}

// Info implements [columnar.Segment].
func (j *joined) Info() *columnar.Info { return &j.info }

// Table implements [columnar.Segment].
func (j *joined) Table(_ context.Context, scope columnar.Scope) (*columnar.Table, error) {
	if scope == columnar.ScopeInstrumentation {
		return j.tables[1], nil
	}
	return j.tables[0], nil
}

// Traces implements [columnar.Segment].
func (j *joined) Traces(context.Context) (*columnar.Traces, error) { return &j.traces, nil }

// Find implements [columnar.Segment].
func (j *joined) Find(_ context.Context, id trace.ID, dst []uint32) ([]uint32, error) {
	if t, ok := slices.BinarySearchFunc(j.traces.IDs, id, compareIDs); ok {
		dst = append(dst, j.traces.Perm[j.traces.Offsets[t]:j.traces.Offsets[t+1]]...)
	}
	return dst, nil
}

// Spans implements [columnar.Segment].
func (j *joined) Spans(ctx context.Context, rows []uint32, visit func(columnar.RawSpan) error) error {
	for _, p := range j.parts {
		n, _ := slices.BinarySearch(rows, p.base+uint32(len(p.rows)))
		if n == 0 {
			continue
		}
		of := make([]uint32, n)
		for i, row := range rows[:n] {
			of[i] = p.rows[row-p.base]
		}
		at := 0
		err := p.seg.Spans(ctx, of, func(r columnar.RawSpan) error {
			r.Row, r.Resource, r.Scope = rows[at], r.Resource+p.off[0], r.Scope+p.off[1]
			at++
			return visit(r)
		})
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// Columns implements [columnar.Segment]. Optional columns are left out where they do not follow from those of the parts.
func (j *joined) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	switch {
	case scope == columnar.ScopeTrace || scope == columnar.ScopeEvent || scope == columnar.ScopeLink:
		return dst
	case key == columnar.KeyNestedLeft || key == columnar.KeyNestedRight || key == columnar.KeyNestedParent:
		if scope == columnar.ScopeIntrinsic {
			return dst
		}
	}
	kind := -1
	if scope == columnar.ScopeIntrinsic {
		kind = slices.Index([]string{columnar.KeyResource, columnar.KeyScope}, key)
	}
	if len(j.parts) == 0 && scope == columnar.ScopeIntrinsic {
		return append(dst, &joinedColumn{j: j, typ: columnar.Int, table: kind}) // of no rows
	}
	first := len(dst)
	var cols []columnar.Column
	for i := range j.parts {
		for _, c := range j.parts[i].seg.Columns(cols[:0], scope, key) {
			at := slices.IndexFunc(dst[first:], func(x columnar.Column) bool {
				x2 := x.(*joinedColumn)
				return x2.typ == c.Type() && x2.cols[i] == nil
			})
			if at < 0 {
				at = len(dst) - first
				dst = append(dst, &joinedColumn{j: j, typ: c.Type(), table: kind, cols: make([]columnar.Column, len(j.parts))})
			}
			dst[first+at].(*joinedColumn).cols[i] = c
		}
	}
	return dst
}

// joinedColumn is a column of a joined segment.
type joinedColumn struct {
	j     *joined
	typ   columnar.Type
	table int               // 0, 1: its values are entries of that table; -1: they are not
	cols  []columnar.Column // per part, nil = no value there
}

// Type implements [columnar.Column].
func (c *joinedColumn) Type() columnar.Type { return c.typ }

// Stats implements [columnar.Column].
func (c *joinedColumn) Stats() columnar.ColumnStats { return columnar.ColumnStats{} }

// Dict implements [columnar.Column].
func (c *joinedColumn) Dict(context.Context) (*columnar.Dict, error) { return nil, nil }

// Read implements [columnar.Column]: a plain value for every row; of lists only the rows that have one.
func (c *joinedColumn) Read(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) error {
	w := c.writer(dst)
	var tmp columnar.Vector
	for i, p := range c.j.parts {
		rows := columnar.NewBitmap(p.n)
		for k, row := range p.rows {
			if c.cols[i] != nil && (within == nil || within.Has(p.base+uint32(k))) {
				rows.Set(row)
			}
		}
		if rows.Empty() {
			w.skip(p.rows)
			continue
		}
		tmp.Reset()
		if err := c.cols[i].Read(ctx, rows, &tmp); err != nil {
			return err
		}
		if c.table >= 0 {
			w.off = p.off[c.table]
		}
		for _, row := range p.rows {
			w.add(&tmp, row, rows.Has(row))
		}
	}
	w.end()
	return ctx.Err()
}

// joinedWriter fills a vector row by row.
type joinedWriter struct {
	dst   *columnar.Vector
	row   uint32
	nulls bool
	text  bool
	lists bool
	float bool
	table bool
	off   uint32 // added to the entries of a table
}

func (c *joinedColumn) writer(dst *columnar.Vector) *joinedWriter {
	n := c.j.info.Rows
	w := &joinedWriter{dst: dst, lists: c.typ&columnar.Array != 0, table: c.table >= 0}
	values := n
	if w.lists {
		dst.UseRows(0)
		dst.UseLists(1)[0] = 0
		values = 0
	} else {
		dst.UsePresent(n)
	}
	switch c.typ.Elem() {
	case columnar.String, columnar.Bytes, columnar.Other:
		w.text = true
		_, offsets := dst.UseStrings(0, values+1)
		offsets[0] = 0
	case columnar.Float:
		w.float = true
		dst.UseFloats(values)
	default:
		if w.table {
			dst.UseCodes(values)
		} else {
			dst.UseInts(values)
		}
	}
	return w
}

// skip makes rows null.
func (w *joinedWriter) skip(rows []uint32) {
	for range rows {
		w.add(nil, 0, false)
	}
}

// add takes the value of a row of v, if the row is wanted.
func (w *joinedWriter) add(v *columnar.Vector, row uint32, wanted bool) {
	at, ok := uint32(0), false
	if wanted {
		at, ok = v.Entry(row)
	}
	switch {
	case w.lists && ok:
		for k := v.Lists[at]; k < v.Lists[at+1]; k++ {
			w.append(v, k)
		}
		w.dst.Rows = append(w.dst.Rows, w.row)
		w.dst.Lists = append(w.dst.Lists, uint32(max(len(w.dst.Offsets)-1, len(w.dst.Floats), len(w.dst.Ints))))
	case w.lists:
	case ok:
		w.dst.Present.Set(w.row)
		w.set(v, at)
	default:
		w.nulls = true
		w.null()
	}
	w.row++
}

// set is the value of the row.
func (w *joinedWriter) set(v *columnar.Vector, at uint32) {
	switch {
	case w.table:
		w.dst.Codes[w.row] = uint32(v.IntAt(at)) + w.off
	case w.text:
		w.dst.Arena = append(w.dst.Arena, v.TextAt(at)...)
		w.dst.Offsets[w.row+1] = uint32(len(w.dst.Arena))
	case w.float:
		w.dst.Floats[w.row] = v.FloatAt(at)
	default:
		w.dst.Ints[w.row] = v.IntAt(at)
	}
}

// null is a row without a value.
func (w *joinedWriter) null() {
	switch {
	case w.table:
		w.dst.Codes[w.row] = 0
	case w.text:
		w.dst.Offsets[w.row+1] = uint32(len(w.dst.Arena))
	}
}

// append adds an element of a list.
func (w *joinedWriter) append(v *columnar.Vector, at uint32) {
	switch {
	case w.text:
		w.dst.Arena = append(w.dst.Arena, v.TextAt(at)...)
		w.dst.Offsets = append(w.dst.Offsets, uint32(len(w.dst.Arena)))
	case w.float:
		w.dst.Floats = append(w.dst.Floats, v.FloatAt(at))
	default:
		w.dst.Ints = append(w.dst.Ints, v.IntAt(at))
	}
}

func (w *joinedWriter) end() {
	if !w.nulls || w.table {
		w.dst.Present = nil
	}
}
