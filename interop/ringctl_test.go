package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/ring"
)

// buildRingctl compiles the real program once per test run.
var buildRingctl = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ringctl")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "ringctl")
	build := exec.Command("go", "build", "-o", bin, "./cmd/ringctl")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ringctl: %w\n%s", err, out)
	}
	return bin, nil
})

// operator runs the real program against a cluster, with a home of its own.
type operator struct {
	t     *testing.T
	home  string
	where []string // flags that say where the cluster is
}

func newOperator(t *testing.T, where ...string) *operator {
	t.Helper()
	if _, err := buildRingctl(); err != nil {
		t.Fatal(err)
	}
	return &operator{t: t, home: t.TempDir(), where: where}
}

func (o *operator) command(args ...string) *exec.Cmd {
	o.t.Helper()
	bin, err := buildRingctl()
	if err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.Command(bin, append(slices.Clone(o.where), args...)...)
	cmd.Env = []string{"HOME=" + o.home, "PATH=" + os.Getenv("PATH"), "TERM=dumb"}
	return cmd
}

// run returns what the program printed and its exit code.
func (o *operator) run(args ...string) (stdout, stderr string, code int) {
	o.t.Helper()
	var out, errs bytes.Buffer
	cmd := o.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			o.t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return out.String(), errs.String(), code
}

