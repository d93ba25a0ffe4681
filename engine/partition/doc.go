// Package partition says which partition takes a key and who owns it.
//
// Start with [Desc], the value nodes exchange (decoded with [Unmarshal] or
// [DecodeValue], combined with [Merge], edited with [ChangeState] and its
// neighbours), and [Ring], the immutable snapshot made from it by [New], which
// answers [Ring.ActivePartitionForKey] and who reads and writes a partition.
//
// A partition moves between states only like this:
//
//	             +---------------------+
//	             v                     |
//	Pending -> Active -> Inactive -----+
//	   |                    ^
//	   +--------------------+
//
// which reads as the table
//
//	Pending  -> Active Inactive
//	Active   -> Inactive
//	Inactive -> Active
//
// Pending has been created but not taken up, Active takes new keys, Inactive
// takes none but is still read. A locked partition keeps its state. Unknown and
// Deleted (a tombstone) are never reached by a change of state. The merge does
// not enforce any of this: it only compares timestamps.
//
// Tokens are deterministic by partition number. A partition stored without
// tokens, or with a token scheme this version does not know by name, gets
// these derived tokens in a Ring; its stored form is left as it is.
//
// Like package ring this is pure: time is a parameter, nothing is logged.
// Slices inside a Desc are shared between copies and must not be written to.
package partition
