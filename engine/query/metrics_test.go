package query_test

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/traceql"
)

func seriesText(s *query.Series) string {
	var parts []string
	for _, a := range s.Labels {
		parts = append(parts, a.Key+"="+showValue(a.Value))
	}
	return strings.Join(parts, " ")
}

// answer runs a metrics query unit by unit, each part sent over the wire.
func answer(t testing.TB, sources []columnar.Source, req query.MetricsRequest) (*query.MetricsAnswer, error) {
	t.Helper()
	p, err := query.PrepareMetrics(req)
	if err != nil {
		return nil, err
	}
	units, err := p.Units(context.Background(), sources, nil)
	if err != nil {
		return nil, err
	}
	res := p.Empty()
	for _, u := range units {
		part, err := p.Run(context.Background(), u)
		if err != nil {
			return nil, err
		}
		b, err := part.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got query.MetricsResult
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		p.Merge(res, &got)
	}
	return p.Answer(res), nil
}

// TestMetricsAgainstTwin compares random metrics queries with the slow evaluator.
func TestMetricsAgainstTwin(t *testing.T) {
	points := 0
	for seed := range int64(30) {
		r := rand.New(rand.NewSource(seed))
		otlp := querytest.Random(seed, 30)
		twin, err := querytest.NewTwin(otlp)
		if err != nil {
			t.Fatal(err)
		}
		sources := spread(t, r, otlp)
		for range 40 {
			text := querytest.RandomMetrics(r)
			q, err := traceql.Parse(text)
			if err != nil {
				continue
			}
			req := query.MetricsRequest{Query: text, Start: querytest.Epoch + 7e9, End: querytest.Epoch + 3400e9, Step: int64(1+r.Intn(20)) * int64(time.Minute)}
			got, err := answer(t, sources, req)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, text, err)
			}
			m := q.Metric.(*traceql.MetricPipe)
			steps := int((req.End+req.Step-1)/req.Step-req.Start/req.Step) + 1
			want, err := twin.Metrics(m, got.Start, got.Step, steps)
			if err != nil {
				t.Fatal(err)
			}
			points += compareSeries(t, fmt.Sprintf("seed %d, %d sources: %s", seed, len(sources), text), m.Func, want, got)
		}
	}
	if points < 5000 {
		t.Errorf("only %d points compared", points)
	}
}

func compareSeries(t *testing.T, what string, fn traceql.MetricFunc, want map[string][]float64, got *query.MetricsAnswer) int {
	t.Helper()
	points := 0
	have := map[string][]float64{}
	twice := map[string]bool{} // labels of two types with one text: not told apart here
	for i := range got.Series {
		key := seriesText(&got.Series[i])
		twice[key] = have[key] != nil || strings.Contains(key, "?")
		have[key] = got.Series[i].Values
	}
	for key, values := range want {
		g := have[key]
		if twice[key] || strings.Contains(key, "?") {
			continue
		}
		for i, v := range values {
			x := math.NaN()
			if i < len(g) {
				x = g[i]
			}
			tolerance := math.Abs(v) * 1e-9
			if fn == traceql.QuantileOverTime {
				tolerance = math.Abs(v) / 15
			}
			if (fn == traceql.SumOverTime || fn == traceql.AvgOverTime) && !strings.Contains(what, "(duration)") {
				tolerance += 1e5 // sums of attributes up to 1e19 depend on the order
			}
			if math.IsNaN(v) != math.IsNaN(x) || math.Abs(x-v) > tolerance {
				t.Fatalf("%s\n[%s] step %d: want %v, got %v", what, key, i, v, x)
			}
			points++
		}
	}
	for key := range have {
		if _, ok := want[key]; !ok && !twice[key] && !strings.Contains(key, "[") {
			t.Fatalf("%s\nunexpected series %s", what, key)
		}
	}
	return points
}
