package query

import (
	"cmp"
	"context"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// Labels of compare().
const (
	LabelName   = "__name__"
	LabelBucket = "__bucket"
	labelType   = "__meta_type"
	labelError  = "__meta_error"
	tooMany     = "__too_many_values__"
)

// comparing is compare(): how often each value of each attribute occurs in the selected spans and in the others.
type comparing struct {
	selection  pred
	start, end int64 // selected are only spans that start in [start, end]; both 0 = all
	top        int
}

func newComparing(m *traceql.MetricPipe) (*comparing, error) {
	p, err := newPred(m.Selection.Expr)
	return &comparing{selection: p, start: m.Start, end: m.End, top: m.TopN}, err
}

// maxCompared bounds the values of one attribute that a unit reports.
const maxCompared = 1000

// comparedAttrs is what is compared: every span and resource attribute of the segment, and some intrinsics.
func comparedAttrs(info *columnar.Info) []*traceql.Attr {
	var out []*traceql.Attr
	for _, i := range [...]traceql.Intrinsic{traceql.Name, traceql.Status, traceql.StatusMessage, traceql.Kind, traceql.TraceRootName, traceql.TraceRootService} {
		out = append(out, &traceql.Attr{Intrinsic: i})
	}
	seen := map[colKey]bool{}
	for _, f := range info.Fields {
		scope := traceql.ScopeSpan
		if f.Scope == columnar.ScopeResource {
			scope = traceql.ScopeResource
		}
		k := colKey{f.Scope, f.Key}
		if (f.Scope == columnar.ScopeSpan || f.Scope == columnar.ScopeResource) && !seen[k] {
			seen[k] = true
			out = append(out, &traceql.Attr{Scope: scope, Name: f.Key})
		}
	}
	return out
}

// counting says what the spans of a unit add to which step.
type counting struct {
	steps  []int32 // by row
	n      int
	weight func(row uint32) float64
}

func (c *comparing) run(s *scan, v intervals, rows columnar.Bitmap, weighted bool, out *MetricsLeg) error {
	start, err := s.intrinsic(columnar.KeyStart, rows)
	if err != nil {
		return err
	}
	selected := s.bitmap()
	if err := c.selection.eval(s, rows, selected); err != nil {
		return err
	}
	at := indexer{v: v, lo: 1<<63 - 1}
	steps := make([]int32, s.n)
	inside := s.bitmap()
	err = s.eachRow(rows, inside, func(row uint32) bool {
		t := start.Int(row)
		if c.end != 0 && (t < c.start || t > c.end) {
			selected.Unset(row)
		}
		steps[row] = int32(at.of(t))
		return steps[row] >= 0
	})
	if err != nil {
		return err
	}
	count := counting{steps, v.n, func(uint32) float64 { return 1 }}
	if weighted {
		switch weight, err := s.weights(inside); {
		case err != nil:
			return err
		case weight != nil:
			count.weight = weight
		}
	}
	mark := s.used // what is read from here on is let go after each attribute
	attrs := comparedAttrs(s.info)
	keep := min(maxCompared, max(c.top, maxCells/(2*v.n*len(attrs)+1)))
	for _, a := range attrs {
		if err := c.attribute(s, a, inside, selected, count, keep, out); err != nil {
			return err
		}
		s.used = mark
	}
	return nil
}

// attribute counts the values of one attribute.
func (c *comparing) attribute(s *scan, a *traceql.Attr, rows, selected columnar.Bitmap, in counting, keep int, out *MetricsLeg) error {
	n := in.n
	col, err := s.labelColumn(a, rows)
	if err != nil {
		return err
	}
	totals := [2][]int{make([]int, len(col.values)), make([]int, len(col.values))}
	side := func(row uint32) int {
		if selected.Has(row) {
			return 1
		}
		return 0
	}
	for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
		if err := s.step(); err != nil {
			return err
		}
		totals[side(row)][col.number[col.codes[row]]]++
	}
	for i, name := range [...]string{"baseline", "selection"} {
		place, err := c.pickValues(s, &col, totals[i], keep)
		if err != nil {
			return err
		}
		if err := s.mem.Take(int64(len(place)+1) * (sizeSeries + int64(8*n))); err != nil {
			return err
		}
		series := make([]PartialSeries, len(place)+1)
		total := &series[len(place)]
		*total = PartialSeries{Labels: comparedLabels(name+"_total", a, trace.Value{}), Counts: make([]float64, n)}
		for value, k := range place {
			series[k] = PartialSeries{Labels: comparedLabels(name, a, col.values[value].shown()), Counts: make([]float64, n)}
		}
		any := false
		for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
			if err := s.step(); err != nil {
				return err
			}
			value := col.number[col.codes[row]]
			if side(row) != i || !col.values[value].set {
				continue
			}
			any = true
			weight := in.weight(row)
			total.Counts[in.steps[row]] += weight
			if k, ok := place[value]; ok {
				series[k].Counts[in.steps[row]] += weight
			}
		}
		if !any {
			continue
		}
		out.Series = append(out.Series, series...)
		if len(place) == keep {
			out.Series = append(out.Series, PartialSeries{
				Labels: cutLabels(name, a.String()), Counts: make([]float64, n)})
		}
	}
	return s.ctx.Err()
}

