// Package ringapi holds the words of the control API: the paths under /api/ring/v1, what goes in, what
// comes out, and which codes a refusal can carry. Server (engine/control) and client both import it, so
// every word exists once.
//
// Start with [Ring] and [PartitionRing], the answers, and with [ForgetRequest] and [PartitionRequest],
// the questions that change something. Each request has a Validate method, each refusal is an [Error]
// whose [Code] maps to an HTTP status, a gRPC status and an exit code in one table.
//
// [RingPage] and [PartitionPage] are the JSON that the ring pages of the dskit family (Tempo, Mimir,
// Loki, Pyroscope) answer, with a few fields added.
//
// The package does no I/O, starts nothing and asks no clock: now is a parameter.
package ringapi
