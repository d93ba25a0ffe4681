package query

import "github.com/ringctl/ringctl/engine/columnar"

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *TagsResult) MarshalBinary() ([]byte, error) {
	e := encoder{}
	e.count(resultVersion)
	e.stats(&r.Stats)
	e.texts(r.Partial)
	e.bool(r.Cut)
	e.count(r.Limit)
	e.count(r.MaxBytes)
	e.count(len(r.Scopes))
	for _, s := range r.Scopes {
		e.b = append(e.b, byte(s.Scope))
		e.texts(s.Tags)
	}
	return e.b, nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Memory is bounded by a small multiple of the input.
func (r *TagsResult) UnmarshalBinary(b []byte) error {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return err
	}
	*r = TagsResult{}
	d.stats(&r.Stats)
	r.Partial = d.texts()
	r.Cut, r.Limit, r.MaxBytes = d.bool(), d.bound(), d.bound()
	for range d.count() {
		s := ScopeTags{Scope: columnar.Scope(d.fixed(1)[0])}
		if !s.Scope.Valid() {
			d.fail()
		}
		s.Tags = d.texts()
		r.Scopes = append(r.Scopes, s)
	}
	return d.end()
}

// bound reads a number that is not negative.
func (d *decoder) bound() int {
	n := int(d.uvarint())
	if n < 0 {
		d.fail()
		return 0
	}
	return n
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *TagValuesResult) MarshalBinary() ([]byte, error) {
	e := encoder{}
	e.count(resultVersion)
	e.stats(&r.Stats)
	e.texts(r.Partial)
	e.bool(r.Cut)
	e.count(r.Limit)
	e.count(r.MaxBytes)
	values := r.Values
	if e.bool(r.Next != nil); r.Next != nil {
		values = append(values[:len(values):len(values)], *r.Next)
	}
	e.count(len(values))
	for _, v := range values {
		e.b = append(e.b, byte(v.Type))
		if v.Type == TagString || v.Type == TagKeyword {
			e.text(v.Str)
		} else {
			e.int(v.Num)
		}
	}
	return e.b, nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Memory is bounded by a small multiple of the input.
func (r *TagValuesResult) UnmarshalBinary(b []byte) error {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return err
	}
	*r = TagValuesResult{}
	d.stats(&r.Stats)
	r.Partial = d.texts()
	r.Cut, r.Limit, r.MaxBytes = d.bool(), d.bound(), d.bound()
	next := d.bool() // the last value is the one after them
	for range d.count() {
		v := TagValue{Type: TagType(d.fixed(1)[0])}
		switch {
		case v.Type >= tagTypes:
			d.fail()
		case v.Type == TagString || v.Type == TagKeyword:
			v.Str = d.text()
		default:
			v.Num = d.int()
		}
		r.Values = append(r.Values, v)
	}
	if n := len(r.Values); next && n > 0 {
		r.Next, r.Values = &r.Values[n-1], r.Values[:n-1:n-1]
	} else if next {
		d.fail()
	}
	return d.end()
}
