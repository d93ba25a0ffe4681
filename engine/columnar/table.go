package columnar

import (
	"fmt"
	"slices"
	"sync"

	"github.com/ringctl/ringctl/engine/trace"
)

// Entry is one distinct resource or instrumentation scope of a block, as received.
type Entry = trace.Group

// Table is the list of the resources or of the scopes of a block, taken apart once. Immutable.
type Table struct {
	entries []Entry
	attrs   [][]trace.Attr // per entry, in order of arrival
	names   []scopeName    // of instrumentation scopes

	once     sync.Once
	services Services
}

type scopeName struct{ name, version []byte }

// NewTable takes the entries apart; scope is ScopeResource or ScopeInstrumentation. The entries' bytes are kept and must
// not change. The error names the malformed entry.
func NewTable(scope Scope, entries []Entry) (*Table, error) {
	t := &Table{entries: entries, attrs: make([][]trace.Attr, len(entries)), names: make([]scopeName, len(entries))}
	for i, e := range entries {
		if scope == ScopeInstrumentation {
			var s trace.Scope
			if err := trace.DecodeScope(e.Raw, &s); err != nil {
				return nil, fmt.Errorf("instrumentation scope %d: %w", i, err)
			}
			t.attrs[i], t.names[i] = s.Attrs, scopeName{s.Name, s.Version}
			continue
		}
		var r trace.Resource
		if err := trace.DecodeResource(e.Raw, &r); err != nil {
			return nil, fmt.Errorf("resource %d: %w", i, err)
		}
		t.attrs[i] = r.Attrs
	}
	return t, nil
}

// JoinTables is a table with the entries of all tables, one table after the other.
func JoinTables(tables ...*Table) *Table {
	sum := &Table{}
	for _, t := range tables {
		sum.entries = append(sum.entries, t.entries...)
		sum.attrs = append(sum.attrs, t.attrs...)
		sum.names = append(sum.names, t.names...)
	}
	return sum
}

// Len is the number of entries.
func (t *Table) Len() int { return len(t.entries) }

// Entry is entry i, as received.
func (t *Table) Entry(i int) Entry { return t.entries[i] }

// Attrs lists the attributes of entry i; read-only.
func (t *Table) Attrs(i int) []trace.Attr { return t.attrs[i] }

// Find is the attribute of entry i with the key, or nil. The first of several counts.
func (t *Table) Find(i int, key string) *trace.Value {
	for j := range t.attrs[i] {
		if string(t.attrs[i][j].Key) == key {
			return &t.attrs[i][j].Value
		}
	}
	return nil
}

// ScopeName is the name and the version of instrumentation scope i.
func (t *Table) ScopeName(i int) (name, version []byte) { return t.names[i].name, t.names[i].version }

// Service is the service.name of resource i; nil when it is not a string.
func (t *Table) Service(i int) []byte {
	if v := t.Find(i, "service.name"); v != nil && v.Kind == trace.KindString {
		return v.Bytes
	}
	return nil
}

// Services is the services of a table of resources.
type Services struct {
	Names []string // sorted
	Of    []uint32 // entry → name; the empty name is that of resources without one
}

// Services numbers the service names of a table of resources, once.
func (t *Table) Services() *Services {
	t.once.Do(func() {
		all := make([]string, t.Len())
		for i := range all {
			all[i] = string(t.Service(i))
		}
		n := &t.services
		n.Names = slices.Compact(slices.Sorted(slices.Values(all)))
		n.Of = make([]uint32, len(all))
		for i, name := range all {
			at, _ := slices.BinarySearch(n.Names, name)
			n.Of[i] = uint32(at)
		}
	})
	return &t.services
}
