package engine

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// opened is a whole process in a folder of the test that is never run.
func opened(t *testing.T) *Engine {
	t.Helper()
	c := Default(TargetAll, t.TempDir())
	c.Instance.ID = "node-1"
	c.Server.HTTPPort, c.Server.GRPCPort, c.Memberlist.BindPort = 0, 0, 0
	c.Distributor.Receivers.OTLP.Protocols.GRPC.Endpoint, c.Distributor.Receivers.OTLP.Protocols.HTTP.Endpoint = "127.0.0.1:0", "127.0.0.1:0"
	e, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, end := context.WithCancel(context.Background())
		end()
		if err := e.Run(ended); err != nil { // starts and stops every part, so that nothing is left
			t.Error(err)
		}
	})
	return e
}

func (m *router) read(t *testing.T, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	if w.Code != http.StatusOK {
		t.Errorf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// TestStatusPages lists what runs and what is served, and whatever is listed is served.
func TestStatusPages(t *testing.T) {
	e := opened(t)
	endpoints := e.mux.read(t, "/status/endpoints")
	for _, want := range []string{"     /", "     /api/search", "     /api/ring/v1/", "     /ingester/ring", "GET  /ready", "GET  /status", "GET  /status/services"} {
		if !strings.Contains("\n"+endpoints, "\n"+want+"\n") {
			t.Errorf("%q is not listed in\n%s", want, endpoints)
		}
	}
	for line := range strings.Lines(endpoints) {
		path := strings.TrimSpace(line[5:])
		if _, pattern := e.mux.Handler(httptest.NewRequest(http.MethodGet, path, http.NoBody)); pattern == "" {
			t.Errorf("%s is listed and not served", path)
		}
	}
	services := e.mux.read(t, "/status/services")
	for _, p := range e.parts {
		if !strings.Contains("\n"+services, "\n"+p.name+"  ") {
			t.Errorf("%s is not listed in\n%s", p.name, services)
		}
	}
	if !strings.Contains(services, "Running\n") || !strings.Contains(services, "not ready:\n  ") {
		t.Errorf("services:\n%s", services)
	}
	whole := e.mux.read(t, "/status")
	for _, section := range []string{"version", "services", "endpoints", "config"} {
		if !strings.Contains(whole, "--- "+section+"\n"+e.mux.read(t, "/status/"+section)) {
			t.Errorf("/status lacks %s", section)
		}
	}
	for _, l := range e.home().Links {
		if _, pattern := e.mux.Handler(httptest.NewRequest(http.MethodGet, l.Path, http.NoBody)); pattern == "" {
			t.Errorf("the first page links %s, which is not served", l.Path)
		}
	}
	e.ready.drain()
	if services := e.mux.read(t, "/status/services"); !strings.Contains(services, "http server  ") || strings.Contains(services, "Running") || !strings.Contains(services, "Stopping\n") {
		t.Errorf("services:\n%s", services)
	}
}

func TestReadinessNamesEachCheck(t *testing.T) {
	var r readiness
	r.add("gossip", func() error { return nil })
	r.add("ring a", func() error { return errors.New("JOINING") })
	r.add("ring b", func() error { return errors.New("PENDING") })
	if err := r.err(); err == nil || err.Error() != "ring a: JOINING\nring b: PENDING" {
		t.Errorf("err = %v", err)
	}
}
