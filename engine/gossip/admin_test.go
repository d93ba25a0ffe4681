package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAdminAndMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	cfg := loopback("a")
	cfg.MessageHistoryBufferBytes = 1 << 20
	c, err := open(cfg, []Codec{toyCodec{"toy"}}, quiet(), reg, tcp{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a := &running{Cluster: c, cancel: cancel, done: make(chan error, 1)}
	go func() { a.done <- c.Run(ctx) }()
	<-c.Joined()
	a.set(t, "i1", "up")
	a.set(t, "i2", "up")
	a.forget(t, "i2")
	if err := c.Merge(Pair{Key: toyKey, Codec: "toy", Value: toy{"i3": {At: time.Now().Unix(), Text: "heard"}}.Encode()}); err != nil {
		t.Fatal(err)
	}
	admin := c.Admin()
	if admin.Self != "a" || len(admin.Members) != 1 || len(admin.Keys) != 1 || !admin.History || len(admin.Sent) != 3 || len(admin.Received) != 1 {
		t.Errorf("admin: %+v", admin)
	}
	if k := admin.Keys[0]; k.Key != toyKey || k.Codec != "toy" || k.Version != 4 || k.Entries != 3 || k.Tombstones != 1 || k.Size == 0 {
		t.Errorf("key: %+v", k)
	}
	if p, ok := c.Raw(toyKey); !ok || !strings.Contains(string(p.Value), "i2") {
		t.Errorf("raw: %+v, %v; want it with the tombstone", p, ok)
	}
	c.ClearHistory()
	if admin := c.Admin(); len(admin.Sent)+len(admin.Received) != 0 {
		t.Error("history is not empty after clearing")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, f := range families {
		have[f.GetName()] = true
	}
	for _, name := range strings.Fields(`cluster_members_count cluster_node_health_score kv_store_count kv_store_value_tombstones
		cas_attempt_total cas_success_total cas_failure_total received_broadcasts_total received_broadcasts_bytes_total
		received_broadcasts_invalid_total received_broadcasts_dropped_total state_pushes_total state_pulls_total
		state_pushes_bytes_total state_pulls_bytes_total messages_in_broadcast_queue messages_to_broadcast_dropped_total
		pending_key_notifications`) {
		if !have["tempo_memberlist_client_"+name] {
			t.Errorf("no metric %s", name)
		}
	}
	if _, err := open(cfg, nil, quiet(), reg, tcp{}); err == nil {
		t.Error("two members share one registry")
	}
	a.stop(t)
	again, err := open(cfg, nil, quiet(), reg, tcp{})
	if err != nil {
		t.Fatalf("opening again after closing: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// Watchers hear of every change, however many of them are told as one.
func TestWatch(t *testing.T) {
	cfg := loopback("a")
	cfg.NotifyInterval = 10 * time.Millisecond
	a := start(t, cfg, tcp{})
	last := make(chan string, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Watch(t.Context(), toyKey, func(v Value) bool {
			last <- v.(toy).String()
			return !strings.Contains(v.(toy).String(), "end")
		})
	}()
	for _, id := range []string{"a", "b", "c", "end"} {
		a.set(t, id, "1")
	}
	<-done
	var final string
	for len(last) > 0 {
		final = <-last
	}
	if strings.Count(final, "=1") != 4 {
		t.Errorf("the last value a watcher saw: %s", final)
	}
}

func TestLogLevels(t *testing.T) {
	var out bytes.Buffer
	w := logWriter{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for line, want := range map[string]string{
		"[WARN] memberlist: Refuting a suspect message":                "level=WARN msg=\"Refuting a suspect message\"",
		"[ERR] memberlist: Push/Pull with x failed":                    "level=WARN msg=\"Push/Pull with x failed\"",
		"[DEBUG] memberlist: Stream connection":                        "level=DEBUG msg=\"Stream connection\"",
		"[INFO] memberlist: Marking x as failed":                       "level=INFO",
		"[WARN] memberlist: Got ping for unexpected node 'a-1' from=b": "level=INFO msg=\"Got ping for unexpected node 'a-1' from=b\" component=memberlist means=\"somebody looks here for a member that was at this address before",
		"no level at all": "level=DEBUG msg=\"no level at all\"",
	} {
		out.Reset()
		if _, err := w.Write([]byte(line + "\n")); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%q was logged as %s (%v)", line, &out, err)
		}
	}
}
