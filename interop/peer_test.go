package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// request and answer are the lines of the dskit process; see dskitpeer.
type request struct {
	Op   string
	Node string

	Label, Compression        string   `json:",omitempty"`
	Bind                      string   `json:",omitempty"` // IP; default 127.0.0.1 with a free port, else port 7946
	Join                      []string `json:",omitempty"`
	Cert, Key, CA, ServerName string   `json:",omitempty"`

	Ring, Instance, Zone, State string   `json:",omitempty"`
	Tokens                      []uint32 `json:",omitempty"`
	Count                       int      `json:",omitempty"`
	Partition                   int32
	Locked                      bool

	KeepTombstones time.Duration `json:",omitempty"`
}

type answer struct {
	Error      string
	Addr       string
	Members    int
	Instances  map[string]instance
	Partitions map[string]part
	Bench      map[string]float64
}

type instance struct {
	State     string
	Timestamp int64
	Tokens    int
	Zone      string
}

type part struct {
	State  string
	Locked bool
	Tokens int
}

// peer is a process that runs nodes: dskit's (see dskitpeer) or ours (see serve).
type peer struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	killed bool
}

// buildPeer compiles the dskit process once per test run.
var buildPeer = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "dskitpeer")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "dskitpeer")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = "dskitpeer"
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build dskitpeer: %w\n%s", err, out)
	}
	return bin, nil
})

func startPeer(t testing.TB) *peer {
	t.Helper()
	bin, err := buildPeer()
	if err != nil {
		t.Fatal(err)
	}
	return startProcess(t, exec.Command(bin))
}

// startProcess starts a process that answers requests; the test ends it.
func startProcess(t testing.TB, cmd *exec.Cmd) *peer {
	t.Helper()
	p := &peer{cmd: cmd}
	log, err := os.Create(filepath.Join(t.TempDir(), "peer.log"))
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	p.out.Buffer(nil, 64<<20)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.in.Close()
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // a stopped process does not notice; one that ended needs nothing
		if err := p.cmd.Wait(); err != nil && !p.killed {
			t.Errorf("%s: %v", p.cmd, err)
		}
		log.Close()
		if t.Failed() {
			if b, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("%s said:\n%s", p.cmd, b[max(0, len(b)-4000):])
			}
		}
	})
	return p
}

func (p *peer) ask(t testing.TB, req request) answer {
	t.Helper()
	ans, err := p.try(req)
	if err != nil {
		t.Fatalf("%s at %s: %v", req.Op, req.Node, err)
	}
	return ans
}

func (p *peer) try(req request) (answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ans answer
	b, err := json.Marshal(req)
	if err != nil {
		return ans, err
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		return ans, err
	}
	if !p.out.Scan() {
		return ans, errors.Join(errors.New("the process ended"), p.out.Err())
	}
	if err := json.Unmarshal(p.out.Bytes(), &ans); err != nil {
		return ans, err
	}
	if ans.Error != "" {
		err = errors.New(ans.Error)
	}
	return ans, err
}

// signal stops, continues or kills the process.
func (p *peer) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	p.killed = p.killed || s == syscall.SIGKILL
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// eventually asks again until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(90 * time.Second); !f(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}
