// Package demo starts a real local cluster of tempod processes in three zones,
// sends it traffic on both write paths, and lets one look at it: with the
// dashboard on a terminal, or by a script whose every step is checked.
//
// Start with [Run]. Nothing is left behind: neither a process nor a folder,
// however the demo ends. When it is killed, its processes end by themselves, and
// the next demo removes its folder.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/ringctl/ringctl/client"
)

// Options says how the demo runs.
type Options struct {
	Tempod string // path of the tempod binary; empty: beside this program, then on PATH
	Out    io.Writer
	// Dashboard shows the cluster until its user leaves. Nil: the script runs instead.
	Dashboard func(ctx context.Context, c *client.Client) error
	// Keep lets the cluster run until ctx ends instead of running the script.
	Keep bool
	Seed uint64 // of the traffic; 0: any
}

// Run starts the cluster, shows it, and takes it down again. Without a
// dashboard it returns an error unless every step of the script was true.
func Run(ctx context.Context, o Options) error {
	tempod, err := findTempod(o.Tempod)
	if err != nil {
		return err
	}
	if n, err := removeDead(os.TempDir()); err != nil {
		fmt.Fprintln(o.Out, err) // untidy, and no reason not to go on
	} else if n > 0 {
		fmt.Fprintf(o.Out, "demos that were killed and are tidied up: %d\n", n)
	}
	silent := livelyTimeout
	if o.Dashboard == nil && !o.Keep {
		silent = calmTimeout
	}
	c, err := newCluster(tempod, silent)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	err = run(ctx, c, o, &background)
	cancel()
	background.Wait()
	return errors.Join(err, c.close())
}

func run(ctx context.Context, c *cluster, o Options, background *sync.WaitGroup) error {
	fmt.Fprintf(o.Out, "starting a cluster of %d tempod processes in zones a, b and c …\n", len(layout))
	for _, n := range layout {
		if _, err := c.start(ctx, n.target, n.name, n.zone); err != nil {
			return err
		}
	}
	zoned := true // as configured; two ingesters left in two zones would not tell
	cl, err := client.New(client.Config{Seeds: c.seeds(), Label: Label, HeartbeatTimeout: c.silent, ReplicationFactor: 3, ZoneAware: &zoned,
		Join: true, Advertise: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	t := newTraffic(c.node("distributor").addrs["otlp-http"], o.Seed)
	d := &show{c: c, cl: cl, out: o.Out, traffic: t, frontend: "http://" + c.node("query-frontend").addrs["http"]}
	if err := d.settle(ctx); err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "ready: API %s, gossip %s (label %s)\n", d.frontend, c.seed, Label)
	stop := make(chan struct{})
	background.Go(func() { t.run(ctx, 50*time.Millisecond, stop) })
	d.quiet = func() {
		close(stop)
		background.Wait()
	}
	switch {
	case o.Dashboard != nil:
		return o.Dashboard(ctx, cl)
	case o.Keep:
		<-ctx.Done()
		return nil
	}
	return d.script(ctx)
}

// layout is the processes, in the order they start.
var layout = []struct{ target, name, zone string }{
	{"ingester", "ingester-a", "a"}, {"ingester", "ingester-b", "b"}, {"ingester", "ingester-c", "c"},
	{"live-store", "live-store-a-0", "a"}, {"live-store", "live-store-b-0", "b"}, {"live-store", "live-store-c-0", "c"},
	{"live-store", "live-store-a-1", "a"}, {"live-store", "live-store-b-1", "b"}, {"live-store", "live-store-c-1", "c"},
	{"distributor", "distributor", "a"}, {"querier", "querier", "b"}, {"query-frontend", "query-frontend", "c"}, {"backend-worker", "backend-worker", "a"},
}

// seeds are gossip addresses of nodes that the script does not kill.
func (c *cluster) seeds() []string {
	return []string{c.node("distributor").addrs["gossip"], c.node("querier").addrs["gossip"]}
}

// findTempod looks for the binary where a user would expect it.
func findTempod(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	name := "tempod"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find tempod: not beside this program and not on PATH; build it with make build, or name it with --tempod: %w", err)
	}
	return found, nil
}
