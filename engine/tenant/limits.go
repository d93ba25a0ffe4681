package tenant

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits is what one tenant may use. Names and meaning are those of Tempo's
// overrides unless said otherwise. It holds no references: assignment copies.
type Limits struct {
	Ingestion  Ingestion  `yaml:"ingestion"`
	Read       Read       `yaml:"read"`
	Compaction Compaction `yaml:"compaction"`
	Global     Global     `yaml:"global"`
}

// RateStrategy says how RateLimitBytes is shared between distributors.
type RateStrategy string

// The rate strategies: each distributor has the whole limit, or its share of it.
const (
	RateLocal  RateStrategy = "local"
	RateGlobal RateStrategy = "global"
)

// Ingestion limits writes.
type Ingestion struct {
	RateStrategy RateStrategy `yaml:"rate_strategy"`
	// RateLimitBytes is in bytes per second of OTLP protobuf.
	RateLimitBytes int `yaml:"rate_limit_bytes"`
	// BurstSizeBytes is the most that passes at once; a single larger export
	// never passes.
	BurstSizeBytes int `yaml:"burst_size_bytes"`
	// MaxTracesPerUser is the number of live traces on one keeper, 0 unlimited.
	MaxTracesPerUser int `yaml:"max_traces_per_user"`
	// MaxGlobalTracesPerUser is the number of live traces on all keepers, 0
	// unlimited.
	MaxGlobalTracesPerUser int `yaml:"max_global_traces_per_user"`
	// TenantShardSize is the number of keepers or partitions that the tenant's
	// spans are spread over, 0 all.
	TenantShardSize int `yaml:"tenant_shard_size"`
	// MaxAttributeBytes is the longest key or string value; longer ones are cut
	// at a character, 0 never.
	MaxAttributeBytes int `yaml:"max_attribute_bytes"`
	// ArtificialDelay is the least time that a push takes, 0 none.
	ArtificialDelay Duration `yaml:"artificial_delay"`
	// WritePath is "replicated" or "partitions"; empty is the distributor's own.
	WritePath string `yaml:"write_path"`
	// RetryInfoEnabled tells senders after a refusal when to try again.
	RetryInfoEnabled bool `yaml:"retry_info_enabled"`
}

// Read limits queries.
type Read struct {
	MaxBytesPerTagValuesQuery  int      `yaml:"max_bytes_per_tag_values_query"`
	MaxBlocksPerTagValuesQuery int      `yaml:"max_blocks_per_tag_values_query"` // 0 unlimited
	MaxSearchDuration          Duration `yaml:"max_search_duration"`             // 0: the frontend's
	MaxMetricsDuration         Duration `yaml:"max_metrics_duration"`            // 0: the frontend's
	UnsafeQueryHints           bool     `yaml:"unsafe_query_hints"`
	// MaxQueryBytes is the memory of all queries of the tenant in one process, 0:
	// the querier's. Tempo has none.
	MaxQueryBytes int64 `yaml:"max_query_bytes"`
	// LeftPadTraceIDs shows trace ids with all 32 digits.
	LeftPadTraceIDs bool `yaml:"left_pad_trace_ids"`
}

// Compaction limits how long blocks are kept and which are joined.
type Compaction struct {
	BlockRetention     Duration `yaml:"block_retention"`   // 0: the compactor's
	CompactionWindow   Duration `yaml:"compaction_window"` // 0: the compactor's
	CompactionDisabled bool     `yaml:"compaction_disabled"`
}

// Global holds limits of writes, compaction and reads alike.
type Global struct {
	// MaxBytesPerTrace is the largest trace, 0 unlimited.
	MaxBytesPerTrace int `yaml:"max_bytes_per_trace"`
}

// DefaultLimits returns Tempo's defaults.
func DefaultLimits() Limits {
	return Limits{
		Ingestion: Ingestion{
			RateStrategy:      RateLocal,
			RateLimitBytes:    30_000_000,
			BurstSizeBytes:    30_000_000,
			MaxTracesPerUser:  10_000,
			MaxAttributeBytes: 2048,
			RetryInfoEnabled:  true,
		},
		Read:   Read{MaxBytesPerTagValuesQuery: 1_000_000},
		Global: Global{MaxBytesPerTrace: 5_000_000},
	}
}

