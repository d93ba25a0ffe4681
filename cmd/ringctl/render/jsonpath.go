package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
)

// jsonPath is the subset of the JSONPath templates of kubectl that people use: text, {.a.b}, {.items[*].id},
// {.items[0]}, {.items[-1]}, {.items[?(@.state=="ACTIVE")].id}, {"text\n"} and {range …}…{end}.
type jsonPath struct {
	nodes []pathNode
}

// pathNode is a literal, an expression, or a range with a body.
type pathNode struct {
	literal string
	steps   []pathStep
	body    []pathNode
	loop    bool
}

// pathStep goes from one value to others.
type pathStep struct {
	field string // a member of an object
	all   bool   // every element or member
	index *int   // one element, negative from the end
	// filter keeps elements for which the value at path compares with want.
	filter *pathFilter
}

type pathFilter struct {
	path []pathStep
	op   string
	want string
}

// parseJSONPath reads a template. An expression without braces is taken as one in braces.
func parseJSONPath(s string) (*jsonPath, error) {
	if s == "" {
		return nil, errors.New("an expression is missing after '='")
	}
	if !strings.Contains(s, "{") {
		s = "{" + s + "}"
	}
	p := pathParser{rest: s}
	nodes, err := p.nodes(false)
	if err != nil {
		return nil, err
	}
	return &jsonPath{nodes: nodes}, nil
}

type pathParser struct{ rest string }

func (p *pathParser) nodes(inRange bool) ([]pathNode, error) {
	var out []pathNode
	for p.rest != "" {
		text, after, found := strings.Cut(p.rest, "{")
		if text != "" {
			out = append(out, pathNode{literal: text})
		}
		if !found {
			p.rest = ""
			break
		}
		expr, rest, err := untilBrace(after)
		if err != nil {
			return nil, err
		}
		p.rest = rest
		expr = strings.TrimSpace(expr)
		switch {
		case expr == "end":
			if !inRange {
				return nil, errors.New("{end} without {range}")
			}
			return out, nil
		case strings.HasPrefix(expr, "range "):
			steps, err := parseSteps(strings.TrimSpace(expr[len("range "):]))
			if err != nil {
				return nil, err
			}
			body, err := p.nodes(true)
			if err != nil {
				return nil, err
			}
			out = append(out, pathNode{steps: steps, body: body, loop: true})
		case strings.HasPrefix(expr, `"`):
			text, err := strconv.Unquote(expr)
			if err != nil {
				return nil, fmt.Errorf("bad text %s", expr)
			}
			out = append(out, pathNode{literal: text})
		default:
			steps, err := parseSteps(expr)
			if err != nil {
				return nil, err
			}
			out = append(out, pathNode{steps: steps})
		}
	}
	if inRange {
		return nil, errors.New("{range} without {end}")
	}
	return out, nil
}

// untilBrace finds the closing brace outside of quotes.
func untilBrace(s string) (expr, rest string, err error) {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'':
			quote = c
		case c == '}':
			return s[:i], s[i+1:], nil
		}
	}
	return "", "", errors.New("missing '}'")
}

func parseSteps(s string) ([]pathStep, error) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "$"), "@")
	if s != "" && s[0] != '.' && s[0] != '[' {
		s = "." + s
	}
	var out []pathStep
	for s != "" {
		switch s[0] {
		case '.':
			end := strings.IndexAny(s[1:], ".[")
			if end < 0 {
				end = len(s) - 1
			}
			name := s[1 : end+1]
			s = s[end+1:]
			switch name {
			case "":
			case "*":
				out = append(out, pathStep{all: true})
			default:
				out = append(out, pathStep{field: name})
			}
		case '[':
			inner, rest, err := untilBracket(s[1:])
			if err != nil {
				return nil, err
			}
			step, err := parseBracket(strings.TrimSpace(inner))
			if err != nil {
				return nil, err
			}
			out, s = append(out, step), rest
		default:
			return nil, fmt.Errorf("unexpected %q", s)
		}
	}
	return out, nil
}

