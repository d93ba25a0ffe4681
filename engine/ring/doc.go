// Package ring says who owns a key.
//
// Start with two types. [Desc] is the value that travels between nodes: a map
// of instances with their tokens, states and heartbeats. It is decoded with
// [Unmarshal] or [DecodeValue], combined with [Merge], and is a plain mutable
// value. [Ring] is an immutable snapshot built from a Desc by [New]: it answers
// [Ring.Get] for a key without allocating, and everything an operator asks:
// ownership, token ranges, shuffle shards, quorum margins, what-if.
//
// The wire format, the merge rules and the lookups are those of the hash ring
// shared by Tempo, Mimir, Loki and Pyroscope, so values may be exchanged with
// such clusters. Where this package goes further (unknown protobuf fields are
// kept, far-future heartbeats are judged, duplicate tokens have one stable
// owner) the plain behaviour stays available beside it.
//
// Nothing here reads a clock, starts a goroutine or does I/O: the current time
// and the source of randomness are always parameters.
//
// Token, version and unknown-field slices inside a Desc or Ring are shared
// between copies and must never be written to; replace the slice instead.
package ring
