// Package wal keeps records safe across a crash.
//
// # A tour
//
// [Open] names a folder; [Log.Append] returns when the record is on the disk.
// Appends that arrive while the disk is busy are written and synced together by
// whichever of them came first, and the next group starts when the last one is
// down (back to back): there is no timer and no goroutine.
//
// After a start, [Log.Replay] hands out what earlier processes left, and
// [Log.RemoveBefore] deletes segments whose records rest elsewhere:
//
//	seg, err := log.Rotate()  // records from now on go to seg or later
//	…                         // put everything older into a block
//	err = log.RemoveBefore(seg)
//
// # What it promises
//
// A record whose Append returned nil is replayed after any crash, once or more
// than once, byte for byte. A record whose Append returned an error, or never
// returned, may or may not be replayed. Order is kept within one caller.
//
// A full disk refuses appends with [ErrFull] and cuts the segment back to its
// last good record; appends work again when there is space. After a failed
// fsync the kernel may have dropped the pages, so that segment is never written
// again: the waiting records go to a new one.
//
// A tail cut off by a crash is normal: replay stops there, keeps the tail aside
// and cuts the segment. Damage anywhere else is reported by segment and offset
// in a [*DamageError], and the records after it are found again by their
// markers.
//
// A folder has one log at a time: [Open] fails with [ErrHeld] while another
// process has it. A crash leaves no lock behind.
//
// # What it does not do
//
// It does not know what a record means, and does not drop duplicates.
// The bytes on disk are drawn in docs/formats/wal.md.
package wal
