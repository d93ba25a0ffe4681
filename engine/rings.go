package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringctl/ringctl/engine/control"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/consulkv"
	"github.com/ringctl/ringctl/engine/kv/etcdkv"
	"github.com/ringctl/ringctl/engine/kv/gossipkv"
	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/ring"
)

// Names of the rings, as pages and ringctl show them, and their keys after the
// prefix, which are Tempo's.
const (
	ringDistributor = "distributor"
	ringIngester    = "ingester"
	ringLiveStore   = "live-store"
	ringPartitions  = "livestore-partitions"
	ringQuerier     = "querier"
	ringWorker      = "backend-worker"
)

var ringKeys = map[string]string{ringIngester: "ring"}

func ringKey(kvc KVStoreConfig, name string) string {
	if key, ok := ringKeys[name]; ok {
		name = key
	}
	return kvc.Prefix + name
}

// rings is this process's part in the rings: what it joins, what it watches,
// and the pages that show both.
type rings struct {
	cfg        *Config
	log        *slog.Logger
	reg        prometheus.Registerer
	cluster    *gossip.Cluster // nil when no ring is gossiped
	memory     *memkv.Store
	addr       string // where peers reach this process, in every ring
	parts      []part
	pages      control.Config
	closers    []func() error
	keepers    *keeperRings
	watchers   map[string]*membership.Watcher
	partitions *membership.PartitionWatcher
	ready      *readiness
}

// openRings starts gossip, if a ring needs it, on its port. grpcPort is the
// bound port that peers are to call.
func openRings(cfg *Config, grpcPort int, ready *readiness, log *slog.Logger, reg prometheus.Registerer) (*rings, error) {
	r := &rings{cfg: cfg, log: log, reg: reg, memory: memkv.New(), ready: ready, watchers: map[string]*membership.Watcher{}}
	r.pages = control.Config{Cluster: cfg.Memberlist.ClusterLabel, Server: cfg.Instance.ID, TokenFile: cfg.RingAdmin.TokenFile,
		ClientCertificates: cfg.RingAdmin.ClientCertificates, DownscaleWithoutCredential: cfg.RingAdmin.OpenDownscale,
		AuditFile: cfg.RingAdmin.AuditFile, QueryHorizon: cfg.LiveStore.Recent.KeepBlocks}
	host := cfg.Instance.Addr
	if cfg.gossips() {
		mc := cfg.Memberlist
		if !cfg.Clustered() {
			mc.BindAddr = []string{"127.0.0.1"}
		}
		var err error
		if r.cluster, err = gossip.Open(mc, gossipkv.Codecs(), log.With("part", "gossip"), reg); err != nil {
			return nil, err
		}
		r.pages.Gossip = r.cluster
		r.parts = append(r.parts, part{"gossip", r.cluster.Run})
		if host == "" {
			if host, _, err = net.SplitHostPort(r.cluster.Addr()); err != nil {
				return nil, errors.Join(fmt.Errorf("gossip address: %w", err), r.cluster.Close())
			}
		}
	}
	if host == "" {
		host = "127.0.0.1"
	}
	r.addr = net.JoinHostPort(host, strconv.Itoa(grpcPort))
	return r, nil
}

// gossips reports whether any ring of the configuration is gossiped.
func (c *Config) gossips() bool {
	for _, k := range []KVStoreConfig{c.Distributor.Ring.KVStore, c.Ingester.Lifecycler.Ring.KVStore, c.LiveStore.Ring.KVStore,
		c.LiveStore.PartitionRing.KVStore, c.Querier.Ring.KVStore, c.Worker.Ring.KVStore} {
		if k.Store == "memberlist" {
			return true
		}
	}
	return false
}

// store opens the store of one ring.
func (r *rings) store(k KVStoreConfig, codec gossip.Codec) (kv.Store, error) {
	switch k.Store {
	case "memberlist":
		return gossipkv.New(r.cluster, codec), nil
	case "consul":
		c := consulkv.DefaultConfig()
		c.Host, c.ACLToken = cmp.Or(k.Consul.Host, c.Host), string(k.Consul.ACLToken)
		return consulkv.Open(c, r.log)
	case "etcd":
		c := etcdkv.DefaultConfig()
		c.Endpoints, c.Username, c.Password = k.Etcd.Endpoints, k.Etcd.Username, string(k.Etcd.Password)
		s, err := etcdkv.Open(c, r.log)
		if err != nil {
			return nil, err
		}
		r.closers = append(r.closers, s.Close)
		return s, nil
	default:
		return r.memory, nil
	}
}

