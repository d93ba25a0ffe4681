// Package query answers TraceQL questions over column vectors.
//
// # A tour
//
// Storage implements [Source]: a list of [Segment]s, each up to 131 k spans held as one typed [Column] per attribute.
// A question is compiled once ([Prepare], [PrepareMetrics], [PrepareTags], [PrepareTagValues]) and then cut into units: one for
// each segment, and some for the traces that lie in several segments. Units are independent; the caller runs them, on
// as many threads as it likes, and merges the results. [Search], [Metrics], [Tags], [TagValues] and [FindTrace] do all
// of this on the calling goroutine.
//
// Inside a unit a filter becomes a [Bitmap] of rows. A predicate on a dictionary-coded column is evaluated once per
// dictionary entry; when no entry matches, no data page is read. What needs the tree of a trace uses the nested-set
// numbers that [Nester] defines.
//
// Results are mergeable and have a binary form, so that nodes can exchange partial answers.
//
// # What it does not do
//
// It starts no goroutine, knows no clock, no network and no file.
package query
