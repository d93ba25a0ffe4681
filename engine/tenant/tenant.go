// Package tenant says whose span it is, and what that owner may use.
//
// [Valid] holds the grammar of tenant ids and [Split] that of the lists which
// reads may name ("a|b"). [Limits] is a plain struct of everything a tenant can
// be limited in, with the names that Tempo's overrides use; [Overrides] holds
// the entries of a runtime file and resolves them.
//
// One difference to Tempo is deliberate: an entry is merged over the defaults.
// A tenant that sets only max_traces_per_user keeps the default rate limit
// instead of getting a limit of zero.
//
// The package reads no file and knows no clock; whoever reloads a file calls
// [ParseOverrides] with its bytes and keeps the old value on an error.
package tenant

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Default is the tenant of all data when multi-tenancy is off.
const Default = "single-tenant"

// MaxLength is the longest tenant id in bytes.
const MaxLength = 150

// maxList is the most tenants that one read may name.
const maxList = 100

var (
	// ErrMissing is wrapped when no tenant is given where one is needed. Its
	// text is what clients of Tempo look for.
	ErrMissing = errors.New("no org id")
	// ErrInvalid is wrapped when a tenant id breaks the grammar.
	ErrInvalid = errors.New("invalid tenant id")
)

// Valid returns nil when id can be a tenant: 1 to 150 characters of 0-9, A-Z,
// a-z and ! - _ . * ' ( ), but neither "." nor "..". The error wraps
// [ErrMissing] or [ErrInvalid].
func Valid(id string) error {
	if id == "" {
		return ErrMissing
	}
	if len(id) > MaxLength {
		return fmt.Errorf("%w: %d bytes long, the limit is %d", ErrInvalid, len(id), MaxLength)
	}
	if id == "." || id == ".." {
		return fmt.Errorf("%w: %q is the name of a folder", ErrInvalid, id)
	}
	for i := range len(id) {
		if !allowed(id[i]) {
			return fmt.Errorf("%w %q: character %q at position %d is not allowed", ErrInvalid, id, id[i:i+1], i+1)
		}
	}
	return nil
}

func allowed(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return true
	}
	return strings.IndexByte("!-_.*'()", c) >= 0
}

// Split reads the tenants of a query: one id, or several separated by "|". The
// result is sorted and without duplicates. The error wraps [ErrMissing] or
// [ErrInvalid].
func Split(list string) ([]string, error) {
	if len(list) > maxList*(MaxLength+1) || strings.Count(list, "|") >= maxList {
		return nil, fmt.Errorf("%w: more than %d tenants in one list", ErrInvalid, maxList)
	}
	ids := strings.Split(list, "|")
	for _, id := range ids {
		if err := Valid(id); err != nil {
			return nil, err
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
