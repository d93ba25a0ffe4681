package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/control"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/receiver"
	"github.com/ringctl/ringctl/engine/tenant"
)

// Names of what a process can be asked to be.
const (
	TargetAll         = "all"
	TargetDistributor = "distributor"
	TargetIngester    = "ingester"
	TargetLiveStore   = "live-store"
	TargetQuerier     = "querier"
	TargetFrontend    = "query-frontend"
	TargetWorker      = "backend-worker"
)

// Targets lists the names that Config.Target may hold.
func Targets() []string {
	return []string{TargetAll, TargetDistributor, TargetIngester, TargetLiveStore, TargetQuerier, TargetFrontend, TargetWorker}
}

// Values of DistributorConfig.WritePath.
const (
	PathReplicated = "replicated"
	PathPartitions = "partitions"
)

// maxMessageBytes is the largest export that fits a record of the write-ahead
// log (64 MiB) with its tenant.
const maxMessageBytes = 63 << 20

// leastMemory is what an idle process has, about.
const leastMemory = 32 << 20

// Default is a configuration that is right for a laptop: all in one process,
// one copy of each span, data under dataDir, reachable from this machine only.
// A cluster sets memberlist.join_members, and its distributors keep three
// copies.
func Default(target, dataDir string) Config {
	var c Config
	c.Target = target
	c.Instance.ID, _ = os.Hostname()
	c.Server = ServerConfig{HTTPPort: 3200, GRPCPort: 9095, LogLevel: "info", LogFormat: "logfmt"}
	c.Memory = MemoryConfig{Auto: true, Ratio: 0.8}
	c.Distributor = defaultDistributor()
	c.Ingester.Recent = defaultRecent()
	c.Ingester.Lifecycler = defaultLifecycler()
	c.LiveStore = LiveStoreConfig{Ring: defaultRing(2), Partition: -1, Recent: defaultRecent()}
	c.LiveStore.PartitionRing = PartitionRingConfig{KVStore: defaultKV(), MinOwners: 1, MinOwnersFor: 10 * time.Second, DeleteInactiveAfter: 35 * time.Minute}
	c.Querier = QuerierConfig{Ring: defaultRing(2), MaxConcurrent: 20, AskTimeout: 10 * time.Second, MaxQueryBytes: 256 << 20, MaxBytes: 512 << 20}
	c.Frontend = FrontendConfig{Timeout: time.Minute, DefaultLimit: 20, MaxLimit: 262144, MaxSearchTime: 168 * time.Hour, MaxMetricsTime: 24 * time.Hour, MaxOutstanding: 2000}
	c.Worker.Ring = defaultRing(2)
	c.Worker.Compaction.Every = 10 * time.Second
	c.Worker.Compaction.Settle = time.Minute
	c.Worker.Compaction.BlockRetention = 336 * time.Hour
	c.Worker.Compaction.KeepCompacted = time.Hour
	c.Worker.Compaction.Window = time.Hour
	c.Worker.Compaction.MaxSpans = 20_000_000
	c.Worker.Compaction.MaxInputs = 16
	c.Storage.Trace.Backend = "local"
	c.Storage.Trace.Local.Path = filepath.Join(dataDir, "blocks")
	c.Storage.Trace.WAL.Path = filepath.Join(dataDir, "wal")
	c.Storage.Trace.Poll = 30 * time.Second
	c.Memberlist = gossip.DefaultConfig()
	c.Memberlist.ClusterLabel = "tempod"
	c.Overrides.Defaults = defaultLimits()
	c.Overrides.Reload = 10 * time.Second
	c.RingAdmin.AuditFile = filepath.Join(dataDir, "ring-audit.jsonl")
	return c
}

// defaultLimits are Tempo's, except that the machine is the rate limit:
// keepers bound their memory and refuse what they cannot take.
func defaultLimits() tenant.Limits {
	l := tenant.DefaultLimits()
	l.Ingestion.RateLimitBytes, l.Ingestion.BurstSizeBytes, l.Ingestion.MaxTracesPerUser = 1_000_000_000, 1_000_000_000, 0
	return l
}

func defaultKV() KVStoreConfig { return KVStoreConfig{Store: "memberlist", Prefix: "collectors/"} }

func defaultRing(autoForget int) RingConfig {
	return RingConfig{KVStore: defaultKV(), HeartbeatPeriod: 5 * time.Second, HeartbeatTimeout: time.Minute, AutoForget: autoForget}
}

