package block

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// StripeRows is how many output rows a merge works on at a time. It bounds the
// memory of a merge, however large the blocks: about 40 bytes a row of encoded
// pages and one column as values. Larger stripes decode the dictionaries of
// unsorted inputs fewer times.
const StripeRows = 1 << 18

// MergeOptions names the block that Merge writes.
type MergeOptions struct {
	Tenant, ID string
	Created    time.Time
	// StripeRows replaces the constant of that name; 0 means the constant.
	StripeRows int
}

// Merge makes one block of several blocks of one tenant, in a new local folder
// dir; on error nothing is left of it. Columns are merged, spans never decoded.
// Spans that occur twice (same trace, span id and kind) stay once, and the trees
// of traces that were in several inputs are numbered anew. The inputs should have
// a small cache: nothing in them is read twice on purpose.
func (w *Writer) Merge(ctx context.Context, dir string, inputs []*Block, o MergeOptions) (*Meta, error) {
	if len(inputs) == 0 {
		return nil, errors.New("merge blocks: no inputs")
	}
	if o.StripeRows == 0 {
		o.StripeRows = StripeRows
	}
	meta := Meta{Tenant: o.Tenant, ID: o.ID, Created: o.Created.UTC()}
	for _, in := range inputs {
		meta.Level = max(meta.Level, in.meta.Level+1)
		meta.Replaces = append(meta.Replaces, in.meta.ID)
	}
	out, err := w.create(dir, meta)
	if err != nil {
		return nil, err
	}
	m := &merger{w: w, out: out, o: o, ctx: ctx}
	done, err := m.run(inputs)
	if err != nil {
		out.abort()
		return nil, fmt.Errorf("merge %d blocks: %w", len(inputs), err)
	}
	return done, nil
}

// merger is one merge under way.
type merger struct {
	w      *Writer
	out    *output
	o      MergeOptions
	ctx    context.Context // of the one call of Merge
	inputs []*mergeInput
	tables *tables
	parts  []*part // row groups with rows in the stripe
	// services gives the code of each resource's service in service.
	services []uint32
	service  *pq.Dict
	names    pq.Interner // root names of traces put together
	promoted map[int][]promotedValue
	fields   FieldSet
	vector   columnar.Vector
}

// mergeInput is one input block: a cursor over its traces.
type mergeInput struct {
	b      *Block
	group  int
	traces *columnar.Traces // of the group, nil at the end
	next   int              // next trace in traces
	part   *part            // the group's rows in this stripe, if any
	remap  [2][]uint32      // resource and scope numbers in the output
}

// part is the rows of one input row group that go into the stripe.
type part struct {
	in     *mergeInput
	seg    *segment
	rowMap []uint32 // output row of each row; joined marks rows of traces put together
	rows   int
	within columnar.Bitmap // nil when all rows are wanted
}

// joined marks the rows of traces that were in several inputs: what is computed
// per trace is not copied for them.
const joined = 1 << 31

func (m *merger) run(inputs []*Block) (*Meta, error) {
	fields := &m.fields
	fields.reset()
	for _, b := range inputs {
		in := &mergeInput{b: b, group: -1}
		m.inputs = append(m.inputs, in)
		for _, f := range b.fields {
			fields.add(f.Scope, f.Key, f.Type, 1)
		}
		if err := in.nextGroup(m.ctx); err != nil {
			return nil, err
		}
	}
	if err := m.mergeTables(); err != nil {
		return nil, err
	}
	for _, a := range m.chooseAttrs() {
		m.out.attr(a)
	}
	for {
		rows, err := m.plan()
		if err != nil || rows == 0 {
			if err != nil {
				return nil, err
			}
			return m.out.finish(m.w, m.tables, fields.list(m.out.attrs))
		}
		if err := m.writeStripe(rows); err != nil {
			return nil, err
		}
	}
}

// nextGroup moves the cursor to the next row group that has traces.
func (in *mergeInput) nextGroup(ctx context.Context) (err error) {
	in.group++
	in.next, in.traces, in.part = 0, nil, nil
	if in.group < len(in.b.segments) {
		in.traces, err = in.b.segments[in.group].Traces(ctx)
	}
	return err
}

// mergeTables joins the tables of resources and scopes.
func (m *merger) mergeTables() error {
	var lists [2][]trace.Group
	for which := range lists {
		var seen pq.Interner
		var key []byte
		for _, in := range m.inputs {
			groups, _, err := in.b.groups(m.ctx, which)
			if err != nil {
				return err
			}
			in.remap[which] = make([]uint32, len(groups))
			for i := range groups {
				key = groupKey(key[:0], &groups[i])
				c := seen.Code(key)
				if int(c) > len(lists[which]) {
					lists[which] = append(lists[which], groups[i])
				}
				in.remap[which][i] = c - 1
			}
		}
	}
	m.tables = newTables(lists[0], lists[1])
	m.services, m.service = m.tables.services()
	return nil
}

// groupKey is what makes resources or scopes equal.
func groupKey(dst []byte, g *trace.Group) []byte {
	dst = appendUvarint(dst, len(g.Raw))
	dst = append(dst, g.Raw...)
	dst = appendUvarint(dst, len(g.SchemaURL))
	return append(append(dst, g.SchemaURL...), g.Unknown...)
}

