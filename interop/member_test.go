package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv/gossipkv"
	"github.com/ringctl/ringctl/engine/ring"
)

// asMember makes the test program run one of our nodes instead of tests.
const asMember = "RINGCTL_INTEROP_MEMBER"

func TestMain(m *testing.M) {
	if os.Getenv(asMember) != "" {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "member:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

// run keeps everything the tests write, the compiled dskit process too, in one directory and removes it at the end.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interop")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover of a test
	return m.Run()
}

// memberCommand runs one of our nodes in a process of its own.
func memberCommand(t testing.TB) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asMember+"=1")
	return cmd
}

// serve is the process: it answers the same requests as dskitpeer, for one node, until its input ends.
func serve(in io.Reader, out io.Writer) error {
	var m *member
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		var req request
		err := json.Unmarshal(lines.Bytes(), &req)
		if err == nil && req.Op == "start" {
			m, err = startServed(req)
		}
		var ans answer
		if err == nil {
			ans, err = m.do(req)
		}
		if err != nil {
			ans.Error = err.Error()
		}
		if err := answers.Encode(ans); err != nil {
			return err
		}
	}
	return lines.Err()
}

func startServed(req request) (*member, error) {
	cfg := gossip.DefaultConfig()
	cfg.NodeName, cfg.RandomizeNodeName, cfg.ClusterLabel = req.Node, false, req.Label
	cfg.BindAddr, cfg.JoinMembers = []string{req.Bind}, req.Join
	cfg.AbortIfClusterFastJoinFails = len(req.Join) > 0
	cfg.PullPushInterval, cfg.RejoinInterval = 5*time.Second, 5*time.Second
	if req.KeepTombstones > 0 {
		cfg.LeftIngestersTimeout = req.KeepTombstones
	}
	c, err := gossip.Open(cfg, gossipkv.Codecs(), slog.New(slog.NewTextHandler(os.Stderr, nil)), nil)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(context.Background()) }()
	select {
	case <-c.Joined():
		return newMember(c), nil
	case err := <-done:
		return nil, errors.Join(err, c.Close())
	}
}

func (m *member) do(req request) (answer, error) {
	if m == nil {
		return answer{}, errors.New("not started")
	}
	switch req.Op {
	case "start":
		return answer{Addr: m.Addr()}, nil
	case "members":
		return answer{Members: len(m.Members())}, nil
	case "ring":
		d, err := m.rings.Get(context.Background(), req.Ring)
		return answer{Instances: instances(d)}, err
	case "set":
		return answer{}, m.change(req.Ring, func(d *ring.Desc) { put(d, req.Instance, req.Zone, req.Tokens) })
	case "forget":
		return answer{}, m.change(req.Ring, func(d *ring.Desc) { delete(d.Instances, req.Instance) })
	case "pull":
		return pull(req)
	}
	return answer{}, fmt.Errorf("unknown request %q", req.Op)
}

// pull reads a member's ring as an observer does, tombstones included.
func pull(req request) (answer, error) {
	view, err := gossip.Dialer{Label: req.Label, Timeout: 20 * time.Second}.Pull(context.Background(), req.Join[0])
	if err != nil {
		return answer{}, err
	}
	for _, p := range view.Pairs {
		if p.Key == req.Ring {
			d, err := ring.DecodeValue(p.Value)
			return answer{Instances: instances(d)}, err
		}
	}
	return answer{}, nil
}
