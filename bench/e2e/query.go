//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/ringctl/ringctl/bench/gen"
)

// verify looks n traces up by id and counts those with all of their spans.
func (s *server) verify(ctx context.Context, ids []gen.TraceSize, n int) (complete int, err error) {
	for i := range n {
		id := ids[i*len(ids)/n]
		spans, err := s.lookup(ctx, id.ID)
		if err != nil {
			return 0, err
		}
		if spans == id.Spans {
			complete++
		}
	}
	return complete, nil
}

// lookup counts the distinct spans of a trace.
func (s *server) lookup(ctx context.Context, id string) (int, error) {
	status, body, err := s.get(ctx, "/api/v2/traces/"+id, "application/protobuf")
	if err != nil || status == http.StatusNotFound {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("trace %s: status %d: %s", id, status, body)
	}
	num, typ, n := protowire.ConsumeTag(body)
	inner, m := protowire.ConsumeBytes(body[max(n, 0):])
	if num != 1 || typ != protowire.BytesType || m < 0 {
		return 0, fmt.Errorf("trace %s: no trace in the answer", id)
	}
	var data tracev1.TracesData
	if err := proto.Unmarshal(inner, &data); err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	for _, r := range data.ResourceSpans {
		for _, sc := range r.ScopeSpans {
			for _, span := range sc.Spans {
				seen[string(span.SpanId)] = true
			}
		}
	}
	return len(seen), nil
}

// question is one line of the table.
type question struct {
	name  string
	path  string
	limit time.Duration // 0: none
	want  int64         // how many answers; -1: some
	count func(body []byte) (int, error)
}

// answer is what came back.
type answer struct {
	question
	median, cpu time.Duration
	count       int
}

func (a *answer) goal() string {
	if a.limit == 0 {
		return ""
	}
	return fmt.Sprintf("%g ms", ms(a.limit))
}

// verdict says whether the answer is right.
func (a *answer) verdict() string {
	if a.want >= 0 && int64(a.count) != a.want {
		return fmt.Sprintf("wrong: %d expected", a.want)
	}
	return "right"
}

// everything is a limit above any answer.
const everything = 200_000

// questions are those of the table.
func questions(truth *gen.Truth, base time.Time) []question {
	from, to := base.Unix()-1, base.Add(gen.Window+10*time.Minute).Unix()
	at := fmt.Sprintf("&start=%d&end=%d", from, to)
	var out []question
	add := func(name, path string, limit float64, want int64, count func([]byte) (int, error)) {
		out = append(out, question{name, path, time.Duration(limit * float64(time.Millisecond)), want, count})
	}
	search := func(name, q string, results int, limit float64, want int64) {
		add(name, fmt.Sprintf("/api/search?q=%s&limit=%d%s", url.QueryEscape(q), results, at), limit, want, countTraces)
	}
	metrics := func(name, q string, limit float64) {
		add(name, fmt.Sprintf("/api/metrics/query_range?q=%s&step=15s%s", url.QueryEscape(q), at), limit, -1, countSeries)
	}
	user := truth.Users[len(truth.Users)/2]
	add("trace_by_id", "/api/v2/traces/"+truth.IDs[len(truth.IDs)/3].ID, 2, -1, countBytes)
	add("trace_by_id_missing", "/api/v2/traces/0123456789abcdef0123456789abcdef", 0.5, 0, func([]byte) (int, error) { return 0, nil })
	search("status_500_all", `{span.http.status_code=500}`, everything, 40, truth.Status500)
	search("user_id_needle", fmt.Sprintf(`{span.user.id=%q}`, user.ID), 20, 2, int64(min(user.Traces, 20)))
	search("user_id_miss", `{span.user.id="user-nobody"}`, 20, 1, 0)
	search("regex_url_all", `{span.http.url=~".*/orders/12[0-9]+.*"}`, everything, 20, truth.Orders12)
	search("and3", `{resource.service.name="payment" && span.http.status_code=500 && duration>100ms}`, 20, 5, -1)
	search("structural_desc_all", `{resource.service.name="frontend"} >> {span.http.status_code=500}`, everything, 50, truth.FrontendTo500)
	search("structural_rare", `{resource.service.name="frontend" && duration>1s} >> {span.db.system="postgresql" && status=error}`, 20, 25, -1)
	search("count_gt5_all", `{resource.service.name="cart"} | count()>5`, everything, 25, truth.CartOver5)
	add("tags", "/api/v2/search/tags?"+at[1:], 3, -1, countTags)
	metrics("m_rate_by_service", `{} | rate() by (resource.service.name)`, 12)
	metrics("m_quantile99", `{} | quantile_over_time(duration,.99)`, 8)
	return out
}

func countBytes(b []byte) (int, error) { return len(b), nil }

func decode[T any](b []byte) (v T, err error) {
	if err = json.Unmarshal(b, &v); err != nil {
		err = fmt.Errorf("%w in %.200s", err, b)
	}
	return v, err
}

func countTraces(b []byte) (int, error) {
	v, err := decode[struct{ Traces []json.RawMessage }](b)
	return len(v.Traces), err
}

func countSeries(b []byte) (int, error) {
	v, err := decode[struct{ Series []json.RawMessage }](b)
	return len(v.Series), err
}

func countTags(b []byte) (n int, err error) {
	v, err := decode[struct{ Scopes []struct{ Tags []string } }](b)
	for _, s := range v.Scopes {
		n += len(s.Tags)
	}
	return n, err
}

// warmUp is how often a question is asked before it counts.
const warmUp = 3

// ask asks every question; the CPU time is the mean of its runs.
func (s *server) ask(ctx context.Context, c config, truth *gen.Truth, base time.Time) ([]answer, error) {
	var out []answer
	for _, q := range questions(truth, base) {
		a := answer{question: q}
		times := make([]time.Duration, 0, c.runs)
		var before time.Duration
		for i := range warmUp + c.runs {
			var err error
			if i == warmUp {
				if before, err = s.fine(); err != nil {
					return nil, err
				}
			}
			began := time.Now()
			status, body, err := s.get(ctx, q.path, "")
			took := time.Since(began)
			if err != nil || status != http.StatusOK && status != http.StatusNotFound {
				return nil, fmt.Errorf("%s: status %d: %s: %w", q.name, status, body, err)
			}
			if a.count, err = q.count(body); err != nil {
				return nil, fmt.Errorf("%s: %w", q.name, err)
			}
			if i >= warmUp {
				times = append(times, took)
			}
		}
		after, err := s.fine()
		if err != nil {
			return nil, err
		}
		slices.Sort(times)
		a.median, a.cpu = times[len(times)/2], (after-before)/time.Duration(c.runs)
		out = append(out, a)
	}
	return out, nil
}
