// Package columnar is the contract between those who store spans and those who evaluate questions about them: a [Source]
// is a list of [Segment]s, each up to 131 k spans held as one typed [Column] per attribute. A column is read into a
// [Vector], for the rows of a [Bitmap]; the resources and instrumentation scopes that rows point to are a [Table].
//
// Blocks and heads implement it and know nothing of the language; package query evaluates over it and knows nothing of
// files. What both must do alike is here too: [Nester] numbers the spans of a trace, [Meter] counts what was read.
package columnar
