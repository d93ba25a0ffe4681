package block

import (
	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// The fixed columns of a block, by their place in data.parquet. The attribute
// columns follow.
const (
	ColTraceID = iota
	ColSpanID
	ColParentID // only where the nested set does not say it
	ColNestedLeft
	ColNestedRight
	ColNestedParent
	ColTraceStart
	ColStartOffset
	ColDuration
	ColName
	ColKind
	ColStatus
	ColStatusMessage
	ColTraceState
	ColFlags
	ColResource
	ColScope
	ColDroppedAttributes
	ColDroppedEvents
	ColDroppedLinks
	ColEvents
	ColLinks
	ColExtra
	ColTraceDuration
	ColRootName
	ColRootService
	ColTraceSpans
	ColTraceErrors
	ColOverflowKey
	ColOverflowValue
	FixedColumns
)

// fixedLeaves describes the fixed columns. Per-trace columns have a value on the
// first row of each trace only.
func fixedLeaves() []pq.Leaf {
	return []pq.Leaf{
		ColTraceID:           {Name: "trace_id", Kind: pq.Fixed16, Bloom: true},
		ColSpanID:            {Name: "span_id", Kind: pq.Fixed8, Hint: pq.Raw},
		ColParentID:          {Name: "parent_span_id", Kind: pq.Fixed8, Optional: true, Hint: pq.Raw},
		ColNestedLeft:        {Name: "nested_left", Kind: pq.Int32},
		ColNestedRight:       {Name: "nested_right", Kind: pq.Int32},
		ColNestedParent:      {Name: "nested_parent", Kind: pq.Int32},
		ColTraceStart:        {Name: "trace_start", Kind: pq.Timestamp, Hint: pq.Plain},
		ColStartOffset:       {Name: "start_offset", Kind: pq.Int64, Hint: pq.Delta},
		ColDuration:          {Name: "duration", Kind: pq.Int64, Hint: pq.Delta},
		ColName:              {Name: "name", Kind: pq.String},
		ColKind:              {Name: "kind", Kind: pq.Int32},
		ColStatus:            {Name: "status_code", Kind: pq.Int32},
		ColStatusMessage:     {Name: "status_message", Kind: pq.String, Optional: true},
		ColTraceState:        {Name: "trace_state", Kind: pq.String, Optional: true},
		ColFlags:             {Name: "flags", Kind: pq.Int32, Optional: true},
		ColResource:          {Name: "resource_id", Kind: pq.Int32},
		ColScope:             {Name: "scope_id", Kind: pq.Int32},
		ColDroppedAttributes: {Name: "dropped_attributes_count", Kind: pq.Int32, Optional: true},
		ColDroppedEvents:     {Name: "dropped_events_count", Kind: pq.Int32, Optional: true},
		ColDroppedLinks:      {Name: "dropped_links_count", Kind: pq.Int32, Optional: true},
		ColEvents:            {Name: "events", Kind: pq.Blob, Optional: true, Hint: pq.Plain},
		ColLinks:             {Name: "links", Kind: pq.Blob, Optional: true, Hint: pq.Plain},
		ColExtra:             {Name: "extra", Kind: pq.Blob, Optional: true, Hint: pq.Plain},
		ColTraceDuration:     {Name: "trace_duration", Kind: pq.Int64, Optional: true},
		ColRootName:          {Name: "root_name", Kind: pq.String, Optional: true},
		ColRootService:       {Name: "root_service", Kind: pq.String, Optional: true},
		ColTraceSpans:        {Name: "trace_span_count", Kind: pq.Int32, Optional: true},
		ColTraceErrors:       {Name: "trace_error_count", Kind: pq.Int32, Optional: true},
		ColOverflowKey:       {Name: "span_overflow", List: "key", Kind: pq.String, Optional: true},
		ColOverflowValue:     {Name: "span_overflow", List: "value", Kind: pq.Blob, Optional: true},
	}
}

// Attr names a typed attribute column of spans: Type is String, Int, Float or Bool,
// or an array of one of these.
type Attr struct {
	Key  string
	Type columnar.Type
}

// Column holds the values of one column for a set of spans.
//
//	Codes with Dict     strings and blobs: entry code-1 of Dict, 0 = none
//	Codes without Dict  small numbers themselves, as 32-bit two's complement
//	Ints                integers; bits of a float; 0 and 1; a span id as a big-endian number
//
// Without Rows there is an entry for every row, otherwise one for each of Rows,
// which ascend. In a list (Lens set, and Rows) the entries of Rows[i] are the next
// Lens[i], which is never 0 in a column of arrays.
type Column struct {
	Rows  []uint32
	Lens  []uint32
	Codes []uint32
	Ints  []int64
	Dict  *pq.Dict
	// Plain says that entries of Dict hardly repeat.
	Plain bool
}

// Len is the number of entries.
func (c *Column) Len() int { return max(len(c.Codes), len(c.Ints)) }

// filled is the number of rows that have a value, for those with Rows.
func (c *Column) filled() int {
	if c.Lens != nil {
		return len(c.Lens)
	}
	return c.Len()
}

// Columns is a set of spans as columns, in any order. It is what is sealed into
// a block. Readers may share it while nobody changes it.
type Columns struct {
	Rows int
	// Trace is the place in IDs of each row's trace.
	Trace []uint32
	IDs   []trace.ID
	// Held marks traces, by place in IDs, that Seal leaves out; nil for none.
	Held []bool
	// Start is the start of each span in Unix ns.
	Start []int64
	// Fixed holds the fixed columns that a span itself has: span and parent id,
	// duration, name, kind, status, status message, trace state, flags, resource,
	// scope, dropped counts, events, links, extra and overflow. Parent ids are 0
	// for roots and there for each row; the others that Trace, Start and the
	// sorting provide stay empty.
	Fixed [FixedColumns]Column
	// Attrs are the attribute columns.
	Attrs []AttrColumn
	// Resources and Scopes are what the codes of resource and scope point to,
	// counted from 0.
	Resources, Scopes []trace.Group
}

// AttrColumn is an attribute column.
type AttrColumn struct {
	Attr
	Column
}

// kindOfType is the Parquet kind of an attribute column or its elements.
func kindOfType(t columnar.Type) pq.Kind {
	switch t.Elem() {
	case columnar.Int:
		return pq.Int64
	case columnar.Float:
		return pq.Double
	case columnar.Bool:
		return pq.Bool
	}
	return pq.String
}

// typeOfKind is the inverse of kindOfType.
func typeOfKind(k pq.Kind) (columnar.Type, bool) {
	switch k {
	case pq.Int64:
		return columnar.Int, true
	case pq.Double:
		return columnar.Float, true
	case pq.Bool:
		return columnar.Bool, true
	case pq.String:
		return columnar.String, true
	}
	return columnar.Nil, false
}
