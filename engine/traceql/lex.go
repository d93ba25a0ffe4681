package traceql

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd       tokenKind = iota
	tokPunct               // text is one of { } ( ) , |
	tokOp                  // op
	tokWord                // text
	tokAttr                // attr
	tokIntrinsic           // attr, for trace:… span:… and so on
	tokLit                 // lit
)

type token struct {
	kind tokenKind
	pos  int
	text string
	op   Op
	attr Attr
	lit  Static
}

func (t token) is(punct string) bool { return t.kind == tokPunct && t.text == punct }

// describe names the token in messages.
func (t token) describe() string {
	switch t.kind {
	case tokEnd:
		return "end of query"
	case tokLit:
		return t.lit.Type.String() + " " + t.lit.String()
	}
	return strconv.Quote(t.text)
}

// lexer splits a query into tokens. Errors are *Error.
type lexer struct {
	query string
	pos   int
}

// operators, longest first. "~" and "|" alone, "&" forms and "!" forms are told apart by the longest match.
var operators = [...]struct {
	text string
	op   Op
}{
	{"!>>", OpNotDescendant}, {"!<<", OpNotAncestor}, {"&>>", OpUnionDescendant}, {"&<<", OpUnionAncestor},
	{"&&", OpAnd}, {"||", OpOr}, {"!=", OpNe}, {"!~", OpNotMatch}, {"=~", OpMatch}, {"<=", OpLe}, {">=", OpGe},
	{">>", OpDescendant}, {"<<", OpAncestor}, {"!>", OpNotChild}, {"!<", OpNotParent}, {"&>", OpUnionChild},
	{"&<", OpUnionParent}, {"&~", OpUnionSibling},
	{"=", OpEq}, {"<", OpLt}, {">", OpGt}, {"~", OpSibling}, {"!", OpNot},
	{"+", OpAdd}, {"-", OpSub}, {"*", OpMul}, {"/", OpDiv}, {"%", OpMod}, {"^", OpPow},
}

func (l *lexer) errorf(pos int, suggestion, format string, args ...any) *Error {
	return errorAt(l.query, pos, fmt.Sprintf(format, args...), suggestion)
}

func (l *lexer) next() (token, *Error) {
	if err := l.skipSpace(); err != nil {
		return token{}, err
	}
	t := token{pos: l.pos}
	if l.pos >= len(l.query) {
		return t, nil
	}
	rest := l.query[l.pos:]
	c := rest[0]
	switch {
	case c == '"' || c == '`':
		return l.str(t)
	case c >= '0' && c <= '9':
		return l.number(t)
	case c == '.':
		if run := attrRun(rest[1:]); run != "" && run[0] >= '0' && run[0] <= '9' {
			if f, err := strconv.ParseFloat("."+run, 64); err == nil {
				t.kind, t.text, t.lit = tokLit, "."+run, Static{Type: TypeFloat, Float: f}
				l.pos += 1 + len(run)
				return t, nil
			}
		}
		l.pos++
		return l.attribute(t, Attr{})
	case isWordRune(rune(c)) || c >= utf8.RuneSelf:
		return l.word(t)
	}
	for _, p := range [...]string{"{", "}", "(", ")", ","} {
		if strings.HasPrefix(rest, p) {
			l.pos++
			t.kind, t.text = tokPunct, p
			return t, nil
		}
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o.text) {
			l.pos += len(o.text)
			t.kind, t.text, t.op = tokOp, o.text, o.op
			return t, nil
		}
	}
	if c == '|' {
		l.pos++
		t.kind, t.text = tokPunct, "|"
		return t, nil
	}
	return t, l.strange(c)
}

func (l *lexer) strange(c byte) *Error {
	switch c {
	case '&':
		return l.errorf(l.pos, "write && for and", "unexpected &")
	case '\'':
		return l.errorf(l.pos, `strings are written "…" or with backticks`, "unexpected '")
	}
	if c == '#' {
		return l.errorf(l.pos, "a comment begins with //", "unexpected #")
	}
	return l.errorf(l.pos, "brackets are { } and ( )", "unexpected %q", string(rune(c)))
}

// skipSpace skips white space and comments: // to the end of the line, and /* … */.
func (l *lexer) skipSpace() *Error {
	for l.pos < len(l.query) {
		rest := l.query[l.pos:]
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case unicode.IsSpace(r):
		case strings.HasPrefix(rest, "//"):
			if n = strings.IndexByte(rest, '\n'); n < 0 {
				n = len(rest)
			}
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return l.errorf(l.pos, "end it with */", "a comment is not closed")
			}
			n = end + len("/**/")
		default:
			return nil
		}
		l.pos += n
	}
	return nil
}

