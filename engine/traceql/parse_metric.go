package traceql

// metricFunc reads a metrics function with its arguments and by(…).
func (p *parser) metricFunc(f MetricFunc) (*MetricPipe, *Error) {
	m := &MetricPipe{Pos: p.tok.pos, Func: f}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("(", "write "+f.String()+"(…)"); err != nil {
		return nil, err
	}
	if err := p.metricArgs(m); err != nil {
		return nil, err
	}
	if p.tok.kind != tokWord || p.tok.text != "by" {
		return m, nil
	}
	if f == Compare {
		return nil, p.errorf(p.tok.pos, "it looks at every attribute anyway", "compare() cannot be grouped")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	var err *Error
	m.By, err = p.attrs("by")
	return m, err
}

func (p *parser) metricArgs(m *MetricPipe) *Error {
	switch m.Func {
	case Rate, CountOverTime:
		return p.expect(")", m.Func.String()+"() takes no argument")
	case Compare:
		return p.compareArgs(m)
	}
	var err *Error
	if m.Attr, err = p.attr(); err != nil {
		return err
	}
	if m.Func == QuantileOverTime {
		if !p.tok.is(",") {
			return p.errorf(p.tok.pos, "for example quantile_over_time(duration, .99)", "a quantile is missing")
		}
		for p.tok.is(",") {
			if err := p.quantile(m); err != nil {
				return err
			}
		}
	}
	return p.expect(")", m.Func.String()+"() takes an attribute alone")
}

func (p *parser) quantile(m *MetricPipe) *Error {
	if err := p.advance(); err != nil {
		return err
	}
	t := p.tok
	if t.kind != tokLit || t.lit.Type != TypeInt && t.lit.Type != TypeFloat || t.lit.AsFloat() < 0 || t.lit.AsFloat() > 1 {
		return p.errorf(t.pos, "the 99th percentile is .99", "expected a quantile from 0 to 1, found %s", t.describe())
	}
	if m.Args = append(m.Args, t.lit.AsFloat()); len(m.Args) > MaxListed {
		return p.errorf(t.pos, "", "more than %d quantiles", MaxListed)
	}
	return p.advance()
}

// Bounds of compare().
const (
	defaultTopN = 10
	maxTopN     = 1000
)

// compareArgs reads {…} [, top [, start, end]].
func (p *parser) compareArgs(m *MetricPipe) *Error {
	m.TopN = defaultTopN
	if !p.tok.is("{") {
		return p.errorf(p.tok.pos, "for example compare({ status = error })", "compare() needs a spanset in braces, found %s", p.tok.describe())
	}
	var err *Error
	if m.Selection, err = p.filter(); err != nil {
		return err
	}
	var args [3]int64
	n := 0
	for p.tok.is(",") && n < len(args) {
		if err := p.advance(); err != nil {
			return err
		}
		lo, hi := int64(0), int64(1<<62)
		if n == 0 {
			lo, hi = 1, maxTopN
		}
		if args[n], err = p.integer(lo, hi); err != nil {
			return err
		}
		n++
	}
	switch {
	case n == 2:
		return p.errorf(p.tok.pos, "give both in Unix nanoseconds", "compare() needs start and end together")
	case n == 3 && args[1] >= args[2]:
		return p.errorf(p.tok.pos, "give the earlier time first, in Unix nanoseconds", "compare() needs a start before its end")
	case n > 0:
		m.TopN, m.Start, m.End = int(args[0]), args[1], args[2]
	}
	return p.expect(")", "compare({…}, top, start, end)")
}
