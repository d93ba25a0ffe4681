package block_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// encoded is a List as an ArrayValue again.
func encoded(t columnar.Type, l *block.List) (body []byte) {
	for _, v := range l.Texts {
		x := trace.StringValue(v)
		body = trace.AppendElement(body, &x)
	}
	for _, n := range l.Ints {
		x := trace.Value{Kind: map[columnar.Type]trace.ValueKind{columnar.Int: trace.KindInt, columnar.Float: trace.KindDouble, columnar.Bool: trace.KindBool}[t.Elem()], Int: n}
		body = trace.AppendElement(body, &x)
	}
	return body
}

// columned is the dumb twin of List.Read: it takes what package trace decodes, and
// what encodes to the same bytes.
func columned(v *trace.Value) columnar.Type {
	t := block.TypeOf(v)
	if t&columnar.Array == 0 {
		return columnar.Nil
	}
	var body []byte
	n := 0
	for e, err := range v.Elements() {
		if err != nil || e.Kind == trace.KindString && !utf8.Valid(e.Bytes) {
			return columnar.Nil
		}
		body = trace.AppendElement(body, &e)
		n++
	}
	if n > pq.MaxElements || !bytes.Equal(body, v.Bytes) {
		return columnar.Nil
	}
	return t
}

func checkList(t *testing.T, body []byte) columnar.Type {
	t.Helper()
	v := trace.Value{Kind: trace.KindArray, Bytes: body}
	var l block.List
	got := l.Read(&v)
	if want := columned(&v); got != want {
		t.Fatalf("array %x gets a column of type %d, want %d", body, got, want)
	}
	if got != columnar.Nil && !bytes.Equal(encoded(got, &l), body) {
		t.Fatalf("array %x comes out as %x", body, encoded(got, &l))
	}
	return got
}

