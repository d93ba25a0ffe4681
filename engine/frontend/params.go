package frontend

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// badRequest is an error of the sender: HTTP 400.
type badRequest struct{ error }

func bad(format string, args ...any) error { return badRequest{fmt.Errorf(format, args...)} }

// window is a time range in Unix nanoseconds; an end of 0 is open.
type window struct{ start, end int64 }

// values reads parameters and remembers the first mistake.
type values struct {
	url.Values
	err error
}

func (v *values) fail(err error) {
	if v.err == nil && err != nil {
		v.err = err
	}
}

// count reads a whole number between low and high.
func (v *values) count(key string, otherwise, low, high int) int {
	text := v.Get(key)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		v.fail(bad("%s=%q: want a whole number from %d to %d", key, text, low, high))
		return otherwise
	}
	return n
}

// lastSecond is in the year 2242, and still a valid number of nanoseconds.
const lastSecond = 1 << 33

// seconds reads start and end as Unix seconds: both or neither.
func (v *values) seconds() window {
	start, end := v.Get("start"), v.Get("end")
	if start == "" && end == "" {
		return window{}
	}
	if start == "" || end == "" {
		v.fail(bad("give both start and end (Unix seconds), or neither"))
		return window{}
	}
	s, err1 := strconv.ParseInt(start, 10, 64)
	e, err2 := strconv.ParseInt(end, 10, 64)
	if err1 != nil || err2 != nil || s < 0 || e < 0 || s > lastSecond || e > lastSecond {
		v.fail(bad("start=%q end=%q: want Unix seconds", start, end))
		return window{}
	}
	if e <= s {
		v.fail(bad("end (%d) must be after start (%d)", e, s))
	}
	return window{s * int64(time.Second), e * int64(time.Second)}
}

// instant reads a time of the metrics API: Unix seconds (with a fraction),
// nanoseconds (more than ten digits), or RFC 3339.
func parseInstant(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		if len(text) > 10 {
			return n, nil
		}
		if n <= lastSecond {
			return n * int64(time.Second), nil
		}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f < lastSecond {
		return int64(f * float64(time.Second)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Unix() < 0 || t.Unix() > lastSecond {
		return 0, fmt.Errorf("%q is no time: want Unix seconds, nanoseconds or RFC 3339", text)
	}
	return t.UnixNano(), nil
}

// metricsWindow reads start and end, or since, of the metrics API.
func (v *values) metricsWindow(now time.Time) window {
	w := window{end: now.UnixNano()}
	if text := v.Get("end"); text != "" {
		n, err := parseInstant(text)
		v.fail(wrapBad("end", err))
		w.end = n
	}
	since := time.Hour
	if text := v.Get("since"); text != "" {
		d, err := parseSince(text)
		v.fail(wrapBad("since", err))
		since = d
	}
	w.start = w.end - int64(since)
	if text := v.Get("start"); text != "" {
		n, err := parseInstant(text)
		v.fail(wrapBad("start", err))
		w.start = n
	}
	if v.err == nil && w.start >= w.end {
		v.fail(bad("end must be after start"))
	}
	return w
}

// parseSince reads a Go duration or whole days, weeks or years (7d, 2w, 1y).
func parseSince(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, nil
	}
	days := map[string]int{"d": 1, "w": 7, "y": 365}
	for unit, n := range days {
		count, ok := strings.CutSuffix(text, unit)
		if c, err := strconv.Atoi(count); ok && err == nil && c > 0 && c < 10_000 {
			return time.Duration(c*n) * 24 * time.Hour, nil
		}
	}
	return 0, fmt.Errorf("%q is no duration: want 30m, 6h or 7d", text)
}

// step reads the step of a range: seconds, or a Go duration. 0 = choose one.
func (v *values) step() time.Duration {
	text := v.Get("step")
	if text == "" {
		return 0
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 1e-9 && f < 1e9 {
		return time.Duration(f * float64(time.Second))
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		v.fail(bad("step=%q: want a positive number of seconds or a duration such as 30s", text))
	}
	return d
}

func wrapBad(key string, err error) error {
	if err == nil {
		return nil
	}
	return bad("%s: %w", key, err)
}

// searchQuery is the TraceQL of a search: q itself, or what tags, minDuration
// and maxDuration mean. Without any of them every trace matches.
func (v *values) searchQuery() string {
	q, tags := v.Get("q"), v.Get("tags")
	if q != "" && (tags != "" || v.Has("minDuration") || v.Has("maxDuration")) {
		v.fail(bad("q and the older parameters (tags, minDuration, maxDuration) exclude each other"))
		return ""
	}
	if q != "" {
		return q
	}
	terms, err := tagTerms(tags)
	v.fail(err)
	for _, d := range []struct{ key, op string }{{"minDuration", ">="}, {"maxDuration", "<="}} {
		if text := v.Get(d.key); text != "" {
			took, err := time.ParseDuration(text)
			v.fail(wrapBad(d.key, err))
			terms = append(terms, fmt.Sprintf("traceDuration %s %dns", d.op, took.Nanoseconds()))
		}
	}
	return "{ " + strings.Join(terms, " && ") + " }"
}

// tagTerms reads logfmt pairs (service.name=cart error=true name="GET /").
func tagTerms(tags string) ([]string, error) {
	var terms []string
	for rest := strings.TrimSpace(tags); rest != ""; rest = strings.TrimLeft(rest, " ") {
		key, after, ok := strings.Cut(rest, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \"") {
			return nil, bad("tags=%q: want pairs such as service.name=cart, with values in double quotes where they have spaces", tags)
		}
		value, left, err := logfmtValue(after)
		if err != nil {
			return nil, bad("tags: value of %s: %w", key, err)
		}
		terms, rest = append(terms, tagTerm(key, value)), left
	}
	return terms, nil
}

func logfmtValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, " ")
		return value, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", errors.New("the closing quote is missing")
	}
	value, err = strconv.Unquote(quoted)
	return value, s[len(quoted):], err
}

// tagTerm compares an attribute with a value whose type the sender did not
// say: the text, and the number or truth value that it may stand for.
func tagTerm(key, value string) string {
	attr := "." + strconv.Quote(key)
	switch key {
	case "name":
		attr = "name"
	case "root.name":
		attr = "rootName"
	case "root.service.name":
		attr = "rootServiceName"
	}
	term := attr + " = " + strconv.Quote(value)
	if attr[0] != '.' {
		return term
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil && !strings.ContainsAny(value, "xXpPnNiI_eE+") || value == "true" || value == "false" {
		return "(" + term + " || " + attr + " = " + value + ")"
	}
	return term
}
