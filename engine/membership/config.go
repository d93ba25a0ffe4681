package membership

import (
	"errors"
	"fmt"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// Config describes one entry in an instance ring. Start from [DefaultConfig].
type Config struct {
	// Key is the ring's key in the store, for example "collectors/ring".
	Key string
	// Name is the ring's name in metrics and messages, for example "ingester". Empty: the key.
	Name string
	// ID names the instance; it must be unique in the ring and the same after a restart.
	ID string
	// Addr is the host:port at which peers reach it. It should be one they can dial.
	Addr string
	// Zone is the availability zone; empty where there are none.
	Zone string
	// NumTokens is how many tokens the instance wants. Zero for rings that only list members.
	NumTokens int
	// TokensFile keeps the tokens across restarts. Empty: they live in the ring only.
	TokensFile string
	// HeartbeatPeriod is the time between two heartbeats.
	HeartbeatPeriod time.Duration
	// JoinAfter is how long a new instance stays PENDING before it takes tokens.
	JoinAfter time.Duration
	// ObservePeriod is how long it then stays JOINING to see whether others took the same tokens.
	ObservePeriod time.Duration
	// MinReadyDuration is how long it must have been ACTIVE before it calls itself ready.
	MinReadyDuration time.Duration
	// ReadinessCheckRing makes readiness wait, once, until all other members are ACTIVE and healthy.
	ReadinessCheckRing bool
	// UnregisterOnShutdown removes the entry at the end; otherwise it stays behind as LEAVING.
	UnregisterOnShutdown bool
	// AutoForget makes this instance forget others that were silent for so many heartbeat timeouts.
	// Zero: never.
	AutoForget int
	// Versions are component versions to announce; may be nil.
	Versions map[uint64]uint64
	// Lookup is how the snapshots answer: replication, zones, and the heartbeat timeout in force.
	Lookup ring.Config
}

// DefaultConfig has the values of Tempo's instance rings: a heartbeat each 5 s, one minute until a silent
// member counts as unhealthy, forgotten after two of them, no tokens, unregister at the end.
func DefaultConfig() Config {
	return Config{
		HeartbeatPeriod:      5 * time.Second,
		UnregisterOnShutdown: true,
		AutoForget:           2,
		Lookup:               ring.Config{ReplicationFactor: 1, HeartbeatTimeout: time.Minute},
	}
}

// MaxTokens bounds Config.NumTokens and the tokens file.
const MaxTokens = 100_000

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	check := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Key == "", "the ring key is empty")
	check(c.ID == "", "the instance id is empty")
	check(c.Addr == "", "the instance address is empty")
	check(c.NumTokens < 0 || c.NumTokens > MaxTokens, "tokens: %d is not between 0 and %d", c.NumTokens, MaxTokens)
	check(c.HeartbeatPeriod <= 0, "heartbeat period %s must be positive", c.HeartbeatPeriod)
	check(c.JoinAfter < 0 || c.ObservePeriod < 0 || c.MinReadyDuration < 0, "durations must not be negative")
	check(c.AutoForget < 0, "auto-forget periods %d must not be negative", c.AutoForget)
	timeout := c.Lookup.HeartbeatTimeout
	check(timeout < 0, "heartbeat timeout %s must not be negative", timeout)
	check(timeout > 0 && timeout < 2*c.HeartbeatPeriod,
		"heartbeat timeout %s is less than two heartbeat periods of %s: one late heartbeat would look like a death",
		timeout, c.HeartbeatPeriod)
	check(c.AutoForget > 0 && timeout == 0, "auto-forget needs a heartbeat timeout")
	if len(errs) > 0 {
		return fmt.Errorf("membership in ring %q: %w", c.Key, errors.Join(errs...))
	}
	return nil
}

func (c Config) name() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Key
}
