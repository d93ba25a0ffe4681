// Package traceql is the query language: it reads TraceQL text into a tree, checks it and prints it.
//
// # A tour
//
// [Parse] turns text into a [Query] and checks it; what it returns can be evaluated. A query is either a search (its
// Pipeline is set) or a metrics query (its Metric is set). A [Pipeline] is a list of [Stage]s; a [Filter] holds a [Field]
// expression about one span. [Query.String] prints canonical text: parsing it gives an equal tree.
//
// A mistake is an [*Error] with line, column, a message and often a suggestion; [Error.Caret] shows the place.
//
// # What it does not do
//
// It does not evaluate. Package query does.
package traceql
