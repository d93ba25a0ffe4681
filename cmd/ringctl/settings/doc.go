// Package settings holds what ringctl remembers between calls: clusters by name (contexts) in the
// configuration folder, and the audit log of changes in the state folder.
//
// Files are found by the XDG base directory rules. A context file never holds a secret, only the paths of files
// that do.
package settings
