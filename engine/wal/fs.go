package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// FS is the part of a file system that a log uses. [Disk] is the real one; a
// simulated one (package waltest) breaks on purpose.
type FS interface {
	// MkdirAll makes a folder and its parents.
	MkdirAll(dir string) error
	// ReadDir returns the names of the files in dir.
	ReadDir(dir string) ([]string, error)
	// Create makes a new file for reading and writing; an existing one is an error.
	Create(path string) (File, error)
	// Open opens a file for reading and writing.
	Open(path string) (File, error)
	// Remove deletes a file.
	Remove(path string) error
	// SyncDir makes creations and removals in dir durable.
	SyncDir(dir string) error
}

// File is one open file.
type File interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// Truncate sets the size.
	Truncate(size int64) error
	// Sync makes the content and size durable.
	Sync() error
	Size() (int64, error)
	Close() error
}

// Disk is the operating system's file system.
type Disk struct{}

// MkdirAll implements FS.
func (Disk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o755) }

// ReadDir implements FS.
func (Disk) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Create implements FS.
func (Disk) Create(path string) (File, error) {
	return openDisk(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements FS.
func (Disk) Open(path string) (File, error) { return openDisk(path, os.O_RDWR) }

// Remove implements FS.
func (Disk) Remove(path string) error { return os.Remove(path) }

// SyncDir implements FS.
func (Disk) SyncDir(dir string) error { return syncDir(dir) }

func openDisk(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o644)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

type diskFile struct{ *os.File }

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f diskFile) Sync() error { return syncData(f.File) }

// explain names the operation and the file, and marks a full disk.
func explain(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("wal: %s %s: %w: %w", op, filepath.Base(path), ErrFull, err)
	}
	return fmt.Errorf("wal: %s %s: %w", op, filepath.Base(path), err)
}
