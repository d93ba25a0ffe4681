package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// question is one line of the table.
type question struct{ name, path string }

// questions are such that work for long or make much, over the last hour.
func questions(now time.Time) []question {
	start, end := now.Add(-time.Hour).Unix(), now.Add(time.Minute).Unix()
	path := func(route string, values ...string) string {
		v := url.Values{"start": {fmt.Sprint(start)}, "end": {fmt.Sprint(end)}}
		for i := 0; i < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return route + "?" + v.Encode()
	}
	search := func(q string) string { return path("/api/search", "q", q, "limit", "100000", "spss", "100") }
	series := func(q string) string { return path("/api/metrics/query_range", "q", q, "step", "1s") }
	many := func(n int, sep string, f func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = f(i)
		}
		return strings.Join(parts, sep)
	}
	same := func(text string) func(int) string { return func(int) string { return text } }
	return []question{
		{"everything", search("{ }")},
		{"a group for every span", search("{ } | by(span:id)")},
		{"regex on every text", search(`{ .http.url =~ "(a|b|c|d|e|f)*(.*x.*y.*z.*){1,10}" || name =~ ".*(q|w).*(e|r).*" || .db.statement =~ ".*(a.*){12}" }`)},
		{"regex (x{20}){40}", search(`{ span.http.url =~ ".*(([a-z]|/){20}){40}" }`)},
		{"3,000 conditions with or", search("{ " + many(3000, " || ", func(i int) string { return fmt.Sprintf(".user.id = %q", fmt.Sprint("x", i)) }) + " }")},
		{"500 regexes with or", search("{ " + many(500, " || ", func(i int) string { return fmt.Sprintf("span.http.url =~ %q", fmt.Sprintf(".*(z|y)%d.*q", i)) }) + " }")},
		{"arithmetic, row by row", search("{ " + many(100, " + ", same("duration")) + " > 1h }")},
		{"chain of 60 &>>", search(many(60, " &>> ", same("{ }")))},
		{"chain of 128 &>>", search(many(128, " &>> ", same("{ }")))},
		{"40 nested pipelines", search(strings.Repeat("(", 40) + "{ }" + strings.Repeat(" | count() > 0)", 40))},
		{"groups of groups", search("{ } | by(name) | by(resource.service.name) | by(span:id) | count() > 0")},
		{"rate by span id", series("{ } | rate() by (span:id)")},
		{"rate by everything", series("{ } | rate() by (name, resource.service.name, span.http.url, kind, status)")},
		{"quantiles by url", series("{ } | quantile_over_time(duration, .1, .5, .9, .99, .999) by (span.http.url)")},
		{"histogram of everything", series("{ } | histogram_over_time(duration) by (name, resource.service.name)")},
		{"compare", series("{ } | compare({ status = error }, 1000)")},
		{"topk of many", series("{ } | rate() by (resource.k8s.pod.name, name) | topk(100)")},
		{"30 functions added", series(many(30, " + ", same("({ } | rate() by (name, kind))")))},
		{"all values of a tag", path("/api/v2/search/tag/span.http.url/values")},
		{"tags of spans that match", path("/api/v2/search/tags", "q", `{ .http.url =~ ".*(a|b).*(c|d).*" || duration > 1ms }`)},
		{"values by row", path("/api/v2/search/tag/span:childCount/values", "q", "{ } >> { }")},
	}
}
