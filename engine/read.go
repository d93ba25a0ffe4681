package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/peer/peerpb"
	"github.com/ringctl/ringctl/engine/querier"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/tenant"
)

// recentKeepers plans questions about recent spans by the rings.
type recentKeepers struct {
	rings    *keeperRings
	own      map[peer.Role]*keeper // keepers of this process
	self     string                // its address in the rings
	limits   func(tenantID string) tenant.Limits
	path     string        // the write path of tenants that name none
	lookback time.Duration // how long an inactive partition may hold spans that no block has
}

// Plan asks every healthy keeper: the spans of a trace may lie with former
// owners of its token. Questions that count each span once are split by token
// between the copies.
func (k *recentKeepers) Plan(q *peer.Question, known querier.Known) querier.Plan {
	var p querier.Plan
	now := time.Now()
	byRing := k.planIngesters(&p, q, known, now)
	byPartition := k.planLiveStores(&p, q, known, now)
	p.Covered = func(failed func(id string) bool) bool { return byRing(failed) && byPartition(failed) }
	return p
}

// covered is what Plan.Covered is for one ring.
type covered func(failed func(id string) bool) bool

func nothingToCover(func(id string) bool) bool { return true }

func (k *recentKeepers) planIngesters(p *querier.Plan, q *peer.Question, known querier.Known, now time.Time) covered {
	r := k.rings.ingesters.Ring()
	if own := k.own[peerpb.Role_ROLE_INGESTER]; own != nil && k.alone(r) {
		p.Local = append(p.Local, own.sources(q)...)
		return nothingToCover
	}
	if len(r.Instances()) == 0 {
		return nothingToCover
	}
	needed, err := r.ReplicationSetForOperation(ring.Read, now)
	if err != nil {
		p.Missing = append(p.Missing, fmt.Sprintf("recent spans of ring ingester: %v; see: ringctl status", err))
	}
	var shares map[string][]query.TokenRange
	if q.Once() {
		shares = tokenShares(r, known, now)
	}
	set, err := r.AllHealthy(ring.Read, now)
	if err != nil {
		return nothingToCover // nobody is healthy: said above
	}
	for _, i := range set.Instances {
		a := querier.Keeper{ID: i.ID, Addr: i.Addr, Role: peerpb.Role_ROLE_INGESTER, Copies: r.Config().ReplicationFactor > 1, Young: !k.partitioned(q.Tenant)}
		if q.Once() {
			a.Tokens = append([]query.TokenRange{}, shares[i.ID]...)
			if len(a.Tokens) == 0 && q.Metrics != nil {
				continue
			}
		}
		if !known.Down(i.ID) {
			p.Ask = append(p.Ask, a)
		}
	}
	return func(failed func(id string) bool) bool { return tolerates(needed, failed) }
}

// partitioned reports whether a tenant's spans go to partitions: its young blocks
// then hold copies of what live-stores have, otherwise of what ingesters have.
func (k *recentKeepers) partitioned(tenantID string) bool {
	return cmp.Or(k.limits(tenantID).Ingestion.WritePath, k.path) == PathPartitions
}

// alone reports whether no other process is in the ring.
func (k *recentKeepers) alone(r *ring.Ring) bool {
	for _, i := range r.Instances() {
		if i.Addr != k.self {
			return false
		}
	}
	return true
}

// tolerates reports whether a read is complete without the members that failed.
func tolerates(rs ring.ReplicationSet, failed func(id string) bool) bool {
	errs, zones := 0, map[string]bool{}
	for _, i := range rs.Instances {
		if failed(i.ID) {
			errs++
			zones[i.Zone] = true
		}
	}
	if rs.ZoneAware {
		return len(zones) <= rs.MaxUnavailableZones
	}
	return errs <= rs.MaxErrors
}

