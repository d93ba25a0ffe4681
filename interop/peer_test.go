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
	"testing"
	"time"
)

// request and answer are the lines of the dskit process; see dskitpeer.
type request struct {
	Op   string
	Node string

	Label, Compression        string   `json:",omitempty"`
	Join                      []string `json:",omitempty"`
	Cert, Key, CA, ServerName string   `json:",omitempty"`

	Ring, Instance, Zone, State string   `json:",omitempty"`
	Tokens                      []uint32 `json:",omitempty"`
	Count                       int      `json:",omitempty"`
	Partition                   int32
	Locked                      bool
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

// peer is the dskit process.
type peer struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	n   int
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
	p := &peer{cmd: exec.Command(bin)}
	log, err := os.Create(filepath.Join(t.TempDir(), "dskit.log"))
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
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("dskitpeer: %v", err)
		}
		log.Close()
		if t.Failed() {
			if b, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("dskit said:\n%s", b[max(0, len(b)-4000):])
			}
		}
	})
	return p
}

func (p *peer) ask(t testing.TB, req request) answer {
	t.Helper()
	ans, err := p.try(req)
	if err != nil {
		t.Fatalf("dskit %s at %s: %v", req.Op, req.Node, err)
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
