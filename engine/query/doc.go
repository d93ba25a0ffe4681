// Package query answers TraceQL questions over column vectors.
//
// # A tour
//
// Storage implements [columnar.Source]: a list of segments, each up to 131 k spans held as one typed column per attribute.
// A question is compiled once ([Prepare], [PrepareMetrics]) and then cut into units: one for each segment, and some for
// the traces that lie in several segments. Units are independent; the caller runs them, on as many threads as it likes,
// and merges the results. [Search], [Metrics], [Tags], [TagValues] and [FindTrace] do all of this on the calling
// goroutine.
//
// A span that several segments have, because it was replicated or sent twice, counts once: traces that are copies as a
// whole are masked in all segments but one, traces whose parts differ are seen through a segment joined from several
// (cut.go, copies.go, rare.go, joined.go). When several places share a question that [LooksAtWholeTraces], each looks at
// its share of the trace ids ([DivideIDs]), or at its side of a border between sources ([Side]; border.go).
//
// Inside a unit a filter becomes a bitmap of rows. A predicate on a dictionary-coded column is evaluated once per
// dictionary entry; when no entry matches, no data page is read. What needs the tree of a trace uses the nested-set
// numbers that [columnar.Nester] defines. Conditions without a fast way are evaluated row by row (rowvalue.go), with the
// same rules: nil where an attribute is missing, comparisons with nil or between types that do not fit are false.
//
// Results are mergeable and have a binary form, so that nodes can exchange partial answers.
//
// # What it does not do
//
// It starts no goroutine, knows no clock, no network and no file.
package query