func isWordRune(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isAttrRune reports what may stand in an attribute name without quotes.
func isAttrRune(r rune) bool {
	return !unicode.IsSpace(r) && !strings.ContainsRune("{}()=~!<>&|^,\"", r)
}

// attrRun is the longest prefix without quotes that can be an attribute name.
func attrRun(s string) string {
	for i, r := range s {
		if !isAttrRune(r) {
			return s[:i]
		}
	}
	return s
}

// str reads "…" with Go escapes or a raw string in backticks.
func (l *lexer) str(t token) (token, *Error) {
	quoted, err := strconv.QuotedPrefix(l.query[l.pos:])
	if err == nil {
		var s string
		if s, err = strconv.Unquote(quoted); err == nil {
			l.pos += len(quoted)
			t.kind, t.text, t.lit = tokLit, quoted, Static{Type: TypeString, Str: s}
			return t, nil
		}
	}
	return t, l.errorf(l.pos, "close the quote; inside of \"…\" write \\\\ and \\\" , or use backticks", "string is not closed or has an invalid escape")
}

// number reads an int, a float or a duration.
func (l *lexer) number(t token) (token, *Error) {
	rest := l.query[l.pos:]
	n := 0
	for n < len(rest) {
		r, size := utf8.DecodeRuneInString(rest[n:])
		exponent := (r == '+' || r == '-') && n > 0 && (rest[n-1] == 'e' || rest[n-1] == 'E') && strings.Trim(rest[:n-1], "0123456789.") == ""
		if !isWordRune(r) && r != '.' && r != 'µ' && r != 'μ' && !exponent {
			break
		}
		n += size
	}
	text := rest[:n]
	t.kind, t.text = tokLit, text
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		t.lit = Static{Type: TypeInt, Int: i}
	} else if d, ok := parseDuration(text); ok {
		t.lit = Static{Type: TypeDuration, Int: d}
	} else if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && strings.Trim(text, "0123456789.eE+-") == "" && !allDigits(text) {
		t.lit = Static{Type: TypeFloat, Float: f}
	} else {
		return t, l.errorf(l.pos, "numbers: 5, 1.5, 1e9; durations: 100ms, 1h30m, 2d", "invalid number or duration %q", clip(text))
	}
	l.pos += n
	return t, nil
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// word reads a keyword, or the scope before an attribute or an intrinsic.
func (l *lexer) word(t token) (token, *Error) {
	rest := l.query[l.pos:]
	n := strings.IndexFunc(rest, func(r rune) bool { return !isWordRune(r) })
	if n < 0 {
		n = len(rest)
	}
	if n == 0 {
		r, _ := utf8.DecodeRuneInString(rest)
		return t, l.errorf(l.pos, "", "unexpected %q", string(r))
	}
	t.kind, t.text = tokWord, rest[:n]
	if n < len(rest) && rest[n] == '.' {
		if t.text == "parent" {
			l.pos += n + 1
			return l.parent(t)
		}
		if scope := lookupScope(t.text); scope != ScopeNone {
			l.pos += n + 1
			return l.attribute(t, Attr{Scope: scope})
		}
	}
	if n < len(rest) && rest[n] == ':' {
		return l.scopedIntrinsic(t, n)
	}
	l.pos += n
	return t, nil
}

func lookupScope(word string) Scope {
	for i, name := range scopeNames {
		if name == word {
			return Scope(i)
		}
	}
	return ScopeNone
}

// parent reads what follows "parent.": an intrinsic, an attribute, or a scope and an attribute.
func (l *lexer) parent(t token) (token, *Error) {
	for _, scope := range [...]Scope{ScopeSpan, ScopeResource} {
		if strings.HasPrefix(l.query[l.pos:], scope.String()+".") {
			l.pos += len(scope.String()) + 1
			return l.attribute(t, Attr{Parent: true, Scope: scope})
		}
	}
	name := attrRun(l.query[l.pos:])
	if i := LookupIntrinsic(name); i != NotIntrinsic && i != ParentSpan && !strings.HasPrefix(l.query[l.pos+len(name):], `"`) {
		l.pos += len(name)
		t.kind, t.text, t.attr = tokAttr, l.query[t.pos:l.pos], Attr{Pos: t.pos, Parent: true, Intrinsic: i}
		return t, nil
	}
	return l.attribute(t, Attr{Parent: true})
}

func (l *lexer) scopedIntrinsic(t token, n int) (token, *Error) {
	rest := l.query[l.pos:]
	m := n + 1
	for m < len(rest) && isWordRune(rune(rest[m])) {
		m++
	}
	t.text = rest[:m]
	i := LookupIntrinsic(t.text)
	if i == NotIntrinsic || !strings.Contains(t.text, ":") {
		s := ""
		if c := nearest(t.text, intrinsicNames()); c != "" {
			s = "did you mean " + c + "?"
		}
		return t, l.errorf(l.pos, s, "unknown intrinsic %q", clip(t.text))
	}
	t.kind, t.attr = tokIntrinsic, Attr{Pos: t.pos, Intrinsic: i}
	l.pos += m
	return t, nil
}

// attribute reads the name after the scope: bare runs and quoted parts in any mix.
func (l *lexer) attribute(t token, a Attr) (token, *Error) {
	var name strings.Builder
	for l.pos < len(l.query) {
		rest := l.query[l.pos:]
		if rest[0] == '"' {
			part, n := quotedPart(rest)
			if n == 0 {
				return t, l.errorf(l.pos, `inside of the quotes only \" and \\ are escapes`, "quoted attribute name is not closed or has an invalid escape")
			}
			name.WriteString(part)
			l.pos += n
			continue
		}
		run := attrRun(rest)
		if run == "" {
			break
		}
		name.WriteString(run)
		l.pos += len(run)
	}
	if name.Len() == 0 {
		return t, l.errorf(l.pos, "for example .http.method, span.\"a name\"", "an attribute name is missing")
	}
	a.Pos, a.Name = t.pos, name.String()
	t.kind, t.attr, t.text = tokAttr, a, l.query[t.pos:l.pos]
	return t, nil
}

// quotedPart reads "…" with the escapes \" and \\; n is 0 when it is malformed.
func quotedPart(s string) (part string, n int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i + 1
		case '\\':
			i++
			if i >= len(s) || s[i] != '"' && s[i] != '\\' {
				return "", 0
			}
		}
		b.WriteByte(s[i])
	}
	return "", 0
}

func intrinsicNames() []string {
	var names []string
	for _, info := range intrinsics {
		if info.name != "" {
			names = append(names, info.name)
		}
		if info.also != "" {
			names = append(names, info.also)
		}
	}
	return names
}

// clip keeps foreign text in a message short.
func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
