// Package pq writes and reads Parquet files whose columns are already columns.
//
// A row never exists here. A caller hands over a [Chunk]: the rows that have a
// value, and their values as integers or as codes into a [Dict]. An [Encoder]
// turns chunks into pages of a [Group] (one row group), and a [Writer] strings
// groups together and closes the file with a footer that DuckDB, parquet-go
// and hyparquet read. [Open] goes the other way, a chunk or a few pages at a time.
//
// It writes what span columns need and nothing else: data pages of version 1,
// RLE/bit-packed levels and dictionary indices, PLAIN, DELTA_BINARY_PACKED, zstd,
// page checksums, page indexes, statistics and split-block bloom filters. It
// reads only what it writes; anything else is an error, never a panic.
//
// Metadata structs are parquet-go's (packages format and encoding/thrift).
package pq