// chooseAttrs lists the attributes that get a column: those that have one in an
// input, the most frequent ones if they are too many.
func (m *merger) chooseAttrs() []Attr {
	count := map[Attr]int64{}
	for _, in := range m.inputs {
		for a, leaf := range in.b.attrs {
			for g := range in.b.file.Groups { // a list has several values, but each row without one is a null
				info := &in.b.file.Groups[g]
				count[a] += int64(info.Rows) - info.Chunks[leaf].Nulls
			}
		}
	}
	list := make([]Attr, 0, len(count))
	for a := range count {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Attr) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Type, b.Type))
	})
	return list[:min(len(list), maxColumns)]
}

// share is what of a chunk's values falls into the stripe, about.
func (p *part) share(leaf int) int {
	c := p.seg.chunk(leaf)
	n := c.Values - c.Nulls
	return int(math.Ceil(float64(n) * float64(p.rows) / float64(p.seg.info.Rows)))
}

// writeStripe writes the planned rows as row groups.
func (m *merger) writeStripe(rows int) error {
	w := m.w
	cuts := w.forest.cut(w.o.GroupRows)
	w.stripe.begin(w.enc, cuts)
	for n := range ColOverflowKey {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		c, err := m.fixed(n, rows)
		if err != nil {
			return err
		}
		if err := w.stripe.put(n, m.out.pq.Leaf(n), c); err != nil {
			return err
		}
	}
	if err := m.overflow(); err != nil {
		return err
	}
	order := make([]Attr, len(m.out.attrs))
	for a, n := range m.out.attrs {
		order[n-FixedColumns] = a
	}
	for i, a := range order {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		c, err := m.attr(a, FixedColumns+i, rows)
		if err != nil {
			return err
		}
		if err := w.stripe.put(FixedColumns+i, m.out.pq.Leaf(FixedColumns+i), c); err != nil {
			return err
		}
	}
	w.forest.errors(&m.out.meta)
	return m.out.addGroups(&w.stripe, w.forest.groups(cuts))
}

// fixed merges one fixed column.
func (m *merger) fixed(n, rows int) (*Column, error) {
	leaf := m.out.pq.Leaf(n)
	w := m.w
	if n == ColTraceID {
		return w.traceIDs(rows), nil
	}
	total := 0
	for _, p := range m.parts {
		total += p.share(n)
	}
	w.gather.begin(rows, total, leaf.Kind.IsInt())
	w.gather.single = computedColumn(n)
	defer func() { w.gather.single = false }()
	if !leaf.Kind.IsInt() {
		c, err := m.codes(func(p *part) int { return n })
		if err != nil {
			return nil, err
		}
		return m.patchRoots(n, c), nil
	}
	for _, p := range m.parts {
		if err := m.ints(p, n, m.numbers(p, n)); err != nil {
			return nil, err
		}
	}
	m.patch(n)
	c := w.gather.finishInts()
	m.learn(n, c)
	return c, nil
}

// computedColumn tells whether a column is computed per trace.
func computedColumn(n int) bool {
	switch n {
	case ColParentID, ColNestedLeft, ColNestedRight, ColNestedParent, ColTraceStart, ColStartOffset,
		ColTraceDuration, ColRootName, ColRootService, ColTraceSpans, ColTraceErrors:
		return true
	}
	return false
}

// numbers is how the numbers of a column change, nil for not at all.
func (m *merger) numbers(p *part, n int) []uint32 {
	switch n {
	case ColResource:
		return p.in.remap[0]
	case ColScope:
		return p.in.remap[1]
	}
	return nil
}

// ints gathers a column of integers from one part.
func (m *merger) ints(p *part, leaf int, renumber []uint32) error {
	return p.seg.read(m.ctx, leaf, p.within, func(r *raw) error {
		c, dict := r.view()
		if renumber != nil {
			var err error
			if c, dict, err = renumbered(c, dict, renumber); err != nil {
				return p.seg.b.fault(p.seg.part(leaf), err)
			}
		}
		m.w.gather.intsOf(c, p.rowMap, 0, dict)
		return nil
	})
}

// renumbered replaces each number by its new one.
func renumbered(c *Column, dict []int64, to []uint32) (*Column, []int64, error) {
	src := dict
	if c.Codes == nil {
		src = c.Ints
	}
	out := make([]int64, len(src))
	for i, v := range src {
		if v < 0 || v >= int64(len(to)) {
			return nil, nil, fmt.Errorf("%w: entry %d of a table of %d", pq.ErrDamaged, v, len(to))
		}
		out[i] = int64(to[v])
	}
	if c.Codes == nil {
		return &Column{Rows: c.Rows, Ints: out}, nil, nil
	}
	return c, out, nil
}

