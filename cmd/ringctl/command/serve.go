package command

import (
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/doctor"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/monitor"
)

func (a *app) serveCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "serve",
		Short: "A Prometheus exporter for all rings",
		Long: `Look at all members every --interval and serve the result at /metrics: health, quorum margins, ranges without quorum, duplicate
tokens, tombstones, partitions without owners, what ringctl doctor finds, and how far members disagree. Each gauge is that of
the worst view. /ready answers 200 while there is a view that is not older than three intervals; without one there are no
metrics of rings, and ringctl_up is 0. contrib/prometheus has alerting rules, contrib/grafana a dashboard.`,
		Example: "  ringctl serve --listen 127.0.0.1:9946 --interval 30s",
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client(c.Context())
			if err != nil {
				return err
			}
			every := max(or(a.flags.interval, 30*time.Second), time.Second)
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("serve: %w", err)
			}
			a.say("serving http://%s/metrics, looking every %s", l.Addr(), document.Short(every))
			return monitor.NewExporter(cl, every, func(err error) { a.say("no view: %v", err) }, diagnosed).Serve(c.Context(), l)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9946", "`address` to listen on")
	c.Flags().DurationVar(&a.flags.interval, "interval", 0, "how often to look (default 30s)")
	return c
}

// diagnosed counts what ringctl doctor finds, for metrics.
func diagnosed(views []*client.Snapshot, failed map[string]error) []monitor.Finding {
	var out []monitor.Finding
	for _, f := range doctor.Diagnose(views, doctor.Options{Unreached: failed}) {
		out = append(out, monitor.Finding{Rule: f.Rule, Severity: f.Severity})
	}
	return out
}
