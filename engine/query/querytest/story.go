package querytest

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/trace"
)

// Epoch is the start of all times in stories.
const Epoch = int64(1_700_000_000_000_000_000)

// ParseStory reads traces from text and gives them as OTLP bytes, one TracesData message per trace:
//
//	trace 1
//	1 frontend "GET /" 0ms+100ms server ok res.region="eu" http.method="GET" code=200
//	  2 frontend call 10ms+50ms client
//	    3 backend serve 20ms+30ms server error msg="boom" event(exception 25ms type="IO") link(2 1 rel="x")
//	orphan=99 4 backend lost 5ms+1ms
//
// A line is: span id, service, name, start+duration; then kind, status and attributes in any order. Indentation gives the
// parent; orphan=N gives a parent id that is not in the trace. Keys that start with res. are resource attributes, scope.
// instrumentation scope attributes (scope.name and scope.version its name and version), msg is the status message, state the trace state.
// Values are strings in quotes, numbers, true, false, or lists [1,2].
func ParseStory(text string) ([][]byte, error) {
	var out [][]byte
	var b *trace.Builder
	var id trace.ID
	var parents []uint64
	flush := func() {
		if b != nil {
			out = append(out, b.Append(nil))
		}
	}
	for n, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		words, err := split(trimmed)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		if words[0] == "trace" {
			flush()
			b, id, parents = &trace.Builder{}, trace.ID{}, nil
			num, err := strconv.ParseUint(words[1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			binary.BigEndian.PutUint64(id[8:], num)
			continue
		}
		depth := (len(line) - len(trimmed)) / 2
		s := storySpan{id: id}
		if depth > 0 && depth <= len(parents) {
			s.parent = parents[depth-1]
		}
		if err := s.read(words); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		parents = append(parents[:min(depth, len(parents))], s.span)
		s.add(b)
	}
	flush()
	return out, nil
}

// split cuts at spaces outside of quotes, brackets and parentheses.
func split(s string) ([]string, error) {
	var words []string
	depth, quoted, from := 0, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		case c == ' ' && depth == 0:
			if i > from {
				words = append(words, s[from:i])
			}
			from = i + 1
		}
	}
	if quoted || depth != 0 {
		return nil, fmt.Errorf("unbalanced quotes or brackets in %q", s)
	}
	if from < len(s) {
		words = append(words, s[from:])
	}
	return words, nil
}

type storySpan struct {
	id           trace.ID
	span, parent uint64
	service      string
	out          trace.Span
	res, scope   []trace.Attr
	name, vers   string
}

var storyKinds = map[string]trace.SpanKind{"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
var storyStatus = map[string]trace.StatusCode{"ok": 1, "error": 2}

func (s *storySpan) read(words []string) error {
	if rest, ok := strings.CutPrefix(words[0], "orphan="); ok {
		p, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			return err
		}
		s.parent, words = p, words[1:]
	}
	if len(words) < 4 {
		return fmt.Errorf("a span needs id, service, name and start+duration")
	}
	var err error
	if s.span, err = strconv.ParseUint(words[0], 10, 64); err != nil {
		return err
	}
	s.service = words[1]
	s.out.Name = []byte(unquote(words[2]))
	from, dur, _ := strings.Cut(words[3], "+")
	start, err := time.ParseDuration(from)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(dur)
	if err != nil {
		return err
	}
	s.out.Start = uint64(Epoch + int64(start))
	s.out.End = s.out.Start + uint64(d)
	for _, w := range words[4:] {
		if err := s.word(w); err != nil {
			return err
		}
	}
	return nil
}

