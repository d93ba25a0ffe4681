// Command tempod is a distributed trace engine: OTLP in, TraceQL out, rings in
// between. Without arguments it runs everything in one process on this
// machine and keeps its data under ./tempod-data.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ringctl/ringctl/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := engine.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