func defaultDistributor() DistributorConfig {
	d := DistributorConfig{WritePath: PathReplicated, Carrier: "direct", Ring: defaultRing(2), Timeout: 5 * time.Second, RetryHint: 5 * time.Second}
	d.Receivers.OTLP.Protocols.GRPC.Endpoint = "localhost:4317"
	d.Receivers.OTLP.Protocols.HTTP.Endpoint = "localhost:4318"
	d.Receivers.MaxMessageBytes = receiver.DefaultMaxMessage
	return d
}

func defaultLifecycler() LifecyclerConfig {
	l := LifecyclerConfig{NumTokens: 128, UnregisterOnShutdown: true}
	l.Ring.RingConfig = defaultRing(0)
	return l
}

func defaultRecent() RecentConfig {
	return RecentConfig{TraceIdle: 5 * time.Second, MaxBlockAge: 5 * time.Minute, MaxBlockSpans: 1 << 17, KeepBlocks: 15 * time.Minute,
		MaxTenantBytes: 512 << 20, MaxNodeBytes: 1 << 30}
}

// Clustered reports whether the process is meant to have peers: it is only a
// part, or it was told where to join or to listen.
func (c *Config) Clustered() bool {
	return c.Target != TargetAll || len(c.Memberlist.JoinMembers) > 0 || len(c.Memberlist.BindAddr) > 0
}

// replicas is how many copies the replicated write path keeps.
func (c *Config) replicas() int {
	switch n := c.Ingester.Lifecycler.Ring.ReplicationFactor; {
	case n > 0:
		return n
	case c.Clustered():
		return 3
	default:
		return 1
	}
}

// Has reports whether the process runs the target.
func (c *Config) Has(target string) bool {
	for t := range strings.SplitSeq(c.Target, ",") {
		if t = strings.TrimSpace(t); t == target || t == TargetAll {
			return true
		}
	}
	return false
}

// Validate reports every mistake of the configuration at once, each with the
// key to change. It reads the admin token, and changes nothing.
func (c *Config) Validate() error {
	var p problems
	for t := range strings.SplitSeq(c.Target, ",") {
		p.oneOf("target", strings.TrimSpace(t), Targets()...)
	}
	p.check(c.Instance.ID != "", "instance.id is empty; set it to a name that no other process of the cluster has")
	p.port("server.http_listen_port", c.Server.HTTPPort)
	p.port("server.grpc_listen_port", c.Server.GRPCPort)
	p.oneOf("server.log_level", c.Server.LogLevel, "debug", "info", "warn", "error")
	p.oneOf("server.log_format", c.Server.LogFormat, "logfmt", "json")
	p.check(c.Memory.Limit == 0 || c.Memory.Limit >= leastMemory, "memory.limit is %d; at least %d bytes, or 0", c.Memory.Limit, leastMemory)
	p.check(c.Storage.Trace.CacheBytes >= 0, "storage.trace.cache_bytes is %d; 0 for an eighth of the memory, or more", c.Storage.Trace.CacheBytes)
	p.check(c.Memory.Ratio > 0 && c.Memory.Ratio <= 1, "memory.automemlimit_ratio is %v; above 0, at most 1", c.Memory.Ratio)
	p.oneOf("distributor.write_path", c.Distributor.WritePath, PathReplicated, PathPartitions)
	p.oneOf("distributor.carrier", c.Distributor.Carrier, "direct")
	p.check(c.Distributor.Receivers.MaxMessageBytes >= 1<<10 && c.Distributor.Receivers.MaxMessageBytes <= maxMessageBytes,
		"distributor.receivers.max_message_bytes is %d; %d to %d, the most that the log of a keeper takes at once", c.Distributor.Receivers.MaxMessageBytes, 1<<10, maxMessageBytes)
	p.endpoint("distributor.receivers.otlp.protocols.grpc.endpoint", c.Distributor.Receivers.OTLP.Protocols.GRPC.Endpoint)
	p.endpoint("distributor.receivers.otlp.protocols.http.endpoint", c.Distributor.Receivers.OTLP.Protocols.HTTP.Endpoint)
	if err := c.Memberlist.Validate(); err != nil {
		p = append(p, fmt.Errorf("memberlist: %w", err))
	}
	p.ring("distributor.ring", c.Distributor.Ring)
	p.ring("ingester.lifecycler.ring", c.Ingester.Lifecycler.Ring.RingConfig)
	p.ring("live_store.ring", c.LiveStore.Ring)
	p.ring("querier.ring", c.Querier.Ring)
	p.ring("backend_worker.ring", c.Worker.Ring)
	p.check(c.Querier.MaxQueryBytes >= 1<<20 && c.Querier.MaxBytes >= c.Querier.MaxQueryBytes, "querier.max_bytes (%d) must be at least max_bytes_per_query (%d), and that at least 1 MiB", c.Querier.MaxBytes, c.Querier.MaxQueryBytes)
	p.check(c.Querier.MaxTenantBytes == 0 || c.Querier.MaxTenantBytes >= 1<<20 && c.Querier.MaxTenantBytes <= c.Querier.MaxBytes, "querier.max_bytes_per_tenant is %d; 1 MiB to querier.max_bytes (%d), or 0 for half of that with several tenants", c.Querier.MaxTenantBytes, c.Querier.MaxBytes)
	p.check(c.Frontend.MaxOutstanding >= 1, "query_frontend.max_outstanding_per_tenant is %d; at least 1", c.Frontend.MaxOutstanding)
	l := c.Ingester.Lifecycler
	p.check(l.Ring.ReplicationFactor >= 0 && l.Ring.ReplicationFactor <= 9, "ingester.lifecycler.ring.replication_factor is %d; 1 to 9, or 0 for 3 in a cluster and 1 alone", l.Ring.ReplicationFactor)
	p.check(l.NumTokens >= 1 && l.NumTokens <= 4096, "ingester.lifecycler.num_tokens is %d; 1 to 4096", l.NumTokens)
	p.check(!l.Ring.ZoneAwareness || c.Instance.Zone != "" || !c.Has(TargetIngester), "instance.zone is empty while ingester.lifecycler.ring.zone_awareness_enabled is on")
	p.recent("ingester", c.Ingester.Recent)
	p.recent("live_store", c.LiveStore.Recent)
	p.storage(c.Storage)
	p.ringAdmin(c.RingAdmin)
	if err := c.Overrides.Defaults.Validate(); err != nil {
		p = append(p, fmt.Errorf("overrides.defaults: %w", err))
	}
	return errors.Join(p...)
}

