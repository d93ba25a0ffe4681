package demo

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/folderlock"
)

// TestMain is also the demo that a test kills.
func TestMain(m *testing.M) {
	if tempod := os.Getenv("RINGCTL_TEST_DEMO_TEMPOD"); tempod != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		if err := Run(ctx, Options{Tempod: tempod, Out: os.Stdout, Keep: true}); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKilledDemoIsTidiedUp kills a demo: its nodes end by themselves, and the next
// demo removes its folder, but not before.
func TestKilledDemoIsTidiedUp(t *testing.T) {
	tempod := buildTempod(t)
	tmp := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RINGCTL_TEST_DEMO_TEMPOD="+tempod, "TMPDIR="+tmp)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it is gone by now
		cmd.Wait()         //nolint:errcheck // killed
	})
	said, ready := "", false
	for lines := bufio.NewScanner(stdout); !ready && lines.Scan(); {
		said += lines.Text() + "\n"
		ready = strings.HasPrefix(lines.Text(), "ready:")
	}
	if !ready {
		t.Fatalf("the demo is not ready:\n%s", said)
	}
	go io.Copy(io.Discard, stdout) //nolint:errcheck // ends with the demo
	if n, err := removeDead(tmp); n != 0 || err != nil {
		t.Fatalf("the folder of a demo that runs: %d, %v", n, err)
	}
	cmd.Process.Kill() //nolint:errcheck // seen by Wait
	cmd.Wait()         //nolint:errcheck // killed
	if left := leftovers(t, tmp, tempod); len(left) == 0 {
		t.Fatal("a killed demo leaves its folder, or this test shows nothing")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for removed := 0; removed == 0; {
		if removed, err = removeDead(tmp); err != nil {
			t.Fatal(err)
		}
		running := leftovers(t, tmp, tempod)
		if removed > 0 && len(running) > 0 {
			t.Errorf("removed while there are %v", running)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still there: %v", running)
		}
	}
}

// demoFolder makes what a dead demo leaves.
func demoFolder(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "ingester-a"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{folderlock.Name, configName, "ingester-a.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOnlyDeadDemosAreRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links and owners are others there")
	}
	tmp, elsewhere := t.TempDir(), t.TempDir()
	at := func(name string) string { return filepath.Join(tmp, folderPrefix+name) }
	without := func(dir, name string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	demoFolder(t, at("dead1"))
	demoFolder(t, at("dead2"))
	lock, err := folderlock.Take(demoFolder(t, at("alive")))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	without(demoFolder(t, at("no-lock")), folderlock.Name)
	without(demoFolder(t, at("starting")), configName)
	demoFolder(t, filepath.Join(tmp, "other-name"))
	if err := os.Symlink(demoFolder(t, filepath.Join(elsewhere, "linked")), at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(demoFolder(t, at("shared")), 0o777); err != nil {
		t.Fatal(err)
	}
	if n, err := removeDead(tmp); n != 2 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	var left []string
	entries, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := "other-name ringctl-demo-alive ringctl-demo-file ringctl-demo-link ringctl-demo-no-lock ringctl-demo-shared ringctl-demo-starting"
	if got := strings.Join(left, " "); got != want {
		t.Errorf("left\n%s\nwant\n%s", got, want)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "linked", configName)); err != nil {
		t.Error("followed a link:", err)
	}
}
