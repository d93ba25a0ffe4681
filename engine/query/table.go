package query

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
	services serviceNumbers
}

// serviceNumbers is the services of a table of resources.
type serviceNumbers struct {
	names []string // sorted
	of    []uint32 // entry → name; the empty name is that of resources without one
}

// serviceNumbers numbers the service names of a table of resources, once.
func (t *Table) serviceNumbers() *serviceNumbers {
	t.once.Do(func() {
		all := make([]string, t.Len())
		for i := range all {
			all[i] = string(t.service(i))
		}
		n := &t.services
		n.names = slices.Compact(slices.Sorted(slices.Values(all)))
		n.of = make([]uint32, len(all))
		for i, name := range all {
			at, _ := slices.BinarySearch(n.names, name)
			n.of[i] = uint32(at)
		}
	})
	return &t.services
}

// service is the service.name of entry i; nil when it is not a string.
func (t *Table) service(i int) []byte {
	if v := t.value(i, "service.name"); v.set && !v.list && v.raw == nil {
		return v.s
	}
	return nil
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

// Len is the number of entries.
func (t *Table) Len() int { return len(t.entries) }

// Entry is entry i, as received.
func (t *Table) Entry(i int) Entry { return t.entries[i] }

// Attrs lists the attributes of entry i; read-only.
func (t *Table) Attrs(i int) []trace.Attr { return t.attrs[i] }

// find is the attribute of entry i with the key, or nil. The first of several counts.
func (t *Table) find(i int, key string) *trace.Value {
	for j := range t.attrs[i] {
		if string(t.attrs[i][j].Key) == key {
			return &t.attrs[i][j].Value
		}
	}
	return nil
}

// value is what an attribute of resource or instrumentation scope, or name or version of the latter, is in entry i.
func (t *Table) value(i int, key string) value {
	if v := t.find(i, key); v != nil {
		return valueOf(v)
	}
	return value{}
}
