// Package compactor says which blocks should become one, and makes them one.
//
// # A tour
//
// [Plan] looks at the blocks of a tenant and returns the merges that are due:
// blocks whose spans ended in the same hour, of one level, small ones first,
// those that overlap in time together, because they may be copies of the same
// spans. [Retention] lists the blocks whose time is over, [Sweep] the ones whose
// spans are all in merged blocks that every reader has had time to notice. All
// three are pure: the same blocks, config and moment give the same answer on
// every worker.
//
// [Execute] does one job: it copies the inputs to a local folder, merges them
// there with [block.Writer.Merge] and uploads the result, meta.json last. It
// removes no input: that is Sweep's, after a delay. A crash at any point leaves
// the inputs, and perhaps objects without a meta.json, which [Abandoned] finds.
//
// A merged block lists in Replaces not only its inputs but also what these
// replaced, as long as anybody may still hold it: keepers have their own blocks
// until well after these were merged.
package compactor
