//go:build !unix

package local

// syncDir has nothing to do: these systems make names durable with the file and
// cannot sync a folder.
func syncDir(string) error { return nil }

// isNotDir: these systems report a file in the middle of a path as missing.
func isNotDir(error) bool { return false }
