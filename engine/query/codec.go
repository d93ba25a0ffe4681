package query

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ringctl/ringctl/engine/trace"
)

// Results travel between nodes in a binary form: unsigned varints for counts and lengths, zigzag varints for numbers
// that may be negative, bytes behind their length, and a version in front. Both sides are of one release or the next, so a
// version that is not known is an error that says so.

const resultVersion = 1

// ErrResult is wrapped by every error of the UnmarshalBinary methods.
var ErrResult = errors.New("malformed query result")

// encoder appends to b.
type encoder struct{ b []byte }

func (e *encoder) count(n int)     { e.b = binary.AppendUvarint(e.b, uint64(n)) }
func (e *encoder) int(n int64)     { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) float(f float64) { e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(f)) }
func (e *encoder) fixed(b []byte)  { e.b = append(e.b, b...) }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
		return
	}
	e.b = append(e.b, 0)
}

func (e *encoder) text(s string) {
	e.count(len(s))
	e.b = append(e.b, s...)
}

func (e *encoder) texts(list []string) {
	e.count(len(list))
	for _, s := range list {
		e.text(s)
	}
}

func (e *encoder) stats(s *Stats) {
	for _, n := range [...]int64{s.Traces, s.Spans, s.Bytes, s.Reads, s.Segments, s.Skipped} {
		e.int(n)
	}
}

func (e *encoder) attrs(list []Attribute) {
	e.count(len(list))
	for i := range list {
		e.text(list[i].Key)
		v := &list[i].Value
		e.b = append(e.b, byte(v.Kind))
		e.int(v.Int)
		e.count(len(v.Bytes))
		e.fixed(v.Bytes)
	}
}

// decoder reads what an encoder wrote. After the first mistake it returns zeros.
type decoder struct {
	b   []byte
	bad bool

	names    interner
	sets     arena[SpanSet]
	spans    arena[SpanResult]
	shown    arena[Attribute]
	bytes    arena[byte]
	services arena[ServiceStats]
}

func (d *decoder) fail() {
	d.bad, d.b = true, nil
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

// count reads the number of items that follow, each of at least one byte.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

// items is count for items of at least size bytes, for which memory may be made at once.
func (d *decoder) items(size int) int {
	n := d.count()
	if n > len(d.b)/size {
		d.fail()
		return 0
	}
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) float() float64 {
	b := d.fixed(8)
	if d.bad {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// fixed reads n bytes, which alias the input.
func (d *decoder) fixed(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return make([]byte, min(n, 64))
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) bool() bool { return d.fixed(1)[0] == 1 }

func (d *decoder) text() string {
	n := d.count()
	return string(d.fixed(n))
}

// name is a text that occurs often.
func (d *decoder) name() string {
	if d.names == nil {
		d.names = interner{}
	}
	return d.names.of(d.fixed(d.count()))
}

func (d *decoder) texts() []string {
	var list []string
	for range d.count() {
		list = append(list, d.text())
	}
	return list
}

func (d *decoder) stats(s *Stats) {
	for _, n := range [...]*int64{&s.Traces, &s.Spans, &s.Bytes, &s.Reads, &s.Segments, &s.Skipped} {
		*n = d.int()
	}
}

func (d *decoder) attrs() []Attribute {
	n := d.items(minAttribute)
	if n == 0 {
		return nil
	}
	list := d.shown.take(n)
	for i := range list {
		a := &list[i]
		a.Key = d.name()
		a.Value.Kind = trace.ValueKind(d.fixed(1)[0])
		a.Value.Int = d.int()
		if b := d.fixed(d.count()); len(b) > 0 {
			a.Value.Bytes = d.bytes.take(len(b))
			copy(a.Value.Bytes, b)
		}
	}
	return list
}

// version reads the version in front of a result.
func (d *decoder) version() error {
	if v := d.uvarint(); v != resultVersion {
		return fmt.Errorf("%w: version %d, this node knows %d", ErrResult, v, resultVersion)
	}
	return nil
}

func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("%w: cut short, or with bytes behind its end", ErrResult)
	}
	return nil
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *SearchResult) MarshalBinary() ([]byte, error) {
	e := encoder{b: make([]byte, 0, 64+len(r.Traces)*256)}
	e.count(resultVersion)
	e.stats(&r.Stats)
	e.texts(r.Partial)
	e.count(len(r.Traces))
	for i := range r.Traces {
		e.trace(&r.Traces[i])
	}
	return e.b, nil
}

func (e *encoder) trace(t *TraceResult) {
	e.fixed(t.ID[:])
	e.bool(t.HasRoot)
	e.text(t.RootService)
	e.text(t.RootName)
	e.int(t.Start)
	e.int(t.End)
	e.count(len(t.Sets))
	for i := range t.Sets {
		s := &t.Sets[i]
		e.count(s.Matched)
		e.attrs(s.Attrs)
		e.count(len(s.Spans))
		for j := range s.Spans {
			sp := &s.Spans[j]
			e.fixed(sp.ID[:])
			e.text(sp.Name)
			e.int(sp.Start)
			e.int(sp.Duration)
			e.attrs(sp.Attrs)
		}
	}
	e.count(len(t.Services))
	for _, s := range t.Services {
		e.text(s.Name)
		e.count(s.Spans)
		e.count(s.Errors)
	}
}

// The least bytes that parts of an answer take.
const (
	minTrace     = 16 + 7
	minSet       = 3
	minSpan      = 8 + 4
	minAttribute = 4
	minService   = 3
)

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Memory is bounded by a small multiple of the input.
func (r *SearchResult) UnmarshalBinary(b []byte) error {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return err
	}
	*r = SearchResult{}
	d.stats(&r.Stats)
	r.Partial = d.texts()
	n := d.items(minTrace)
	d.sets.expect(n)
	d.spans.expect(n)
	d.shown.expect(n)
	d.services.expect(4 * n)
	d.bytes.next = min(16*n, 16<<10)
	if n > 0 {
		r.Traces = make([]TraceResult, n)
	}
	for i := range r.Traces {
		d.trace(&r.Traces[i])
	}
	return d.end()
}

func (d *decoder) trace(t *TraceResult) {
	copy(t.ID[:], d.fixed(len(t.ID)))
	t.HasRoot = d.bool()
	t.RootService, t.RootName = d.name(), d.name()
	t.Start, t.End = d.int(), d.int()
	if n := d.items(minSet); n > 0 {
		t.Sets = d.sets.take(n)
	}
	for i := range t.Sets {
		d.set(&t.Sets[i])
	}
	if n := d.items(minService); n > 0 {
		t.Services = d.services.take(n)
	}
	for i := range t.Services {
		t.Services[i] = ServiceStats{Name: d.name(), Spans: int(d.uvarint()), Errors: int(d.uvarint())}
	}
}

func (d *decoder) set(s *SpanSet) {
	s.Matched, s.Attrs = int(d.uvarint()), d.attrs()
	if n := d.items(minSpan); n > 0 {
		s.Spans = d.spans.take(n)
	}
	for i := range s.Spans {
		sp := &s.Spans[i]
		copy(sp.ID[:], d.fixed(len(sp.ID)))
		sp.Name, sp.Start, sp.Duration = d.name(), d.int(), d.int()
		sp.Attrs = d.attrs()
	}
}
