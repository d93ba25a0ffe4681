package demo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/client"
)

// buildTempod builds the real binary once per test.
func buildTempod(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts a cluster of processes; not with -short")
	}
	path := filepath.Join(t.TempDir(), "tempod")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/ringctl/ringctl/cmd/tempod").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// leftovers are the folders of demos, and processes of this binary.
func leftovers(t *testing.T, tmp, tempod string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(tmp, "ringctl-demo-*"))
	if err != nil {
		t.Fatal(err)
	}
	procs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if exe, err := os.Readlink(p); err == nil && exe == tempod {
			left = append(left, p)
		}
	}
	return left
}

// TestScript runs the whole demo as `make demo` does without a terminal: every
// step of its script is checked by the script itself.
func TestScript(t *testing.T) {
	tempod := buildTempod(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var out strings.Builder
	if err := Run(t.Context(), Options{Tempod: tempod, Out: &out, Seed: 1}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"✓ status", "✓ find by id (replicated path)", "✓ find by id (partitions path)", "✓ kill -9 ingester-b",
		"✓ write with a dead member", "✓ forget ingester-b", "✓ partition 1 inactive", "✓ every acknowledged trace is found whole"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("missing %q in\n%s", want, out.String())
		}
	}
	if left := leftovers(t, tmp, tempod); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestInterruptLeavesNothing ends the demo while its dashboard is open.
func TestInterruptLeavesNothing(t *testing.T) {
	tempod := buildTempod(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, interrupt := context.WithCancel(t.Context())
	var out strings.Builder
	err := Run(ctx, Options{Tempod: tempod, Out: &out, Dashboard: func(ctx context.Context, _ *client.Client) error {
		interrupt()
		<-ctx.Done()
		return ctx.Err()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v\n%s", err, out.String())
	}
	if left := leftovers(t, tmp, tempod); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTempodMissingSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Run(t.Context(), Options{Out: &strings.Builder{}})
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("err = %v", err)
	}
}
