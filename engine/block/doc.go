// Package block is the long rest of spans: immutable, sorted, columnar.
//
// A block is a folder <tenant>/<block id>/ of three objects:
//
//	data.parquet       one row per span, one typed column per attribute, sorted by trace
//	resources.parquet  the few distinct resources and scopes, joined by resource_id and scope_id
//	meta.json          what is known without opening: times, counts, sizes, row groups, keys
//
// meta.json is written last: a folder without it is no block. docs/formats/block.md
// draws every column.
//
// # A tour
//
// [Columns] is a set of spans as columns, in order of arrival: what a head
// gathers. [Writer.Seal] sorts it by trace, numbers its trees and writes a block.
// [Writer.Merge] makes one block of several, a column at a time, with the same
// machinery; no span is ever decoded on the way. [Open] gives a [Block], which
// is a columnar.Source whose segments are row groups; [Block.Find] returns one trace.
//
// Damage stays where it is: whatever a block's bytes turn out to be, the worst
// is a [*CorruptError] that names the block, and the others still answer.
//
// # What it does not do
//
// It starts no goroutine, knows no other block than the one it reads or the
// ones it is given, and does not decide what to keep, merge or delete (see
// packages catalog and compactor).
package block
