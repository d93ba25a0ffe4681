// Package catalog knows which blocks exist now.
//
// # A tour
//
// A [Scanner] lists the objects of a bucket and reads the meta.json of blocks
// that it has not seen; blocks never change, so it reads each one once. What it
// finds is a [Holding] per tenant. [Visible] says which of these blocks readers
// read: a merged block hides the blocks that it was made of, and of two blocks
// with the same spans one is hidden, so that every span is seen exactly once at
// every moment of a merge, a deletion and a crash.
//
// Listing every object in every process would cost requests. Whoever keeps the
// bucket tidy therefore writes an [Index] for each tenant, the list of its
// visible blocks, and a [Catalog] reads these: one listing of a small prefix and
// one read for each index that changed. When an index is missing, damaged or
// old, the catalog lists the blocks themselves.
//
// A catalog answers from memory, from a snapshot that each poll replaces, and
// keeps opened blocks for whoever asks next.
//
// # What it does not do
//
// It deletes nothing and merges nothing: see package compactor. A block that
// cannot be read is named, counted and left out; the others still answer.
//
// docs/formats/bucket.md draws the objects.
package catalog
