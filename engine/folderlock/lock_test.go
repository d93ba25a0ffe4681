//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package folderlock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestMain is also the program of the other process: it takes a folder, says so,
// and waits.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FOLDERLOCK_TAKE"); dir != "" {
		l, err := Take(dir)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("taken")
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // an error is an end too
		l.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// other starts a process that takes the folder and returns what it said. before is
// a command that starts it, none for as it is.
func other(t *testing.T, dir string, before ...string) (*exec.Cmd, string) {
	t.Helper()
	args := append(before, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "FOLDERLOCK_TAKE="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill() //nolint:errcheck // it may be gone already
		cmd.Wait()         //nolint:errcheck // killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

func TestOneOwnerInOneProcess(t *testing.T) {
	dir := t.TempDir()
	l, err := Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := Take(dir); !errors.As(err, &held) || !errors.Is(err, ErrHeld) || held.PID != os.Getpid() || held.Dir != dir {
		t.Errorf("second: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Take(dir); err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if !l.Kept() {
		t.Error("the folder for temporary files has no locks")
	}
	l.Close()
	if _, err := Take(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrHeld) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestAnotherProcessAndItsCrash(t *testing.T) {
	dir := t.TempDir()
	first, said := other(t, dir)
	if said != "taken" {
		t.Fatal(said)
	}
	var held *HeldError
	if _, err := Take(dir); !errors.As(err, &held) || held.PID != first.Process.Pid {
		t.Fatalf("%v; the owner is %d", err, first.Process.Pid)
	}
	if _, said := other(t, dir); !strings.Contains(said, dir) || !strings.Contains(said, "in use by process") {
		t.Errorf("a third process: %s", said)
	}
	first.Process.Kill() //nolint:errcheck // seen by Wait
	first.Wait()         //nolint:errcheck // killed
	l, err := Take(dir)
	if err != nil {
		t.Fatalf("after a crash of the owner: %v", err)
	}
	l.Close()
}

// On a full disk a folder can be taken: who starts there may be the one that makes
// space.
func TestFullDisk(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs ulimit")
	}
	dir := t.TempDir()
	_, said := other(t, dir, "sh", "-c", `ulimit -f 0; exec "$0"`)
	if said != "taken" {
		t.Fatal(said)
	}
	var held *HeldError
	if _, err := Take(dir); !errors.As(err, &held) || held.PID != 0 {
		t.Errorf("%v; nobody could write who has it", err)
	}
}

func TestOwnerOfAnUnreadableFile(t *testing.T) {
	for _, text := range []string{"", "pid", "pid x\n", "pid -4\n", strings.Repeat("9", 200)} {
		path := filepath.Join(t.TempDir(), Name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid := owner(path); pid != 0 {
			t.Errorf("%q: %d", text, pid)
		}
	}
}
