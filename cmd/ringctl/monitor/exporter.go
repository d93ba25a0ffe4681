package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ringctl/ringctl/client"
)

// Looker asks all members; a client.Client does.
type Looker interface {
	Views(ctx context.Context) ([]*client.Snapshot, error)
}

// Exporter looks at a cluster every now and then and serves what it saw last. Its methods are safe for concurrent use.
type Exporter struct {
	looker Looker
	every  time.Duration
	say    func(error)
	// diagnose finds what is wrong; nil finds nothing.
	diagnose func([]*client.Snapshot, map[string]error) []Finding

	mu     sync.Mutex
	page   []byte
	at     time.Time
	failed int
}

// NewExporter returns an exporter that looks at this interval. A look that brings nothing is told to say. What diagnose
// finds in a look is exported, too; it may be nil.
func NewExporter(l Looker, every time.Duration, say func(error), diagnose func([]*client.Snapshot, map[string]error) []Finding) *Exporter {
	return &Exporter{looker: l, every: every, say: say, diagnose: diagnose}
}

// Handler serves /metrics, and /ready for as long as the last look is not older than three intervals.
func (e *Exporter) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", e.metrics)
	mux.HandleFunc("GET /ready", e.ready)
	return mux
}

// Serve looks and serves until ctx ends; it closes l, and returns when nothing runs any more.
func (e *Exporter) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: e.Handler(), ReadHeaderTimeout: 5 * time.Second}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { e.run(ctx) })
	wg.Go(func() {
		<-ctx.Done()
		limit, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer done()
		if server.Shutdown(limit) != nil {
			_ = server.Close() // it ends in any case
		}
	})
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (e *Exporter) run(ctx context.Context) {
	ticker := time.NewTicker(e.every)
	defer ticker.Stop()
	for {
		if err := e.Look(ctx); err != nil && ctx.Err() == nil {
			e.say(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Look asks all members once and keeps the result for the next scrape.
func (e *Exporter) Look(ctx context.Context) error {
	views, err := e.looker.Views(ctx)
	var missing map[string]error
	var some *client.Unreached
	if errors.As(err, &some) {
		missing = some.Members
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(views) == 0 {
		e.failed++
		return err
	}
	var page bytes.Buffer
	var found []Finding
	if e.diagnose != nil {
		found = e.diagnose(views, missing)
	}
	if err := WriteMetrics(&page, views, missing, found); err != nil {
		return err
	}
	e.page, e.at = page.Bytes(), time.Now()
	return nil
}

// fresh tells whether the last look is not older than three intervals. The caller holds the lock.
func (e *Exporter) fresh() bool { return e.page != nil && time.Since(e.at) <= 3*e.every }

// metrics never shows what may long be different: without a fresh view there is only that.
func (e *Exporter) metrics(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	up := 0
	if e.fresh() {
		up = 1
	}
	fmt.Fprintf(w, "# HELP ringctl_up Whether there is a view that is not older than three intervals.\n# TYPE ringctl_up gauge\nringctl_up %d\n", up)
	fmt.Fprintf(w, "# HELP ringctl_looks_failed_total Looks without any view.\n# TYPE ringctl_looks_failed_total counter\nringctl_looks_failed_total %d\n", e.failed)
	if e.page != nil {
		fmt.Fprintf(w, "# HELP ringctl_last_look_timestamp_seconds Time of the last look with a view.\n# TYPE ringctl_last_look_timestamp_seconds gauge\nringctl_last_look_timestamp_seconds %d\n", e.at.Unix())
	}
	if up == 1 {
		_, _ = w.Write(e.page)
	}
}

func (e *Exporter) ready(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.fresh() {
		http.Error(w, "no fresh view", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
