//go:build unix

package demo

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"github.com/ringctl/ringctl/engine/folderlock"
)

// ownGroup keeps Ctrl-C at the terminal from the nodes: the demo stops them.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// shareLock lets a node hold the lock of the folder too: a demo that was killed is
// not dead before its nodes are.
func shareLock(cmd *exec.Cmd, lock *folderlock.Lock) {
	cmd.ExtraFiles = append(cmd.ExtraFiles, lock.File())
}

// onlyMine tells whether a folder belongs to this user and nobody else may change
// it.
func onlyMine(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}
