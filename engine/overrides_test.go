package engine

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestLimitsWithoutEffectAreNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overrides.yaml")
	text := "overrides: {loud: {ingestion: {max_traces_per_user: 5000, rate_limit_bytes: 1000}, read: {unsafe_query_hints: true}}, calm: {ingestion: {write_path: partitions}}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o, err := openOverrides(OverridesConfig{Defaults: defaultLimits(), File: file}, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if o.limits("loud").Ingestion.RateLimitBytes != 1000 || o.limits("calm").Ingestion.WritePath != PathPartitions {
		t.Error("the limits of the tenants were not read")
	}
	said := log.String()
	if !strings.Contains(said, "tenant loud") || !strings.Contains(said, "[read.unsafe_query_hints]") {
		t.Errorf("log: %s", said)
	}
	if strings.Contains(said, "calm") || strings.Contains(said, "overrides.defaults") {
		t.Errorf("a limit that has effect, or a default, is complained about: %s", said)
	}
}
