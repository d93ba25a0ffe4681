package trace

import "fmt"

// Group is what spans have in common: a resource, or a scope. Raw is the
// encoded Resource or InstrumentationScope message, Unknown the encoded fields
// beside it that are not known here.
type Group struct {
	Raw       []byte
	SchemaURL []byte
	Unknown   []byte
}

// Visitor receives the parts of OTLP bytes in order: a resource, then for each
// of its scopes the scope and that scope's encoded spans. An error stops the
// walk. The slices alias the input, except where a message was sent in pieces;
// they are valid until the next call of the same method.
type Visitor interface {
	Resource(g *Group) error
	Scope(g *Group) error
	Span(raw []byte) error
}

// Walk calls v for each resource, scope and span in raw, the bytes of an
// ExportTraceServiceRequest or TracesData. Resources and scopes are visited
// before their spans, wherever they stand on the wire. It reads only the fields
// around the spans; the error is a [*MalformedError] or the visitor's.
func Walk(raw []byte, v Visitor) error {
	w := walker{v: v}
	var f field
	n := -1
	for i := 0; i < len(raw); {
		next, bad := f.next(raw, i)
		if bad != nil {
			return bad
		}
		i = next
		if f.tag != 1<<3|wireBytes {
			continue
		}
		n++
		bad, err := w.resource(f.b)
		if bad != nil {
			return bad.within(fmt.Sprintf("resource_spans[%d]", n), f.from)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	v               Visitor
	resGroup, scope Group
}

func (w *walker) resource(b []byte) (*MalformedError, error) {
	if bad := w.resGroup.read(b); bad != nil {
		return bad, nil
	}
	if err := w.v.Resource(&w.resGroup); err != nil {
		return nil, err
	}
	return eachChild(b, "scope_spans", w.scopeSpans)
}

func (w *walker) scopeSpans(b []byte) (*MalformedError, error) {
	if bad := w.scope.read(b); bad != nil {
		return bad, nil
	}
	if err := w.v.Scope(&w.scope); err != nil {
		return nil, err
	}
	for i := 0; i < len(b); {
		if b[i] == 2<<3|wireBytes {
			from, to := payload(b, i+1) // read has checked it
			if err := w.v.Span(b[from:to]); err != nil {
				return nil, err
			}
			i = to
			continue
		}
		var f field
		next, bad := f.next(b, i)
		if bad != nil {
			return bad, nil
		}
		i = next
	}
	return nil, nil
}

// eachChild calls visit for each field 2 of b.
func eachChild(b []byte, name string, visit func([]byte) (*MalformedError, error)) (*MalformedError, error) {
	var f field
	n := -1
	for i := 0; i < len(b); {
		next, bad := f.next(b, i)
		if bad != nil {
			return bad, nil
		}
		i = next
		if f.tag != 2<<3|wireBytes {
			continue
		}
		n++
		bad, err := visit(f.b)
		if bad != nil {
			return bad.within(fmt.Sprintf("%s[%d]", name, n), f.from), nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// read collects the fields of a ResourceSpans or ScopeSpans message other than
// its children. Both number them alike: 1 the message, 2 children, 3 the URL.
func (g *Group) read(b []byte) *MalformedError {
	*g = Group{Unknown: g.Unknown[:0]}
	var f field
	for i := 0; i < len(b); {
		if b[i] == 2<<3|wireBytes {
			if _, to := payload(b, i+1); to >= 0 {
				i = to
				continue
			}
		}
		next, bad := f.next(b, i)
		if bad != nil {
			return bad
		}
		i = next
		switch f.tag {
		case 1<<3 | wireBytes:
			if len(g.Raw) == 0 {
				g.Raw = f.b
				continue
			}
			// A message sent in pieces is the concatenation of its pieces.
			joined := make([]byte, 0, len(g.Raw)+len(f.b))
			g.Raw = append(append(joined, g.Raw...), f.b...)
		case 3<<3 | wireBytes:
			g.SchemaURL = f.b
		case 2<<3 | wireBytes:
		default:
			g.Unknown = append(g.Unknown, b[f.start:f.end]...)
		}
	}
	return nil
}
