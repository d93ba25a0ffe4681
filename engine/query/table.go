package query

import (
	"fmt"

	"github.com/ringctl/ringctl/engine/trace"
)

// Entry is one distinct resource or instrumentation scope of a block.
type Entry struct {
	Raw       []byte // an OTLP Resource or InstrumentationScope message
	SchemaURL string
}

// Table is the list of the resources or of the scopes of a block, taken apart once. Immutable.
type Table struct {
	entries []Entry
	attrs   [][]trace.Attr // per entry, in order of arrival
	names   []scopeName    // of instrumentation scopes
}

type scopeName struct{ name, version []byte }

// NewTable takes the entries apart; scope is ScopeResource or ScopeInstrumentation. The entries' bytes are kept and must
// not change. The error names the malformed entry.
func NewTable(scope Scope, entries []Entry) (*Table, error) {
	t := &Table{entries: entries, attrs: make([][]trace.Attr, len(entries)), names: make([]scopeName, len(entries))}
	attrField := uint64(1)
	if scope == ScopeInstrumentation {
		attrField = 3
	}
	for i, e := range entries {
		w := wireReader{b: e.Raw}
		for w.next() {
			switch {
			case w.field == attrField && w.wire == wireBytes:
				a, ok := readAttr(w.bytes)
				if !ok {
					return nil, fmt.Errorf("%s %d: malformed attribute", scope, i)
				}
				t.attrs[i] = append(t.attrs[i], a)
			case scope == ScopeInstrumentation && w.field == 1 && w.wire == wireBytes:
				t.names[i].name = w.bytes
			case scope == ScopeInstrumentation && w.field == 2 && w.wire == wireBytes:
				t.names[i].version = w.bytes
			}
		}
		if w.bad {
			return nil, fmt.Errorf("%s %d: malformed message", scope, i)
		}
	}
	return t, nil
}

// Len is the number of entries.
func (t *Table) Len() int { return len(t.entries) }

// Entry is entry i, as received.
func (t *Table) Entry(i int) Entry { return t.entries[i] }

// Attrs lists the attributes of entry i; read-only.
func (t *Table) Attrs(i int) []trace.Attr { return t.attrs[i] }

// find is the attribute of entry i with the key, or nil. The first of several wins, as in a span.
func (t *Table) find(i int, key string) *trace.Value {
	for j := range t.attrs[i] {
		if string(t.attrs[i][j].Key) == key {
			return &t.attrs[i][j].Value
		}
	}
	return nil
}
