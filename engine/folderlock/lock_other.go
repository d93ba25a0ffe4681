//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package folderlock

import "os"

// lockFile only opens the file: these systems have no lock that ends with the
// open file.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) }