// tokenShares gives each range of tokens to the keeper of it that is healthy, not
// down, and least behind, all of one zone where that zone is whole.
func tokenShares(r *ring.Ring, known querier.Known, now time.Time) map[string][]query.TokenRange {
	var tokens []uint32
	for _, i := range r.Instances() {
		tokens = append(tokens, i.Tokens...)
	}
	slices.Sort(tokens)
	tokens = slices.Compact(tokens)
	zone := wholeZone(r, known, now)
	shares := map[string][]query.TokenRange{}
	var buf [8]*ring.Instance
	give := func(first, last uint32) {
		rs, err := r.Get(first, ring.Read, now, buf[:0])
		if err != nil {
			return
		}
		var to *ring.Instance
		for _, i := range leastBehind(rs.Instances, known) {
			if to == nil || i.Zone == zone && known.Behind(i.ID) == known.Behind(to.ID) {
				to = i
			}
		}
		if to == nil {
			return
		}
		have := shares[to.ID]
		if n := len(have); n > 0 && first > 0 && have[n-1].Last == first-1 {
			have[n-1].Last = last
			return
		}
		shares[to.ID] = append(have, query.TokenRange{First: first, Last: last})
	}
	from := uint32(0)
	for _, t := range tokens {
		if t > from {
			give(from, t-1)
		}
		from = t
	}
	give(from, ^uint32(0))
	return shares
}

// leastBehind is the instances that are not down, those first that are least behind.
func leastBehind(all []*ring.Instance, known querier.Known) []*ring.Instance {
	up := make([]*ring.Instance, 0, len(all))
	for _, i := range all {
		if !known.Down(i.ID) {
			up = append(up, i)
		}
	}
	slices.SortStableFunc(up, func(a, b *ring.Instance) int { return cmp.Compare(known.Behind(a.ID), known.Behind(b.ID)) })
	return up
}

// wholeZone is a zone whose instances are all healthy, and none is down or behind,
// or no zone.
func wholeZone(r *ring.Ring, known querier.Known, now time.Time) string {
	broken := map[string]bool{}
	instances := r.Instances()
	for i := range instances {
		if known.Down(instances[i].ID) || known.Behind(instances[i].ID) > 0 || !instances[i].IsHealthy(ring.Read, r.Config().HeartbeatTimeout, now) {
			broken[instances[i].Zone] = true
		}
	}
	for _, z := range r.Zones() {
		if !broken[z] {
			return z
		}
	}
	return ""
}

func (k *recentKeepers) planLiveStores(p *querier.Plan, q *peer.Question, known querier.Known, now time.Time) covered {
	parts, stores := k.rings.partitions.Ring(), k.rings.liveStores.Ring()
	if own := k.own[peerpb.Role_ROLE_LIVE_STORE]; own != nil && k.alone(stores) {
		p.Local = append(p.Local, own.sources(q)...)
		return nothingToCover
	}
	plan, err := parts.Readers(stores, ring.Read, k.lookback, now)
	mine := k.partitioned(q.Tenant)
	if err != nil && mine {
		p.Missing = append(p.Missing, fmt.Sprintf("recent spans of livestore-partitions: %v; see: ringctl partitions", err))
	}
	var shares map[int32][]query.TokenRange
	if q.Once() && mine {
		shares = partitionShares(parts, plan.Sets)
	}
	asked := map[string]bool{}
	for _, set := range plan.Sets {
		need := k.enoughOwners(parts, set.Partition, now)
		if have := len(set.Instances); have < need && mine {
			p.Missing = append(p.Missing, fmt.Sprintf("recent spans of partition %d: %d of its owners are healthy, %d are needed to have them all; see: ringctl partitions", set.Partition, have, need))
		}
		share := shares[set.Partition]
		for _, i := range leastBehind(set.Instances, known) {
			if !asked[i.ID] {
				asked[i.ID] = true
				p.Ask = append(p.Ask, k.owner(q, i, len(set.Instances) > 1, mine, share))
			}
			if q.Metrics != nil {
				break // one owner counts the spans of the partition
			}
			share = nil // the other owners answer for what they hold
		}
	}
	return func(failed func(id string) bool) bool {
		for _, set := range plan.Sets {
			left := 0
			for _, i := range set.Instances {
				if !failed(i.ID) {
					left++
				}
			}
			if mine && left < min(len(set.Instances), k.enoughOwners(parts, set.Partition, now)) {
				return false
			}
		}
		return true
	}
}

