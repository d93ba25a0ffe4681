package trace

import "unicode/utf8"

// Truncate appends OTLP bytes to dst with attribute keys and string values of
// at most limit bytes: those of resources, scopes, spans, events and links, and
// strings inside arrays and maps. Longer ones are cut between characters. Cuts
// is how many were cut, for resource, scope and span (with its events and
// links) attributes. The error is a [*MalformedError].
//
// It copies everything; ask [Batch.LargestField] first whether it is needed.
func Truncate(dst, otlp []byte, limit int) (out []byte, cuts Cuts, err error) {
	t := truncater{out: dst, limit: limit}
	if bad := t.message(otlp, msgTracesData, &t.cuts.Span, 0); bad != nil {
		return dst, Cuts{}, bad
	}
	return t.out, t.cuts, nil
}

// Cuts counts what [Truncate] cut.
type Cuts struct{ Resource, Scope, Span int }

// Total is the sum.
func (c Cuts) Total() int { return c.Resource + c.Scope + c.Span }

type truncater struct {
	out   []byte
	limit int
	cuts  Cuts
}

// message copies one message; n counts the cuts in it.
func (t *truncater) message(b []byte, m msgID, n *int, depth int) *MalformedError {
	switch m {
	case msgResource:
		n = &t.cuts.Resource
	case msgScope:
		n = &t.cuts.Scope
	case msgAnyValue:
		if depth++; depth > MaxDepth {
			return &MalformedError{Problem: problemDepth}
		}
	}
	var f field
	for i := 0; i < len(b); {
		next, bad := f.next(b, i)
		if bad != nil {
			return bad
		}
		i = next
		info := lookup(m, f.num())
		switch {
		case info == nil || f.b == nil || len(f.b) <= t.limit:
			t.out = append(t.out, b[f.start:f.end]...)
		case info.typ == typeMessage:
			t.out = appendTag(t.out, f.num(), wireBytes)
			body := len(t.out)
			if bad := t.message(f.b, info.sub, n, depth); bad != nil {
				return bad.within(info.name, f.from)
			}
			t.out = closeMessage(t.out, body)
		case f.num() == 1 && (m == msgKeyValue || m == msgAnyValue):
			t.out = appendBytes(t.out, 1, cutText(f.b, t.limit))
			*n++
		default:
			t.out = append(t.out, b[f.start:f.end]...)
		}
	}
	return nil
}

// cutText returns the longest prefix of at most limit bytes that does not end
// inside a character.
func cutText(b []byte, limit int) []byte {
	for i := limit; i > limit-utf8.UTFMax && i >= 0; i-- {
		if utf8.RuneStart(b[i]) {
			return b[:i]
		}
	}
	return b[:limit]
}
