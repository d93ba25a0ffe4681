package block

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// maxFields bounds the keys listed in meta.json. A block with more has keys that
// are values in disguise; they are stored and found by nobody's list.
const maxFields = 20000

// FieldSet collects the attribute keys of spans. It can follow Columns that grow.
// The zero value is empty.
type FieldSet struct {
	m map[columnar.Field]struct{}
	// strays are the arrays and texts in the overflow list that no column takes.
	strays map[Attr]bool
	// What Update has looked at already.
	over, events, links, resources, scopes int
}

func (s *FieldSet) reset() {
	*s = FieldSet{m: make(map[columnar.Field]struct{}, 128), strays: map[Attr]bool{}}
}

// Update adds what is new in c since the last call with an earlier state of the
// same Columns.
func (s *FieldSet) Update(c *Columns) {
	if s.m == nil {
		s.reset()
	}
	for i := range c.Attrs {
		s.add(columnar.ScopeSpan, c.Attrs[i].Key, c.Attrs[i].Type, c.Attrs[i].Len())
	}
	s.addOverflow(&c.Fixed[ColOverflowKey], &c.Fixed[ColOverflowValue])
	s.addRaw(&c.Fixed[ColEvents], &c.Fixed[ColLinks])
	t := newTables(c.Resources[s.resources:], c.Scopes[s.scopes:])
	s.resources, s.scopes = len(c.Resources), len(c.Scopes)
	s.addTables(t)
}

// Strays lists the span attributes of which the overflow list has values that the
// column of their type does not take, see [List.Read], or as text that is not UTF-8;
// nil for none.
func (s *FieldSet) Strays() map[Attr]bool {
	if len(s.strays) == 0 {
		return nil
	}
	return maps.Clone(s.strays)
}

// Fields lists the keys in a fixed order.
func (s *FieldSet) Fields() []columnar.Field {
	m := Meta{Fields: s.list(nil)}
	return m.fields()
}

func (s *FieldSet) add(scope columnar.Scope, key string, t columnar.Type, n int) {
	if n > 0 && t != columnar.Nil && len(s.m) < maxFields {
		s.m[columnar.Field{Scope: scope, Key: key, Type: t}] = struct{}{}
	}
}

// addBytes makes no string of keys that are known.
func (s *FieldSet) addBytes(scope columnar.Scope, key []byte, t columnar.Type) {
	if _, ok := s.m[columnar.Field{Scope: scope, Key: string(key), Type: t}]; !ok && utf8.Valid(key) {
		s.add(scope, string(key), t, 1)
	}
}

// attrs adds attributes; of several with one key the first counts.
func (s *FieldSet) attrs(scope columnar.Scope, attrs []trace.Attr) {
	for i := range attrs {
		if slices.ContainsFunc(attrs[:i], func(a trace.Attr) bool { return bytes.Equal(a.Key, attrs[i].Key) }) {
			continue
		}
		s.addBytes(scope, attrs[i].Key, TypeOf(&attrs[i].Value))
	}
}

// addTables adds the keys of resources and scopes.
func (s *FieldSet) addTables(t *tables) {
	for i := range t.resources {
		s.attrs(columnar.ScopeResource, t.resources[i].Attrs)
	}
	for i := range t.scopes {
		s.attrs(columnar.ScopeInstrumentation, t.scopes[i].Attrs)
	}
}

// addRaw adds the keys of events and links; malformed ones add none.
func (s *FieldSet) addRaw(events, links *Column) {
	if d := events.Dict; d != nil {
		for ; s.events < d.Len(); s.events++ {
			for e, err := range trace.EachEvent(d.Entry(s.events)) {
				if err != nil {
					break
				}
				s.attrs(columnar.ScopeEvent, e.Attrs)
			}
		}
	}
	if d := links.Dict; d != nil {
		for ; s.links < d.Len(); s.links++ {
			for l, err := range trace.EachLink(d.Entry(s.links)) {
				if err != nil {
					break
				}
				s.attrs(columnar.ScopeLink, l.Attrs)
			}
		}
	}
}

// addOverflow adds the keys of an overflow list.
func (s *FieldSet) addOverflow(key, value *Column) {
	var dec anyDecoder
	var list List
	for ; s.over < len(key.Codes); s.over++ {
		e := s.over
		var v trace.Value
		if err := dec.decode(value.Dict.Entry(int(value.Codes[e]-1)), &v); err == nil {
			k, t := key.Dict.Entry(int(key.Codes[e]-1)), TypeOf(&v)
			s.addBytes(columnar.ScopeSpan, k, t)
			if t.Elem() != columnar.Other && !list.fits(&v) {
				s.stray(Attr{string(k), t})
			}
		}
	}
}

// stray notes an attribute in the overflow list that no column takes.
func (s *FieldSet) stray(a Attr) {
	if len(s.strays) < maxFields {
		s.strays[a] = true
	}
}

// list returns the fields in a fixed order. columns has the attributes that have a
// column, if that is decided.
func (s *FieldSet) list(columns map[Attr]int) []Field {
	out := make([]Field, 0, len(s.m))
	for f := range s.m {
		a := Attr{f.Key, f.Type}
		_, own := columns[a]
		out = append(out, Field{f.Scope.String(), f.Key, typeName(f.Type), own && f.Scope == columnar.ScopeSpan && s.strays[a]})
	}
	slices.SortFunc(out, func(a, b Field) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Type, b.Type))
	})
	return out
}

// TypeOf is the query type of an attribute value: an array has the type of its
// elements when there are some and all are of one basic type. Bytes, maps and
// other arrays are Other; the empty value counts as not there and is Nil.
func TypeOf(v *trace.Value) columnar.Type {
	switch v.Kind {
	case trace.KindEmpty:
		return columnar.Nil
	case trace.KindString:
		return columnar.String
	case trace.KindBool:
		return columnar.Bool
	case trace.KindInt:
		return columnar.Int
	case trace.KindDouble:
		return columnar.Float
	case trace.KindArray:
		return arrayType(v)
	}
	return columnar.Other
}

func arrayType(v *trace.Value) columnar.Type {
	t := columnar.Nil
	for e, err := range v.Elements() {
		if err != nil || e.Kind == trace.KindArray {
			return columnar.Other
		}
		et := TypeOf(&e)
		if et == columnar.Nil || et == columnar.Other || t != columnar.Nil && t != et {
			return columnar.Other
		}
		t = et
	}
	if t == columnar.Nil {
		return columnar.Other
	}
	return t | columnar.Array
}

// anyDecoder wraps AnyValue messages into a resource with one attribute, which is
// what package trace can decode.
type anyDecoder struct {
	buf []byte
	res trace.Resource
}

func (d *anyDecoder) decode(raw []byte, v *trace.Value) error {
	n := 1 + sizeVarint(len(raw)) + len(raw)
	d.buf = appendUvarint(append(d.buf[:0], 1<<3|2), n)
	d.buf = appendUvarint(append(d.buf, 2<<3|2), len(raw))
	d.buf = append(d.buf, raw...)
	if err := trace.DecodeResource(d.buf, &d.res); err != nil {
		return err
	}
	*v = d.res.Attrs[0].Value
	v.Bytes = bytes.Clone(v.Bytes)
	return nil
}

func sizeVarint(n int) int {
	k := 1
	for ; n >= 0x80; n >>= 7 {
		k++
	}
	return k
}

func appendUvarint(dst []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
