package engine

import (
	"time"

	"github.com/ringctl/ringctl/engine/bucket/s3"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/tenant"
)

// Config is the whole of tempod's configuration. Keys carry the names that
// Tempo's configuration uses wherever the meaning is the same. Default fills
// it, a file, the environment and flags change it, Validate judges it; after
// that nothing does.
type Config struct {
	Target       string            `yaml:"target"`               // comma-separated names of Targets
	MultiTenant  bool              `yaml:"multitenancy_enabled"` // take tenants from X-Scope-OrgID
	Instance     InstanceConfig    `yaml:"instance"`
	Server       ServerConfig      `yaml:"server"`
	Memory       MemoryConfig      `yaml:"memory"`
	Distributor  DistributorConfig `yaml:"distributor"`
	Ingester     IngesterConfig    `yaml:"ingester"`
	LiveStore    LiveStoreConfig   `yaml:"live_store"`
	Querier      QuerierConfig     `yaml:"querier"`
	Frontend     FrontendConfig    `yaml:"query_frontend"`
	Worker       WorkerConfig      `yaml:"backend_worker"`
	Storage      StorageConfig     `yaml:"storage"`
	Memberlist   gossip.Config     `yaml:"memberlist"`
	Overrides    OverridesConfig   `yaml:"overrides"`
	RingAdmin    RingAdminConfig   `yaml:"ring_admin"`
	ShutdownWait time.Duration     `yaml:"shutdown_delay"` // how long /ready says no before workers stop
}

// InstanceConfig says who this process is in every ring it joins.
type InstanceConfig struct {
	ID   string `yaml:"id"`   // default: the host name
	Zone string `yaml:"zone"` // availability zone; replicas of a span go to different zones
	Addr string `yaml:"addr"` // host that peers reach this process at; default: the advertised gossip address
}

// ServerConfig is the API and node-to-node listeners.
type ServerConfig struct {
	HTTPAddress string `yaml:"http_listen_address"`
	HTTPPort    int    `yaml:"http_listen_port"`
	GRPCAddress string `yaml:"grpc_listen_address"`
	GRPCPort    int    `yaml:"grpc_listen_port"`
	LogLevel    string `yaml:"log_level"`  // debug, info, warn, error
	LogFormat   string `yaml:"log_format"` // logfmt, json
}

// MemoryConfig bounds the memory of the process, softly. The variable GOMEMLIMIT
// wins over it.
type MemoryConfig struct {
	Limit int64   `yaml:"limit"`                // bytes; 0: see Auto
	Auto  bool    `yaml:"automemlimit_enabled"` // a part of the control group's limit, where there is one
	Ratio float64 `yaml:"automemlimit_ratio"`   // that part
}

// DistributorConfig is the way in.
type DistributorConfig struct {
	Receivers ReceiversConfig `yaml:"receivers"`
	WritePath string          `yaml:"write_path"` // replicated, partitions
	Carrier   string          `yaml:"carrier"`    // of the partitions path: direct
	Ring      RingConfig      `yaml:"ring"`
	Timeout   time.Duration   `yaml:"remote_timeout"` // one push to one keeper
	RetryHint time.Duration   `yaml:"retry_after_on_resource_exhausted"`
}

// ReceiversConfig is where senders deliver spans.
type ReceiversConfig struct {
	OTLP struct {
		Protocols struct {
			GRPC EndpointConfig `yaml:"grpc"`
			HTTP EndpointConfig `yaml:"http"`
		} `yaml:"protocols"`
	} `yaml:"otlp"`
	MaxMessageBytes int `yaml:"max_message_bytes"`
}

// EndpointConfig is one listener; an empty endpoint turns it off.
type EndpointConfig struct {
	Endpoint string `yaml:"endpoint"`
}

// RingConfig is what every instance ring has.
type RingConfig struct {
	KVStore          KVStoreConfig `yaml:"kvstore"`
	HeartbeatPeriod  time.Duration `yaml:"heartbeat_period"`
	HeartbeatTimeout time.Duration `yaml:"heartbeat_timeout"`
	AutoForget       int           `yaml:"auto_forget_unhealthy_periods"` // forget others after this many timeouts; 0 never
}

// KVStoreConfig is where a ring's value lives.
type KVStoreConfig struct {
	Store  string       `yaml:"store"`  // memberlist, consul, etcd, inmemory
	Prefix string       `yaml:"prefix"` // before every ring key
	Consul ConsulConfig `yaml:"consul"`
	Etcd   EtcdConfig   `yaml:"etcd"`
}

// ConsulConfig reaches a Consul agent.
type ConsulConfig struct {
	Host     string `yaml:"host"`
	ACLToken Secret `yaml:"acl_token"`
}

// EtcdConfig reaches an etcd cluster.
type EtcdConfig struct {
	Endpoints []string `yaml:"endpoints"`
	Username  string   `yaml:"username"`
	Password  Secret   `yaml:"password"`
}

// IngesterConfig is the keeper of the replicated write path.
type IngesterConfig struct {
	Lifecycler LifecyclerConfig `yaml:"lifecycler"`
	Recent     RecentConfig     `yaml:",inline"`
}

// LifecyclerConfig is an ingester's place in its ring.
type LifecyclerConfig struct {
	Ring struct {
		RingConfig        `yaml:",inline"`
		ReplicationFactor int  `yaml:"replication_factor"` // 0: 3 in a cluster, 1 alone
		ZoneAwareness     bool `yaml:"zone_awareness_enabled"`
	} `yaml:"ring"`
	NumTokens            int           `yaml:"num_tokens"`
	JoinAfter            time.Duration `yaml:"join_after"`
	ObservePeriod        time.Duration `yaml:"observe_period"`
	MinReadyDuration     time.Duration `yaml:"min_ready_duration"`
	UnregisterOnShutdown bool          `yaml:"unregister_on_shutdown"`
}

