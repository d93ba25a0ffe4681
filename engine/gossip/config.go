package gossip

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// Config holds the settings of a [Cluster]. The YAML keys are those of the `memberlist` block of Tempo, so a block moves
// over as it is; keys that exist only here are marked. Start from [DefaultConfig].
type Config struct {
	NodeName              string        `yaml:"node_name"` // "": the host name
	RandomizeNodeName     bool          `yaml:"randomize_node_name"`
	StreamTimeout         time.Duration `yaml:"stream_timeout"`
	RetransmitFactor      int           `yaml:"retransmit_factor"` // times log10 of the members; a change is told more often where that would leave somebody out
	PullPushInterval      time.Duration `yaml:"pull_push_interval"`
	GossipInterval        time.Duration `yaml:"gossip_interval"`
	GossipNodes           int           `yaml:"gossip_nodes"`
	GossipToDeadNodesTime time.Duration `yaml:"gossip_to_dead_nodes_time"`
	DeadNodeReclaimTime   time.Duration `yaml:"dead_node_reclaim_time"`
	CompressionEnabled    bool          `yaml:"compression_enabled"`
	CompressionAlgorithm  string        `yaml:"compression_algorithm"` // lzw or snappy; both are always understood
	NotifyInterval        time.Duration `yaml:"notify_interval"`       // how long changes of one key are gathered before watchers hear of them

	AdvertiseAddr string `yaml:"advertise_addr"`
	AdvertisePort int    `yaml:"advertise_port"` // 0: the port that was bound

	ClusterLabel                     string   `yaml:"cluster_label"`
	ClusterLabelVerificationDisabled bool     `yaml:"cluster_label_verification_disabled"`
	ClusterLabelsAccepted            []string `yaml:"cluster_labels_accepted"` // ours: also accepted on receipt, while a label is being changed; "" is no label
	AllowUnlabelled                  bool     `yaml:"allow_unlabelled"`        // ours: a cluster without a label merges with any other one it meets

	JoinMembers                     []string      `yaml:"join_members"` // host:port, dns+host:port, dnssrv+name, dnssrvnoa+name
	MinJoinBackoff                  time.Duration `yaml:"min_join_backoff"`
	MaxJoinBackoff                  time.Duration `yaml:"max_join_backoff"`
	MaxJoinRetries                  int           `yaml:"max_join_retries"`
	AbortIfClusterJoinFails         bool          `yaml:"abort_if_cluster_join_fails"`
	AbortIfClusterFastJoinFails     bool          `yaml:"abort_if_cluster_fast_join_fails"`
	AbortIfClusterFastJoinMinNodes  int           `yaml:"abort_if_cluster_fast_join_fails_min_nodes"`
	RejoinInterval                  time.Duration `yaml:"rejoin_interval"` // with jitter; 0: never
	RejoinSeedNodes                 []string      `yaml:"rejoin_seed_nodes"`
	LeftIngestersTimeout            time.Duration `yaml:"left_ingesters_timeout"`
	ObsoleteEntriesTimeout          time.Duration `yaml:"obsolete_entries_timeout"`
	LeaveTimeout                    time.Duration `yaml:"leave_timeout"`
	BroadcastTimeoutForLocalUpdates time.Duration `yaml:"broadcast_timeout_for_local_updates_on_shutdown"`
	MessageHistoryBufferBytes       int           `yaml:"message_history_buffer_bytes"` // 0: no history
	ReceivedMessagesQueueSize       int           `yaml:"received_messages_queue_size"`
	ProcessedMessagesQueueSize      int           `yaml:"processed_messages_queue_size"`
	MaxHeartbeatAhead               time.Duration `yaml:"max_heartbeat_ahead"`             // ours: entries dated further ahead are refused; 0: never
	DisableAdvertiseAddressCheck    bool          `yaml:"disable_advertise_address_check"` // ours: do not dial the advertised address at start

	BindAddr             []string      `yaml:"bind_addr"` // [] is every interface; the first one gives the address to advertise
	BindPort             int           `yaml:"bind_port"`
	PacketDialTimeout    time.Duration `yaml:"packet_dial_timeout"`
	PacketWriteTimeout   time.Duration `yaml:"packet_write_timeout"`
	MaxConcurrentWrites  int           `yaml:"max_concurrent_writes"`
	AcquireWriterTimeout time.Duration `yaml:"acquire_writer_timeout"`

	TLSEnabled bool `yaml:"tls_enabled"`
	TLS        TLS  `yaml:",inline"`

	Family FamilyConfig `yaml:",inline"` // read, but not offered

	// hear, of a guest, is given the user messages of packets: those need not go the long way through memberlist. They
	// are void when it returns.
	hear func(msg []byte)
}

