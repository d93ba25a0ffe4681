package trace

// Resource is the decoded view of a Resource message; slices alias the input.
type Resource struct {
	Attrs             []Attr
	DroppedAttributes uint32
	Unknown           []byte // entity references and fields not known here
}

// Scope is the decoded view of an InstrumentationScope message; slices alias
// the input.
type Scope struct {
	Name, Version     []byte
	Attrs             []Attr
	DroppedAttributes uint32
	Unknown           []byte
}

// DecodeResource reads one encoded Resource message into r, reusing its
// slices. The error is a [*MalformedError].
func DecodeResource(raw []byte, r *Resource) error {
	*r = Resource{Attrs: r.Attrs[:0], Unknown: r.Unknown[:0]}
	bad := decodeFields(raw, &r.Attrs, func(f *field) bool {
		switch f.tag {
		case 1<<3 | wireBytes:
			return true
		case 2 << 3:
			r.DroppedAttributes = uint32(f.v)
		default:
			r.Unknown = append(r.Unknown, raw[f.start:f.end]...)
		}
		return false
	})
	if bad != nil {
		return bad.within("resource", 0)
	}
	return nil
}

// DecodeScope reads one encoded InstrumentationScope message into s, reusing
// its slices. The error is a [*MalformedError].
func DecodeScope(raw []byte, s *Scope) error {
	*s = Scope{Attrs: s.Attrs[:0], Unknown: s.Unknown[:0]}
	bad := decodeFields(raw, &s.Attrs, func(f *field) bool {
		switch f.tag {
		case 1<<3 | wireBytes:
			s.Name = f.b
		case 2<<3 | wireBytes:
			s.Version = f.b
		case 3<<3 | wireBytes:
			return true
		case 4 << 3:
			s.DroppedAttributes = uint32(f.v)
		default:
			s.Unknown = append(s.Unknown, raw[f.start:f.end]...)
		}
		return false
	})
	if bad != nil {
		return bad.within("scope", 0)
	}
	return nil
}

// AppendResource appends the Resource message of r, without a length.
func AppendResource(dst []byte, r *Resource) []byte {
	for i := range r.Attrs {
		dst = AppendAttr(dst, 1, &r.Attrs[i])
	}
	dst = appendVarint(dst, 2, uint64(r.DroppedAttributes))
	return append(dst, r.Unknown...)
}

// AppendScope appends the InstrumentationScope message of s, without a length.
func AppendScope(dst []byte, s *Scope) []byte {
	dst = appendText(dst, 1, s.Name)
	dst = appendText(dst, 2, s.Version)
	for i := range s.Attrs {
		dst = AppendAttr(dst, 3, &s.Attrs[i])
	}
	dst = appendVarint(dst, 4, uint64(s.DroppedAttributes))
	return append(dst, s.Unknown...)
}
