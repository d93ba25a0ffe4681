package engine

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
)

// router is a mux that can tell what it serves. Everything is added before it serves.
type router struct {
	*http.ServeMux
	patterns []string
}

func newRouter() *router { return &router{ServeMux: http.NewServeMux()} }

// Handle adds a handler as [http.ServeMux.Handle] does.
func (m *router) Handle(pattern string, h http.Handler) {
	m.ServeMux.Handle(pattern, h)
	m.patterns = append(m.patterns, pattern)
}

// HandleFunc adds a function as [http.ServeMux.HandleFunc] does.
func (m *router) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(h))
}

// statusRoutes adds the pages of text that tell of the process, under Tempo's paths.
func (e *Engine) statusRoutes() {
	sections := []struct {
		name  string
		write func(io.Writer)
	}{
		{"version", func(w io.Writer) { fmt.Fprintln(w, versionLine()) }},
		{"services", e.writeServices},
		{"endpoints", e.mux.writeEndpoints},
		{"config", func(w io.Writer) { io.WriteString(w, e.cfg.String()) }}, //nolint:errcheck // the client is gone
	}
	text := func(w http.ResponseWriter) io.Writer {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		return w
	}
	for _, s := range sections {
		e.mux.HandleFunc("GET /status/"+s.name, func(w http.ResponseWriter, _ *http.Request) { s.write(text(w)) })
	}
	e.mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		for _, s := range sections {
			fmt.Fprintf(text(w), "--- %s\n", s.name)
			s.write(w)
			fmt.Fprintln(w)
		}
	})
}

// writeServices lists the parts of the process in the order in which they were
// started. All of them run as long as anybody can ask: a part that ends, ends the
// process, and the server is among the first that stop.
func (e *Engine) writeServices(w io.Writer) {
	state := "Running"
	if e.ready.stopping() {
		state = "Stopping"
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range e.parts {
		fmt.Fprintf(t, "%s\t%s\n", p.name, state)
	}
	t.Flush() //nolint:errcheck // the client is gone
	if err := e.ready.err(); err != nil {
		fmt.Fprintf(w, "\nnot ready:\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
}

// writeEndpoints lists the paths that are served, each behind its method where it
// takes only one.
func (m *router) writeEndpoints(w io.Writer) {
	type endpoint struct{ path, method string }
	var all []endpoint
	for _, p := range m.patterns {
		method, path, ok := strings.Cut(p, " ")
		if !ok {
			method, path = "", p
		}
		all = append(all, endpoint{strings.TrimSuffix(path, "{$}"), method})
	}
	slices.SortFunc(all, func(a, b endpoint) int { return strings.Compare(a.path, b.path) })
	for _, e := range all {
		fmt.Fprintf(w, "%-4s %s\n", e.method, e.path)
	}
}
