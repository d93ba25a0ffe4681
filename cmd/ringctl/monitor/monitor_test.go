package monitor_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
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
	e := monitor.NewExporter(l, time.Hour, func(err error) { t.Error(err) }, func([]*client.Snapshot, map[string]error) []monitor.Finding {
		return []monitor.Finding{{Rule: "unhealthy-member", Severity: client.Warning}, {Rule: "unhealthy-member", Severity: client.Warning}}
	})
	if err := e.Look(t.Context()); err == nil {
		t.Error("a look without a view is no error")
	}
	if code, _ := get(e, "/ready"); code != http.StatusServiceUnavailable {
		t.Errorf("ready without a view: %d", code)
	}
	if _, page := get(e, "/metrics"); !strings.Contains(page, "ringctl_up 0\n") {
		t.Errorf("without a view:\n%s", page)
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
		"ringctl_up 1\n", "ringctl_looks_failed_total 1\n", `ringctl_findings{rule="unhealthy-member",severity="warning"} 2` + "\n", "ringctl_views 1\n", "ringctl_views_missing 1\n",
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

// TestStaleIsNotShown: what was seen long ago is not exported as if it were so now.
func TestStaleIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := monitor.NewExporter(&looker{views: []*client.Snapshot{snapshot()}}, time.Minute, func(err error) { t.Error(err) }, nil)
		if err := e.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			code  int
			rings bool
		}{{3 * time.Minute, http.StatusOK, true}, {time.Second, http.StatusServiceUnavailable, false}} {
			<-time.After(c.after)
			code, _ := get(e, "/ready")
			_, page := get(e, "/metrics")
			if code != c.code || strings.Contains(page, "ringctl_ring_") != c.rings || strings.Contains(page, "ringctl_up 1\n") != c.rings {
				t.Errorf("after another %s: %d\n%s", c.after, code, page)
			}
		}
	})
}

// TestWorstViewCounts: members may disagree, and monitoring hears of the worst.
func TestWorstViewCounts(t *testing.T) {
	bad, good := snapshot(), snapshot()
	good.Rings[0].Write.Margin, good.Rings[0].HealthyCount = 2, 4
	for _, views := range [][]*client.Snapshot{{good, bad}, {bad, good}} {
		var page strings.Builder
		if err := monitor.WriteMetrics(&page, views, nil, nil); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`ringctl_ring_unhealthy_members{ring="ingester"} 1` + "\n", `ringctl_ring_quorum_margin{ring="ingester",operation="write"} 0` + "\n"} {
			if !strings.Contains(page.String(), want) {
				t.Errorf("%q is missing in\n%s", want, page.String())
			}
		}
	}
}