// An array gets a column when, and only when, it comes out of it as it went in.
func TestListRead(t *testing.T) {
	for _, c := range []struct {
		name string
		body []byte
		typ  columnar.Type
	}{
		{"none", nil, columnar.Nil},
		{"strings", []byte("\x0a\x03\x0a\x01a\x0a\x02\x0a\x00"), columnar.String | columnar.Array},
		{"ints", []byte("\x0a\x02\x18\x05\x0a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), columnar.Int | columnar.Array},
		{"bools", []byte("\x0a\x02\x10\x01\x0a\x02\x10\x00"), columnar.Bool | columnar.Array},
		{"doubles", []byte("\x0a\x09\x21\x01\x00\x00\x00\x00\x00\xf8\x7f"), columnar.Float | columnar.Array},
		{"mixed", []byte("\x0a\x02\x10\x01\x0a\x02\x18\x05"), columnar.Nil},
		{"an empty value", []byte("\x0a\x00"), columnar.Nil},
		{"an empty value behind a text", []byte("\x0a\x03\x0a\x01a\x0a\x00"), columnar.Nil},
		{"nested", []byte("\x0a\x08\x2a\x06\x0a\x04\x0a\x02hi"), columnar.Nil},
		{"bytes", []byte("\x0a\x03\x3a\x01a"), columnar.Nil},
		{"a map", []byte("\x0a\x02\x32\x00"), columnar.Nil},
		{"text that is not UTF-8", []byte("\x0a\x03\x0a\x01\xff"), columnar.Nil},
		{"a bool that is 2", []byte("\x0a\x02\x10\x02"), columnar.Nil},
		{"a number with a byte too many", []byte("\x0a\x03\x18\x85\x00"), columnar.Nil},
		{"a length with a byte too many", []byte("\x0a\x83\x00\x0a\x01a"), columnar.Nil},
		{"an unknown field in the array", []byte("\x0a\x03\x0a\x01a\x10\x05"), columnar.Nil},
		{"an unknown field in an element", []byte("\x0a\x05\x0a\x01a\x40\x05"), columnar.Nil},
		{"two members in an element", []byte("\x0a\x05\x18\x01\x0a\x01a"), columnar.Nil},
	} {
		if got := checkList(t, c.body); got != c.typ {
			t.Errorf("%s: type %d, want %d", c.name, got, c.typ)
		}
	}
	long := bytes.Repeat([]byte("\x0a\x02\x10\x01"), pq.MaxElements)
	if got := checkList(t, long); got != columnar.Bool|columnar.Array {
		t.Errorf("the longest array: type %d", got)
	}
	if got := checkList(t, append(long, "\x0a\x02\x10\x01"...)); got != columnar.Nil {
		t.Errorf("an array that is too long: type %d", got)
	}
}

func FuzzList(f *testing.F) {
	f.Add([]byte("\x0a\x03\x0a\x01a\x0a\x02\x0a\x00"))
	f.Add([]byte("\x0a\x02\x18\x05\x0a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x0a\x09\x21\x01\x00\x00\x00\x00\x00\xf8\x7f"))
	f.Add([]byte("\x0a\x02\x10\x01\x0a\x05\x0a\x01a\x40\x05"))
	f.Fuzz(func(t *testing.T, body []byte) { checkList(t, body) })
}

// listsOf reads a column of arrays as text, row by row, from all that the segment
// has of a key; "" is none.
func listsOf(t *testing.T, s columnar.Segment, key string, typ columnar.Type, within columnar.Bitmap) []string {
	t.Helper()
	out := make([]string, s.Info().Rows)
	for _, c := range s.Columns(nil, columnar.ScopeSpan, key) {
		if c.Type() != typ {
			continue
		}
		var v columnar.Vector
		if err := c.Read(t.Context(), within, &v); err != nil {
			t.Fatal(err)
		}
		for i := range len(v.Lists) - 1 {
			row := uint32(i)
			if v.Rows != nil {
				row = v.Rows[i]
			}
			if within == nil || within.Has(row) {
				out[row] = elementsText(&v, v.Lists[i], v.Lists[i+1])
			}
		}
	}
	return out
}

func elementsText(v *columnar.Vector, from, to uint32) (text string) {
	for k := from; k < to; k++ {
		switch {
		case v.Dict != nil && v.Dict.Ints != nil:
			text += fmt.Sprint(v.Dict.Ints[v.Codes[k]-1])
		case v.Dict != nil && v.Dict.Floats != nil:
			text += fmt.Sprint(v.Dict.Floats[v.Codes[k]-1])
		case v.Dict != nil:
			text += string(v.Dict.Bytes(int(v.Codes[k] - 1)))
		case v.Ints != nil:
			text += fmt.Sprint(v.Ints[k])
		case v.Floats != nil:
			text += fmt.Sprint(v.Floats[k])
		default:
			text += string(v.Arena[v.Offsets[k] : v.Offsets[k+1]-v.Gap])
		}
		text += ","
	}
	return text
}

// rowsOf are the lists that rows of columns have, by span id, as listsOf shows them.
func rowsOf(c *block.Columns, key string, typ columnar.Type) map[int64]string {
	out := map[int64]string{}
	for i := range c.Attrs {
		a := &c.Attrs[i]
		if a.Key != key || a.Type != typ {
			continue
		}
		e := 0
		for k, row := range a.Rows {
			text := ""
			for range a.Lens[k] {
				switch {
				case typ.Elem() == columnar.String:
					text += string(a.Dict.Entry(int(a.Codes[e] - 1)))
				case typ.Elem() == columnar.Float:
					text += fmt.Sprint(pq.Float(a.Ints[e]))
				default:
					text += fmt.Sprint(a.Ints[e])
				}
				text += ","
				e++
			}
			out[c.Fixed[block.ColSpanID].Ints[row]] = text
		}
	}
	return out
}

var listKeys = []block.Attr{{Key: "tags", Type: columnar.String | columnar.Array}, {Key: "user", Type: columnar.String | columnar.Array}, {Key: "ports", Type: columnar.Int | columnar.Array},
	{Key: "ratios", Type: columnar.Float | columnar.Array}, {Key: "turns", Type: columnar.Bool | columnar.Array}}

// checkLists compares all lists of a block with those of the columns that it was
// made of.
func checkLists(t *testing.T, b *block.Block, c *block.Columns) {
	t.Helper()
	for _, a := range listKeys {
		want := rowsOf(c, a.Key, a.Type)
		for _, s := range b.Segments() {
			ids := spanIDs(t, s)
			all := listsOf(t, s, a.Key, a.Type, nil)
			for row, text := range all {
				if text != want[ids[row]] {
					t.Fatalf("%s of span %d is %q, want %q", a.Key, ids[row], text, want[ids[row]])
				}
				if text != "" {
					delete(want, ids[row])
				}
			}
			few := columnar.NewBitmap(s.Info().Rows)
			for row := s.Info().Rows / 3; row < s.Info().Rows/3+40 && row < s.Info().Rows; row++ {
				few.Set(uint32(row))
			}
			for row, text := range listsOf(t, s, a.Key, a.Type, few) {
				if few.Has(uint32(row)) && text != all[row] {
					t.Fatalf("%s of row %d is %q, among few rows %q", a.Key, row, all[row], text)
				}
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: %d lists are missing", a.Key, len(want))
		}
	}
}

func spanIDs(t *testing.T, s columnar.Segment) []int64 {
	t.Helper()
	var v columnar.Vector
	if err := s.Columns(nil, columnar.ScopeIntrinsic, columnar.KeySpanID)[0].Read(t.Context(), nil, &v); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(v.Ints)
}

// Columns of arrays say the same in a sealed block, a merged one, and one merged of
// merged ones, in stripes and row groups of any size.
func TestListColumns(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 8))
		c, _ := exampleColumns(2000 + rng.IntN(3000))
		dir := t.TempDir()
		one := seal(t, dir, "one", c, block.WriterOptions{GroupRows: 300 + rng.IntN(3000), Blooms: seed%2 == 0})
		checkLists(t, one, c)
		w, err := block.NewWriter(block.WriterOptions{Level: 3, GroupRows: 200 + rng.IntN(900), Blooms: true})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		inputs := []*block.Block{one}
		for _, id := range []string{"two", "three"} {
			if _, err := w.Merge(t.Context(), filepath.Join(dir, "t", id), inputs, block.MergeOptions{Tenant: "t", ID: id, StripeRows: 300 + rng.IntN(2000)}); err != nil {
				t.Fatal(err)
			}
			inputs = append(inputs, open(t, dir, id))
			checkLists(t, inputs[len(inputs)-1], c)
			if v := inputs[len(inputs)-1].Meta().Version; v != block.Version {
				t.Errorf("a block with columns of arrays is of version %d", v)
			}
		}
	}
}

