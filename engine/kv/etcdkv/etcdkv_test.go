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
	bin := os.Getenv("RINGCTL_TEST_ETCD_BIN")
	if bin == "" {
		t.Skip("set RINGCTL_TEST_ETCD_BIN=/path/to/etcd to restart a real etcd server")
	}
	addrs := kvtest.Addrs(t, 2)
	dir, client, peers := t.TempDir(), "http://"+addrs[0].HostPort, "http://"+addrs[1].HostPort
	kvtest.RunRestarted(t, true, func(t *testing.T) (string, func()) {
		cmd := exec.Command(bin, "--data-dir", dir, "--listen-client-urls", client, "--advertise-client-urls", client,
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
	}, open)
}
