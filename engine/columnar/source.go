package columnar

import (
	"context"

	"github.com/ringctl/ringctl/engine/trace"
)

// Source is one block, or one keeper's recent snapshot: a list of segments that do not change while they are read.
type Source interface {
	// Name says where the spans come from in messages of a partial answer: a block id, "recent spans of ingester-1".
	Name() string
	// Segments lists the segments. No I/O, no copy; the caller does not change the slice.
	Segments() []Segment
}

// Segment is up to about 131 k spans with one typed column per attribute: a row group of a block, or a frozen view of
// a head. It is immutable and safe for concurrent use. Rows are numbered from 0 to Info().Rows-1.
//
// A method that reads storage takes a context: it returns ctx's error soon after ctx ends, and adds what it reads to
// the [Meter] in ctx (see [MeterFrom]). An error names the block and the column.
//
// Within one source, a trace lives in one segment (unless it alone is larger than a segment). Between sources, a trace
// may be split and spans may occur twice: evaluation joins and counts once.
type Segment interface {
	// Info is known without I/O.
	Info() *Info
	// Columns appends every typed column of an attribute or intrinsic (see the Key constants) to dst: none when no row
	// has it, several when its values have several types; then a row has a value in at most one of them. However the
	// values are stored (own column, overflow column), they are found here. No I/O.
	//
	// ScopeSpan and ScopeIntrinsic columns have one entry per row, ScopeTrace columns one per trace (entry number =
	// index in Traces.IDs). ScopeEvent and ScopeLink columns have a list of values per row and are optional: when there is
	// none, the evaluation decodes KeyEvents and KeyLinks. Resource and instrumentation attributes are not here, they
	// are in Table.
	Columns(dst []Column, scope Scope, key string) []Column
	// Table is the table of the distinct resources (ScopeResource) or scopes (ScopeInstrumentation) that the codes of
	// KeyResource and KeyScope point to. Segments of one block should return the same *Table: what was evaluated on
	// it is remembered by pointer.
	Table(ctx context.Context, scope Scope) (*Table, error)
	// Traces says which rows belong to which trace. Cheap when called again (keep it with the opened block).
	Traces(ctx context.Context) (*Traces, error)
	// Find appends the rows of one trace to dst, without reading the whole trace id column. None: dst as it was.
	Find(ctx context.Context, id trace.ID, dst []uint32) ([]uint32, error)
	// Spans gives the whole spans of the rows (ascending) as OTLP bytes, in row order, with everything that was received:
	// events, links, dropped counts, unknown fields. The bytes are valid until visit returns; its error ends the walk.
	Spans(ctx context.Context, rows []uint32, visit func(RawSpan) error) error
}

// RawSpan is one span as received.
type RawSpan struct {
	Row      uint32
	Resource uint32 // entry of Table(ScopeResource)
	Scope    uint32 // entry of Table(ScopeInstrumentation)
	Span     []byte // an OTLP Span message without tag and length
}

// Info is what is known about a segment before anything is read.
type Info struct {
	Rows       int
	Traces     int      // distinct traces; 0 = not known
	Start, End int64    // earliest span start and latest span end, Unix ns; every span lies in [Start, End]
	MinID      trace.ID // no trace id below
	MaxID      trace.ID // no trace id above: segments of a sorted block have disjoint ranges
	Unique     bool     // no span occurs twice in the segment (always so in a merged block)
	Bytes      int64    // stored size, for cutting work by cost
	Fields     []Field  // every attribute key with its scope and type, including event and link attributes; no intrinsics
}

// Field names a typed column of an attribute.
type Field struct {
	Scope Scope
	Key   string
	Type  Type
}

// Scope says where an attribute lives.
type Scope uint8

// The scopes. ScopeIntrinsic and ScopeTrace hold the fixed columns named by the Key constants.
const (
	ScopeNone Scope = iota
	ScopeIntrinsic
	ScopeTrace
	ScopeSpan
	ScopeResource
	ScopeEvent
	ScopeLink
	ScopeInstrumentation
)

var scopeNames = [...]string{"none", "intrinsic", "trace", "span", "resource", "event", "link", "instrumentation"}

// Valid reports that the scope is one of the constants.
func (s Scope) Valid() bool { return int(s) < len(scopeNames) }

// String is the name of the scope in TraceQL and in the API of tags.
func (s Scope) String() string {
	if s.Valid() {
		return scopeNames[s]
	}
	return "invalid"
}

