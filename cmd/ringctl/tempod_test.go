package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// builtIn is the folder of the real programs; "" until a test needed them.
var builtIn string

// built builds the real ringctl and tempod once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ringctl-built-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), ".", "../tempod").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// program is the path of one of them.
func program(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds programs and starts processes; not with -short")
	}
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// lab is a cluster of real tempod processes in zones a, b and c.
type lab struct {
	t       *testing.T // the test that runs now
	whole   *testing.T // the one that the cluster lives for
	dir     string
	servers []*server
	where   []string // flags of ringctl that say where it is
	home    string
}

// server is one tempod process.
type server struct {
	name, zone string
	args       []string
	cmd        *exec.Cmd
	stdin      io.Closer
	ended      chan struct{}
	addrs      map[string]string
}

const labConfig = `server: {http_listen_address: 127.0.0.1, http_listen_port: 0, grpc_listen_address: 127.0.0.1, grpc_listen_port: 0}
memberlist: {node_name: "${LAB_NODE}", cluster_label: lab, bind_addr: [127.0.0.1], bind_port: 0, rejoin_interval: 1s}
distributor:
  write_path: partitions
  ring: %[1]s
  receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}}
ingester: {lifecycler: {num_tokens: 64, ring: {heartbeat_period: 1s, heartbeat_timeout: 16s, replication_factor: 3, zone_awareness_enabled: true}}}
live_store:
  ring: %[1]s
  partition_ring: {min_partition_owners_duration: 1s}
  max_block_duration: 2s
  trace_idle_period: 500ms
storage: {trace: {backend: local, local: {path: %[2]q}, blocklist_poll: 1s}}
`

// labRing is the settings of rings: a test sees that a member is gone, and a machine that is busy elsewhere for ten
// seconds looks like no death.
const labRing = "{heartbeat_period: 1s, heartbeat_timeout: 16s, auto_forget_unhealthy_periods: 0}"

func startLab(t *testing.T) *lab {
	l := &lab{t: t, whole: t, dir: t.TempDir(), home: t.TempDir()}
	config := fmt.Sprintf(labConfig, labRing, filepath.Join(l.dir, "blocks"))
	if err := os.WriteFile(filepath.Join(l.dir, "tempod.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, zone := range []string{"a", "b", "c"} {
		l.add("ingester", "ingester-"+zone, zone)
		l.add("live-store", "live-store-"+zone+"-0", zone)
		l.add("live-store", "live-store-"+zone+"-1", zone)
	}
	l.add("distributor", "distributor", "a")
	l.where = []string{"--seeds", l.server("distributor").addrs["gossip"] + "," + l.server("ingester-a").addrs["gossip"], "--label", "lab", "--heartbeat-timeout", "16s", "--rf", "3"}
	l.ringctl(0, "wait", "--for=members=3", "--ring=ingester", "--max=2m", "--interval=500ms")
	l.ringctl(0, "wait", "--for=members=6", "--ring=live-store", "--max=2m", "--interval=500ms")
	l.ringctl(0, "wait", "--for=partition/0=ACTIVE", "--for=partition/1=ACTIVE", "--max=2m", "--interval=500ms")
	l.ringctl(0, "wait", "--for=healthy", "--for=converged", "--stable-for=1s", "--max=2m", "--interval=500ms")
	return l
}

func (l *lab) add(target, name, zone string) {
	l.t.Helper()
	s := &server{name: name, zone: zone, args: []string{"--stop-on-stdin-eof", "--config.expand-env", "--config.file", filepath.Join(l.dir, "tempod.yaml"), "--target", target, "--instance.id", name,
		"--instance.zone", zone, "--data.dir", filepath.Join(l.dir, name), "--storage.local-path", filepath.Join(l.dir, "blocks")}}
	l.start(s)
	l.servers = append(l.servers, s)
}

// start runs a process, which joins all that run, and waits for its ready line.
func (l *lab) start(s *server) {
	l.t.Helper()
	args := slices.Clone(s.args)
	for _, o := range l.servers {
		if o != s {
			args = append(args, "--memberlist.join", o.addrs["gossip"])
		}
	}
	log, err := os.OpenFile(filepath.Join(l.dir, s.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(program(l.t, "tempod"), args...)
	s.cmd.Stderr = log
	s.cmd.Env = append(os.Environ(), "LAB_NODE="+s.name)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	l.whole.Cleanup(s.kill)
	ready := make(chan string, 1)
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if line, ok := strings.CutPrefix(lines.Text(), "tempod ready "); ok {
				ready <- line
			}
		}
		_ = s.cmd.Wait() // how it ended is in its log
	}()
	select {
	case line := <-ready:
		s.addrs = map[string]string{}
		for f := range strings.FieldsSeq(line) {
			k, v, _ := strings.Cut(f, "=")
			s.addrs[k] = v
		}
	case <-s.ended:
		b, _ := os.ReadFile(log.Name())
		l.t.Fatalf("%s ended while starting:\n%s", s.name, b)
	case <-time.After(2 * time.Minute):
		l.t.Fatalf("%s does not become ready", s.name)
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.ended
}

// stop asks the process to stop and waits until it is gone.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.stdin.Close()
	select {
	case <-s.ended:
	case <-time.After(2 * time.Minute):
		t.Errorf("%s does not stop", s.name)
		s.kill()
	}
}

func (l *lab) server(name string) *server {
	for _, s := range l.servers {
		if s.name == name {
			return s
		}
	}
	l.t.Fatalf("no server %s", name)
	return nil
}

func (l *lab) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program(l.t, "ringctl"), append(slices.Clone(l.where), args...)...)
	cmd.Env = []string{"HOME=" + l.home, "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color"}
	return cmd
}

