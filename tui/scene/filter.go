package scene

import "strings"

// Filter is a parsed search: words that must all be found, in any field or in
// a named one. The zero value lets everything through.
//
//	zone-a            found anywhere, upper or lower case
//	!ACTIVE           not found anywhere
//	zone:a state:leav found in that field
type Filter struct {
	text  string
	terms []term
}

type term struct {
	field, want string
	not         bool
}

// ParseFilter reads what the user typed. Every text is a valid filter.
func ParseFilter(text string) Filter {
	f := Filter{text: strings.TrimSpace(text)}
	for _, word := range strings.Fields(strings.ToLower(text)) {
		var t term
		t.want, t.not = strings.CutPrefix(word, "!")
		if field, want, ok := strings.Cut(t.want, ":"); ok && fieldNames[field] {
			t.field, t.want = field, want
		}
		if t.want != "" {
			f.terms = append(f.terms, t)
		}
	}
	return f
}

// fieldNames are the fields a term can name. Anything else before a colon is
// part of the word: addresses have colons.
var fieldNames = map[string]bool{"id": true, "zone": true, "state": true, "health": true, "addr": true, "rule": true, "kind": true, "ring": true, "owner": true}

// String is the filter as typed; "" when there is none.
func (f Filter) String() string { return f.text }

// Empty is true when everything passes.
func (f Filter) Empty() bool { return len(f.terms) == 0 }

// Field is one searchable property of a row.
type Field struct{ Name, Value string }

// Match reports whether a row with these fields passes.
func (f Filter) Match(fields ...Field) bool {
	for _, t := range f.terms {
		if t.found(fields) == t.not {
			return false
		}
	}
	return true
}

func (t term) found(fields []Field) bool {
	for _, f := range fields {
		if (t.field == "" || t.field == f.Name) && containsFold(f.Value, t.want) {
			return true
		}
	}
	return false
}

// containsFold is strings.Contains without regard to the case of ASCII
// letters; want is lower case already.
func containsFold(s, want string) bool {
	for i := 0; i+len(want) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(want)], want) {
			return true
		}
	}
	return false
}
