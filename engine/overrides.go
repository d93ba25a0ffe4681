package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/tenant"
)

// overrides gives each tenant its limits and follows the file they are in. A
// file with mistakes leaves the last good one in force.
type overrides struct {
	cfg     OverridesConfig
	log     *slog.Logger
	current atomic.Pointer[tenant.Overrides]
	text    []byte
	good    prometheus.Gauge
}

func openOverrides(cfg OverridesConfig, log *slog.Logger, reg prometheus.Registerer) (*overrides, error) {
	o := &overrides{cfg: cfg, log: log, good: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tempo_runtime_config_last_reload_successful", Help: "1 when the last reading of the overrides file had no mistakes."})}
	reg.MustRegister(o.good)
	o.current.Store(tenant.NewOverrides(cfg.Defaults))
	o.good.Set(1)
	o.warn("overrides.defaults", cfg.Defaults)
	if cfg.File == "" {
		return o, nil
	}
	if err := o.load(); err != nil {
		return nil, fmt.Errorf("overrides.per_tenant_override_config %s: %w", cfg.File, err)
	}
	return o, nil
}

// limits is the limits of a tenant.
func (o *overrides) limits(tenantID string) tenant.Limits { return o.current.Load().For(tenantID) }

func (o *overrides) load() error {
	f, err := os.Open(o.cfg.File)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, tenant.MaxOverridesBytes+1))
	if err != nil || bytes.Equal(text, o.text) && o.text != nil {
		return err
	}
	parsed, err := tenant.ParseOverrides(text, o.cfg.Defaults)
	if err != nil {
		return err
	}
	o.text = text
	o.current.Store(parsed)
	for _, id := range parsed.Tenants() {
		if l := parsed.For(id); l != o.cfg.Defaults {
			o.warn("tenant "+id, l)
		}
	}
	return nil
}

// warn says which limits were set and have no effect here. They are read so
// that a file of Tempo's moves over.
func (o *overrides) warn(where string, l tenant.Limits) {
	if keys := withoutEffect(l); len(keys) > 0 {
		o.log.Warn("limits that tempod reads and that have no effect", "where", where, "keys", keys)
	}
}

// withoutEffect lists the limits that are set and that mean nothing here.
func withoutEffect(l tenant.Limits) []string {
	if l.Read.UnsafeQueryHints { // no hint here is unsafe
		return []string{"read.unsafe_query_hints"}
	}
	return nil
}

// run reads the file again every period.
func (o *overrides) run(ctx context.Context) error {
	if o.cfg.File == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(o.cfg.Reload)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := o.load(); err != nil {
			o.good.Set(0)
			o.log.Error("overrides file has mistakes, the last good one stays in force", "file", o.cfg.File, "err", err)
			continue
		}
		o.good.Set(1)
	}
}
