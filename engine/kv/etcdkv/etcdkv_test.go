package etcdkv_test

import (
	"log/slog"
	"os"
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
