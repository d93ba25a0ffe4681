package tenant

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"gopkg.in/yaml.v3"
)

// Wildcard is the entry that applies to every tenant before the tenant's own.
const Wildcard = "*"

// MaxOverridesBytes is the largest runtime file that ParseOverrides reads.
const MaxOverridesBytes = 16 << 20

// Overrides resolves the limits of each tenant. It is immutable and safe for
// concurrent use; the zero Overrides gives every tenant zero limits, so start
// from [NewOverrides] or [ParseOverrides].
type Overrides struct {
	defaults Limits // with the wildcard entry merged in
	tenants  map[string]Limits
}

// NewOverrides gives every tenant the defaults.
func NewOverrides(defaults Limits) *Overrides { return &Overrides{defaults: defaults} }

// ParseOverrides reads a runtime file:
//
//	overrides:
//	  "*":        { ingestion: { max_traces_per_user: 50000 } }
//	  "team-a":   { ingestion: { rate_limit_bytes: 100000000 } }
//
// The limits of a tenant are the defaults, over them the "*" entry, over them
// the tenant's own entry; what an entry does not name it does not change. The
// error reports all unknown keys, bad tenants and bad values at once, with
// their lines; keep the previous Overrides then. Empty input is valid.
func ParseOverrides(data []byte, defaults Limits) (*Overrides, error) {
	if len(data) > MaxOverridesBytes {
		return nil, fmt.Errorf("overrides: %d bytes, the limit is %d", len(data), MaxOverridesBytes)
	}
	var file struct {
		Overrides map[string]yaml.Node `yaml:"overrides"`
	}
	if err := strict(data, &file); err != nil {
		return nil, fmt.Errorf("overrides: %w", err)
	}
	o := &Overrides{defaults: defaults, tenants: make(map[string]Limits, len(file.Overrides))}
	var errs []error
	read := func(name string, node yaml.Node) Limits {
		l, err := merged(o.defaults, &node)
		if err = errors.Join(err, l.Validate()); err != nil {
			errs = append(errs, fmt.Errorf("overrides of tenant %q, line %d: %w", name, node.Line, err))
		}
		return l
	}
	if node, ok := file.Overrides[Wildcard]; ok {
		o.defaults = read(Wildcard, node)
	}
	for _, name := range sortedKeys(file.Overrides) {
		if name == Wildcard {
			continue
		}
		if err := Valid(name); err != nil {
			errs = append(errs, fmt.Errorf("overrides, line %d: %w", file.Overrides[name].Line, err))
			continue
		}
		o.tenants[name] = read(name, file.Overrides[name])
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return o, nil
}

// For returns the limits of a tenant.
func (o *Overrides) For(id string) Limits {
	if l, ok := o.tenants[id]; ok {
		return l
	}
	return o.defaults
}

// Tenants returns the tenants that have an entry of their own, sorted.
func (o *Overrides) Tenants() []string { return sortedKeys(o.tenants) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// merged decodes node over base. Node.Decode has no strict mode, so the entry
// is printed and read again, below empty lines that keep its line numbers. An
// entry may not refer to an anchor outside itself.
func merged(base Limits, node *yaml.Node) (Limits, error) {
	if node.IsZero() || node.Tag == "!!null" {
		return base, nil
	}
	text, err := yaml.Marshal(node)
	if err != nil {
		return base, err
	}
	text = append(bytes.Repeat([]byte("\n"), max(node.Line-1, 0)), text...)
	err = strict(text, &base)
	return base, err
}

func strict(data []byte, v any) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
