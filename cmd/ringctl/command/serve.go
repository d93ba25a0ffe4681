package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
)

func (a *app) serveCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "serve",
		Short: "A Prometheus exporter for all rings",
		Long: `Look at all members every --interval and serve the result at /metrics: health, quorum margins, ranges without quorum, duplicate
tokens, tombstones, partitions without owners, and how far members disagree. /ready answers 200 once there is a view that is
not older than three intervals.`,
		Example: "  ringctl serve --listen 127.0.0.1:9946 --interval 30s",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			every := max(or(a.flags.interval, 30*time.Second), time.Second)
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("serve: %w", err)
			}
			a.say("serving http://%s/metrics, looking every %s", l.Addr(), document.Short(every))
			return a.serve(c.Context(), cl, l, every)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9946", "`address` to listen on")
	c.Flags().DurationVar(&a.flags.interval, "interval", 0, "how often to look (default 30s)")
	return c
}

// exporter holds the last look.
type exporter struct {
	every time.Duration

	mu     sync.Mutex
	page   []byte
	at     time.Time
	failed int
}

func (a *app) serve(ctx context.Context, cl *client.Client, l net.Listener, every time.Duration) error {
	e := &exporter{every: every}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", e.metrics)
	mux.HandleFunc("GET /ready", e.ready)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { e.look(ctx, a, cl) })
	wg.Go(func() {
		<-ctx.Done()
		limit, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer done()
		_ = server.Shutdown(limit)
	})
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (e *exporter) look(ctx context.Context, a *app, cl *client.Client) {
	ticker := time.NewTicker(e.every)
	defer ticker.Stop()
	for {
		views, err := cl.Views(ctx)
		var missing map[string]error
		var some *client.Unreached
		if errors.As(err, &some) {
			missing = some.Members
		}
		e.take(views, missing, err, a)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (e *exporter) take(views []*client.Snapshot, missing map[string]error, err error, a *app) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(views) == 0 {
		e.failed++
		a.say("no view: %v", err)
		return
	}
	var page bytes.Buffer
	if err := writeMetrics(&page, views, missing); err != nil {
		a.say("metrics: %v", err)
		return
	}
	e.page, e.at = page.Bytes(), time.Now()
}

func (e *exporter) metrics(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprintf(w, "# HELP ringctl_looks_failed_total Looks without any view.\n# TYPE ringctl_looks_failed_total counter\nringctl_looks_failed_total %d\n", e.failed)
	if e.page != nil {
		fmt.Fprintf(w, "# HELP ringctl_last_look_timestamp_seconds Time of the last look with a view.\n# TYPE ringctl_last_look_timestamp_seconds gauge\nringctl_last_look_timestamp_seconds %d\n", e.at.Unix())
		_, _ = w.Write(e.page)
	}
}

func (e *exporter) ready(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.page == nil || time.Since(e.at) > 3*e.every {
		http.Error(w, "no fresh view", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
