package consulkv_test

import (
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/consulkv"
	"github.com/ringctl/ringctl/engine/kv/kvtest"
)

func server(t *testing.T) string {
	t.Helper()
	addr := os.Getenv("RINGCTL_TEST_CONSUL")
	if addr == "" {
		t.Skip("set RINGCTL_TEST_CONSUL=host:port to run against a real Consul agent")
	}
	return addr
}

func open(t *testing.T, addr string) kv.Store {
	t.Helper()
	cfg := consulkv.DefaultConfig()
	cfg.Host, cfg.WatchRateLimit = addr, 0
	s, err := consulkv.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	addr := server(t)
	kvtest.Run(t, func(t *testing.T) kv.Store { return open(t, addr) })
}

func TestWatchSurvivesInterruptions(t *testing.T) {
	kvtest.RunInterrupted(t, server(t), open)
}

// TestWatchSurvivesRestart kills a development agent of its own, which forgets everything, and starts it again.
func TestWatchSurvivesRestart(t *testing.T) {
	bin := os.Getenv("RINGCTL_TEST_CONSUL_BIN")
	if bin == "" {
		t.Skip("set RINGCTL_TEST_CONSUL_BIN=/path/to/consul to restart a real Consul agent")
	}
	addrs := kvtest.Addrs(t, 3)
	addr, http, serf, rpc := addrs[0].HostPort, addrs[0].Port, addrs[1].Port, addrs[2].Port
	kvtest.RunRestarted(t, false, func(t *testing.T) (string, func()) {
		cmd := exec.Command(bin, "agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1", "-http-port", http,
			"-grpc-port", "-1", "-grpc-tls-port", "-1", "-dns-port", "-1", "-serf-wan-port", "-1", "-serf-lan-port", serf, "-server-port", rpc)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return addr, func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait() // killed, so it always reports an error
		}
	}, open)
}
