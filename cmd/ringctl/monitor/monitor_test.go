package monitor_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/cmd/ringctl/monitor"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/ring"
)

// looker gives what it was told to.
type looker struct {
	views []*client.Snapshot
	err   error
}

func (l *looker) Views(context.Context) ([]*client.Snapshot, error) { return l.views, l.err }

func snapshot() *client.Snapshot {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	d := clienttest.Edit(clienttest.Ring("ingester", 4, 16, now), "ingester-3", clienttest.Aged(now, time.Hour))
	return client.Build(&gossip.View{From: "a", At: now, Pairs: []gossip.Pair{{Key: "collectors/ring", Codec: ring.Codec, Value: ring.EncodeValue(d)}}}, client.Options{})
}

func get(e *monitor.Exporter, path string) (int, string) {
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestExporter(t *testing.T) {
	l := &looker{err: errors.New("nobody there")}
	e := monitor.NewExporter(l, time.Hour, func(err error) { t.Error(err) })
	if err := e.Look(t.Context()); err == nil {
		t.Error("a look without a view is no error")
	}
	if code, _ := get(e, "/ready"); code != http.StatusServiceUnavailable {
		t.Errorf("ready without a view: %d", code)
	}
	l.views, l.err = []*client.Snapshot{snapshot()}, &client.Unreached{Members: map[string]error{"b": errors.New("refused")}}
	if err := e.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, _ := get(e, "/ready"); code != http.StatusOK {
		t.Errorf("not ready with a view: %d", code)
	}
	_, page := get(e, "/metrics")
	for _, want := range []string{
		"ringctl_looks_failed_total 1\n", "ringctl_views 1\n", "ringctl_views_missing 1\n",
		`ringctl_ring_unhealthy_members{ring="ingester"} 1` + "\n", `ringctl_ring_quorum_margin{ring="ingester",operation="write"} 0` + "\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "# TYPE ") {
			if seen[line] {
				t.Errorf("twice: %s", line)
			}
			seen[line] = true
		}
	}
}