// afterJoin runs once gossip has brought what others know.
func (r *rings) afterJoin(run func(context.Context) error) func(context.Context) error {
	if r.cluster == nil {
		return run
	}
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-r.cluster.Joined():
			return run(ctx)
		}
	}
}

// lookup is the arithmetic of an instance ring with one copy.
func lookup(c RingConfig) ring.Config {
	return ring.Config{ReplicationFactor: 1, HeartbeatTimeout: c.HeartbeatTimeout}
}

func (c *Config) ingesterLookup() ring.Config {
	l := c.Ingester.Lifecycler.Ring
	return ring.Config{ReplicationFactor: c.replicas(), ZoneAwareness: l.ZoneAwareness, HeartbeatTimeout: l.HeartbeatTimeout}
}

func (r *rings) show(name, title, path string, k KVStoreConfig, store kv.Store, l ring.Config) {
	for _, have := range r.pages.Rings {
		if have.Name == name {
			return
		}
	}
	r.pages.Rings = append(r.pages.Rings, control.Ring{Name: name, Title: title, Key: ringKey(k, name), Path: path, Store: store, Lookup: l})
}

// watch follows an instance ring, through this process's own entry if it has one.
func (r *rings) watch(name string, c RingConfig, l ring.Config) (*membership.Watcher, error) {
	if w := r.watchers[name]; w != nil {
		return w, nil
	}
	store, err := r.store(c.KVStore, gossipkv.RingCodec{})
	if err != nil {
		return nil, fmt.Errorf("ring %s: %w", name, err)
	}
	w, err := membership.NewWatcher(ringKey(c.KVStore, name), name, l, store, r.log, r.reg)
	if err != nil {
		return nil, err
	}
	r.watchers[name] = w
	r.show(name, name+" ring", "/"+name+"/ring", c.KVStore, store, l)
	r.parts = append(r.parts, part{"watch of ring " + name, r.afterJoin(w.Run)})
	return w, nil
}

// join keeps an entry of this process in a ring.
func (r *rings) join(name string, c RingConfig, change func(*membership.Config)) (*membership.Instance, error) {
	store, err := r.store(c.KVStore, gossipkv.RingCodec{})
	if err != nil {
		return nil, fmt.Errorf("ring %s: %w", name, err)
	}
	mc := membership.DefaultConfig()
	mc.Key, mc.Name, mc.ID, mc.Addr, mc.Zone = ringKey(c.KVStore, name), name, r.cfg.Instance.ID, r.addr, r.cfg.Instance.Zone
	mc.HeartbeatPeriod, mc.AutoForget, mc.Lookup = c.HeartbeatPeriod, c.AutoForget, lookup(c)
	if change != nil {
		change(&mc)
	}
	i, err := membership.New(mc, store, r.log, r.reg)
	if err != nil {
		return nil, err
	}
	r.show(name, name+" ring", "/"+name+"/ring", c.KVStore, store, mc.Lookup)
	r.watchers[name] = i.Watcher
	r.ready.add("ring "+name, i.Ready)
	r.parts = append(r.parts, part{"member of ring " + name, r.afterJoin(i.Run)})
	return i, nil
}

// joinIngesters takes this process's tokens in the ingester ring.
func (r *rings) joinIngesters() (*membership.Instance, error) {
	l := r.cfg.Ingester.Lifecycler
	return r.join(ringIngester, l.Ring.RingConfig, func(mc *membership.Config) {
		mc.NumTokens, mc.JoinAfter, mc.ObservePeriod, mc.MinReadyDuration = l.NumTokens, l.JoinAfter, l.ObservePeriod, l.MinReadyDuration
		mc.UnregisterOnShutdown, mc.Lookup = l.UnregisterOnShutdown, r.cfg.ingesterLookup()
		mc.TokensFile = filepath.Join(r.cfg.Storage.Trace.WAL.Path, "ingester-tokens.json")
	})
}