type problems []error

func (p *problems) check(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

func (p *problems) oneOf(key, value string, allowed ...string) {
	p.check(slices.Contains(allowed, value), "%s is %q; one of %s", key, value, strings.Join(allowed, ", "))
}

func (p *problems) port(key string, n int) {
	p.check(n >= 0 && n <= 65535, "%s is %d; a port is 0 (any free one) to 65535", key, n)
}

func (p *problems) endpoint(key, e string) {
	if e == "" {
		return
	}
	_, _, err := net.SplitHostPort(e)
	p.check(err == nil, "%s is %q; it has the form host:port", key, e)
}

func (p *problems) ring(key string, r RingConfig) {
	p.oneOf(key+".kvstore.store", r.KVStore.Store, "memberlist", "consul", "etcd", "inmemory")
	p.check(r.HeartbeatPeriod > 0, "%s.heartbeat_period must be positive", key)
	p.check(r.HeartbeatTimeout > r.HeartbeatPeriod, "%s.heartbeat_timeout (%s) must be longer than heartbeat_period (%s)", key, r.HeartbeatTimeout, r.HeartbeatPeriod)
}

func (p *problems) recent(key string, r RecentConfig) {
	p.check(r.MaxBlockSpans >= 1024, "%s.max_block_spans is %d; at least 1024", key, r.MaxBlockSpans)
	p.check(r.MaxTenantBytes >= 1<<20 && r.MaxNodeBytes >= r.MaxTenantBytes, "%s.max_bytes (%d) must be at least max_bytes_per_tenant (%d), and that at least 1 MiB", key, r.MaxNodeBytes, r.MaxTenantBytes)
}

// ringAdmin refuses a token that no change would be accepted with. A file that is
// not there yet is none of these: the token is read at each change.
func (p *problems) ringAdmin(r RingAdminConfig) {
	err := control.CheckTokenFile(r.TokenFile)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	where := ""
	if r.tokenLine > 0 {
		where = fmt.Sprintf("line %d: ", r.tokenLine)
	}
	*p = append(*p, fmt.Errorf("%sring_admin.token_file: %w", where, err))
}

func (p *problems) storage(s StorageConfig) {
	p.oneOf("storage.trace.backend", s.Trace.Backend, "local", "s3")
	p.check(s.Trace.Backend != "local" || s.Trace.Local.Path != "", "storage.trace.local.path is empty")
	p.check(s.Trace.Backend != "s3" || s.Trace.S3.Bucket != "" && s.Trace.S3.Endpoint != "", "storage.trace.s3 needs bucket and endpoint")
	p.check(s.Trace.WAL.Path != "", "storage.trace.wal.path is empty")
	p.check(s.Trace.Poll > 0, "storage.trace.blocklist_poll must be positive")
}