// codes gathers a column of strings from all parts; leaf gives the column in the
// part's block, negative for none. Values of mostly unique columns are not looked
// up.
func (m *merger) codes(leaf func(*part) int) (*Column, error) {
	w := m.w
	w.words.Reset()
	unique := m.unique(leaf)
	for _, p := range m.parts {
		n := leaf(p)
		if n < 0 || p.seg.chunk(n).Nulls == p.seg.chunk(n).Values {
			continue
		}
		err := p.seg.read(m.ctx, n, p.within, func(r *raw) error {
			c, _ := r.view()
			m.gatherCodes(c, p.rowMap, unique)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return w.codeColumn(&w.words.Dict, unique), nil
}

// unique tells whether a column's values are mostly unique, by how they are stored.
func (m *merger) unique(leaf func(*part) int) bool {
	plain, values := 0, 0
	for _, p := range m.parts {
		if n := leaf(p); n >= 0 {
			c := p.seg.chunk(n)
			values += int(c.Values - c.Nulls)
			if !c.HasDict() {
				plain += int(c.Values - c.Nulls)
			}
		}
	}
	return 2*plain > values
}

// gatherCodes adds a column after renaming its codes. Entries that no row of the
// stripe uses are not taken over.
func (m *merger) gatherCodes(c *Column, rowMap []uint32, unique bool) {
	w := m.w
	w.remap = sized(w.remap, c.Dict.Len())
	clear(w.remap)
	for i, k := range c.Codes {
		if k == 0 || w.remap[k-1] != 0 {
			continue
		}
		row := uint32(i)
		if c.Rows != nil {
			row = c.Rows[i]
		}
		if at(rowMap, row) == dropped {
			continue
		}
		m.rename(c.Dict, k, unique)
	}
	w.gather.codesOf(c, rowMap, 0, w.remap)
}

// rename gives an entry of a dictionary its new code.
func (m *merger) rename(d *pq.Dict, k uint32, unique bool) {
	w := m.w
	if v := d.Entry(int(k - 1)); unique {
		w.remap[k-1] = w.words.Add(v)
	} else {
		w.remap[k-1] = w.words.Code(v)
	}
}

// attr merges one attribute column, with the values that stood in overflow lists.
func (m *merger) attr(a Attr, number, rows int) (*Column, error) {
	w := m.w
	leafOf := func(p *part) int {
		if n, ok := p.seg.b.attrs[a]; ok {
			return n
		}
		return -1
	}
	if a.Type&columnar.Array != 0 {
		return m.lists(a, number, leafOf)
	}
	total := len(m.promoted[number])
	for _, p := range m.parts {
		if n := leafOf(p); n >= 0 {
			total += p.share(n)
		}
	}
	isInt := a.Type != columnar.String
	w.gather.begin(rows, total, isInt)
	if !isInt {
		c, err := m.codes(leafOf)
		if err != nil || len(m.promoted[number]) == 0 {
			return c, err
		}
		for _, v := range m.promoted[number] {
			w.gather.setCode(v.row, w.words.Code(v.text))
		}
		return w.codeColumn(&w.words.Dict, c.Plain), nil
	}
	for _, p := range m.parts {
		n := leafOf(p)
		if n < 0 || p.seg.chunk(n).Nulls == p.seg.chunk(n).Values {
			continue
		}
		if err := m.ints(p, n, nil); err != nil {
			return nil, err
		}
	}
	for _, v := range m.promoted[number] {
		w.gather.set(v.row, v.number)
	}
	return w.gather.finishInts(), nil
}

// promotedValue is a value on its way from an overflow list to a column.
type promotedValue struct {
	row    uint32
	number int64
	text   []byte // of arrays the ArrayValue
}

// overflow merges the overflow lists, taking out what has a column in the output
// and adding what lost its own.
func (m *merger) overflow() error {
	w := m.w
	w.over.begin()
	m.promoted = map[int][]promotedValue{}
	taken := map[[2]uint32]bool{} // column and row that has a value already
	for _, p := range m.parts {
		if c := p.seg.chunk(ColOverflowKey); c.Nulls < c.Values {
			l, err := p.seg.overflow(m.ctx)
			if err != nil {
				return err
			}
			var dec anyDecoder
			var list List
			w.over.addList(&l.Key, &l.Value, p.rowMap, 0, func(row uint32, k, raw []byte) bool {
				var v trace.Value
				if dec.decode(raw, &v) != nil {
					return false
				}
				a := Attr{Key: string(k), Type: TypeOf(&v)}
				n, ok := m.out.attrs[a]
				if !ok {
					return false
				}
				if !list.fits(&v) {
					m.fields.stray(a)
					return false
				}
				if _, own := p.seg.b.attrs[a]; own || taken[[2]uint32{uint32(n), row}] {
					return false
				}
				taken[[2]uint32{uint32(n), row}] = true
				m.promoted[n] = append(m.promoted[n], promotedValue{row, v.Int, v.Bytes})
				return true
			})
		}
		for a, n := range p.seg.b.attrs {
			if _, ok := m.out.attrs[a]; ok || p.seg.chunk(n).Nulls == p.seg.chunk(n).Values {
				continue
			}
			err := p.seg.read(m.ctx, n, p.within, func(r *raw) error {
				c, dict := r.view()
				w.over.addColumn(a, c, p.rowMap, 0, dict)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return w.over.put(&w.stripe, m.out.pq)
}
