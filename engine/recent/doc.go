// Package recent is the recent past of spans: durable at once, searchable at
// once, and on its way into blocks.
//
// [Store.Push] appends the OTLP bytes to a write-ahead log and their values to
// the tenant's head, a set of growing columns. Questions read heads through
// immutable snapshots ([Store.Sources]) with the same evaluator as blocks.
// [Store.Run] cuts a head when it is large or old, seals it into a local block
// straight from its columns, ships the block, and drops what is no longer needed:
// log segments once their spans are in blocks, blocks once readers find them in
// the bucket.
//
//	push ─▶ log ─▶ head ─cut─▶ sealing ─▶ local block ─ship─▶ bucket
//	          ▲                              │
//	          └── replay after a crash ◀─────┘ which cuts are blocks already
//
// # Crashes
//
// A cut writes a record into the log: the id of the block that will hold
// everything before it, and the traces it holds back. A replay meets the same
// pushes and the same cuts in the same order. Where a cut's block is finished it
// empties the head, where not it seals the block again. So a crash at any point
// neither loses nor doubles a span. If you are chasing such a bug, start at
// restore.go.
package recent
