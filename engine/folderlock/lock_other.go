//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package folderlock

import "os"

// lockFile only opens the file: these systems have no lock that ends with the
// open file.
func lockFile(path string) (f *os.File, kept bool, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	return f, false, err
}
