package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/ingester"
	"github.com/ringctl/ringctl/engine/livestore"
	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/peer/peerpb"
	"github.com/ringctl/ringctl/engine/recent"
)

// keeper is a keeper of this process: what peers call, and the store behind it.
type keeper struct {
	peer.Keeper
	store    *recent.Store
	caughtUp time.Time // when those with copies have shipped what they took while this one was down
	arrivals arrivals
}

// Push returns when the spans are durable.
func (k *keeper) Push(ctx context.Context, tenantID string, otlp []byte) error {
	defer k.arrivals.begin()()
	return k.Keeper.Push(ctx, tenantID, otlp)
}

// underWay is how long a question that counts waits for pushes that came before
// it: much longer than a write to disk, and no longer than anybody minds.
const underWay = 200 * time.Millisecond

// Ask says how long the keeper is behind the others. A question that only this
// keeper answers sees every push that came before it.
func (k *keeper) Ask(ctx context.Context, q *peer.Question) (*peer.Answer, error) {
	if q.Once() {
		k.arrivals.wait(ctx, underWay)
	}
	a, err := k.Keeper.Ask(ctx, q)
	if err == nil {
		a.Behind = max(0, time.Until(k.caughtUp))
	}
	return a, err
}

// caughtUp is when a keeper that starts now has what it missed while it was down:
// it is in blocks that everybody sees.
func (c *Config) caughtUp(r RecentConfig) time.Time {
	return time.Now().Add(2*r.MaxBlockAge + 2*c.Storage.Trace.Poll)
}

func (k *keeper) sources(q *peer.Question) []columnar.Source {
	return k.store.Sources(q.Tenant, q.Excluded())
}

// queryThreads is how many goroutines work on one question: the others that are
// asked at the same time need a processor too, and so does ingest.
func queryThreads() int { return max(1, runtime.GOMAXPROCS(0)) }

// openKeepers opens the recent stores, which replays their logs, and takes this
// process's places in the rings.
func (e *Engine) openKeepers() error {
	if e.cfg.Has(TargetIngester) {
		if err := e.openIngester(); err != nil {
			return err
		}
	}
	if e.cfg.Has(TargetLiveStore) {
		return e.openLiveStore()
	}
	return nil
}

func (e *Engine) openIngester() error {
	var member *membership.Instance // joins when the log is replayed; spans come later still
	store, err := e.openRecent("ingester", e.cfg.Ingester.Recent, func() (keepers, copies int) {
		if member == nil {
			return 0, 0
		}
		return healthy(member), member.Ring().Config().ReplicationFactor
	})
	if err != nil {
		return err
	}
	if member, err = e.rings.joinIngesters(); err != nil {
		return err
	}
	i := ingester.New(store, blocks{e.catalog}, member, e.cfg.Ingester.Recent.FlushOnShutdown, queryThreads())
	e.keep(peerpb.Role_ROLE_INGESTER, "ingester", &keeper{Keeper: i, store: store, caughtUp: e.cfg.caughtUp(e.cfg.Ingester.Recent)}, i.Run)
	return nil
}

func (e *Engine) openLiveStore() error {
	var owned *membership.Partition
	store, err := e.openRecent("live-store", e.cfg.LiveStore.Recent, func() (keepers, copies int) {
		if owned == nil {
			return 0, 0
		}
		return len(owned.Ring().IDs(partition.Active)), 1 // each owner has all of its partition
	})
	if err != nil {
		return err
	}
	if _, err := e.rings.join(ringLiveStore, e.cfg.LiveStore.Ring, func(c *membership.Config) { c.NumTokens = 0 }); err != nil {
		return err
	}
	if owned, err = e.rings.ownPartition(); err != nil {
		return err
	}
	e.ready.add("partition", owned.Ready)
	e.rings.pages.Keeper = store
	l := livestore.New(store, blocks{e.catalog}, owned, e.cfg.LiveStore.Recent.FlushOnShutdown, queryThreads(), time.Now)
	e.keep(peerpb.Role_ROLE_LIVE_STORE, "live-store", &keeper{Keeper: l, store: store, caughtUp: e.cfg.caughtUp(e.cfg.LiveStore.Recent)}, l.Run)
	return nil
}

// keep registers a keeper; its store runs below its memberships, so that it
// outlives them when the process stops.
func (e *Engine) keep(role peer.Role, name string, k *keeper, run func(context.Context) error) {
	e.keepers[role] = k
	e.ready.add(name, k.store.Ready)
	e.parts = append(e.parts, part{name, run})
	e.take()
}

func (e *Engine) openRecent(name string, c RecentConfig, among keepersOf) (*recent.Store, error) {
	store, err := recent.Open(recent.Config{
		Dir: filepath.Join(e.cfg.Storage.Trace.WAL.Path, name), MaxRows: c.MaxBlockSpans, MaxAge: c.MaxBlockAge, HoldBack: c.TraceIdle,
		TenantBytes: c.MaxTenantBytes, NodeBytes: c.MaxNodeBytes, KeepLocal: c.KeepBlocks, Ship: e.ship, Limits: e.keeperLimits(among),
	}, e.log.With("part", name), e.registererFor(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	e.closers = append(e.closers, store.Close)
	return store, nil
}

// ship puts a finished block into the bucket.
func (e *Engine) ship(ctx context.Context, tenantID, dir string, m *block.Meta) error {
	return block.Upload(ctx, e.bucket, dir, m)
}