func untilBracket(s string) (inner, rest string, err error) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '[':
			depth++
		case ']':
			if depth == 0 {
				return s[:i], s[i+1:], nil
			}
			depth--
		}
	}
	return "", "", errors.New("missing ']'")
}

func parseBracket(s string) (pathStep, error) {
	switch {
	case s == "*":
		return pathStep{all: true}, nil
	case strings.HasPrefix(s, "?(") && strings.HasSuffix(s, ")"):
		f, err := parseFilter(s[2 : len(s)-1])
		return pathStep{filter: f}, err
	case len(s) > 1 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0]:
		return pathStep{field: s[1 : len(s)-1]}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return pathStep{}, fmt.Errorf("bad index [%s]", s)
	}
	return pathStep{index: &n}, nil
}

func parseFilter(s string) (*pathFilter, error) {
	for _, op := range []string{"==", "!=", ">=", "<=", ">", "<"} {
		left, right, found := strings.Cut(s, op)
		if !found {
			continue
		}
		path, err := parseSteps(strings.TrimSpace(left))
		if err != nil {
			return nil, err
		}
		return &pathFilter{path: path, op: op, want: strings.Trim(strings.TrimSpace(right), `"'`)}, nil
	}
	path, err := parseSteps(strings.TrimSpace(s))
	if err != nil {
		return nil, err
	}
	return &pathFilter{path: path}, nil
}

// execute prints the template for a decoded JSON value (numbers as json.Number).
func (p *jsonPath) execute(w io.Writer, v any) error {
	var out strings.Builder
	printNodes(&out, p.nodes, v)
	text := out.String()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func printNodes(out *strings.Builder, nodes []pathNode, v any) {
	for _, n := range nodes {
		switch {
		case n.loop:
			for _, e := range walk(n.steps, v) {
				printNodes(out, n.body, e)
			}
		case n.steps != nil:
			for i, e := range walk(n.steps, v) {
				if i > 0 {
					out.WriteByte(' ')
				}
				out.WriteString(pathText(e))
			}
		default:
			out.WriteString(n.literal)
		}
	}
}

func walk(steps []pathStep, v any) []any {
	at := []any{v}
	for _, s := range steps {
		var next []any
		for _, v := range at {
			next = append(next, s.from(v)...)
		}
		at = next
	}
	return at
}

func (s pathStep) from(v any) []any {
	switch v := v.(type) {
	case map[string]any:
		if s.all || s.filter != nil {
			return s.keep(sortedValues(v))
		}
		if e, ok := v[s.field]; ok && s.index == nil {
			return []any{e}
		}
	case []any:
		if s.all || s.filter != nil {
			return s.keep(v)
		}
		if s.index != nil {
			i := *s.index
			if i < 0 {
				i += len(v)
			}
			if i >= 0 && i < len(v) {
				return v[i : i+1]
			}
		}
	}
	return nil
}

func (s pathStep) keep(values []any) []any {
	if s.filter == nil {
		return values
	}
	var out []any
	for _, v := range values {
		if s.filter.match(v) {
			out = append(out, v)
		}
	}
	return out
}

func (f *pathFilter) match(v any) bool {
	found := walk(f.path, v)
	if f.op == "" {
		return len(found) > 0
	}
	if len(found) == 0 {
		return f.op == "!="
	}
	have := pathText(found[0])
	a, errA := strconv.ParseFloat(have, 64)
	b, errB := strconv.ParseFloat(f.want, 64)
	cmp := strings.Compare(have, f.want)
	if errA == nil && errB == nil {
		cmp = 0
		if a < b {
			cmp = -1
		} else if a > b {
			cmp = 1
		}
	}
	switch f.op {
	case "==":
		return cmp == 0
	case "!=":
		return cmp != 0
	case ">=":
		return cmp >= 0
	case "<=":
		return cmp <= 0
	case ">":
		return cmp > 0
	default:
		return cmp < 0
	}
}

func sortedValues(m map[string]any) []any {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}

func pathText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