// Keys of ScopeIntrinsic columns. Those marked optional may be missing; the evaluation then computes them.
const (
	KeySpanID        = "spanID"        // Int: the 8 bytes as a big-endian number
	KeyParentID      = "parentID"      // Int, same; 0 = none
	KeyStart         = "start"         // Int, Unix ns
	KeyDuration      = "duration"      // Int, ns, never negative
	KeyName          = "name"          // String
	KeyKind          = "kind"          // Int, OTLP numbers 0…5
	KeyStatus        = "status"        // Int, OTLP numbers: 0 unset, 1 ok, 2 error
	KeyStatusMessage = "statusMessage" // String; no column or null = empty
	KeyTraceState    = "traceState"    // String; optional: no column or null = empty
	KeyResource      = "resource"      // Int as direct codes: entry of Table(ScopeResource)
	KeyScope         = "scope"         // Int as direct codes: entry of Table(ScopeInstrumentation)
	KeyEvents        = "events"        // Bytes: the span's events fields, each with tag and length; null = none
	KeyLinks         = "links"         // Bytes: the span's links fields, each with tag and length; null = none
	KeyNestedLeft    = "nestedLeft"    // Int as direct codes; optional; see Nest
	KeyNestedRight   = "nestedRight"   // Int as direct codes; optional
	KeyNestedParent  = "nestedParent"  // Int as direct codes; optional; -1 = root, 0 = parent not here
)

// Keys of ScopeTrace columns, one entry per trace; all optional, computed from the rows when missing. A trace's root is
// its earliest span without a parent id; when there is none, both names are null.
const (
	KeyTraceRootName    = "rootName"    // String
	KeyTraceRootService = "rootService" // String: service.name of the root span's resource
	KeyTraceStart       = "traceStart"  // Int, Unix ns: the earliest span start
	KeyTraceEnd         = "traceEnd"    // Int, Unix ns: the latest span end
)

// Type is the type of a column's values.
type Type uint8

// The types. An array column has a list of values per row; its Type has the Array bit set. Other is a value that can
// be shown and tested for existence but not compared (maps, empty, mixed or nested arrays): its entries are raw OTLP
// AnyValue messages, like those of no other type. The empty value is not stored: it counts as not there. Of several
// attributes of a span with one key, the first counts.
const (
	Nil Type = iota
	String
	Int
	Float
	Bool // as Int 0 and 1
	Bytes
	Other
	Array Type = 0x80
)

// Elem is the type of the elements of an array type, or t itself.
func (t Type) Elem() Type { return t &^ Array }

// Column is one typed column of a segment. Safe for concurrent use.
type Column interface {
	// Type is the type of the values.
	Type() Type
	// Stats is known without I/O.
	Stats() ColumnStats
	// Dict is the dictionary alone, without any data page: nil when the values are not dictionary-coded. It belongs to
	// the column: read-only and valid for good (no buffer that the next column overwrites). Keep it with the opened
	// block when it is small or asked for often.
	Dict(ctx context.Context) (*Dict, error)
	// Read fills dst. Only the entries in within are asked for (nil = all): pages without one need not be read, and the
	// entries outside have any value. A sparse vector may leave out or contain entries outside of within.
	Read(ctx context.Context, within Bitmap, dst *Vector) error
}

// ColumnStats is what a column's metadata says. Zero values mean not known.
type ColumnStats struct {
	Values   int   // entries that are not null
	Distinct int   // size of the dictionary
	Min, Max int64 // of Int columns, when Bounded
	Bounded  bool
	Bytes    int64 // stored size
}

// Excluder is a [Column] that can rule out a value from memory, for example by a bloom filter.
type Excluder interface {
	// Excludes reports that no row has this string value; false when it is not known.
	Excludes(value []byte) bool
}

// PageBounds is an Int [Column] that knows the minimum and maximum of its pages.
type PageBounds interface {
	// Restrict removes from sel (never nil) the rows of pages that have no value in [lo, hi]. No I/O.
	Restrict(sel Bitmap, lo, hi int64)
}

// Dict is the dictionary of a column: entry i is what code i+1 stands for. Exactly one of Offsets, Ints and Floats is
// set, by the column's element type (Bool is Int). Entries are distinct.
type Dict struct {
	// Entry i of a String, Bytes or Other dictionary is Arena[Offsets[i] : Offsets[i+1]-Gap]; len(Offsets) = entries+1.
	// Gap lets a decompressed Parquet dictionary page be used as it is: 4 bytes of length between two entries.
	Arena   []byte
	Offsets []uint32
	Gap     uint32

	Ints   []int64
	Floats []float64

	// Sorted says that the entries ascend.
	Sorted bool
	// Shared says that entries may occur in no row of this segment.
	Shared bool
}

// Len is the number of entries.
func (d *Dict) Len() int {
	switch {
	case d.Ints != nil:
		return len(d.Ints)
	case d.Floats != nil:
		return len(d.Floats)
	case len(d.Offsets) > 0:
		return len(d.Offsets) - 1
	}
	return 0
}

// Bytes is entry i of a String, Bytes or Other dictionary; read-only.
func (d *Dict) Bytes(i int) []byte {
	return d.Arena[d.Offsets[i] : d.Offsets[i+1]-d.Gap : d.Offsets[i+1]-d.Gap]
}

// Traces says which rows belong to which trace. Traces are numbered by ascending id.
type Traces struct {
	IDs []trace.ID
	// The rows of trace t are Offsets[t] to Offsets[t+1]-1, through Perm if there is one. len(Offsets) = len(IDs)+1.
	Offsets []uint32
	// Perm lists the rows trace by trace when they are not stored so (a head); nil in a sorted segment.
	Perm []uint32
}