// expect runs the program and checks its exit code and that all words are in what it said.
func (o *operator) expect(code int, args []string, words ...string) string {
	o.t.Helper()
	stdout, stderr, got := o.run(args...)
	if got != code {
		o.t.Errorf("ringctl %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	for _, w := range words {
		if !strings.Contains(stdout+stderr, w) {
			o.t.Errorf("ringctl %s does not say %q:\n%s%s", strings.Join(args, " "), w, stdout, stderr)
		}
	}
	return stdout
}

// fleet is a cluster of dskit nodes, each in a process of its own.
type fleet struct {
	label string
	procs []*peer
	names []string
	addrs []string
}

func startFleet(t *testing.T, start request, names ...string) *fleet {
	t.Helper()
	f := &fleet{label: start.Label}
	for _, name := range names {
		p := startPeer(t)
		req := start
		req.Op, req.Node = "start", name
		if len(f.addrs) > 0 {
			req.Join = f.addrs[:1]
		}
		f.procs, f.names, f.addrs = append(f.procs, p), append(f.names, name), append(f.addrs, p.ask(t, req).Addr)
	}
	for i := range f.procs {
		eventually(t, f.names[i]+" knows all", func() bool {
			return f.procs[i].ask(t, request{Op: "members", Node: f.names[i]}).Members == len(names)
		})
	}
	return f
}

func (f *fleet) seeds() []string { return []string{"--seeds", strings.Join(f.addrs, ",")} }

// tell writes an entry whose heartbeat has an age into all running nodes.
func (f *fleet) tell(t *testing.T, d gossip.Dialer, id string, age time.Duration, token uint32) {
	t.Helper()
	at := time.Now().Add(-age).Unix()
	desc := ring.NewDesc()
	desc.Instances[id] = ring.Instance{ID: id, Addr: "10.0.0.1:9095", Timestamp: at, RegisteredTimestamp: time.Now().Unix(), Tokens: []uint32{token}}
	d.Label = f.label
	for i, addr := range f.addrs {
		if f.procs[i] == nil {
			continue
		}
		if err := d.Send(t.Context(), addr, gossip.Pair{Key: ringKey, Codec: ring.Codec, Value: ring.EncodeValue(desc)}); err != nil {
			t.Fatal(err)
		}
	}
}

// shows waits until every running node shows exactly these instances.
func (f *fleet) shows(t *testing.T, ids ...string) {
	t.Helper()
	slices.Sort(ids)
	for i, p := range f.procs {
		if p == nil {
			continue
		}
		eventually(t, fmt.Sprintf("%s shows %v", f.names[i], ids), func() bool {
			var got []string
			for id, e := range p.ask(t, request{Op: "ring", Node: f.names[i], Ring: ringKey}).Instances {
				if e.State != "LEFT" {
					got = append(got, id)
				}
			}
			slices.Sort(got)
			return slices.Equal(got, ids)
		})
	}
}

// TestRingctlForgetsAtDskit is the program against clusters that are all dskit: with a label, without one, and with TLS on
// both sides.
func TestRingctlForgetsAtDskit(t *testing.T) {
	files := certificates(t)
	conf, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	withTLS := []string{"--label", "prod", "--tls-ca", files.CAPath, "--tls-cert", files.CertPath, "--tls-key", files.KeyPath, "--tls-server-name", files.ServerName}
	cases := map[string]struct {
		start  request
		dialer gossip.Dialer
		flags  []string
		wrong  []string // flags that must not find the cluster
		hint   string
	}{
		"label":    {request{Label: "prod"}, gossip.Dialer{}, []string{"--label", "prod"}, []string{"--label", "test"}, "--label"},
		"no label": {request{}, gossip.Dialer{}, nil, []string{"--label", "prod"}, "--label"},
		"tls": {request{Label: "prod", Cert: files.CertPath, Key: files.KeyPath, CA: files.CAPath, ServerName: files.ServerName}, gossip.Dialer{TLS: conf},
			withTLS, []string{"--label", "prod"}, "TLS"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, c.start, "d1", "d2", "d3")
			o := newOperator(t, f.seeds()...)
			wrong := newOperator(t, append(f.seeds(), c.wrong...)...)
			wrong.expect(3, []string{"status", "--timeout", "20s"}, c.hint)
			o.where = append(o.where, c.flags...)

			ids := []string{"alive-0", "alive-1", "alive-2", "alive-3"}
			for i, id := range ids {
				f.tell(t, c.dialer, id, 0, uint32(i+1)<<28)
			}
			f.tell(t, c.dialer, "dead", time.Hour, 1<<31)
			f.tell(t, c.dialer, "poisoned", -1000*time.Hour, 1<<31+1)
			f.shows(t, append(ids, "dead", "poisoned")...)

			// A run of tests may be slow, so the living stay alive for long.
			alive := []string{"--heartbeat-timeout", "10m"}
			o.expect(5, append([]string{"forget", "ingester", "alive-1", "--yes"}, alive...), "it is alive: last heartbeat")
			o.expect(5, append([]string{"forget", "ingester", "poisoned", "--yes"}, alive...), "dated", "ahead", "cannot register again before that date")
			o.expect(0, append([]string{"forget", "ingester", "dead", "--yes", "--wait", "30s"}, alive...), "3 of 3 members agree", "3/3")
			f.shows(t, append(ids, "poisoned")...)

			// The cure for the poisoned one, with its price confirmed by name.
			o.expect(6, append([]string{"forget", "ingester", "poisoned", "--force", "--yes"}, alive...), "--confirm=poisoned")
			o.expect(0, append([]string{"forget", "ingester", "poisoned", "--force", "--confirm=poisoned"}, alive...), "3/3")
			f.shows(t, ids...)
			o.expect(0, append([]string{"views"}, alive...), "d1", "d2", "d3")
		})
	}
}