// owner is an owner of a partition as one to ask, with its share of the tokens. An
// owner counts whatever it holds, also with tokens that went to this partition only
// for a while; only the young blocks are shared out by tokens. A metrics question
// about whole traces is the exception: each trace is looked at in one place.
func (k *recentKeepers) owner(q *peer.Question, i *ring.Instance, copies, mine bool, share []query.TokenRange) querier.Keeper {
	a := querier.Keeper{ID: i.ID, Addr: i.Addr, Role: peerpb.Role_ROLE_LIVE_STORE, Copies: copies, Tokens: share, Young: share != nil}
	if !mine || !q.Once() {
		return a
	}
	if a.Held = q.Metrics != nil && !q.Whole; a.Held || q.Search != nil {
		a.Young, a.Tokens = true, append([]query.TokenRange{}, share...)
	}
	return a
}

// partitionShares gives each range of tokens to the ACTIVE partition that takes
// them, or to the first that is asked when that one cannot be.
func partitionShares(parts *partition.Ring, sets []partition.PartitionSet) map[int32][]query.TokenRange {
	if len(sets) == 0 {
		return nil
	}
	var tokens []uint32
	for _, p := range parts.Partitions() {
		if p.State == partition.Active {
			tokens = append(tokens, p.Tokens...)
		}
	}
	slices.Sort(tokens)
	shares := map[int32][]query.TokenRange{}
	give := func(first, last uint32) {
		id, err := parts.ActivePartitionForKey(first)
		if err != nil || !slices.ContainsFunc(sets, func(s partition.PartitionSet) bool { return s.Partition == id }) {
			id = sets[0].Partition
		}
		shares[id] = append(shares[id], query.TokenRange{First: first, Last: last})
	}
	from := uint32(0)
	for _, t := range slices.Compact(tokens) {
		if t > from {
			give(from, t-1)
		}
		from = t
	}
	give(from, ^uint32(0))
	return shares
}

// enoughOwners is how many owners of a partition have all its recent spans
// between them: a write is acknowledged by a majority. One that takes no writes
// for longer than the lookback needs none.
func (k *recentKeepers) enoughOwners(parts *partition.Ring, id int32, now time.Time) int {
	if p, ok := parts.Partition(id); ok && p.State == partition.Inactive && k.lookback > 0 && p.StateTimestamp < now.Add(-k.lookback).Unix() {
		return 0
	}
	n := len(parts.OwnersOf(id))
	return n - n/2
}

// openQuerier makes this process answer pieces, and announces it to frontends.
func (e *Engine) openQuerier() error {
	if !e.cfg.Has(TargetQuerier) {
		return nil
	}
	if _, err := e.rings.join(ringQuerier, e.cfg.Querier.Ring, nil); err != nil {
		return err
	}
	keepers, err := e.rings.watchKeepers(&e.cfg)
	if err != nil {
		return err
	}
	e.take()
	rk := &recentKeepers{rings: keepers, own: e.keepers, self: e.rings.addr, limits: e.limits.limits, path: e.cfg.Distributor.WritePath, lookback: e.cfg.LiveStore.Recent.KeepBlocks}
	e.querier = querier.New(querier.Config{Threads: queryThreads(), Concurrent: e.cfg.Querier.MaxConcurrent, PerTenant: e.cfg.piecesPerTenant(), AskTimeout: e.cfg.Querier.AskTimeout},
		rk, blocks{e.catalog}, e.peers, e.log)
	return nil
}

// piecesPerTenant leaves a quarter of a querier's places to other tenants.
func (c *Config) piecesPerTenant() int {
	if !c.MultiTenant {
		return c.Querier.MaxConcurrent
	}
	return max(1, c.Querier.MaxConcurrent*3/4)
}

func (e *Engine) answerer() peer.Answerer {
	if e.querier == nil {
		return nil
	}
	return e.querier
}

// queriers lists the queriers for the frontend.
type queriers struct{ ring *membership.Watcher }

func (q queriers) Healthy() []string { return askable(q.ring.Ring(), time.Now()) }

// askable is the queriers that are healthy. When none is, it is those that did not
// leave and are only silent: after a pause of the whole machine every heartbeat is
// late for a moment, and a call tells better than the ring who is there.
func askable(r *ring.Ring, now time.Time) []string {
	var healthy, silent []string
	instances := r.Instances()
	for n := range instances {
		switch i := &instances[n]; {
		case i.State != ring.Active:
		case i.IsHealthy(ring.WriteNoExtend, r.Config().HeartbeatTimeout, now):
			healthy = append(healthy, i.Addr)
		default:
			silent = append(silent, i.Addr)
		}
	}
	if len(healthy) == 0 {
		return silent
	}
	return healthy
}
