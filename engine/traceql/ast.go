package traceql

// Query is a parsed query: a search or a metrics query.
type Query struct {
	Pipeline *Pipeline  // of a search, otherwise nil
	Metric   MetricExpr // of a metrics query, otherwise nil
	Hints    []Hint
}

// Hint is one entry of with(…).
type Hint struct {
	Name  string
	Value Static
}

// Hint is the value of the first hint with the name.
func (q *Query) Hint(name string) (Static, bool) {
	for _, h := range q.Hints {
		if h.Name == name {
			return h.Value, true
		}
	}
	return Static{}, false
}

// Pipeline is a list of stages, each working on the spansets of the one before. The first one gets one spanset per
// trace with all its spans.
type Pipeline struct {
	Pos    int // byte offset in the text; so in all nodes
	Stages []Stage
}

// Stage is one step of a pipeline: *Filter, *SpansetOp, *Pipeline, *ScalarFilter, *Group, *Coalesce or *Select.
type Stage interface{ stage() }

// Spanset is an operand of a [SpansetOp]: *Filter, *SpansetOp or *Pipeline.
type Spanset interface {
	Stage
	spanset()
}

// Filter is { expr }: the spans for which expr is true. Expr is nil for { }.
type Filter struct {
	Pos  int
	Expr Field
}

// SpansetOp combines two spansets of one trace.
type SpansetOp struct {
	Pos         int
	Op          Op
	Left, Right Spanset
}

// ScalarFilter keeps the spansets for which the comparison holds.
type ScalarFilter struct {
	Pos         int
	Op          Op
	Left, Right Scalar
}

// Group is by(expr): splits a spanset by the value of expr.
type Group struct {
	Pos  int
	Expr Field
}

// Coalesce is coalesce(): merges the spansets of a trace into one.
type Coalesce struct{ Pos int }

// Select is select(…): attributes to show with the spans of the answer.
type Select struct {
	Pos   int
	Attrs []*Attr
}

func (*Filter) stage()       {}
func (*SpansetOp) stage()    {}
func (*Pipeline) stage()     {}
func (*ScalarFilter) stage() {}
func (*Group) stage()        {}
func (*Coalesce) stage()     {}
func (*Select) stage()       {}
func (*Filter) spanset()     {}
func (*SpansetOp) spanset()  {}
func (*Pipeline) spanset()   {}

// Scalar is a number per spanset: *Aggregate, *ScalarOp, *Number or *PipelineScalar.
type Scalar interface{ scalar() }

// Aggregate is count() or min, max, sum, avg of an expression over the spans of a spanset.
type Aggregate struct {
	Pos  int
	Func AggregateFunc
	Expr Field // nil for count
}

// ScalarOp is arithmetic on scalars.
type ScalarOp struct {
	Pos         int
	Op          Op
	Left, Right Scalar
}

// Number is an int, float or duration literal.
type Number struct {
	Pos   int
	Value Static
}

// PipelineScalar is ( pipeline | aggregate ): one number per trace, over all spans that the pipeline leaves.
type PipelineScalar struct {
	Pos       int
	Pipeline  *Pipeline
	Aggregate *Aggregate
}

func (*Aggregate) scalar()      {}
func (*ScalarOp) scalar()       {}
func (*Number) scalar()         {}
func (*PipelineScalar) scalar() {}

// AggregateFunc is the function of an [Aggregate].
type AggregateFunc uint8

// The aggregate functions.
const (
	Count AggregateFunc = iota
	Min
	Max
	Sum
	Avg
)

var aggregateNames = [...]string{"count", "min", "max", "sum", "avg"}

// String is the name in TraceQL.
func (f AggregateFunc) String() string { return aggregateNames[f] }

// MetricExpr gives time series: *MetricPipe, *MetricOp, *MetricSecond or, as an operand, *Number.
type MetricExpr interface{ metric() }

// MetricPipe is a pipeline and the metrics function over its spans.
type MetricPipe struct {
	Pos      int
	Pipeline *Pipeline
	Func     MetricFunc
	Attr     *Attr     // of the …_over_time functions of a value
	Args     []float64 // quantiles
	By       []*Attr
	// Of compare():
	Selection  *Filter
	TopN       int
	Start, End int64 // Unix ns, both 0 = the whole range
}

// MetricOp is arithmetic on series with equal labels.
type MetricOp struct {
	Pos         int
	Op          Op
	Left, Right MetricExpr
}

// MetricSecond filters series: topk(n), bottomk(n), or a comparison with a number.
type MetricSecond struct {
	Pos   int
	Expr  MetricExpr
	Op    Op      // OpTopK, OpBottomK or a comparison
	N     int     // of topk and bottomk
	Value *Number // of a comparison
}

func (*MetricPipe) metric()   {}
func (*MetricOp) metric()     {}
func (*MetricSecond) metric() {}
func (*Number) metric()       {}

// MetricFunc is the function of a [MetricPipe].
type MetricFunc uint8