// leaves lists the attribute columns of a block.
func leaves(t *testing.T, dir, id string) (out []string) {
	t.Helper()
	raw := load(t, dir, id).objects[block.Path("t", id)+block.DataName]
	f, _, err := pq.ParseTail(raw, int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range f.Leaves[block.FixedColumns:] {
		out = append(out, l.Name)
	}
	return out
}

// Arrays that are too rare for a column lie with the other attributes, come into a
// column by a merge with a block that has one, and leave it when others are more
// frequent.
func TestListsComeAndGo(t *testing.T) {
	dir := t.TempDir()
	many, _ := exampleColumns(40)
	seal(t, dir, "many", many, block.WriterOptions{})
	rare, _ := exampleColumns(5000)
	for i := range rare.Attrs { // one list of each type is left
		if a := &rare.Attrs[i]; a.Lens != nil {
			n := int(a.Lens[0])
			a.Rows, a.Lens, a.Codes, a.Ints = a.Rows[:1], a.Lens[:1], a.Codes[:min(n, len(a.Codes))], a.Ints[:min(n, len(a.Ints))]
		}
	}
	// Other spans, so that nothing is counted twice.
	for i := range rare.IDs {
		rare.IDs[i][15] = 7
	}
	for i := range rare.Rows {
		rare.Fixed[block.ColSpanID].Ints[i] += 1 << 20
	}
	few := seal(t, dir, "few", rare, block.WriterOptions{GroupRows: 900})
	if got := leaves(t, dir, "few"); slices.Contains(got, "span.tags") || few.Meta().Version != 1 {
		t.Errorf("a rare list has a column: %v, version %d", got, few.Meta().Version)
	}
	checkLists(t, few, rare)
	w, err := block.NewWriter(block.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Merge(t.Context(), filepath.Join(dir, "t", "both"), []*block.Block{few, open(t, dir, "many")}, block.MergeOptions{Tenant: "t", ID: "both", StripeRows: 700}); err != nil {
		t.Fatal(err)
	}
	both := open(t, dir, "both")
	if got := leaves(t, dir, "both"); !slices.Contains(got, "span.tags") || !slices.Contains(got, "span.user#string[]") {
		t.Errorf("a frequent list has no column: %v", got)
	}
	for _, s := range both.Segments() {
		for _, a := range listKeys {
			for _, c := range s.Columns(nil, columnar.ScopeSpan, a.Key) {
				if c.Type() == a.Type && c.Stats().Bytes == 0 {
					t.Errorf("%s is stored nowhere", a.Key)
				}
			}
		}
	}
	for _, a := range listKeys {
		want := rowsOf(rare, a.Key, a.Type)
		for id, text := range rowsOf(many, a.Key, a.Type) {
			want[id] = text
		}
		for _, s := range both.Segments() {
			ids := spanIDs(t, s)
			for row, text := range listsOf(t, s, a.Key, a.Type, nil) {
				if text != want[ids[row]] {
					t.Fatalf("%s of span %d is %q, want %q", a.Key, ids[row], text, want[ids[row]])
				}
			}
		}
	}
	if got := keysInOverflow(t, dir, "both"); slices.Contains(got, "tags") || slices.Contains(got, "ports") {
		t.Errorf("lists stayed in the overflow: %v", got)
	}
}

// keysInOverflow lists the keys of the overflow list of a block.
func keysInOverflow(t *testing.T, dir, id string) (out []string) {
	t.Helper()
	raw := load(t, dir, id).objects[block.Path("t", id)+block.DataName]
	f, _, err := pq.ParseTail(raw, int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := pq.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	for g := range f.Groups {
		c := &f.Groups[g].Chunks[block.ColOverflowKey]
		if !c.HasDict() {
			continue
		}
		d, err := dec.Dict(pq.String, c, raw[c.Start:c.End])
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Len() {
			out = append(out, string(d.Entry(i)))
		}
	}
	return out
}

// Where a block may have no more columns, arrays go back to the other attributes
// and are found there.
func TestListsLoseTheirColumns(t *testing.T) {
	dir := t.TempDir()
	c, _ := exampleColumns(300)
	lists := seal(t, dir, "lists", c, block.WriterOptions{GroupRows: 90})
	wide, _ := exampleColumns(600)
	for i := range wide.IDs {
		wide.IDs[i][15] = 9
	}
	for i := range wide.Rows {
		wide.Fixed[block.ColSpanID].Ints[i] += 1 << 20
	}
	wide.Attrs = nil
	for i := range 400 {
		wide.Attrs = append(wide.Attrs, block.AttrColumn{Attr: block.Attr{Key: fmt.Sprint("wide.", i), Type: columnar.Int}, Column: block.Column{Ints: wide.Start}})
	}
	w, err := block.NewWriter(block.WriterOptions{GroupRows: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	inputs := []*block.Block{lists, seal(t, dir, "wide", wide, block.WriterOptions{})}
	if _, err := w.Merge(t.Context(), filepath.Join(dir, "t", "merged"), inputs, block.MergeOptions{Tenant: "t", ID: "merged", StripeRows: 500}); err != nil {
		t.Fatal(err)
	}
	merged := open(t, dir, "merged")
	if got := leaves(t, dir, "merged"); slices.Contains(got, "span.tags") || len(got) != 400 || merged.Meta().Version != 1 {
		t.Errorf("%d columns, version %d", len(got), merged.Meta().Version)
	}
	if got := keysInOverflow(t, dir, "merged"); !slices.Contains(got, "tags") || !slices.Contains(got, "turns") {
		t.Errorf("in the overflow are %v", got)
	}
	checkLists(t, merged, c)
}

// A block of version 1, which has no columns of arrays, is merged with one that has.
func TestMergeWithOldBlock(t *testing.T) {
	old := open(t, filepath.Join("testdata", "golden", "v1"), goldenID)
	dir := t.TempDir()
	c, _ := exampleColumns(100)
	for i := range c.IDs {
		c.IDs[i][15] = 9
	}
	c.Attrs[5].Key = "list" // as the old block has in its overflow
	c.Fixed[block.ColOverflowKey], c.Fixed[block.ColOverflowValue] = block.Column{}, block.Column{}
	now := seal(t, dir, "new", c, block.WriterOptions{})
	w, err := block.NewWriter(block.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Merge(t.Context(), filepath.Join(dir, "t", "merged"), []*block.Block{old, now}, block.MergeOptions{Tenant: "t", ID: "merged"}); err != nil {
		t.Fatal(err)
	}
	count := func(b *block.Block) (n int) {
		for _, s := range b.Segments() {
			for _, text := range listsOf(t, s, "list", columnar.String|columnar.Array, nil) {
				if text == "x," {
					n++
				}
			}
		}
		return n
	}
	merged := open(t, dir, "merged")
	if was, is := count(old), count(merged)-count(now); was == 0 || was != is {
		t.Errorf("the old block has %d lists, the merged one %d of them", was, is)
	}
	if got := keysInOverflow(t, dir, "merged"); slices.Contains(got, "list") || !slices.Contains(got, "blob") {
		t.Errorf("in the overflow are %v", got)
	}
}

// Ids in arrays that hardly repeat are stored one by one, and the bloom filter of a
// merged block tells which are not there.
func TestListsOfIDs(t *testing.T) {
	c, _ := exampleColumns(4000)
	tags := &c.Attrs[5]
	tags.Codes, tags.Dict = tags.Codes[:0], new(pq.Dict)
	for i := range tags.Rows {
		tags.Lens[i] = uint32(1 + i%3)
		for k := range tags.Lens[i] {
			tags.Dict.Append(fmt.Appendf(nil, "order-%d-%d", i, k))
			tags.Codes = append(tags.Codes, uint32(tags.Dict.Len()))
		}
	}
	dir := t.TempDir()
	one := seal(t, dir, "one", c, block.WriterOptions{})
	checkLists(t, one, c)
	w, err := block.NewWriter(block.WriterOptions{Blooms: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Merge(t.Context(), filepath.Join(dir, "t", "merged"), []*block.Block{one}, block.MergeOptions{Tenant: "t", ID: "merged"}); err != nil {
		t.Fatal(err)
	}
	merged := open(t, dir, "merged")
	checkLists(t, merged, c)
	col := merged.Segments()[0].Columns(nil, columnar.ScopeSpan, "tags")[0]
	filter, ok := col.(columnar.Excluder)
	if !ok || col.Stats().Distinct != 0 || col.Stats().Values != len(tags.Rows) {
		t.Fatalf("%T with %+v", col, col.Stats())
	}
	absent := 0
	for i := range 1000 {
		if filter.Excludes(fmt.Appendf(nil, "order-%d-0", i)) {
			t.Fatalf("order-%d-0 is there", i)
		}
		if filter.Excludes(fmt.Appendf(nil, "order-%d-9", i)) {
			absent++
		}
	}
	if absent < 900 {
		t.Errorf("only %d of 1000 are known not to be there", absent)
	}
}
