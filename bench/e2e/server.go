//go:build linux

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
	"strconv"
	"strings"
	"sync"
	"time"
)

// server is a tempod of our own.
type server struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	log    logBuffer
	addr   map[string]string // by the names of the ready line
	data   string            // folder of blocks
	client *http.Client
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// said is the end of its log.
func (s *server) said() string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	b := s.log.b.Bytes()
	return string(b[max(0, len(b)-4000):])
}

// settings make blocks settle soon; everything else is as it comes.
const settings = `
storage: {trace: {blocklist_poll: 2s}}
ingester: {max_block_duration: %s, max_block_spans: %d}
backend_worker: {compaction: {compaction_cycle: 2s, compaction_settle: %[1]s}}
`

// start runs tempod until stop, on free ports of this machine.
func start(ctx context.Context, c config) (*server, error) {
	s := &server{data: filepath.Join(c.dir, "data", "blocks"), client: &http.Client{Timeout: 2 * time.Minute}, addr: map[string]string{}}
	file := filepath.Join(c.dir, "tempod.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, settings, c.age, c.block), 0o600); err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, c.tempod, "--config.file", file, "--data.dir", filepath.Join(c.dir, "data"), "--stop-on-stdin-eof",
		"--server.http-listen-port", "0", "--server.grpc-listen-port", "0", "--otlp.grpc-endpoint", "127.0.0.1:0", "--otlp.http-endpoint", "127.0.0.1:0",
		"--memberlist.bind-port", "0")
	s.cmd.Env = append(os.Environ(), c.env...)
	s.cmd.Stderr = &s.log
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make build makes it): %w", c.tempod, err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "tempod ready") {
		return nil, errors.Join(fmt.Errorf("%s did not start: %q, %s", c.tempod, line, s.said()), err, s.stop())
	}
	for _, field := range strings.Fields(line) {
		if name, value, ok := strings.Cut(field, "="); ok {
			s.addr[name] = value
		}
	}
	if err := s.await(ctx, "ready", func() (bool, error) {
		status, _, err := s.get(ctx, "/ready", "")
		return status == http.StatusOK, err
	}); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// stop ends tempod and waits for it.
func (s *server) stop() error {
	return errors.Join(s.stdin.Close(), s.cmd.Wait())
}

// patience is how long anything may take.
const patience = 10 * time.Minute

// await asks until the answer is yes.
func (s *server) await(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// get asks the HTTP API.
func (s *server) get(ctx context.Context, path, accept string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr["http"]+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	res, err := s.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, errors.Join(err, res.Body.Close())
}

// cpu is what the server has used, in ticks of 10 ms.
func (s *server) cpu() (time.Duration, error) { return cpuOf(strconv.Itoa(s.cmd.Process.Pid)) }

func (s *server) cpuSince(before time.Duration) (time.Duration, error) {
	now, err := s.cpu()
	return now - before, err
}

// cpuOf reads user and system time from /proc.
func cpuOf(process string) (time.Duration, error) {
	raw, err := os.ReadFile("/proc/" + process + "/stat")
	if err != nil {
		return 0, fmt.Errorf("CPU time is read from /proc: %w", err)
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// fine is the CPU time of all threads in ns; those that have ended are missing.
func (s *server) fine() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return s.cpu()
	}
	var sum time.Duration
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(raw), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// peak is the largest resident size so far.
func (s *server) peak() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("/proc has no peak memory")
}
