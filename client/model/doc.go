// Package model says what a member's view of a cluster means: which rings there are, who is healthy, who owns what, which
// quorums stand, what would happen if. Everything in it is a pure function of what was pulled and of a clock.
//
// Start with [Build], which makes a [Snapshot]; [Compare], [Agreements] and [Timeline] put snapshots side by side;
// [Snapshot.Simulate] and [CanStop] answer what-if questions. Package client fetches what this package judges, and has
// the same names for it.
package model
