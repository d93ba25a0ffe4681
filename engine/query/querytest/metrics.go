package querytest

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/ringctl/ringctl/engine/traceql"
)

// Metrics gives the values of one metrics function by label text ("name=value …"), step by step, from the spans that
// start in (start+i·step, start+(i+1)·step]. NaN is no point. Quantiles are exact ones of the sorted values.
func (t *Twin) Metrics(m *traceql.MetricPipe, start, step int64, steps int) (map[string][]float64, error) {
	cells := map[string]map[int][]float64{}
	for _, tr := range t.traces {
		sets, err := pipeline(m.Pipeline, []set{{spans: tr.spans}})
		if err != nil {
			return nil, err
		}
		for _, st := range sets {
			for _, s := range st.spans {
				addSpan(cells, m, s, start, step, steps)
			}
		}
	}
	out := map[string][]float64{}
	for labels, byStep := range cells {
		for i := range steps {
			finishCell(out, labels, m, byStep[i], i, steps, step)
		}
	}
	return out, nil
}

func addSpan(cells map[string]map[int][]float64, m *traceql.MetricPipe, s *span, start, step int64, steps int) {
	if s.start <= start || s.start > start+int64(steps)*step {
		return
	}
	i := int((s.start - start - 1) / step)
	v := 1.0
	if m.Attr != nil {
		x := attr(m.Attr, s)
		if !isNumber(x) || math.IsInf(toFloat(x), 0) || math.IsNaN(toFloat(x)) {
			return
		}
		v = toFloat(x)
	}
	var parts []string
	for _, a := range m.By {
		x := attr(a, s)
		parts = append(parts, fmt.Sprintf("%s=%s", a, Show(x)))
	}
	labels := strings.Join(parts, " ")
	if cells[labels] == nil {
		cells[labels] = map[int][]float64{}
	}
	cells[labels][i] = append(cells[labels][i], v)
}

func finishCell(out map[string][]float64, labels string, m *traceql.MetricPipe, values []float64, i, steps int, step int64) {
	put := func(label string, v, zero float64) {
		key := strings.TrimSpace(labels + " " + label)
		if out[key] == nil {
			out[key] = make([]float64, steps)
			for k := range out[key] {
				out[key][k] = zero
			}
		}
		out[key][i] = v
	}
	name := ""
	if len(m.By) == 0 && m.Func != traceql.QuantileOverTime && m.Func != traceql.HistogramOverTime {
		name = "__name__=" + m.Func.String()
	}
	unit := 1.0
	if m.Attr != nil && m.Attr.Intrinsic.Type() == traceql.TypeDuration {
		unit = 1e9
	}
	sort.Float64s(values)
	n := float64(len(values))
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	switch {
	case m.Func == traceql.Rate:
		put(name, n/(float64(step)/1e9), 0)
	case m.Func == traceql.CountOverTime:
		put(name, n, 0)
	case m.Func == traceql.HistogramOverTime:
		for _, v := range values {
			bound := 0.0
			if v > 0 {
				bound = math.Pow(2, math.Ceil(math.Log2(v)))
			} else if v < 0 {
				bound = -math.Pow(2, math.Ceil(math.Log2(-v))-1)
			}
			label := "__bucket=" + fmt.Sprint(bound/unit)
			old := 0.0
			if have := out[strings.TrimSpace(labels+" "+label)]; have != nil {
				old = have[i]
			}
			put(label, old+1, 0)
		}
	case n == 0:
	case m.Func == traceql.MinOverTime:
		put(name, values[0]/unit, math.NaN())
	case m.Func == traceql.MaxOverTime:
		put(name, values[len(values)-1]/unit, math.NaN())
	case m.Func == traceql.SumOverTime:
		put(name, sum/unit, math.NaN())
	case m.Func == traceql.AvgOverTime:
		put(name, sum/n/unit, math.NaN())
	case m.Func == traceql.QuantileOverTime:
		for _, q := range m.Args {
			k := max(0, int(math.Ceil(q*n))-1)
			put("p="+fmt.Sprint(q), values[k]/unit, math.NaN())
		}
	}
}
