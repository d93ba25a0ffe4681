package frontend

import (
	"math"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
)

// maxQueryText bounds the text of a query.
const maxQueryText = 128 << 10

// metricsRequest reads the parameters of both metrics calls.
func (f *Frontend) metricsRequest(r *http.Request, instant bool, most longest) (query.MetricsRequest, window, error) {
	v := values{Values: r.URL.Query()}
	req := query.MetricsRequest{Query: v.Get("q"), Instant: instant}
	if req.Query == "" {
		req.Query = v.Get("query")
	}
	if req.Query == "" {
		return req, window{}, bad("q is missing: give a TraceQL metrics query, like { } | rate()")
	}
	if len(req.Query) > maxQueryText {
		return req, window{}, bad("the query has %d bytes, at most %d are read", len(req.Query), maxQueryText)
	}
	win := v.metricsWindow(f.now())
	req.Step = int64(v.step())
	req.Exemplars = v.count("exemplars", 0, 0, query.MaxExemplars)
	req.MaxSeries = v.count("maxSeries", 0, 0, 1<<20)
	if v.err == nil {
		v.err = checkRange(win, most)
	}
	req.Start, req.End = win.start, win.end
	return req, win, v.err
}

// metricsQuery asks and computes the final series.
func (f *Frontend) metricsQuery(r *http.Request, instant bool) (*query.MetricsAnswer, []string, error) {
	tenants, err := f.tenants(r)
	if err != nil {
		return nil, nil, err
	}
	req, win, err := f.metricsRequest(r, instant, f.limitsOf(tenants).metrics)
	if err != nil {
		return nil, nil, err
	}
	plan, err := query.PrepareMetrics(req)
	if err != nil {
		return nil, nil, peer.StatusOf(err)
	}
	a, err := f.askAll(r.Context(), tenants, peer.Question{Metrics: &req}, win)
	if err != nil {
		return nil, nil, err
	}
	if a.Metrics == nil {
		return nil, nil, status.Error(codes.Internal, "a querier answered something else than metrics")
	}
	if err := roomOf(r.Context()).fits(int(plan.AnswerSize(a.Metrics))); err != nil {
		return nil, nil, peer.StatusOf(err)
	}
	answer, err := plan.AnswerUntil(r.Context(), a.Metrics)
	if err != nil {
		return nil, nil, peer.StatusOf(err)
	}
	missing := append(a.Missing, answer.Partial...)
	if len(missing) > 0 {
		f.metrics.partial.WithLabelValues("metrics").Inc()
	}
	return answer, missing, nil
}

// queryRange serves /api/metrics/query_range.
func (f *Frontend) queryRange(w http.ResponseWriter, r *http.Request) error {
	a, missing, err := f.metricsQuery(r, false)
	if err != nil {
		return err
	}
	b, err := rangeJSON(a, missing, roomOf(r.Context()))
	if err != nil {
		return peer.StatusOf(err)
	}
	return write(w, typeJSON, b)
}

// queryInstant serves /api/metrics/query.
func (f *Frontend) queryInstant(w http.ResponseWriter, r *http.Request) error {
	a, missing, err := f.metricsQuery(r, true)
	if err != nil {
		return err
	}
	b, err := instantJSON(a, missing, roomOf(r.Context()))
	if err != nil {
		return peer.StatusOf(err)
	}
	return write(w, typeJSON, b)
}

func appendLabels(b []byte, labels []query.Attribute) []byte {
	b = append(b, `{"labels":[`...)
	for i := range labels {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"key":`...), labels[i].Key)
		b = appendValue(append(b, `,"value":`...), &labels[i].Value)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendMillis(b []byte, ns int64) []byte {
	return appendQuotedInt(append(b, `"timestampMs":`...), ns/1e6)
}

func appendMetricsStats(b []byte, s *query.Stats) []byte {
	b = append(b, `],"metrics":{"inspectedTraces":`...)
	b = strconv.AppendInt(b, s.Traces, 10)
	b = appendQuotedInt(append(b, `,"inspectedBytes":`...), s.Bytes)
	b = appendQuotedInt(append(b, `,"inspectedSpans":`...), s.Spans)
	b = strconv.AppendInt(append(b, `,"completedJobs":`...), s.Segments, 10)
	b = strconv.AppendInt(append(b, `,"totalJobs":`...), s.Segments, 10)
	return append(b, '}')
}

// rangeJSON is a QueryRangeResponse. A point that is missing is left out.
func rangeJSON(a *query.MetricsAnswer, missing []string, room room) ([]byte, error) {
	b := append(make([]byte, 0, 1024), `{"series":[`...)
	for i := range a.Series {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSeries(b, a, &a.Series[i])
		if err := room.fits(len(b)); err != nil {
			return nil, err
		}
	}
	b = appendMetricsStats(b, &a.Stats)
	return append(appendPartial(b, missing), '}'), nil
}

func appendSeries(b []byte, a *query.MetricsAnswer, s *query.Series) []byte {
	b = append(appendLabels(b, s.Labels), `,"samples":[`...)
	first := true
	for i, v := range s.Values {
		if math.IsNaN(v) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendMillis(append(b, '{'), a.Stamp(i))
		b = append(appendFloat(append(b, `,"value":`...), v), '}')
	}
	b = append(b, ']')
	if len(s.Exemplars) > 0 {
		b = append(b, `,"exemplars":[`...)
		for i := range s.Exemplars {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendExemplar(b, &s.Exemplars[i])
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendExemplar(b []byte, e *query.Exemplar) []byte {
	b = append(b, `{"labels":[{"key":"trace:id","value":{"stringValue":"`...)
	b = append(appendShortHex(b, e.Trace[:]), `"}}],`...)
	b = appendFloat(append(b, `"value":`...), e.Value)
	return append(appendMillis(append(b, ','), e.Time), '}')
}

// instantJSON is a QueryInstantResponse.
func instantJSON(a *query.MetricsAnswer, missing []string, room room) ([]byte, error) {
	b := append(make([]byte, 0, 1024), `{"series":[`...)
	first := true
	for i := range a.Series {
		s := &a.Series[i]
		if len(s.Values) == 0 || math.IsNaN(s.Values[0]) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendLabels(b, s.Labels)
		b = append(appendFloat(append(b, `,"value":`...), s.Values[0]), '}')
		if err := room.fits(len(b)); err != nil {
			return nil, err
		}
	}
	b = appendMetricsStats(b, &a.Stats)
	return append(appendPartial(b, missing), '}'), nil
}
