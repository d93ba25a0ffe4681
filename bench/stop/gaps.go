//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket/local"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
)

// gaps is a context that measures the processor time of this thread between two looks at it. What goes on between them
// goes on when the client has left.
type gaps struct {
	context.Context
	last, worst time.Duration
	looks       int
}

// Err implements context.Context.
func (g *gaps) Err() error {
	if now := thread(); g.looks > 0 {
		g.worst = max(g.worst, now-g.last)
	}
	g.looks++
	g.last = thread()
	return nil
}

func thread() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// inside asks the questions of the blocks of a tenant's folder in this process, on one thread, and prints the longest
// time that each works without a look at its context.
func inside(ctx context.Context, dir string) error {
	runtime.LockOSThread()
	src, err := open(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Print("| question | whole, ms | looks | longest between two, ms |\n|---|---|---|---|\n")
	for _, q := range questions(time.Now()) {
		g := &gaps{Context: ctx}
		ctx := query.WithBudget(g, (*query.Budget)(nil).Query(256<<20, "querier.max_bytes_per_query"))
		began := time.Now()
		if err := errors.Join(answer(ctx, src, q), ctx.Err()); err != nil { //nolint:contextcheck // it is the same, measured
			return fmt.Errorf("%s: %w", q.name, err)
		}
		fmt.Printf("| %s | %.0f | %d | %.1f |\n", q.name, time.Since(began).Seconds()*1000, g.looks, float64(g.worst)/1e6)
	}
	return nil
}

func open(ctx context.Context, dir string) ([]columnar.Source, error) {
	root, tenantID := filepath.Split(filepath.Clean(dir))
	b, err := local.Open(root)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	cache := block.NewCache(64 << 20)
	var src []columnar.Source
	for _, e := range entries {
		x, err := block.Open(ctx, b, tenantID, e.Name(), block.OpenOptions{Cache: cache})
		if err != nil {
			return nil, err
		}
		src = append(src, x)
	}
	return src, nil
}

// answer does what a node does for a question. That it is over a bound is an answer, too.
func answer(ctx context.Context, src []columnar.Source, q question) error {
	u, err := url.Parse(q.path)
	if err != nil {
		return err
	}
	text := u.Query().Get("q")
	var last int64
	for _, s := range src {
		for _, seg := range s.Segments() {
			last = max(last, seg.Info().End)
		}
	}
	switch tag, isTag := strings.CutPrefix(u.Path, "/api/v2/search/tag/"); {
	case isTag:
		_, err = query.TagValues(ctx, src, query.TagValuesRequest{Tag: strings.TrimSuffix(tag, "/values"), Query: text, MaxBytes: 1_000_000})
	case u.Path == "/api/v2/search/tags":
		_, err = query.Tags(ctx, src, query.TagsRequest{Query: text, MaxBytes: 1_000_000})
	case u.Path == "/api/search":
		_, err = query.Search(ctx, src, query.SearchRequest{Query: text, Limit: 100_000, SpansPerSet: 100})
	default:
		req := query.MetricsRequest{Query: text, Start: last - 3600e9, End: last, Step: 1e9}
		var p *query.MetricsPlan
		var r *query.MetricsResult
		if p, err = query.PrepareMetrics(req); err == nil {
			r, err = query.Metrics(ctx, src, req)
		}
		if err == nil {
			_, err = p.AnswerUntil(ctx, r)
		}
	}
	var limit *query.LimitError
	if errors.As(err, &limit) {
		return nil
	}
	return err
}