// pickValues numbers the most frequent values.
func (c *comparing) pickValues(s *scan, col *labelColumn, totals []int, keep int) (map[uint32]int, error) {
	var list []uint32
	for v, n := range totals {
		if n > 0 && col.values[v].set {
			list = append(list, uint32(v))
		}
	}
	err := sortUntil(s.ctx, list, func(a, b uint32) int { return cmp.Or(cmp.Compare(totals[b], totals[a]), cmp.Compare(a, b)) })
	if err != nil {
		return nil, err
	}
	place := map[uint32]int{}
	for i, v := range list[:min(len(list), keep)] {
		place[v] = i
	}
	return place, nil
}

// cutLabels says that an attribute has more values than are shown.
func cutLabels(kind, attr string) []Attribute {
	return []Attribute{{labelType, trace.StringValue([]byte(kind))}, {attr, trace.Value{}}, {labelError, trace.StringValue([]byte(tooMany))}}
}

func comparedLabels(kind string, a *traceql.Attr, v trace.Value) []Attribute {
	return []Attribute{{labelType, trace.StringValue([]byte(kind))}, {a.String(), v}}
}

// topCompared keeps the most frequent values of each attribute and side, and says where it left out some; totals stay.
func topCompared(ctx context.Context, series []Series, top int) ([]Series, error) {
	type group struct{ kind, attr string }
	by, said := map[group][]int{}, map[group]bool{}
	if err := sortSeries(ctx, series); err != nil { // of equally frequent values the first by label stays
		return nil, err
	}
	var out []Series
	totals := make([]float64, len(series))
	for i := range series {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, v := range series[i].Values {
			totals[i] += v
		}
		l := series[i].Labels
		if len(l) < 2 {
			continue // of a node that speaks differently
		}
		kind := string(l[0].Value.Bytes)
		g := group{kind, l[1].Key}
		if len(l) > 2 {
			said[g] = true
		}
		if len(l) > 2 || kind == "baseline_total" || kind == "selection_total" {
			out = append(out, series[i])
			continue
		}
		by[g] = append(by[g], i)
	}
	for g, list := range by {
		if len(list) > top && !said[g] {
			one := &series[list[0]]
			out = append(out, Series{Labels: cutLabels(g.kind, g.attr), Values: make([]float64, len(one.Values))})
		}
		err := sortUntil(ctx, list, func(a, b int) int { return cmp.Or(cmp.Compare(totals[b], totals[a]), cmp.Compare(a, b)) })
		if err != nil {
			return nil, err
		}
		for _, i := range list[:min(len(list), top)] {
			out = append(out, series[i])
		}
	}
	return out, nil
}
