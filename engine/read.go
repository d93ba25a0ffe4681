package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/peer/peerpb"
	"github.com/ringctl/ringctl/engine/querier"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/ring"
)

// recentKeepers plans questions about recent spans by the rings.
type recentKeepers struct {
	rings    *keeperRings
	own      map[peer.Role]*keeper // keepers of this process
	self     string                // its address in the rings
	lookback time.Duration         // how long an inactive partition may hold spans that no block has
}

// Plan asks every healthy keeper: the spans of a trace may lie with former
// owners of its token. Questions that count each span once are split by token
// between the copies.
func (k *recentKeepers) Plan(q *peer.Question) querier.Plan {
	var p querier.Plan
	now := time.Now()
	k.planIngesters(&p, q, now)
	k.planLiveStores(&p, q, now)
	return p
}

func (k *recentKeepers) planIngesters(p *querier.Plan, q *peer.Question, now time.Time) {
	r := k.rings.ingesters.Ring()
	if own := k.own[peerpb.Role_ROLE_INGESTER]; own != nil && len(r.Instances()) <= 1 {
		p.Local = append(p.Local, own.sources(q)...)
		return
	}
	if len(r.Instances()) == 0 {
		return
	}
	if _, err := r.ReplicationSetForOperation(ring.Read, now); err != nil {
		p.Missing = append(p.Missing, fmt.Sprintf("recent spans of ring ingester: %v; see: ringctl status", err))
	}
	var shares map[string][]query.TokenRange
	if q.Metrics != nil {
		shares = tokenShares(r, now)
	}
	set, err := r.AllHealthy(ring.Read, now)
	if err != nil {
		return // nobody is healthy: said above
	}
	for _, i := range set.Instances {
		a := querier.Keeper{ID: i.ID, Addr: i.Addr, Role: peerpb.Role_ROLE_INGESTER, Copies: r.Config().ReplicationFactor > 1}
		if q.Metrics != nil {
			if a.Tokens = shares[i.ID]; len(a.Tokens) == 0 {
				continue
			}
		}
		p.Ask = append(p.Ask, a)
	}
}

// tokenShares gives each range of tokens to one healthy keeper of it, all of
// one zone where that zone is whole.
func tokenShares(r *ring.Ring, now time.Time) map[string][]query.TokenRange {
	var tokens []uint32
	for _, i := range r.Instances() {
		tokens = append(tokens, i.Tokens...)
	}
	slices.Sort(tokens)
	tokens = slices.Compact(tokens)
	zone := wholeZone(r, now)
	shares := map[string][]query.TokenRange{}
	var buf [8]*ring.Instance
	give := func(first, last uint32) {
		rs, err := r.Get(first, ring.Read, now, buf[:0])
		if err != nil || len(rs.Instances) == 0 {
			return
		}
		to := rs.Instances[0]
		for _, i := range rs.Instances {
			if i.Zone == zone {
				to = i
			}
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

// wholeZone is a zone whose instances are all healthy, or none.
func wholeZone(r *ring.Ring, now time.Time) string {
	broken := map[string]bool{}
	instances := r.Instances()
	for i := range instances {
		if !instances[i].IsHealthy(ring.Read, r.Config().HeartbeatTimeout, now) {
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

func (k *recentKeepers) planLiveStores(p *querier.Plan, q *peer.Question, now time.Time) {
	parts, stores := k.rings.partitions.Ring(), k.rings.liveStores.Ring()
	if own := k.own[peerpb.Role_ROLE_LIVE_STORE]; own != nil && len(stores.Instances()) <= 1 {
		p.Local = append(p.Local, own.sources(q)...)
		return
	}
	plan, err := parts.Readers(stores, ring.Read, k.lookback, now)
	if err != nil {
		p.Missing = append(p.Missing, fmt.Sprintf("recent spans of livestore-partitions: %v; see: ringctl partitions", err))
	}
	asked := map[string]bool{}
	for _, set := range plan.Sets {
		owners := set.Instances
		if q.Metrics != nil {
			owners = owners[:min(1, len(owners))]
		}
		for _, i := range owners {
			if !asked[i.ID] {
				asked[i.ID] = true
				p.Ask = append(p.Ask, querier.Keeper{ID: i.ID, Addr: i.Addr, Role: peerpb.Role_ROLE_LIVE_STORE, Copies: len(set.Instances) > 1})
			}
		}
	}
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
	rk := &recentKeepers{rings: keepers, own: e.keepers, self: e.rings.addr, lookback: e.cfg.LiveStore.Recent.KeepBlocks}
	e.querier = querier.New(querier.Config{Threads: queryThreads(), Concurrent: e.cfg.Querier.MaxConcurrent, AskTimeout: e.cfg.Querier.AskTimeout},
		rk, blocks{e.catalog}, e.peers, e.log)
	return nil
}

func (e *Engine) answerer() peer.Answerer {
	if e.querier == nil {
		return nil
	}
	return e.querier
}

// queriers lists the healthy queriers for the frontend.
type queriers struct{ ring *membership.Watcher }

func (q queriers) Healthy() []string {
	set, err := q.ring.Ring().AllHealthy(ring.WriteNoExtend, time.Now())
	if err != nil {
		return nil
	}
	addrs := make([]string, len(set.Instances))
	for n, i := range set.Instances {
		addrs[n] = i.Addr
	}
	return addrs
}
