package query

import (
	"context"
	"sort"
	"strings"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// tagFilter chooses the spans whose tags are listed.
type tagFilter struct {
	plan       *SearchPlan // nil = every span
	traces     bool        // whole traces are looked at, so their parts must be put together
	start, end int64
}

// newTagFilter compiles the filter of a request as far as it can be understood. The only errors are a text that is too
// long, *traceql.Error, and the end of ctx.
func newTagFilter(ctx context.Context, text string, start, end int64) (*tagFilter, error) {
	f := &tagFilter{start: start, end: end}
	if len(text) > traceql.MaxQueryBytes {
		_, err := traceql.Parse(text)
		return nil, err
	}
	q := lenient(ctx, text)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q == nil || matchesAll(q.Pipeline) {
		return f, nil
	}
	plan, err := Prepare(SearchRequest{Query: q.String(), Start: start, End: end})
	if err != nil {
		return f, nil // valid, but not evaluated: as if there were no filter
	}
	f.plan = plan
	filter, single := q.Pipeline.Stages[0].(*traceql.Filter)
	f.traces = !single || len(q.Pipeline.Stages) > 1 || looksBeyondSpan(filter.Expr)
	return f, nil
}

func matchesAll(p *traceql.Pipeline) bool {
	if p == nil || len(p.Stages) != 1 {
		return p == nil || len(p.Stages) == 0
	}
	f, ok := p.Stages[0].(*traceql.Filter)
	if !ok || f.Expr == nil {
		return ok
	}
	lit, ok := f.Expr.(*traceql.Lit)
	return ok && lit.Value.Type == traceql.TypeBool && lit.Value.Bool()
}

// each calls visit for every segment, newest first, with the rows that match: nil = all, never none. The scan belongs
// to the call. It ends when visit is done. A segment that fails is named in partial.
func (f *tagFilter) each(ctx context.Context, sources []columnar.Source, st *Stats, visit func(s *scan, rows columnar.Bitmap) (done bool, err error)) (partial []string, err error) {
	meter, outer := &columnar.Meter{}, columnar.MeterFrom(ctx)
	ctx = columnar.WithMeter(ctx, meter)
	defer func() {
		st.Bytes, st.Reads = meter.Total()
		outer.Add(st.Bytes)
	}()
	units, err := f.units(ctx, sources)
	if err != nil {
		return nil, err
	}
	var s scan
	for _, u := range units {
		own := BudgetFrom(ctx).Part()
		done, err := f.run(WithBudget(ctx, own), u, &s, st, visit)
		own.Release()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case final(err):
			return nil, err
		case err != nil:
			partial = append(partial, u.Source+": "+err.Error())
		case done:
			return partial, nil
		}
	}
	return partial, nil
}

// units is every segment as it is: a span that is there twice has the same tags twice. Only what looks at whole traces
// needs the work of putting them together.
func (f *tagFilter) units(ctx context.Context, sources []columnar.Source) ([]*Unit, error) {
	if f.traces {
		c := cutting{start: f.start, end: f.end, join: true}
		if f.plan != nil {
			c.candidates = f.plan.cand
		}
		return c.cut(ctx, sources)
	}
	var units []*Unit
	for _, src := range sources {
		for _, seg := range src.Segments() {
			info := seg.Info()
			if info.Rows == 0 || f.start != 0 && info.End < f.start || f.end != 0 && info.Start > f.end {
				continue
			}
			units = append(units, &Unit{Source: src.Name(), info: *info, seg: seg})
		}
	}
	sort.SliceStable(units, func(i, j int) bool { return units[i].info.End > units[j].info.End })
	return units, nil
}

func (f *tagFilter) run(ctx context.Context, u *Unit, s *scan, st *Stats, visit func(*scan, columnar.Bitmap) (bool, error)) (done bool, err error) {
	seg, err := u.segment(ctx)
	if err != nil {
		return false, err
	}
	s.begin(ctx, seg, u.live)
	defer s.end()
	st.Segments++
	if f.plan == nil {
		return visit(s, nil)
	}
	st.Traces, st.Spans = st.Traces+int64(s.info.Traces), st.Spans+int64(s.n)
	share, err := f.plan.pipe.share(s)
	if err != nil || share == 0 {
		st.Skipped++
		return false, err
	}
	rows := s.bitmap()
	copy(rows, s.rows())
	out, err := f.plan.pipe.run(s, state{rows: rows})
	if err != nil || out.rows.Empty() {
		return false, err
	}
	return visit(s, out.rows)
}

