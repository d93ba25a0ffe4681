package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxConfigSize bounds a configuration file.
const maxConfigSize = 4 << 20

// ReadConfigFile lays the YAML file at path over cfg. With expand, ${VAR} and
// ${VAR:default} are replaced from the environment first. The error lists
// every unknown key and wrong type with its line, and the nearest known key.
func ReadConfigFile(cfg *Config, path string, expand bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err != nil {
		return fmt.Errorf("config: read %s: %w", path, err)
	}
	if len(text) > maxConfigSize {
		return fmt.Errorf("config: %s is larger than %d bytes", path, maxConfigSize)
	}
	if expand {
		text = expandEnv(text, os.LookupEnv)
	}
	if err := ParseConfig(cfg, text); err != nil {
		return fmt.Errorf("config %s:\n%w", path, err)
	}
	return nil
}

var envReference = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:[^}]*)?\}`)

func expandEnv(text []byte, lookup func(string) (string, bool)) []byte {
	return envReference.ReplaceAllFunc(text, func(m []byte) []byte {
		parts := envReference.FindSubmatch(m)
		if v, ok := lookup(string(parts[1])); ok {
			return []byte(v)
		}
		return bytes.TrimPrefix(parts[2], []byte(":"))
	})
}

// ParseConfig lays YAML text over cfg; see ReadConfigFile.
func ParseConfig(cfg *Config, text []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return err
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	var problems []error
	unknownKeys(root, reflect.TypeFor[Config](), "", &problems)
	if err := root.Decode(cfg); err != nil {
		var te *yaml.TypeError
		if !errors.As(err, &te) {
			return err
		}
		for _, e := range te.Errors {
			problems = append(problems, errors.New(e))
		}
	}
	if n := valueAt(root, "ring_admin", "token_file"); n != nil {
		cfg.RingAdmin.tokenLine = n.Line
	}
	return errors.Join(problems...)
}

// valueAt is the value at a path of keys, or nil.
func valueAt(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		pairs := n.Content
		n = nil
		for i := 0; i+1 < len(pairs) && n == nil; i += 2 {
			if pairs[i].Value == key {
				n = pairs[i+1]
			}
		}
	}
	return n
}

// unknownKeys walks a mapping beside the struct it fills and reports the keys
// that the struct does not have.
func unknownKeys(n *yaml.Node, t reflect.Type, path string, problems *[]error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, c := range n.Content {
			unknownKeys(c, t.Elem(), path, problems)
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 0; i+1 < len(n.Content); i += 2 {
			unknownKeys(n.Content[i+1], t.Elem(), path+n.Content[i].Value+".", problems)
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		known := map[string]reflect.Type{}
		yamlKeys(t, known)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if ft, ok := known[key.Value]; ok {
				unknownKeys(n.Content[i+1], ft, path+key.Value+".", problems)
				continue
			}
			*problems = append(*problems, fmt.Errorf("line %d: unknown key %s%s%s", key.Line, path, key.Value, suggest(key.Value, known)))
		}
	}
}

func yamlKeys(t reflect.Type, into map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if opts == "inline" {
			yamlKeys(f.Type, into)
		} else if name != "" && name != "-" {
			into[name] = f.Type
		}
	}
}

func suggest(key string, known map[string]reflect.Type) string {
	best, bestDist := "", 1+len(key)/2
	for name := range known {
		if d := editDistance(key, name); d < bestDist || d == bestDist && best != "" && name < best {
			best, bestDist = name, d
		}
	}
	if best == "" {
		names := make([]string, 0, len(known))
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		return "; known here: " + strings.Join(names, ", ")
	}
	return "; did you mean " + best + "?"
}

// editDistance is the Levenshtein distance of two short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// String is the configuration as YAML, secrets as stars.
func (c *Config) String() string {
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return "config: " + err.Error()
	}
	return b.String()
}
