package etcdkv_test

import (
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/etcdkv"
	"github.com/ringctl/ringctl/engine/kv/kvtest"
)

func server(t *testing.T) string {
	t.Helper()
	addr := os.Getenv("RINGCTL_TEST_ETCD")
	if addr == "" {
		t.Skip("set RINGCTL_TEST_ETCD=host:port to run against a real etcd server")
	}
	return addr
}

func open(t *testing.T, addr string) kv.Store {
	t.Helper()
	cfg := etcdkv.DefaultConfig()
	cfg.Endpoints = []string{addr}
	s, err := etcdkv.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	addr := server(t)
	kvtest.Run(t, func(t *testing.T) kv.Store { return open(t, addr) })
}

func TestWatchSurvivesInterruptions(t *testing.T) {
	kvtest.RunInterrupted(t, server(t), open)
}

// TestWatchSurvivesRestart kills a server of its own and starts it again on the same data.
func TestWatchSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	kvtest.RunRestarted(t, true, starter(t, func() string { return dir }), open)
}

// TestWatchSurvivesLoss starts the server again without its data: it counts revisions from the beginning, first to the
// very one that the watch has seen, and then far below it.
func TestWatchSurvivesLoss(t *testing.T) {
	kvtest.RunRestarted(t, false, starter(t, t.TempDir), open)
	kvtest.RunRestartedBehind(t, starter(t, t.TempDir), open)
}

// starter runs a server, each time at the same address, on the folder that dir returns.
func starter(t *testing.T, dir func() string) func(t *testing.T) (addr string, kill func()) {
	bin := os.Getenv("RINGCTL_TEST_ETCD_BIN")
	if bin == "" {
		t.Skip("set RINGCTL_TEST_ETCD_BIN=/path/to/etcd to restart a real etcd server")
	}
	addrs := kvtest.Addrs(t, 2)
	client, peers := "http://"+addrs[0].HostPort, "http://"+addrs[1].HostPort
	return func(t *testing.T) (string, func()) {
		cmd := exec.Command(bin, "--data-dir", dir(), "--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return client, func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait() // killed, so it always reports an error
		}
	}
}
