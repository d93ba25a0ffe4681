package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p := prober{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}, rng: rand.New(rand.NewPCG(1, 1))}
	flag.StringVar(&p.addr, "addr", "http://127.0.0.1:3200", "the tempod to ask")
	flag.IntVar(&p.runs, "runs", 20, "times that each question is left")
	flag.DurationVar(&p.longest, "longest", 10*time.Second, "longest time to wait before leaving")
	flag.StringVar(&p.match, "match", "", "only questions with this `TEXT` in their name")
	blocks := flag.String("blocks", "", "ask no tempod, but the blocks in `DIR` (…/blocks/single-tenant), and measure between looks")
	flag.Parse()
	run := p.run
	if *blocks != "" {
		run = func(ctx context.Context) error { return inside(ctx, *blocks) }
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "stop:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// prober asks one tempod.
type prober struct {
	client  *http.Client
	addr    string
	runs    int
	longest time.Duration
	match   string
	rng     *rand.Rand
}

func (p *prober) run(ctx context.Context) error {
	if _, err := p.idle(ctx); err != nil {
		return err
	}
	look, err := p.look(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("a look takes %s\n\n| question | whole, ms | answer | stops after, ms: median | worst | processor, ms: worst |\n|---|---|---|---|---|---|\n", look.Round(100*time.Microsecond))
	for _, q := range questions(time.Now()) {
		if !strings.Contains(q.name, p.match) {
			continue
		}
		if err := p.question(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
	}
	return nil
}

// question prints one line of the table.
func (p *prober) question(ctx context.Context, q question) error {
	whole, said, err := p.whole(ctx, q)
	if err != nil {
		return err
	}
	var took, used []time.Duration
	for range p.runs {
		if _, err := p.idle(ctx); err != nil {
			return err
		}
		after := time.Duration(p.rng.Float64() * float64(min(whole, p.longest)))
		left, cancel := context.WithTimeout(ctx, after)
		err := p.ask(left, q, io.Discard)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			continue // answered before
		}
		began := time.Now()
		cpu, err := p.idle(ctx)
		if err != nil {
			return err
		}
		took, used = append(took, time.Since(began)), append(used, cpu)
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }
	median, worst, most := "-", "-", "-"
	if slices.Sort(took); len(took) > 0 {
		median, worst, most = ms(took[len(took)/2]), ms(took[len(took)-1]), ms(slices.Max(used))
	}
	fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", q.name, ms(whole), said, median, worst, most)
	return nil
}

// whole asks once without leaving, and says what the answer was.
func (p *prober) whole(ctx context.Context, q question) (time.Duration, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	began := time.Now()
	var body counter
	err := p.ask(ctx, q, &body)
	var s statusError
	switch {
	case errors.As(err, &s):
		return time.Since(began), fmt.Sprintf("%d %.60q", s.code, s.text), nil
	case err != nil:
		return 0, "", err
	}
	return time.Since(began), fmt.Sprintf("200, %d kB", body/1000), nil
}

// counter is a writer that only counts.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// statusError is an answer that is none.
type statusError struct {
	code int
	text string
}

// Error implements error.
func (s statusError) Error() string { return fmt.Sprintf("status %d: %s", s.code, s.text) }

func (p *prober) ask(ctx context.Context, q question, body io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.addr+q.path, nil)
	if err != nil {
		return err
	}
	r, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		return errors.Join(statusError{r.StatusCode, string(text)}, err)
	}
	_, err = io.Copy(body, r.Body)
	return err
}

// idle waits until no question is under way, and gives the processor time that tempod used meanwhile.
func (p *prober) idle(ctx context.Context) (used time.Duration, err error) {
	first := time.Duration(-1)
	for {
		busy, cpu, err := p.busy(ctx)
		if first < 0 {
			first = cpu
		}
		if err != nil || !busy {
			return cpu - first, err
		}
		time.Sleep(time.Millisecond) // looking is work, too
	}
}

// busy reports whether a question is under way, and the processor time of tempod so far.
func (p *prober) busy(ctx context.Context) (busy bool, cpu time.Duration, err error) {
	var text bytes.Buffer
	if err := p.ask(ctx, question{path: "/metrics"}, &text); err != nil {
		return false, 0, err
	}
	if !bytes.Contains(text.Bytes(), []byte("\ntempod_query_memory_bytes ")) {
		return false, 0, errors.New("tempod does not count its questions: it is too old")
	}
	_, rest, _ := bytes.Cut(text.Bytes(), []byte("\nprocess_cpu_seconds_total "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	seconds, err := strconv.ParseFloat(string(line), 64)
	return bytes.Contains(text.Bytes(), []byte("\ntempod_query_memory_tenant_queries{")), time.Duration(seconds * 1e9), err
}

// look is the median time of a look at an idle tempod.
func (p *prober) look(ctx context.Context) (time.Duration, error) {
	var took []time.Duration
	for range 21 {
		began := time.Now()
		if _, _, err := p.busy(ctx); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
