//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/ringctl/ringctl/bench/gen"
)

type config struct {
	tempod    string
	spans     int64
	seed      uint64
	transport string
	conns     int
	runs      int
	recent    bool // ask before blocks settle, too
	verify    int
	dir       string
	age       time.Duration // of a head before it is cut into a block
	block     int           // spans of a head before it is cut
	env       []string      // of tempod
}

func main() {
	c := config{}
	flag.StringVar(&c.tempod, "tempod", "bin/tempod", "the `PROGRAM` to measure")
	flag.Int64Var(&c.spans, "spans", 2_000_000, "spans to send")
	flag.Uint64Var(&c.seed, "seed", 1, "seed of the load")
	flag.StringVar(&c.transport, "transport", "grpc", "grpc or http")
	flag.IntVar(&c.conns, "conns", 4, "connections that send")
	flag.IntVar(&c.runs, "runs", 7, "runs of each query, of which the median counts")
	flag.BoolVar(&c.recent, "recent", false, "ask before the blocks are settled too; the peak of memory then contains these questions")
	flag.IntVar(&c.verify, "verify", 300, "traces to look up")
	flag.StringVar(&c.dir, "dir", "", "keep load and data in `DIR`")
	flag.DurationVar(&c.age, "age", 20*time.Second, "max_block_duration of the keepers")
	flag.IntVar(&c.block, "block", 1<<17, "max_block_spans of the keepers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, c, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

// run does everything and prints the table to out.
func run(ctx context.Context, c config, out, progress io.Writer) (err error) {
	if c.dir == "" {
		dir, err := os.MkdirTemp("", "ringctl-e2e-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary folder harms nobody
		c.dir = dir
	}
	if c.transport != "grpc" && c.transport != "http" {
		return fmt.Errorf("transport %q; grpc or http", c.transport)
	}
	fmt.Fprintf(progress, "making %d spans, seed %d\n", c.spans, c.seed)
	load := filepath.Join(c.dir, "load")
	truth, err := gen.Create(load, c.spans, c.seed)
	if err != nil {
		return err
	}
	yard, err := yardstick(load)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "one yardstick is %.2f s of CPU\n", yard.Seconds())
	s, err := start(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	t := table{yard: yard, truth: truth}
	if err := t.measure(ctx, c, s, load, progress); err != nil {
		return fmt.Errorf("%w\ntempod said:\n%s", err, s.said())
	}
	return t.print(out, c, s)
}

// table is what was measured.
type table struct {
	yard           time.Duration
	truth          *gen.Truth
	sent           sent
	ingest, settle time.Duration // CPU until the last ack, until all is merged
	peak           int64         // bytes, merging included
	complete       [2]int        // traces right after the ack, and when settled
	checked        int
	blocks         blocks
	recent         []answer // before blocks were settled
	answers        []answer
}

func (t *table) measure(ctx context.Context, c config, s *server, load string, progress io.Writer) error {
	base := withinHour(time.Now())
	var err error
	before, err := s.cpu()
	if err != nil {
		return err
	}
	if t.sent, err = send(ctx, c, s, load, base); err != nil {
		return err
	}
	if t.ingest, err = s.cpuSince(before); err != nil {
		return err
	}
	fmt.Fprintf(progress, "sent in %s (%.0f spans/s), %d of %d requests refused for a moment\n", t.sent.took.Round(time.Millisecond),
		float64(t.truth.Spans)/t.sent.took.Seconds(), t.sent.retries, t.truth.Requests)
	spent, err := s.cpu()
	if err != nil {
		return err
	}
	t.checked = min(c.verify, len(t.truth.IDs))
	if t.complete[0], err = s.verify(ctx, t.truth.IDs, t.checked); err != nil {
		return err
	}
	if c.recent {
		if t.recent, err = s.ask(ctx, c, t.truth, base); err != nil {
			return err
		}
	}
	looked, err := s.cpuSince(spent)
	if err != nil {
		return err
	}
	if t.blocks, err = s.settled(ctx, t.truth.Spans); err != nil {
		return err
	}
	if t.settle, err = s.cpuSince(before + looked); err != nil {
		return err
	}
	if t.peak, err = s.peak(); err != nil {
		return err
	}
	fmt.Fprintf(progress, "settled in %d blocks\n", t.blocks.visible)
	if t.complete[1], err = s.verify(ctx, t.truth.IDs, t.checked); err != nil {
		return err
	}
	t.answers, err = s.ask(ctx, c, t.truth, base)
	return err
}

// withinHour is the start of a load that ends by now, in one hour: blocks of two
// hours are not merged with each other.
func withinHour(now time.Time) time.Time {
	const took = gen.Window + time.Minute // the last traces go on for a while
	base := now.Add(-took)
	if hour := now.Truncate(time.Hour); base.Before(hour) {
		base = hour.Add(-took)
	}
	return base
}

func (t *table) print(out io.Writer, c config, s *server) error {
	var b strings.Builder
	yards := func(d time.Duration) string { return fmt.Sprintf("%.2f yardsticks", d.Seconds()/t.yard.Seconds()) }
	fmt.Fprintf(&b, "%d spans in %d traces, %d bytes each, over %s; one yardstick = %.2f s = %.2f s a million spans\n\n",
		t.truth.Spans, t.truth.Traces, t.truth.Bytes/t.truth.Spans, c.transport, t.yard.Seconds(), t.yard.Seconds()/float64(t.truth.Spans)*1e6)
	row := func(name, value, goal string) { fmt.Fprintf(&b, "| %s | %s | %s |\n", name, value, goal) }
	b.WriteString("| | measured | at most |\n|---|---|---|\n")
	row("CPU from socket to last ack", yards(t.ingest), "")
	row("CPU from socket to settled, merged blocks", yards(t.settle), "1.6 yardsticks")
	row("peak memory, merging included", fmt.Sprintf("%d MB", t.peak>>20), "400 MB")
	row("on disk", fmt.Sprintf("%.1f B/span", float64(t.blocks.bytes)/float64(t.truth.Spans)), "40 B/span")
	row("traces complete right after the ack", fmt.Sprintf("%d of %d", t.complete[0], t.checked), "all")
	row("traces complete when settled", fmt.Sprintf("%d of %d", t.complete[1], t.checked), "all")
	b.WriteString("\n| query | median | CPU | at most | answers | | before settling | ratio | |\n|---|---|---|---|---|---|---|---|---|\n")
	for i, a := range t.answers {
		fmt.Fprintf(&b, "| %s | %.1f ms | %.1f ms | %s | %d | %s | %s |\n", a.name, ms(a.median), ms(a.cpu), a.goal(), a.count, a.verdict(), t.beside(i))
	}
	b.WriteString("\n| column | B/span |\n|---|---|\n")
	for _, l := range t.blocks.columns {
		fmt.Fprintf(&b, "| %s | %.2f |\n", l.name, float64(l.bytes)/float64(t.blocks.most))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// beside is what answer i was before blocks were settled, as cells.
func (t *table) beside(i int) string {
	if t.recent == nil {
		return "| |"
	}
	r := t.recent[i]
	return fmt.Sprintf("%.1f ms | %.1f | %s", ms(r.median), r.median.Seconds()/t.answers[i].median.Seconds(), r.verdict())
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }
