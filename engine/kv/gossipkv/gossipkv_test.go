package gossipkv_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/gossipkv"
	"github.com/ringctl/ringctl/engine/kv/kvtest"
)

func TestStore(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Store { return gossipkv.New(member(t), gossipkv.RingCodec{}) })
}

func member(t *testing.T, join ...string) *gossip.Cluster {
	t.Helper()
	cfg := gossip.DefaultConfig()
	cfg.ClusterLabel, cfg.BindAddr, cfg.BindPort, cfg.JoinMembers = "kvtest", []string{"127.0.0.1"}, 0, join
	c, err := gossip.Open(cfg, gossipkv.Codecs(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-c.Joined()
	return c
}
