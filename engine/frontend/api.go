package frontend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// Mux takes handlers for patterns as [http.ServeMux] does.
type Mux interface {
	Handle(pattern string, h http.Handler)
}

// Routes mounts the API on a mux.
func (f *Frontend) Routes(mux Mux) {
	mux.Handle("/api/echo", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "echo") //nolint:errcheck // the client is gone
	}))
	for path, h := range map[string]struct {
		op     string
		handle handler
	}{
		"/api/traces/{id}":         {"traces", f.traceV1},
		"/api/v2/traces/{id}":      {"traces", f.traceV2},
		"/api/search":              {"search", f.search},
		"/api/metrics/query_range": {"metrics", f.queryRange},
		"/api/metrics/query":       {"metrics", f.queryInstant},

		"/api/search/tags":             {"metadata", f.tagsV1},
		"/api/v2/search/tags":          {"metadata", f.tagsV2},
		"/api/search/tag/{rest...}":    {"metadata", f.valuesV1}, // {tag}/values
		"/api/v2/search/tag/{rest...}": {"metadata", f.valuesV2},
	} {
		mux.Handle(path, f.route(h.op, f.bounded(h.handle)))
	}
}

// handler writes an answer, or returns an error: one before it has written
// anything is told to the client, after that the connection breaks.
type handler func(w http.ResponseWriter, r *http.Request) error

// route bounds, counts and compresses the answers of a handler.
func (f *Frontend) route(op string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodPost && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD, POST")
			http.Error(w, "ask with GET", http.StatusMethodNotAllowed)
			return
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), f.cfg.Timeout)
		defer cancel()
		z := &zipped{ResponseWriter: w, accepted: takesGzip(r.Header.Get("Accept-Encoding"))}
		err := h(z, r.WithContext(ctx))
		z.stop()
		result := "completed"
		switch {
		case z.begun && err != nil:
			result = "canceled" // mostly because the client is gone
			cutShort(w)
		case err != nil:
			result = "failed"
			f.fail(w, err)
		}
		f.metrics.queries.WithLabelValues(op, result).Inc()
		f.metrics.duration.WithLabelValues(op).Observe(time.Since(began).Seconds())
	})
}

// cutShort makes the rest of an answer fail, so that the client does not take what
// it has for all of it.
func cutShort(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)) //nolint:errcheck // who has no deadlines has no connection
}

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/protobuf"
)

func wantsProtobuf(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), typeProtobuf)
}

// findTrace reads the parameters of a trace by id and finds it. The first
// result is never empty without an error.
func (f *Frontend) findTrace(r *http.Request) (*peer.Answer, readLimits, error) {
	tenants, err := f.tenants(r)
	if err != nil {
		return nil, readLimits{}, err
	}
	limits := f.limitsOf(tenants)
	id, err := trace.ParseID(r.PathValue("id"))
	if err != nil {
		return nil, limits, badRequest{err}
	}
	v := values{Values: r.URL.Query()}
	w := v.seconds()
	if v.err != nil {
		return nil, limits, v.err
	}
	a, err := f.askAll(r.Context(), tenants, peer.Question{Trace: &id}, w)
	if err != nil {
		return nil, limits, err
	}
	if len(a.Trace) == 0 && len(a.Missing) == 0 {
		return nil, limits, errNotFound
	}
	return a, limits, nil
}

// traceV1 serves /api/traces/{id}: the trace alone. What is missing stands in a
// header, and is an error when nothing was found.
func (f *Frontend) traceV1(w http.ResponseWriter, r *http.Request) error {
	a, limits, err := f.findTrace(r)
	if err != nil {
		return err
	}
	if len(a.Trace) == 0 {
		return unavailable(a.Missing)
	}
	if len(a.Missing) > 0 {
		f.metrics.partial.WithLabelValues("traces").Inc()
		w.Header().Set("Warning", "199 - "+strconv.QuoteToASCII(strings.Join(a.Missing, "; ")))
	}
	if limits.traceBytes > 0 && len(a.Trace) > limits.traceBytes {
		return errTraceTooLarge
	}
	if wantsProtobuf(r) {
		return write(w, typeProtobuf, a.Trace)
	}
	if err := roomForJSON(r.Context(), a.Trace); err != nil {
		return err
	}
	b, err := trace.AppendJSON(nil, a.Trace, trace.JSONOptions{Base64IDs: true, EnumNames: true, Batches: true})
	if err != nil {
		return err
	}
	return write(w, typeJSON, b)
}

// traceV2 serves /api/v2/traces/{id}: the trace, and whether it is all. Of one that
// is too large it gives the first spans.
func (f *Frontend) traceV2(w http.ResponseWriter, r *http.Request) error {
	a, limits, err := f.findTrace(r)
	if err != nil {
		return err
	}
	whole := len(a.Trace)
	var cut bool
	if a.Trace, cut, err = cutTrace(a.Trace, limits.traceBytes); err != nil {
		return err
	}
	if cut {
		a.Missing = append(a.Missing, fmt.Sprintf("spans of a trace of %d bytes that exceed %d bytes (global.max_bytes_per_trace)", whole, limits.traceBytes))
	}
	if len(a.Missing) > 0 {
		f.metrics.partial.WithLabelValues("traces").Inc()
	}
	if wantsProtobuf(r) {
		return write(w, typeProtobuf, traceResponse(a))
	}
	if err := roomForJSON(r.Context(), a.Trace); err != nil {
		return err
	}
	b, err := traceJSON(a)
	if err != nil {
		return err
	}
	return write(w, typeJSON, b)
}

// Bounds of the search parameters.
const (
	defaultSpansPerSet = 3
	maxSpansPerSet     = 100
)

// search serves /api/search.
func (f *Frontend) search(w http.ResponseWriter, r *http.Request) error {
	tenants, err := f.tenants(r)
	if err != nil {
		return err
	}
	limits := f.limitsOf(tenants)
	v := values{Values: r.URL.Query()}
	req := query.SearchRequest{
		Query:       v.searchQuery(),
		Limit:       v.count("limit", f.cfg.DefaultLimit, 1, f.cfg.MaxLimit),
		SpansPerSet: v.count("spss", defaultSpansPerSet, 1, maxSpansPerSet),
	}
	win := v.seconds()
	if v.err == nil {
		v.err = checkRange(win, limits.search)
	}
	if v.err != nil {
		return v.err
	}
	req.Start, req.End = win.start, win.end
	if _, err := query.Prepare(req); err != nil { // also when there is nobody to say so
		return peer.StatusOf(err)
	}
	a, err := f.askAll(r.Context(), tenants, peer.Question{Search: &req}, win)
	if err != nil {
		return err
	}
	missing := append(a.Missing, a.Search.Partial...)
	if len(missing) > 0 {
		f.metrics.partial.WithLabelValues("search").Inc()
	}
	out := &text{z: w.(*zipped), contentType: typeJSON, room: roomOf(r.Context()), padIDs: limits.padIDs}
	if err := searchJSON(out, a.Search, missing); err != nil {
		return peer.StatusOf(err)
	}
	return nil
}