// DefaultConfig returns the settings of a full member: gossip to 3 nodes every 200 ms, a full exchange with one node
// every 30 s, a rejoin about every minute, and entries more than an hour ahead refused.
func DefaultConfig() Config {
	return Config{
		RandomizeNodeName:               true,
		StreamTimeout:                   2 * time.Second,
		RetransmitFactor:                4,
		PullPushInterval:                30 * time.Second,
		GossipInterval:                  200 * time.Millisecond,
		GossipNodes:                     3,
		GossipToDeadNodesTime:           30 * time.Second,
		CompressionAlgorithm:            CompressionLZW,
		MinJoinBackoff:                  time.Second,
		MaxJoinBackoff:                  time.Minute,
		MaxJoinRetries:                  10,
		AbortIfClusterFastJoinMinNodes:  1,
		RejoinInterval:                  time.Minute,
		LeftIngestersTimeout:            5 * time.Minute,
		ObsoleteEntriesTimeout:          30 * time.Second,
		LeaveTimeout:                    5 * time.Second,
		BroadcastTimeoutForLocalUpdates: 10 * time.Second,
		ReceivedMessagesQueueSize:       1024,
		ProcessedMessagesQueueSize:      1024,
		MaxHeartbeatAhead:               time.Hour,
		BindPort:                        7946,
		PacketDialTimeout:               2 * time.Second,
		PacketWriteTimeout:              5 * time.Second,
		MaxConcurrentWrites:             3,
		AcquireWriterTimeout:            250 * time.Millisecond,
		Family:                          defaultFamily(),
	}
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.ClusterLabel == "" && !c.AllowUnlabelled {
		bad("cluster_label: empty; give the cluster a name of its own, so that it never merges with another one (or set allow_unlabelled: true)")
	}
	for _, l := range append([]string{c.ClusterLabel}, c.ClusterLabelsAccepted...) {
		if len(l) > wire.MaxLabel {
			bad("cluster_label: %w", wire.ErrLabelTooLong)
		}
	}
	if c.CompressionEnabled && c.CompressionAlgorithm != CompressionLZW && c.CompressionAlgorithm != CompressionSnappy {
		bad("compression_algorithm: %q, want %s or %s", c.CompressionAlgorithm, CompressionLZW, CompressionSnappy)
	}
	for _, a := range c.BindAddr {
		if net.ParseIP(a) == nil {
			bad("bind_addr: %q is not an IP address", a)
		}
	}
	if c.AdvertiseAddr != "" && net.ParseIP(c.AdvertiseAddr) == nil {
		bad("advertise_addr: %q is not an IP address", c.AdvertiseAddr)
	}
	for name, v := range map[string]int{"bind_port": c.BindPort, "advertise_port": c.AdvertisePort} {
		if v < 0 || v > 65535 {
			bad("%s: %d is no port", name, v)
		}
	}
	errs = append(errs, c.validateLeast()...)
	if err := c.Family.validate(); err != nil {
		errs = append(errs, err)
	}
	if c.TLSEnabled {
		errs = append(errs, c.TLS.Validate())
	}
	return errors.Join(errs...)
}

// validateLeast checks the settings that have a lower bound.
func (c Config) validateLeast() (errs []error) {
	least := []struct {
		name   string
		v, min int64
	}{
		{"retransmit_factor", int64(c.RetransmitFactor), 1},
		{"gossip_nodes", int64(c.GossipNodes), 1},
		{"gossip_interval", int64(c.GossipInterval), int64(time.Millisecond)},
		{"pull_push_interval", int64(c.PullPushInterval), 0},
		{"stream_timeout", int64(c.StreamTimeout), int64(time.Millisecond)},
		{"left_ingesters_timeout", int64(c.LeftIngestersTimeout), 0},
		{"max_concurrent_writes", int64(c.MaxConcurrentWrites), 1},
		{"received_messages_queue_size", int64(c.ReceivedMessagesQueueSize), 1},
		{"processed_messages_queue_size", int64(c.ProcessedMessagesQueueSize), 1},
		{"abort_if_cluster_fast_join_fails_min_nodes", int64(c.AbortIfClusterFastJoinMinNodes), 0},
		{"max_heartbeat_ahead", int64(c.MaxHeartbeatAhead), 0},
		{"min_join_backoff", int64(c.MinJoinBackoff), 0},
		{"max_join_backoff", int64(c.MaxJoinBackoff), int64(c.MinJoinBackoff)},
	}
	for _, l := range least {
		if l.v < l.min {
			errs = append(errs, fmt.Errorf("%s: %d is below %d", l.name, l.v, l.min))
		}
	}
	return errs
}

// sieve returns the check for received messages.
func (c Config) sieve() wire.Sieve {
	labels := append([]string{c.ClusterLabel}, c.ClusterLabelsAccepted...)
	slices.Sort(labels)
	return wire.Sieve{
		Labels:   slices.Compact(labels),
		AnyLabel: c.ClusterLabelVerificationDisabled,
		Limit:    2 * wire.MaxState,
	}
}

// algorithm returns the compression of sent messages, or "".
func (c Config) algorithm() string {
	if !c.CompressionEnabled {
		return ""
	}
	return c.CompressionAlgorithm
}
