// Package backendworker keeps the bucket tidy.
//
// Start with [New] and [Worker.Run]. Two things go on at once:
//
//   - Upkeep, every cycle: the worker lists the bucket, and for each tenant that
//     falls to it writes the index that readers poll, removes blocks that were
//     replaced or are older than the retention, and clears up after uploads that
//     died.
//   - Merges, one at a time: it plans what package compactor says is due, takes
//     the jobs that fall to it, one tenant after the other, and does them.
//
// What falls to it says an [Owner], from the ring of workers. That two workers
// believe to own the same job for a moment does no harm: see catalog.Visible.
//
// Everything a worker needs to know is in the bucket. It may be killed at any
// moment and started again, here or elsewhere.
package backendworker