// ringctl runs the program, expects an exit code, and returns what it printed: data, and words.
func (l *lab) ringctl(code int, args ...string) (out, words string) {
	l.t.Helper()
	var o, e bytes.Buffer
	cmd := l.command(args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	got := exitCode(l.t, cmd.Run())
	if got != code {
		l.t.Fatalf("ringctl %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &o, &e)
	}
	return o.String(), e.String()
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

// eventually asks again until what it gets is as wanted.
func eventually(t *testing.T, what string, get func() string, wanted func(string) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		got := get()
		if wanted(got) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s; it is %q", what, got)
		}
	}
}

func is(want string) func(string) bool { return func(got string) bool { return got == want } }
func has(want string) func(string) bool {
	return func(got string) bool { return strings.Contains(got, want) }
}

// otlp is one span as OTLP/JSON.
const otlp = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"lab"}}]},"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":"op","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`

// write sends traces until each partition has some.
func (l *lab) write(n int) {
	l.t.Helper()
	url := "http://" + l.server("distributor").addrs["otlp-http"] + "/v1/traces"
	for i := 1; i <= n; i++ {
		now := time.Now().UnixNano()
		body := fmt.Sprintf(otlp, i*7919, i, now-1e6, now)
		resp, err := http.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			l.t.Fatal(err)
		}
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			l.t.Fatalf("write: %s: %s", resp.Status, said)
		}
	}
}

// TestLab operates a real cluster: nothing is wrong with it, a zone restarts and is told as that, a partition is drained.
func TestLab(t *testing.T) {
	l := startLab(t)
	t.Run("healthy", l.healthy)
	t.Run("restart of a zone", l.restartZone)
	t.Run("drain", l.drain)
}

func (l *lab) healthy(t *testing.T) {
	l.t = t
	if _, words := l.ringctl(0, "doctor", "--fail-on=warning"); !strings.Contains(words, "nothing found in 10 views") {
		t.Errorf("doctor says %s", words)
	}
	members, _ := l.ringctl(0, "views", "-o", "name")
	names := strings.Fields(members)
	if len(names) != 10 {
		t.Fatalf("views of %v", names)
	}
	l.ringctl(0, "diff", names[0], names[9])
	l.ringctl(0, "check")
	l.ringctl(0, "check", "--format", "nagios")
	l.ringctl(0, "can-stop", "--ring", "ingester", "--zone", "b")
	l.ringctl(1, "can-stop", "--ring", "ingester", "--zone", "a,b")
	if _, words := l.ringctl(5, "forget", "ingester", "ingester-a", "--yes"); !strings.Contains(words, "it is alive") {
		t.Errorf("forget says %s", words)
	}
}

