package distributor

import (
	"errors"
	"fmt"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

// replicas is who keeps one trace, and how many of them may fail.
type replicas struct {
	to        []int32 // indexes into plan.keepers
	maxErrors int
	where     string // "partition 3", for errors; empty on the replicated path
}

// plan is where the traces of one batch go.
type plan struct {
	path    Path
	ring    string // for errors
	ids     []trace.ID
	tokens  []uint32
	traces  []replicas // one per distinct trace of the batch
	keepers []*ring.Instance
}

// keeper is the index of an instance in p.keepers, added when new. Instances
// come from one snapshot, so a pointer is an identity.
func (p *plan) keeper(i *ring.Instance) int32 {
	for k, have := range p.keepers {
		if have == i {
			return int32(k)
		}
	}
	p.keepers = append(p.keepers, i)
	return int32(len(p.keepers) - 1)
}

// only is the keeper of all traces when there is just one.
func (p *plan) only() *ring.Instance {
	if len(p.keepers) != 1 {
		return nil
	}
	return p.keepers[0]
}

// find lists the traces of the batch that a keeper refused.
func (p *plan) find(refused map[trace.ID]peer.Reason) refusals {
	out := refusals{}
	for t, id := range p.ids {
		if why := refused[id]; why != "" {
			out[int32(t)] = why
		}
	}
	return out
}

// errNoRing tells that gossip has not brought the ring yet.
var errNoRing = errors.New("not known yet: this distributor has not seen any member; check memberlist.join_members and ringctl status")

func traceIDs(b *trace.Batch) []trace.ID {
	ids := make([]trace.ID, b.Traces())
	for t := range ids {
		ids[t] = b.TraceID(t)
	}
	return ids
}

func (d *Distributor) place(tenantID string, l tenant.Limits, b *trace.Batch) (*plan, error) {
	path := d.cfg.Path
	if l.Ingestion.WritePath != "" {
		path = Path(l.Ingestion.WritePath)
	}
	if path == Partitions {
		return d.placeInPartitions(tenantID, l, b)
	}
	return d.placeInRing(tenantID, l, b)
}

// placeInRing asks the instance ring for the RF keepers of each trace.
func (d *Distributor) placeInRing(tenantID string, l tenant.Limits, b *trace.Batch) (*plan, error) {
	p := &plan{path: Replicated, ring: "ingester", ids: traceIDs(b)}
	r := d.deps.Ingesters.Ring()
	if r == nil {
		return nil, fmt.Errorf("ring ingester: %w", errNoRing)
	}
	if l.Ingestion.TenantShardSize > 0 {
		r = r.ShuffleShard(tenantID, l.Ingestion.TenantShardSize)
	}
	now := d.deps.Now()
	p.traces = make([]replicas, len(p.ids))
	p.tokens = make([]uint32, len(p.ids))
	to := make([]int32, 0, 4*len(p.ids))
	var buf [8]*ring.Instance
	for t, id := range p.ids {
		p.tokens[t] = trace.Token(tenantID, id)
		rs, err := r.Get(p.tokens[t], ring.Write, now, buf[:0])
		if err != nil {
			return nil, fmt.Errorf("ring ingester: trace %s, key %d: %w; see: ringctl lookup %s", id, p.tokens[t], err, id)
		}
		from := len(to)
		for _, i := range rs.Instances {
			to = append(to, p.keeper(i))
		}
		p.traces[t] = replicas{to: to[from:len(to):len(to)], maxErrors: rs.MaxErrors}
	}
	return p, nil
}

// placeInPartitions finds the ACTIVE partition of each trace and all its
// owners. A quorum of the registered owners must take the spans; owners that
// are known to be down count against it without being asked.
func (d *Distributor) placeInPartitions(tenantID string, l tenant.Limits, b *trace.Batch) (*plan, error) {
	p := &plan{path: Partitions, ring: "live-store", ids: traceIDs(b)}
	parts, stores := d.deps.Partitions.Ring(), d.deps.LiveStores.Ring()
	if parts == nil || stores == nil {
		return nil, fmt.Errorf("partition ring livestore-partitions: %w", errNoRing)
	}
	if l.Ingestion.TenantShardSize > 0 {
		parts = parts.ShuffleShard(tenantID, l.Ingestion.TenantShardSize)
	}
	p.traces = make([]replicas, len(p.ids))
	p.tokens = make([]uint32, len(p.ids))
	owners := map[int32]replicas{}
	for t, id := range p.ids {
		p.tokens[t] = trace.Token(tenantID, id)
		part, err := parts.ActivePartitionForKey(p.tokens[t])
		if err != nil {
			return nil, fmt.Errorf("partition ring livestore-partitions: trace %s, key %d: %w; see: ringctl partitions", id, p.tokens[t], err)
		}
		o, ok := owners[part]
		if !ok {
			if o, err = d.ownersOf(p, part, parts, stores); err != nil {
				return nil, err
			}
			owners[part] = o
		}
		p.traces[t] = o
	}
	return p, nil
}

// ownersOf is the healthy owners of a partition that take its spans.
func (d *Distributor) ownersOf(p *plan, part int32, parts *partition.Ring, stores *ring.Ring) (replicas, error) {
	rs, err := parts.Writers(part, stores, d.deps.Now())
	if err != nil {
		return replicas{}, fmt.Errorf("partition ring livestore-partitions: %w; see: ringctl partitions", err)
	}
	o := replicas{where: fmt.Sprintf("partition %d", part), maxErrors: rs.MaxErrors}
	for _, i := range rs.Instances {
		o.to = append(o.to, p.keeper(i))
	}
	return o, nil
}