// The metrics functions.
const (
	Rate MetricFunc = iota
	CountOverTime
	MinOverTime
	MaxOverTime
	SumOverTime
	AvgOverTime
	QuantileOverTime
	HistogramOverTime
	Compare
)

var metricNames = [...]string{"rate", "count_over_time", "min_over_time", "max_over_time", "sum_over_time", "avg_over_time",
	"quantile_over_time", "histogram_over_time", "compare"}

// String is the name in TraceQL.
func (f MetricFunc) String() string { return metricNames[f] }

// Field is an expression about one span: *Attr, *Lit, *Binary or *Unary.
type Field interface{ field() }

// Binary is an operator with two operands. A comparison with a Nil literal is a test for existence.
type Binary struct {
	Pos         int
	Op          Op
	Left, Right Field
}

// Unary is !x or -x.
type Unary struct {
	Pos  int
	Op   Op // OpNot or OpSub
	Expr Field
}

// Lit is a literal.
type Lit struct {
	Pos   int
	Value Static
}

// Attr is an attribute or an intrinsic of a span.
type Attr struct {
	Pos       int
	Parent    bool // of the parent span
	Scope     Scope
	Name      string    // of an attribute
	Intrinsic Intrinsic // NotIntrinsic for an attribute
}

func (*Binary) field() {}
func (*Unary) field()  {}
func (*Lit) field()    {}
func (*Attr) field()   {}

// Scope says where an attribute is looked for.
type Scope uint8

// The scopes. ScopeNone means span, then resource.
const (
	ScopeNone Scope = iota
	ScopeSpan
	ScopeResource
	ScopeEvent
	ScopeLink
	ScopeInstrumentation
)

var scopeNames = [...]string{"", "span", "resource", "event", "link", "instrumentation"}

// String is the name in TraceQL, empty for ScopeNone.
func (s Scope) String() string { return scopeNames[s] }

// Intrinsic is a property of every span.
type Intrinsic uint8

// The intrinsics.
const (
	NotIntrinsic Intrinsic = iota
	Duration
	Name
	Status
	StatusMessage
	Kind
	SpanID
	ParentID
	ChildCount
	NestedSetLeft
	NestedSetRight
	NestedSetParent
	TraceDuration
	TraceRootName
	TraceRootService
	TraceID
	EventName
	EventTimeSinceStart
	LinkTraceID
	LinkSpanID
	InstrumentationName
	InstrumentationVersion
	ParentSpan // the bare word parent: can only be compared with nil
)

type intrinsicInfo struct {
	name  string // canonical
	also  string // second spelling
	typ   Type
	scope Scope
}

var intrinsics = [...]intrinsicInfo{
	Duration:               {"duration", "span:duration", TypeDuration, ScopeSpan},
	Name:                   {"name", "span:name", TypeString, ScopeSpan},
	Status:                 {"status", "span:status", TypeStatus, ScopeSpan},
	StatusMessage:          {"statusMessage", "span:statusMessage", TypeString, ScopeSpan},
	Kind:                   {"kind", "span:kind", TypeKind, ScopeSpan},
	SpanID:                 {"span:id", "", TypeString, ScopeSpan},
	ParentID:               {"span:parentID", "", TypeString, ScopeSpan},
	ChildCount:             {"span:childCount", "childCount", TypeInt, ScopeSpan},
	NestedSetLeft:          {"nestedSetLeft", "", TypeInt, ScopeSpan},
	NestedSetRight:         {"nestedSetRight", "", TypeInt, ScopeSpan},
	NestedSetParent:        {"nestedSetParent", "", TypeInt, ScopeSpan},
	TraceDuration:          {"traceDuration", "trace:duration", TypeDuration, ScopeNone},
	TraceRootName:          {"rootName", "trace:rootName", TypeString, ScopeNone},
	TraceRootService:       {"rootServiceName", "trace:rootService", TypeString, ScopeNone},
	TraceID:                {"trace:id", "", TypeString, ScopeNone},
	EventName:              {"event:name", "", TypeString, ScopeEvent},
	EventTimeSinceStart:    {"event:timeSinceStart", "", TypeDuration, ScopeEvent},
	LinkTraceID:            {"link:traceID", "", TypeString, ScopeLink},
	LinkSpanID:             {"link:spanID", "", TypeString, ScopeLink},
	InstrumentationName:    {"instrumentation:name", "", TypeString, ScopeInstrumentation},
	InstrumentationVersion: {"instrumentation:version", "", TypeString, ScopeInstrumentation},
	ParentSpan:             {"parent", "", TypeAttr, ScopeSpan},
}

// String is the canonical name in TraceQL, empty for NotIntrinsic.
func (i Intrinsic) String() string { return intrinsics[i].name }

// Type is the static type of the intrinsic's values.
func (i Intrinsic) Type() Type { return intrinsics[i].typ }

// LookupIntrinsic finds an intrinsic by either of its spellings; NotIntrinsic when there is none.
func LookupIntrinsic(name string) Intrinsic {
	for i, info := range intrinsics {
		if name != "" && (info.name == name || info.also == name) {
			return Intrinsic(i)
		}
	}
	return NotIntrinsic
}
