// Package folderlock keeps a folder for one process.
//
// [Take] opens a file in the folder and asks the operating system to lock it.
// The system lets go of the lock when the process ends, however it ends: a crash
// leaves the file behind, and the next process takes it without anyone's help.
// The file names the process that has it, for people; only the lock counts.
//
// On a file system without locks the folder is not kept, and [Lock.Kept] says so.
//
// The file is never removed: who opened it before the removal and who made it
// anew would both have a lock.
package folderlock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Name is the name of the file in the folder.
const Name = "process.lock"

// ErrHeld is wrapped by the errors of [Take] when another process has the folder.
var ErrHeld = errors.New("in use by another process")

// HeldError says who has a folder.
type HeldError struct {
	Dir string
	PID int // 0 when it cannot be told
}

// Error implements error.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "folder " + e.Dir + " is in use by another process"
	}
	return fmt.Sprintf("folder %s is in use by process %d", e.Dir, e.PID)
}

// Unwrap gives [ErrHeld].
func (e *HeldError) Unwrap() error { return ErrHeld }

// Lock is a taken folder.
type Lock struct {
	file *os.File
	kept bool
}

// Take takes a folder, which must exist, for this process. The error is a
// [*HeldError] when it has an owner, which may be this process itself.
func Take(dir string) (*Lock, error) {
	path := filepath.Join(dir, Name)
	f, kept, err := lockFile(path)
	if errors.Is(err, ErrHeld) {
		shown := dir
		if abs, err := filepath.Abs(dir); err == nil {
			shown = abs
		}
		return nil, &HeldError{shown, owner(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("lock folder %s: %w", dir, err)
	}
	sign(f)
	return &Lock{f, kept}, nil
}

// sign writes who has the lock, if it can: on a full disk the lock counts as well,
// and its owner cannot be told.
func sign(f *os.File) {
	if err := f.Truncate(0); err != nil {
		return
	}
	f.WriteAt([]byte("pid "+strconv.Itoa(os.Getpid())+"\n"), 0) //nolint:errcheck // see above
}

// maxOwner is more than a signature has.
const maxOwner = 64

// owner reads who has the lock, 0 when that is not written there.
func owner(path string) int {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, maxOwner))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(string(b)), "pid "))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// Kept is false where the file system has no locks: somebody else may have the
// folder too.
func (l *Lock) Kept() bool { return l.kept }

// File is the open file. On Unix a process that inherits it holds the lock too,
// until all who have it are gone.
func (l *Lock) File() *os.File { return l.file }

// Close lets go of the folder.
func (l *Lock) Close() error { return l.file.Close() }
