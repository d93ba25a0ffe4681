package query

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *TagsResult) MarshalBinary() ([]byte, error) {
	var e encoder
	e.count(resultVersion)
	e.stats(&r.Stats)
	e.texts(r.Partial)
	e.count(len(r.Scopes))
	for _, s := range r.Scopes {
		e.text(s.Name)
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
	for range d.count() {
		r.Scopes = append(r.Scopes, TagScope{Name: d.text(), Tags: d.texts()})
	}
	return d.end()
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *TagValuesResult) MarshalBinary() ([]byte, error) {
	var e encoder
	e.count(resultVersion)
	e.stats(&r.Stats)
	e.texts(r.Partial)
	e.bool(r.Truncated)
	e.count(len(r.Values))
	for _, v := range r.Values {
		e.text(v.Type)
		e.text(v.Value)
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
	r.Truncated = d.bool()
	for range d.count() {
		r.Values = append(r.Values, TagValue{Type: d.text(), Value: d.text()})
	}
	return d.end()
}
