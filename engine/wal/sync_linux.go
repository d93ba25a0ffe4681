package wal

import (
	"os"
	"syscall"
)

// syncData uses fdatasync: it writes the content and the size, but not the
// times of the file.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}