func (s *storySpan) word(w string) error {
	if k, ok := storyKinds[w]; ok {
		s.out.Kind = k
		return nil
	}
	if c, ok := storyStatus[w]; ok {
		s.out.StatusCode = c
		return nil
	}
	if strings.HasPrefix(w, "event(") || strings.HasPrefix(w, "link(") {
		return s.nested(w)
	}
	key, text, ok := strings.Cut(w, "=")
	if !ok {
		return fmt.Errorf("unknown word %q", w)
	}
	switch key {
	case "msg":
		s.out.StatusMessage = []byte(unquote(text))
		return nil
	case "state":
		s.out.TraceState = []byte(unquote(text))
		return nil
	}
	v, err := storyValue(text)
	if err != nil {
		return err
	}
	switch {
	case key == "scope.name":
		s.name = unquote(text)
	case key == "scope.version":
		s.vers = unquote(text)
	case strings.HasPrefix(key, "scope."):
		s.scope = append(s.scope, trace.Attr{Key: []byte(key[6:]), Value: v})
	case strings.HasPrefix(key, "res."):
		s.res = append(s.res, trace.Attr{Key: []byte(key[4:]), Value: v})
	default:
		s.out.Attrs = append(s.out.Attrs, trace.Attr{Key: []byte(unquote(key)), Value: v})
	}
	return nil
}

// nested reads event(name time key=value…) or link(trace span key=value…).
func (s *storySpan) nested(w string) error {
	kind, rest, _ := strings.Cut(w, "(")
	words, err := split(strings.TrimSuffix(rest, ")"))
	if err != nil || len(words) < 2 {
		return fmt.Errorf("malformed %q", w)
	}
	var attrs []trace.Attr
	for _, x := range words[2:] {
		key, text, _ := strings.Cut(x, "=")
		v, err := storyValue(text)
		if err != nil {
			return err
		}
		attrs = append(attrs, trace.Attr{Key: []byte(key), Value: v})
	}
	if kind == "event" {
		at, err := time.ParseDuration(words[1])
		if err != nil {
			return err
		}
		s.out.Events = trace.AppendEvent(s.out.Events, &trace.Event{Name: []byte(unquote(words[0])), Time: uint64(Epoch + int64(at)), Attrs: attrs})
		return nil
	}
	l := trace.Link{Attrs: attrs}
	if l.TraceID, err = trace.ParseID(words[0]); err != nil {
		return err
	}
	if l.SpanID, err = trace.ParseSpanID(words[1]); err != nil {
		return err
	}
	s.out.Links = trace.AppendLink(s.out.Links, &l)
	return nil
}

func unquote(s string) string {
	if t, err := strconv.Unquote(s); err == nil {
		return t
	}
	return s
}

func storyValue(s string) (trace.Value, error) {
	switch {
	case strings.HasPrefix(s, "["):
		v := trace.Value{Kind: trace.KindArray}
		for _, w := range strings.Split(strings.Trim(s, "[]"), ",") {
			if w == "" {
				continue
			}
			e, err := storyValue(w)
			if err != nil {
				return v, err
			}
			v.Bytes = trace.AppendElement(v.Bytes, &e)
		}
		return v, nil
	case s == "true" || s == "false":
		return trace.BoolValue(s == "true"), nil
	case strings.HasPrefix(s, `"`):
		return trace.StringValue([]byte(unquote(s))), nil
	case s == "bytes":
		return trace.BytesValue([]byte{1, 2}), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return trace.IntValue(n), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	return trace.DoubleValue(f), err
}

func (s *storySpan) add(b *trace.Builder) {
	res := append([]trace.Attr{{Key: []byte("service.name"), Value: trace.StringValue([]byte(s.service))}}, s.res...)
	b.SetResource(&trace.Group{Raw: trace.AppendResource(nil, &trace.Resource{Attrs: res})})
	b.SetScope(&trace.Group{Raw: trace.AppendScope(nil, &trace.Scope{Name: []byte(s.name), Version: []byte(s.vers), Attrs: s.scope})})
	s.out.TraceID = s.id
	binary.BigEndian.PutUint64(s.out.SpanID[:], s.span)
	binary.BigEndian.PutUint64(s.out.ParentID[:], s.parent)
	b.AddSpan(&s.out)
}
