// Package membership keeps this process's place in the rings, and follows rings it has no place in.
//
// Four types, each with one blocking Run(ctx) error:
//
//   - [Instance] owns one entry in an instance ring: it joins, beats, repairs, leaves.
//   - [Watcher] follows an instance ring without joining it.
//   - [Partition] creates a partition if it is missing, owns it, promotes it, deletes abandoned ones.
//   - [PartitionWatcher] follows a partition ring.
//
// Readers take an immutable snapshot (Ring methods) and never wait. All decisions are pure functions of
// (state, ring, now) in machine.go, forget.go and steward.go; the types above are thin shells that run
// them inside a compare-and-swap, keep time, and tell what happened through slog and metrics.
//
//	           join_after over            observe_period over
//	(none) ──▶ PENDING ──────────▶ JOINING ──────────▶ ACTIVE ──▶ LEAVING ──▶ (none)
//	   │                              ▲  │ lost a token: take another, observe again
//	   │                              └──┘                ▲
//	   └── tokens known from the file, or none wanted ────┘
//
// What it does not do: it never decides for others, except that it forgets members that have been silent
// for very long (if so configured, and not while it doubts itself) and deletes partitions that nobody owns.
package membership