func (l *lab) restartZone(t *testing.T) {
	l.t = t
	var zone []*server
	for _, s := range l.servers {
		if s.zone == "b" {
			zone = append(zone, s)
			s.kill()
		}
	}
	l.ringctl(7, "wait", "--for=healthy", "--max=2s", "--interval=500ms")
	eventually(t, "the zone is seen to be away", func() string {
		rules, _ := l.ringctl(0, "doctor", "-o", "jsonpath={range .items[*]}{.rule} {.subject}{\"\\n\"}{end}")
		return rules
	}, is("zone-restart zone b\n"))
	if out, _ := l.ringctl(1, "can-stop", "--ring", "ingester", "--zone", "a"); !strings.Contains(out, "no") {
		t.Errorf("can-stop says %s", out)
	}
	for _, s := range zone {
		l.start(s)
	}
	l.ringctl(0, "wait", "--for=healthy", "--for=converged", "--stable-for=1s", "--max=2m", "--interval=500ms")
	l.ringctl(0, "doctor", "--fail-on=warning")
}

// drain scales partition 1 down. Each call may be the last one, and each does what is due.
func (l *lab) drain(t *testing.T) {
	l.t = t
	owners := []*server{l.server("live-store-a-1"), l.server("live-store-b-1"), l.server("live-store-c-1")}
	var ask []string
	for _, s := range owners {
		ask = append(ask, "http://"+s.addrs["http"])
	}
	l.write(40)
	drain := func(code int, more ...string) (next, words string) {
		t.Helper()
		args := append([]string{"partition", "drain", "1", "--window", "3s", "--ask", strings.Join(ask, ","), "-o", "jsonpath={.data.state}: {.data.next}"}, more...)
		return l.ringctl(code, args...)
	}
	if next, _ := drain(1, "--dry-run"); next != "ACTIVE: deactivate it: ringctl partition drain 1 --window 3s --yes\n" {
		t.Errorf("dry run: %q", next)
	}
	drain(6)
	if _, words := l.ringctl(1, "partition", "drain", "1", "--dry-run", "--ask", "http://"+l.server("live-store-a-0").addrs["http"]); strings.Contains(words, "INACTIVE since") == false {
		t.Errorf("the dry run shows no plan: %s", words)
	}

	// The first step, and then it is interrupted.
	cmd := l.command("partition", "drain", "1", "--window", "3s", "--ask", strings.Join(ask, ","), "--yes", "--follow", "5m")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.ringctl(0, "wait", "--for=partition/1=INACTIVE", "--max=2m", "--interval=200ms")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, cmd.Wait()); code != 130 {
		t.Errorf("interrupted: exit code %d", code)
	}

	// It goes on where it was, without a question: what changes something is done.
	eventually(t, "the window is over and blocks hold its data", func() string { next, _ := drain(1); return next },
		is("INACTIVE: stop its owners for good, so that they leave: live-store-a-1, live-store-b-1, live-store-c-1\n"))
	next, _ := l.ringctl(1, "partition", "drain", "1", "--window", "1ms", "--ask", "http://"+l.server("live-store-a-0").addrs["http"], "-o", "jsonpath={.data.blocking[0]}")
	if !strings.Contains(next, "cannot tell: it does not own partition 1") {
		t.Errorf("asking the wrong one: %s", next)
	}
	for _, s := range owners {
		s.stop(t)
	}
	ask = ask[:0]
	eventually(t, "the owners' instances are gone", func() string {
		next, _ = l.ringctl(1, "partition", "drain", "1", "--window", "3s", "-o", "jsonpath={.data.next}")
		return next
	}, has("ringctl partition owner remove live-store-"))
	for _, s := range owners {
		l.ringctl(0, "partition", "owner", "remove", s.name, "--yes")
	}
	l.ringctl(0, "wait", "--for=converged", "--max=2m", "--interval=500ms")
	if next, _ := l.ringctl(0, "partition", "drain", "1", "--window", "3s", "-o", "jsonpath={.data.next}"); next != "remove it: ringctl partition drain 1 --window 3s --remove --confirm=1\n" {
		t.Errorf("safe: %q", next)
	}
	l.ringctl(6, "partition", "drain", "1", "--window", "3s", "--remove")
	l.ringctl(0, "partition", "drain", "1", "--window", "3s", "--remove", "--confirm=1")
	if next, _ := l.ringctl(0, "partition", "drain", "1", "--window", "3s", "--remove", "-o", "jsonpath={.data.state}"); next != "gone\n" {
		t.Errorf("done: %q", next)
	}
	l.ringctl(0, "wait", "--for=partition/1=gone", "--for=healthy", "--for=converged", "--max=2m", "--interval=500ms")
}