// Validate reports every mistake at once, each with the name of its setting.
func (l *Limits) Validate() error {
	var errs []error
	add := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
	}
	in := &l.Ingestion
	if in.RateStrategy != RateLocal && in.RateStrategy != RateGlobal {
		add("ingestion.rate_strategy", "want %q or %q, got %q", RateLocal, RateGlobal, in.RateStrategy)
	}
	if in.WritePath != "" && in.WritePath != "replicated" && in.WritePath != "partitions" {
		add("ingestion.write_path", "want replicated or partitions, got %q", in.WritePath)
	}
	for _, n := range l.counts() {
		if n.value < 0 {
			add(n.name, "must not be negative, got %d", n.value)
		}
	}
	for _, d := range l.durations() {
		if d.value < 0 {
			add(d.name, "must not be negative, got %s", Duration(d.value))
		}
	}
	if in.RateLimitBytes > 0 && in.BurstSizeBytes == 0 {
		add("ingestion.burst_size_bytes", "0 refuses every export; set it at least to the largest export")
	}
	if n := l.Read.MaxQueryBytes; n > 0 && n < 1<<20 {
		add("read.max_query_bytes", "less than 1 MiB refuses every query, got %d", n)
	}
	if in.ArtificialDelay > Duration(time.Minute) {
		add("ingestion.artificial_delay", "longer than 1m holds senders up until they time out, got %s", in.ArtificialDelay)
	}
	return errors.Join(errs...)
}

type count struct {
	name  string
	value int64
}

func (l *Limits) counts() []count {
	return []count{
		{"ingestion.rate_limit_bytes", int64(l.Ingestion.RateLimitBytes)},
		{"ingestion.burst_size_bytes", int64(l.Ingestion.BurstSizeBytes)},
		{"ingestion.max_traces_per_user", int64(l.Ingestion.MaxTracesPerUser)},
		{"ingestion.max_global_traces_per_user", int64(l.Ingestion.MaxGlobalTracesPerUser)},
		{"ingestion.tenant_shard_size", int64(l.Ingestion.TenantShardSize)},
		{"ingestion.max_attribute_bytes", int64(l.Ingestion.MaxAttributeBytes)},
		{"read.max_bytes_per_tag_values_query", int64(l.Read.MaxBytesPerTagValuesQuery)},
		{"read.max_blocks_per_tag_values_query", int64(l.Read.MaxBlocksPerTagValuesQuery)},
		{"read.max_query_bytes", l.Read.MaxQueryBytes},
		{"global.max_bytes_per_trace", int64(l.Global.MaxBytesPerTrace)},
	}
}

func (l *Limits) durations() []count {
	return []count{
		{"ingestion.artificial_delay", int64(l.Ingestion.ArtificialDelay)},
		{"read.max_search_duration", int64(l.Read.MaxSearchDuration)},
		{"read.max_metrics_duration", int64(l.Read.MaxMetricsDuration)},
		{"compaction.block_retention", int64(l.Compaction.BlockRetention)},
		{"compaction.compaction_window", int64(l.Compaction.CompactionWindow)},
	}
}

// Duration is a time span written as Prometheus and Go write it: "90s",
// "1h30m", "14d", "2w", "0".
type Duration time.Duration

// Std returns the same as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes whole days as "14d", all else as Go does.
func (d Duration) String() string {
	const day = Duration(24 * time.Hour)
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return time.Duration(d).String()
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	var total time.Duration
	for _, unit := range []struct {
		letter byte
		length time.Duration
	}{{'w', 7 * 24 * time.Hour}, {'d', 24 * time.Hour}} {
		i := strings.IndexByte(s, unit.letter)
		if i < 0 {
			continue
		}
		n, err := strconv.ParseUint(s[:i], 10, 16)
		if err != nil {
			return fmt.Errorf("bad duration %q", b)
		}
		total += time.Duration(n) * unit.length
		s = s[i+1:]
	}
	if s != "" {
		rest, err := time.ParseDuration(s)
		if err != nil || (total > 0 && rest < 0) || total+rest < total && rest > 0 {
			return fmt.Errorf("bad duration %q, want one such as 90s, 1h30m or 14d", b)
		}
		total += rest
	} else if len(b) == 0 {
		return errors.New("empty duration")
	}
	*d = Duration(total)
	return nil
}
