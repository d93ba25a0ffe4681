package query

import (
	"bytes"
	"encoding/binary"

	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// UnsupportedError says that a query is valid TraceQL that this engine does not evaluate: the caller's fault, HTTP 400.
type UnsupportedError struct{ What string }

// Error implements error.
func (e *UnsupportedError) Error() string { return "not supported: " + e.What }

// LimitError says that a query was stopped because its answer would be too large: the caller's fault, HTTP 400 (or 422).
type LimitError struct{ What string }

// Error implements error.
func (e *LimitError) Error() string { return "query is too large: " + e.What }

// Attribute is a named value in an answer. It owns its memory.
type Attribute struct {
	Key   string
	Value trace.Value
}

// Stats counts what a query looked at.
type Stats struct {
	Traces   int64 // traces of the segments that were evaluated
	Spans    int64 // rows of them
	Bytes    int64 // stored bytes that were read
	Reads    int64
	Segments int64 // segments evaluated
	Skipped  int64 // of them, segments ruled out before a data page was read
}

func (s *Stats) add(o Stats) {
	s.Traces += o.Traces
	s.Spans += o.Spans
	s.Bytes += o.Bytes
	s.Reads += o.Reads
	s.Segments += o.Segments
	s.Skipped += o.Skipped
}

// TokenRange is the tokens [First, Last] of the ring, both included.
type TokenRange struct{ First, Last uint32 }

// shown is the value for an answer, with memory of its own.
func (v value) shown() trace.Value {
	a := v.attribute()
	a.Bytes = bytes.Clone(a.Bytes)
	return a
}

// appendKey appends bytes that are equal for equal values only.
func (v value) appendKey(dst []byte) []byte {
	if v.typ == traceql.TypeDuration {
		v.typ = traceql.TypeInt
	}
	a := v.attribute()
	return appendValueKey(dst, &a)
}

func appendValueKey(dst []byte, a *trace.Value) []byte {
	dst = append(dst, byte(a.Kind))
	dst = binary.BigEndian.AppendUint64(dst, uint64(a.Int))
	dst = binary.AppendUvarint(dst, uint64(len(a.Bytes)))
	return append(dst, a.Bytes...)
}