// TestForgetNamesLaggards: a member is read, then stops answering before the change is made. The others agree, the program
// says who does not and ends with 8; once the member runs again, repeating the command is all it takes.
func TestForgetNamesLaggards(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("needs script(1) for a terminal to ask on")
	}
	f := startFleet(t, request{}, "d1", "d2", "d3")
	for i, id := range []string{"alive-0", "alive-1", "alive-2"} {
		f.tell(t, gossip.Dialer{}, id, 0, uint32(i+1)<<28)
	}
	f.tell(t, gossip.Dialer{}, "dead", time.Hour, 1<<31)
	f.shows(t, "alive-0", "alive-1", "alive-2", "dead")
	o := newOperator(t, append(f.seeds(), "--heartbeat-timeout", "10m", "--timeout", "3s")...)

	inner := o.command("forget", "ingester", "dead", "--wait", "10s")
	cmd := exec.Command(script, "-qec", strings.Join(inner.Args, " "), "/dev/null")
	cmd.Env = inner.Env
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said transcript
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it asks", func() bool { return strings.Contains(said.String(), "[y/N]") })
	f.procs[2].signal(t, syscall.SIGSTOP)
	if _, err := in.Write([]byte("y\n")); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	f.procs[2].signal(t, syscall.SIGCONT)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 8 {
		t.Errorf("%v, want exit code 8", err)
	}
	for _, want := range []string{"2 of 3 members agree", "not yet: d3"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, said.String())
		}
	}
	o.expect(0, []string{"forget", "ingester", "dead", "--yes"})
	f.shows(t, "alive-0", "alive-1", "alive-2")
}

// transcript is a buffer that is read while it is written.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestGuardSeesResurrection stops one dskit node for longer than its colleagues keep tombstones, forgets an instance
// meanwhile, and lets the node go on: it brings the instance back. The guard sees that, names the node, and ends it.
func TestGuardSeesResurrection(t *testing.T) {
	const keep = 3 * time.Second
	f := startFleet(t, request{Label: "prod", KeepTombstones: keep}, "d1", "d2", "carrier")
	ids := []string{"alive-0", "alive-1", "alive-2"}
	beat := func() {
		for i, id := range ids {
			f.tell(t, gossip.Dialer{}, id, 0, uint32(i+1)<<28)
		}
	}
	beat()
	f.tell(t, gossip.Dialer{}, "dead", time.Hour, 1<<31)
	f.shows(t, append(ids, "dead")...)

	stopped := f.procs[2]
	stopped.signal(t, syscall.SIGSTOP)
	f.procs[2] = nil
	o := newOperator(t, append(f.seeds(), "--label", "prod", "--heartbeat-timeout", "10m", "--timeout", "3s")...)
	var said transcript
	cmd := o.command("forget", "ingester", "dead", "--yes", "--guard", "40s")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	eventually(t, "it watches", func() bool { return strings.Contains(said.String(), "watching for") })
	if !strings.Contains(said.String(), "carrier") {
		t.Errorf("the member that could not be asked is not named:\n%s", said.String())
	}
	forgotten := time.Now()
	eventually(t, "the tombstone is gone everywhere", func() bool {
		if time.Since(forgotten) < keep+time.Second {
			return false
		}
		beat() // merging something is what removes tombstones
		return !slices.ContainsFunc(f.addrs[:2], func(addr string) bool { return holds(t, addr, "dead") })
	})
	stopped.signal(t, syscall.SIGCONT)
	f.procs[2] = stopped
	eventually(t, "the guard sees it", func() bool { return strings.Contains(said.String(), "removed again") })
	if err := <-done; err != nil {
		t.Errorf("%v", err)
	}
	if !regexp.MustCompile(`dead came back on carrier, which had missed the removal \(ACTIVE, 1 token, heartbeat 1h\d*m? ago\)`).MatchString(said.String()) ||
		!strings.Contains(said.String(), "it is gone again in all views") {
		t.Errorf("it says\n%s", said.String())
	}
	f.shows(t, ids...)
}

// holds tells whether a member has an entry, alive or as a tombstone.
func holds(t *testing.T, addr, id string) bool {
	t.Helper()
	view, err := gossip.Dialer{Label: "prod"}.Pull(context.Background(), addr)
	if err != nil || len(view.Pairs) != 1 {
		t.Fatalf("%s: %+v, %v", addr, view, err)
	}
	d, err := ring.DecodeValue(view.Pairs[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	_, ok := d.Instances[id]
	return ok
}