// lenient reads what somebody is in the middle of typing: conditions that are not complete, or that make no sense, are
// left out of the filter. nil = there is nothing to filter by, or ctx is over.
func lenient(ctx context.Context, text string) *traceql.Query {
	q, err := traceql.Parse(text)
	if err != nil {
		body, ok := onlyFilter(text)
		if !ok {
			return nil
		}
		if body = repair(ctx, body, 0); body == "" {
			return nil
		}
		if q, err = traceql.Parse("{" + body + "}"); err != nil {
			return nil
		}
	}
	if q.Pipeline == nil {
		return nil
	}
	dropUnfinished(q.Pipeline)
	return q
}

// dropUnfinished takes away an attribute alone at the end: its operator is still to come.
func dropUnfinished(p *traceql.Pipeline) {
	if len(p.Stages) != 1 {
		return
	}
	f, ok := p.Stages[0].(*traceql.Filter)
	if !ok {
		return
	}
	last := &f.Expr
	for {
		b, ok := (*last).(*traceql.Binary)
		if !ok || !b.Op.Boolean() {
			break
		}
		if _, bare := b.Right.(*traceql.Attr); bare {
			*last = b.Left
			return
		}
		last = &b.Right
	}
	if _, bare := f.Expr.(*traceql.Attr); bare {
		f.Expr = nil
	}
}

// onlyFilter is what is between the braces of a text that is one filter. The closing brace may be missing.
func onlyFilter(text string) (body string, ok bool) {
	body, ok = strings.CutPrefix(strings.TrimSpace(text), "{")
	if !ok {
		return "", false
	}
	end := len(body)
	for i := 0; i < len(body); i = skipToken(body, i) {
		if body[i] == '}' {
			end = i
			break
		}
	}
	return body[:end], end == len(body) || strings.TrimSpace(body[end+1:]) == ""
}

// skipToken is the place after a string, or after one byte of anything else.
func skipToken(s string, i int) int {
	quote := s[i]
	if quote != '"' && quote != '`' {
		return i + 1
	}
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote == '"':
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}

// repair leaves the conditions of a boolean expression that can be read.
func repair(ctx context.Context, body string, depth int) string {
	if depth > traceql.MaxDepth {
		return ""
	}
	var any []string
	for _, group := range splitTop(body, "||") {
		var all []string
		for _, term := range splitTop(group, "&&") {
			if ctx.Err() != nil {
				return ""
			}
			if term = repairTerm(ctx, term, depth); term != "" {
				all = append(all, term)
			}
		}
		if len(all) > 0 {
			any = append(any, strings.Join(all, " && "))
		}
	}
	return strings.Join(any, " || ")
}

// repairTerm is a condition if it can be read; of one in parentheses, what can be read of it; otherwise nothing.
func repairTerm(ctx context.Context, term string, depth int) string {
	term = strings.TrimSpace(term)
	if term == "" {
		return ""
	}
	if q, err := traceql.Parse("{" + term + "}"); err == nil && q.Pipeline != nil && len(q.Pipeline.Stages) == 1 {
		return term
	}
	inner, ok := strings.CutPrefix(term, "(")
	if !ok {
		return ""
	}
	if inner = repair(ctx, strings.TrimSuffix(inner, ")"), depth+1); inner == "" {
		return ""
	}
	return "(" + inner + ")"
}

// splitTop cuts at an operator outside of parentheses and strings.
func splitTop(s, op string) []string {
	var parts []string
	from, depth := 0, 0
	for i := 0; i < len(s); {
		switch {
		case s[i] == '(':
			depth++
		case s[i] == ')':
			depth--
		case depth == 0 && strings.HasPrefix(s[i:], op):
			parts = append(parts, s[from:i])
			i += len(op)
			from = i
			continue
		}
		i = skipToken(s, i)
	}
	return append(parts, s[from:])
}