// RecentConfig bounds the recent store of a keeper.
type RecentConfig struct {
	TraceIdle       time.Duration `yaml:"trace_idle_period"`      // a trace untouched this long may be cut
	MaxBlockAge     time.Duration `yaml:"max_block_duration"`     // a head is cut after this long
	MaxBlockSpans   int           `yaml:"max_block_spans"`        // a head is cut at this many spans
	KeepBlocks      time.Duration `yaml:"complete_block_timeout"` // a shipped block is kept this long for recent queries
	MaxTenantBytes  int64         `yaml:"max_bytes_per_tenant"`   // memory of one tenant's heads
	MaxNodeBytes    int64         `yaml:"max_bytes"`              // memory of all heads
	FlushOnShutdown bool          `yaml:"flush_all_on_shutdown"`
}

// LiveStoreConfig is the keeper of the partitions write path.
type LiveStoreConfig struct {
	Ring          RingConfig          `yaml:"ring"`
	PartitionRing PartitionRingConfig `yaml:"partition_ring"`
	Partition     int                 `yaml:"partition"` // the partition owned; -1: the number at the end of the instance id
	RemoveOwner   bool                `yaml:"remove_owner_on_shutdown"`
	Recent        RecentConfig        `yaml:",inline"`
}

// PartitionRingConfig is the lifecycle of partitions.
type PartitionRingConfig struct {
	KVStore             KVStoreConfig `yaml:"kvstore"`
	MinOwners           int           `yaml:"min_partition_owners_count"`
	MinOwnersFor        time.Duration `yaml:"min_partition_owners_duration"`
	DeleteInactiveAfter time.Duration `yaml:"delete_inactive_partition_after"`
}

// QuerierConfig answers pieces of questions.
type QuerierConfig struct {
	Ring          RingConfig    `yaml:"ring"`
	MaxConcurrent int           `yaml:"max_concurrent_queries"`
	AskTimeout    time.Duration `yaml:"ask_timeout"`         // one question to one keeper
	MaxQueryBytes int64         `yaml:"max_bytes_per_query"` // memory of one question in one process
	// MaxTenantBytes is the memory of a tenant's questions in one process, unless the tenant has its own
	// (read.max_query_bytes of its overrides). 0: half of MaxBytes with several tenants, all of it with one.
	MaxTenantBytes int64 `yaml:"max_bytes_per_tenant"`
	MaxBytes       int64 `yaml:"max_bytes"` // memory of all questions of a process
}

// FrontendConfig takes questions.
type FrontendConfig struct {
	Timeout        time.Duration `yaml:"api_timeout"`
	DefaultLimit   int           `yaml:"default_result_limit"`
	MaxLimit       int           `yaml:"max_result_limit"`
	MaxSearchTime  time.Duration `yaml:"max_duration"`
	MaxMetricsTime time.Duration `yaml:"metrics_max_duration"`
	MaxOutstanding int           `yaml:"max_outstanding_per_tenant"` // questions under way
}

// WorkerConfig is upkeep: compaction and retention.
type WorkerConfig struct {
	Ring       RingConfig `yaml:"ring"`
	Compaction struct {
		Every          time.Duration `yaml:"compaction_cycle"`
		BlockRetention time.Duration `yaml:"block_retention"`
		KeepCompacted  time.Duration `yaml:"compacted_block_retention"`
		Window         time.Duration `yaml:"compaction_window"`
		MaxSpans       int64         `yaml:"max_compaction_spans"`
		MaxInputs      int           `yaml:"max_input_blocks"`
		Settle         time.Duration `yaml:"compaction_settle"` // how long few blocks wait for more
	} `yaml:"compaction"`
}

// StorageConfig is where blocks and the write-ahead log rest.
type StorageConfig struct {
	Trace struct {
		Backend string `yaml:"backend"` // local, s3
		Local   struct {
			Path string `yaml:"path"`
		} `yaml:"local"`
		S3  s3.Config `yaml:"s3"`
		WAL struct {
			Path string `yaml:"path"`
		} `yaml:"wal"`
		Poll       time.Duration `yaml:"blocklist_poll"`
		CacheBytes int64         `yaml:"cache_bytes"` // what blocks decode, kept; 0: an eighth of the memory
	} `yaml:"trace"`
}

// OverridesConfig is the limits of tenants. An entry of the file is merged over
// Defaults: what it leaves out keeps the default.
type OverridesConfig struct {
	Defaults tenant.Limits `yaml:"defaults"`
	File     string        `yaml:"per_tenant_override_config"` // see tenant.ParseOverrides; read again when it changes
	Reload   time.Duration `yaml:"per_tenant_override_period"`
}

// RingAdminConfig allows changes to rings over HTTP. Without a token file the
// ring pages only show.
type RingAdminConfig struct {
	TokenFile          string `yaml:"token_file"`
	tokenLine          int    // where the configuration file names it; 0: nowhere
	ClientCertificates bool   `yaml:"client_certificates"`          // let verified client certificates change rings
	OpenDownscale      bool   `yaml:"downscale_without_credential"` // for rollout tools that have no credential
	AuditFile          string `yaml:"audit_file"`
}

// Secret is a string that prints as stars.
type Secret = s3.Secret
