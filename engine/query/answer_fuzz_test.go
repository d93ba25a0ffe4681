package query

import (
	"math"
	"testing"

	"github.com/ringctl/ringctl/engine/trace"
)

// FuzzAnswer finishes results as they come off the wire, of whatever query.
func FuzzAnswer(f *testing.F) {
	queries := []string{"{ } | rate()", "{ } | avg_over_time(duration) by (.a)", "{ } | quantile_over_time(duration, .5, .9)", "{ } | histogram_over_time(duration)",
		"{ } | compare({ status = error }, 3)", "({ } | rate()) / ({ } | rate() by (name)) | topk(2)"}
	plans := make([]*MetricsPlan, len(queries))
	for i, text := range queries {
		p, err := PrepareMetrics(MetricsRequest{Query: text, Start: 60e9, End: 120e9, Step: 15e9, Exemplars: 3})
		if err != nil {
			f.Fatal(err)
		}
		plans[i] = p
	}
	add := func(r *MetricsResult) {
		for i := range plans {
			b, err := r.MarshalBinary()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(i, b)
		}
	}
	add(sampleMetrics())
	for _, m := range []int64{math.MinInt64, -1, 0, 120e9, 135e9 + 1, math.MaxInt64} {
		r := &MetricsResult{Steps: 5}
		leg := MetricsLeg{Series: []PartialSeries{{Counts: []float64{1}}}, Exemplars: []Exemplar{{Trace: trace.ID{1}, Time: m, Value: math.NaN()}}}
		r.Legs = []MetricsLeg{leg}
		add(r)
		r.Legs = []MetricsLeg{leg, leg}
		add(r)
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		var r MetricsResult
		if r.UnmarshalBinary(b) != nil {
			return
		}
		p := plans[uint(i)%uint(len(plans))]
		p.AnswerSize(&r)
		for _, s := range p.Answer(&r).Series {
			if len(s.Values) != p.v.n {
				t.Errorf("%d values, want %d", len(s.Values), p.v.n)
			}
		}
	})
}
