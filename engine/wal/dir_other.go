//go:build !unix

package wal

// syncDir has nothing to do: these systems make names durable with the file and
// cannot sync a folder.
func syncDir(string) error { return nil }
