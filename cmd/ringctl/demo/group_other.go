//go:build !unix

package demo

import (
	"io/fs"
	"os/exec"

	"github.com/ringctl/ringctl/engine/folderlock"
)

// ownGroup does nothing here: the nodes see Ctrl-C themselves and stop.
func ownGroup(*exec.Cmd) {}

// shareLock does nothing here: files cannot be handed on. A node that still runs
// has its own files open, which keeps them from being removed.
func shareLock(*exec.Cmd, *folderlock.Lock) {}

// onlyMine has nothing to look at here: the folder for temporary files is the
// user's own.
func onlyMine(fs.FileInfo) bool { return true }
