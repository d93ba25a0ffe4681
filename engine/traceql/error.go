package traceql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is a mistake in a query: the caller's fault, HTTP 400.
type Error struct {
	Line, Col   int // from 1; columns count characters
	Message     string
	Suggestion  string // what to write instead, or empty
	Unsupported bool   // the grammar has it, the evaluation does not
	text        string // the line of the query
}

// Error is one line: the place, the message and the suggestion.
func (e *Error) Error() string {
	s := fmt.Sprintf("parse error at line %d, col %d: %s", e.Line, e.Col, e.Message)
	if e.Suggestion != "" {
		s += " (" + e.Suggestion + ")"
	}
	return s
}

// Caret shows the line of the query with a caret below the place, and the message.
func (e *Error) Caret() string {
	const around = 60
	line, col := []rune(e.text), e.Col-1
	col = min(col, len(line))
	from, to := max(0, col-around), min(len(line), col+around)
	text, lead := string(line[from:to]), ""
	if from > 0 {
		lead = "…"
	}
	if to < len(line) {
		text += "…"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n", lead, strings.ReplaceAll(text, "\t", " "))
	b.WriteString(strings.Repeat(" ", col-from+len([]rune(lead))))
	b.WriteString("^ " + e.Message)
	if e.Suggestion != "" {
		b.WriteString("\n  " + e.Suggestion)
	}
	return b.String()
}

// errorAt makes the error for a byte offset of the query.
func errorAt(query string, pos int, message, suggestion string) *Error {
	pos = min(max(pos, 0), len(query))
	before := query[:pos]
	start := strings.LastIndexByte(before, '\n') + 1
	line := query[start:]
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	return &Error{
		Line: 1 + strings.Count(before, "\n"), Col: 1 + utf8.RuneCountInString(before[start:]),
		Message: message, Suggestion: suggestion, text: line,
	}
}

// nearest is the candidate closest to word, or empty when none is close. Of a word
// of up to three letters only one may be wrong.
func nearest(word string, candidates []string) string {
	best, dist := "", 1+len(word)/3
	if len(word) <= 3 {
		dist = 1
	}
	for _, c := range candidates {
		if strings.EqualFold(c, word) {
			return c
		}
		if d := distance(word, c, dist); d <= dist && (best == "" || d < dist) {
			best, dist = c, d
		}
	}
	return best
}

// distance is the edit distance of two short words, or limit+1 when it is larger.
func distance(a, b string, limit int) int {
	if len(a) > 40 || len(b) > 40 || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost = 1 + min(diag, row[j], row[j-1])
			}
			diag, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
