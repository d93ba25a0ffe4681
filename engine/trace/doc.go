// Package trace says what a span is, and reads spans out of OTLP bytes
// without copying them.
//
// # A tour
//
// An export request arrives as protobuf bytes. [Batch] walks them once and
// remembers where each span lies and which trace it belongs to; that is all a
// distributor needs to place spans, and [Batch.AppendSubset] writes the part
// that goes to one keeper by copying ranges, never by re-encoding.
//
// A keeper walks the same bytes with [Walk] and takes each span apart with
// [DecodeSpan]. The decoded [Span], its attributes and its values alias the
// input, so a reused Span decodes without allocating. Events, links, arrays
// and maps stay raw and are opened on demand ([Span.EachEvent],
// [Span.EachLink], [Value.Elements], [Value.Entries]).
//
// Answers go the other way: [AppendSpan] and [AppendAttr] encode decoded
// pieces, [Builder] groups spans of many sources by resource and scope and
// drops the copies that replication left behind. [FromJSON] and [AppendJSON]
// translate between OTLP/JSON and the same protobuf bytes.
//
// # What it does not do
//
// It knows no tenant limits, no clock and no storage. It does not generate
// code from .proto files: the few messages of the OpenTelemetry trace
// protocol (opentelemetry-proto, trace/v1, common/v1, resource/v1) are listed
// in one table, schema.go.
//
// # Rules shared by all functions
//
// Returned byte slices alias the input and must not be appended to. Fields
// that this package does not know are kept wherever a message is copied. A
// field seen twice follows protobuf: scalars take the last, messages merge.
// Input that is not protobuf yields a [*MalformedError] with the offset and
// the path of the field; nothing panics.
package trace