func (r *rings) partitionStore() (kv.Store, string, error) {
	k := r.cfg.LiveStore.PartitionRing.KVStore
	store, err := r.store(k, gossipkv.PartitionCodec{})
	if err != nil {
		return nil, "", fmt.Errorf("ring %s: %w", ringPartitions, err)
	}
	if len(r.pages.PartitionRings) == 0 {
		r.pages.PartitionRings = append(r.pages.PartitionRings, control.PartitionRing{Name: ringPartitions, Title: "Live-store partitions",
			Key: ringKey(k, ringPartitions), Path: "/partition-ring", Store: store, Instances: ringLiveStore})
	}
	return store, ringKey(k, ringPartitions), nil
}

func (r *rings) watchPartitions() (*membership.PartitionWatcher, error) {
	if r.partitions != nil {
		return r.partitions, nil
	}
	store, key, err := r.partitionStore()
	if err != nil {
		return nil, err
	}
	w, err := membership.NewPartitionWatcher(key, ringPartitions, store, r.log, r.reg)
	if err != nil {
		return nil, err
	}
	r.partitions = w
	r.parts = append(r.parts, part{"watch of " + ringPartitions, r.afterJoin(w.Run)})
	return w, nil
}

// ownPartition makes this process an owner of its partition.
func (r *rings) ownPartition() (*membership.Partition, error) {
	store, key, err := r.partitionStore()
	if err != nil {
		return nil, err
	}
	id, err := r.cfg.partition()
	if err != nil {
		return nil, err
	}
	c, pc := r.cfg.LiveStore, membership.DefaultPartitionConfig()
	pc.Key, pc.Name, pc.Partition, pc.OwnerID = key, ringPartitions, id, r.cfg.Instance.ID
	pc.MinOwners, pc.MinOwnersDuration, pc.DeleteInactiveAfter = c.PartitionRing.MinOwners, c.PartitionRing.MinOwnersFor, c.PartitionRing.DeleteInactiveAfter
	pc.RemoveOwnerOnShutdown, pc.PollInterval = c.RemoveOwner, min(pc.PollInterval, max(c.Ring.HeartbeatPeriod, time.Second))
	pc.Instances = r.watchers[ringLiveStore].Ring
	pc.MarkerFile = filepath.Join(r.cfg.Storage.Trace.WAL.Path, "prepared-downscale")
	p, err := membership.NewPartition(pc, store, r.log, r.reg)
	if err != nil {
		return nil, err
	}
	r.pages.Downscaler, r.partitions = p, p.PartitionWatcher
	r.parts = append(r.parts, part{"owner of partition " + strconv.Itoa(int(id)), r.afterJoin(p.Run)})
	return p, nil
}

var ordinal = regexp.MustCompile(`-(\d+)$`)

// partition is the number of the partition that this process owns.
func (c *Config) partition() (int32, error) {
	if c.LiveStore.Partition >= 0 {
		return int32(c.LiveStore.Partition), nil
	}
	if m := ordinal.FindStringSubmatch(c.Instance.ID); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil {
			return 0, fmt.Errorf("instance.id %q: %w", c.Instance.ID, err)
		}
		return int32(n), nil
	}
	if c.Target == TargetAll {
		return 0, nil
	}
	return 0, fmt.Errorf("instance.id %q has no number at its end, so it names no partition; set live_store.partition", c.Instance.ID)
}

// close releases what openRings got, for an engine that never runs.
func (r *rings) close() error {
	var all error
	for _, c := range r.closers {
		all = errors.Join(all, c())
	}
	if r.cluster != nil {
		all = errors.Join(all, r.cluster.Close())
	}
	return all
}

// keeperRings is the rings that say who keeps spans.
type keeperRings struct {
	ingesters, liveStores *membership.Watcher
	partitions            *membership.PartitionWatcher
}

// watchKeepers follows the rings of both write paths. It is done once; later
// calls share the result.
func (r *rings) watchKeepers(cfg *Config) (*keeperRings, error) {
	if r.keepers != nil {
		return r.keepers, nil
	}
	k := &keeperRings{}
	var err error
	if k.ingesters, err = r.watch(ringIngester, cfg.Ingester.Lifecycler.Ring.RingConfig, cfg.ingesterLookup()); err != nil {
		return nil, err
	}
	if k.liveStores, err = r.watch(ringLiveStore, cfg.LiveStore.Ring, lookup(cfg.LiveStore.Ring)); err != nil {
		return nil, err
	}
	if k.partitions, err = r.watchPartitions(); err != nil {
		return nil, err
	}
	r.keepers = k
	return k, nil
}
