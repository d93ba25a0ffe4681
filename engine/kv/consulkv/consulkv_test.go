package consulkv_test

import (
	"log/slog"
	"os"
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
