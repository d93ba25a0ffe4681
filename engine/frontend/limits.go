package frontend

import (
	"time"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

// longest is a bound of a time range, and the key that it comes from.
type longest struct {
	d   time.Duration
	key string
}

// readLimits is what the tenants of one question may ask for: of each limit the
// tightest.
type readLimits struct {
	search, metrics      longest
	tagBytes, traceBytes int // 0 is no limit
	padIDs               bool
}

func (f *Frontend) limitsOf(tenants []string) readLimits {
	search, metrics := longest{f.cfg.MaxSearch, "query_frontend.max_duration"}, longest{f.cfg.MaxMetrics, "query_frontend.metrics_max_duration"}
	var r readLimits
	for i, id := range tenants {
		l := f.cfg.Limits(id)
		own := search.of(l.Read.MaxSearchDuration, "read.max_search_duration")
		ownMetrics := metrics.of(l.Read.MaxMetricsDuration, "read.max_metrics_duration")
		if i == 0 {
			r.search, r.metrics = own, ownMetrics
		}
		r.search, r.metrics = r.search.tighter(own), r.metrics.tighter(ownMetrics)
		r.tagBytes = tighter(r.tagBytes, l.Read.MaxBytesPerTagValuesQuery)
		r.traceBytes = tighter(r.traceBytes, l.Global.MaxBytesPerTrace)
		r.padIDs = r.padIDs || l.Read.LeftPadTraceIDs
	}
	return r
}

// of is the tenant's own bound, which may be longer than the usual one, b, or b.
func (b longest) of(own tenant.Duration, key string) longest {
	if own == 0 {
		return b
	}
	return longest{own.Std(), key}
}

// tighter is the shorter of two bounds, of which 0 is none.
func (b longest) tighter(o longest) longest {
	if b.d == 0 || o.d != 0 && o.d < b.d {
		return o
	}
	return b
}

// tighter is the smaller of two limits, of which 0 is none.
func tighter(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// newest is the blocks that a question for tags may read: they are sorted, the
// newest first. left is how many it does without.
func (f *Frontend) newest(q *peer.Question, blocks []Block) (kept []Block, left int) {
	most := f.cfg.Limits(q.Tenant).Read.MaxBlocksPerTagValuesQuery
	if q.Tags == nil && q.Values == nil || most == 0 || len(blocks) <= most {
		return blocks, 0
	}
	return blocks[:most], len(blocks) - most
}

// cutTrace takes the first spans of a trace, up to a size, and tells whether these
// are not all.
func cutTrace(otlp []byte, most int) ([]byte, bool, error) {
	if most == 0 || len(otlp) <= most {
		return otlp, false, nil
	}
	c := cutter{left: most}
	if err := trace.Walk(otlp, &c); err != nil {
		return nil, false, err
	}
	return c.out.Append(make([]byte, 0, most)), true, nil
}

// cutter copies spans while there is room.
type cutter struct {
	out  trace.Builder
	left int
}

// Resource implements trace.Visitor.
func (c *cutter) Resource(g *trace.Group) error {
	c.left -= len(g.Raw)
	c.out.SetResource(g)
	return nil
}

// Scope implements trace.Visitor.
func (c *cutter) Scope(g *trace.Group) error {
	c.left -= len(g.Raw)
	c.out.SetScope(g)
	return nil
}

// Span implements trace.Visitor.
func (c *cutter) Span(raw []byte) error {
	if c.left -= len(raw) + 8; c.left < 0 { // with its frame
		return nil
	}
	_, err := c.out.Add(raw)
	return err
}
