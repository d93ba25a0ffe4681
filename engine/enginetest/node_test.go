package enginetest

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if dir := buildDir(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// buildDir is where the binary under test is built.
var buildDir = sync.OnceValue(func() string {
	if testing.Short() || os.Getenv("RINGCTL_TEST_TEMPOD") != "" {
		return ""
	}
	dir, err := os.MkdirTemp("", "tempod-test-")
	if err != nil {
		return ""
	}
	return dir
})

// build builds tempod once for all tests.
var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("RINGCTL_TEST_TEMPOD"); path != "" {
		return path, nil
	}
	path := filepath.Join(buildDir(), "tempod")
	out, err := exec.Command("go", "build", "-o", path, "github.com/ringctl/ringctl/cmd/tempod").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func tempod(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts tempod processes; not with -short")
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// patience bounds every wait for something that tempod does by itself, on a machine that is busy with others and whose
// disk takes seconds.
const patience = 2 * time.Minute

// until looks again and again until f is true; f says what is still wrong.
func until(t testing.TB, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// node is one tempod process, which may live several times.
type node struct {
	t    testing.TB
	name string
	args []string
	log  string // path

	mu    sync.Mutex
	addrs map[string]string // from the ready line
	cmd   *exec.Cmd
	stdin io.Closer     // closing it asks the process to stop; the system closes it when the test dies
	ended chan struct{} // closed when the process is gone
}

func (n *node) addr(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addrs[name]
}

func (n *node) http() string { return "http://" + n.addr("http") }

// exec starts the process without waiting for it.
func (n *node) exec() (ready <-chan map[string]string) {
	n.t.Helper()
	logFile, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer logFile.Close()
	cmd := exec.Command(tempod(n.t), append([]string{"--stop-on-stdin-eof"}, n.args...)...)
	cmd.Stderr = logFile
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	lines, ended := make(chan map[string]string, 1), make(chan struct{})
	n.mu.Lock()
	n.cmd, n.stdin, n.ended = cmd, stdin, ended
	n.mu.Unlock()
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			if rest, ok := strings.CutPrefix(s.Text(), "tempod ready"); ok {
				lines <- fields(rest)
			}
		}
		cmd.Wait() //nolint:errcheck // the exit code is in cmd.ProcessState
	}()
	return lines
}

func fields(line string) map[string]string {
	out := map[string]string{}
	for f := range strings.FieldsSeq(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			out[k] = v
		}
	}
	return out
}

// launch starts the process and waits for its ready line.
func (n *node) launch() {
	n.t.Helper()
	lines := n.exec()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case addrs := <-lines:
		n.mu.Lock()
		n.addrs = addrs
		n.mu.Unlock()
	case <-n.ended:
		n.t.Fatalf("%s ended while starting:\n%s", n.name, n.logText())
	case <-timeout.C:
		n.t.Fatalf("%s has no ready line after %s:\n%s", n.name, patience, n.logText())
	}
}

// ready waits until /ready says yes.
func (n *node) ready() *node {
	n.t.Helper()
	until(n.t, n.name+" ready", func() error {
		code, body, err := n.get("/ready")
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("%d %s %v\n%s", code, body, err, n.logText())
		}
		return nil
	})
	return n
}

// get reads a page of the process.
func (n *node) get(path string) (int, string, error) {
	resp, err := http.Get(n.http() + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// kill ends the process as a crash would, and waits for it.
func (n *node) kill() {
	n.mu.Lock()
	cmd, ended, stdin := n.cmd, n.ended, n.stdin
	n.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Kill() //nolint:errcheck // it may be gone already
	<-ended
	stdin.Close()
}

// stop asks the process to stop and returns its exit code.
func (n *node) stop() int {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.t.Fatal(err)
	}
	return n.wait()
}

// wait waits for the end of the process and returns its exit code.
func (n *node) wait() int {
	n.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-n.ended:
	case <-timeout.C:
		n.cmd.Process.Signal(syscall.SIGQUIT) //nolint:errcheck // for its stacks
		<-n.ended
		n.t.Fatalf("%s does not stop:\n%s", n.name, n.logText())
	}
	return n.cmd.ProcessState.ExitCode()
}

func (n *node) logText() string {
	b, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	const most = 20_000
	return string(b[max(0, len(b)-most):])
}

// newNode makes a process that is not started yet. It is gone when the test ends.
func newNode(t testing.TB, name string, args ...string) *node {
	t.Helper()
	n := &node{t: t, name: name, args: args, log: filepath.Join(t.TempDir(), name+".log")}
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, n.logText())
		}
	})
	return n
}

// anyPort are the flags of a process that listens on free ports of loopback.
var anyPort = []string{"--server.http-listen-address=127.0.0.1", "--server.http-listen-port=0", "--server.grpc-listen-address=127.0.0.1",
	"--server.grpc-listen-port=0", "--otlp.grpc-endpoint=127.0.0.1:0", "--otlp.http-endpoint=127.0.0.1:0", "--memberlist.bind-port=0", "--instance.id=single"}

// single is tempod alone, with a configuration file over the defaults.
func single(t testing.TB, dir, yaml string) *node {
	t.Helper()
	config := filepath.Join(t.TempDir(), "tempod.yaml")
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, "single", append([]string{"--config.file", config, "--data.dir", dir}, anyPort...)...)
	return n
}
