//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringctl/ringctl/bench/gen"
	"github.com/ringctl/ringctl/engine"
)

// asTempod in the environment makes the test binary a tempod.
const asTempod = "RINGCTL_TEST_AS_TEMPOD"

func TestMain(m *testing.M) {
	if os.Getenv(asTempod) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := engine.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The whole measurement, small: every trace is found, every answer is right.
func TestSmall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("CPU time and memory are read from /proc")
	}
	for _, transport := range []string{"grpc", "http"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			var out, progress bytes.Buffer
			c := config{tempod: os.Args[0], env: []string{asTempod + "=1"}, spans: 6000, seed: 3, transport: transport, conns: 2, runs: 5, recent: true, verify: 50,
				dir: t.TempDir(), age: time.Second, block: 2000}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := run(ctx, c, &out, &progress); err != nil {
				t.Fatalf("%v\n%s", err, &progress)
			}
			for _, want := range []string{"right after the ack | 50 of 50", "when settled | 50 of 50", "| status_500_all |", "| span.db.statement |", "yardsticks"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing", want)
				}
			}
			if strings.Contains(out.String(), "wrong") {
				t.Error("answers are wrong")
			}
			t.Logf("%s%s", &progress, &out)
		})
	}
}

func TestWithinHour(t *testing.T) {
	for minute := range 120 {
		now := time.Date(2026, 1, 2, 3, minute, 7, 0, time.UTC)
		base := withinHour(now)
		end := base.Add(gen.Window)
		if end.After(now) || now.Sub(end) > 13*time.Minute || !base.Truncate(time.Hour).Equal(end.Add(50*time.Second).Truncate(time.Hour)) {
			t.Errorf("at %s: %s to %s", now, base, end)
		}
	}
}
