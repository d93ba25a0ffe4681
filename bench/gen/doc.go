// Package gen makes trace load that looks like that of a shop of twenty
// services, and knows the exact answers to questions about it.
//
// Start with [Create], which writes a file of OTLP export requests, and [Open],
// which reads it with the times moved to now. The same number of spans and seed
// always give the same bytes.
//
// The model: each service has two operations and 3 to 7 pods with 20 resource
// attributes; a fixed random graph says which operation calls which. A trace is
// a tree of 5 to 50 spans (log-normal, median 15) of servers, HTTP and database
// clients, internal work, and producers with their consumers; each role has its
// own 4 to 13 attributes. 1 span in 100 fails with an exception and a stack
// trace. Spans of about 60 traces are mixed and grouped by resource, so that a
// trace arrives in several requests, as it does behind collectors.
package gen
