package model

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// DefaultTenant is the tenant of clusters without multi-tenancy.
const DefaultTenant = "single-tenant"

// TraceToken is the key of a trace: FNV-1 with 32 bits over the tenant and the 16 bytes of the id. The id has 1 to 32
// hexadecimal digits, padded with zeros on the left.
func TraceToken(tenant, id string) (uint32, error) {
	if len(id) == 0 || len(id) > 32 {
		return 0, Fail(CodeUsage, "trace id "+id, "", "it has %d digits, 1 to 32 are allowed", len(id))
	}
	raw, err := hex.DecodeString(strings.Repeat("0", 32-len(id)) + id)
	if err != nil {
		return 0, Fail(CodeUsage, "trace id "+id, "", "not hexadecimal: %w", err)
	}
	h := fnv.New32()
	h.Write([]byte(tenant))
	h.Write(raw)
	return h.Sum32(), nil
}

// LookupRequest asks where a key lives.
type LookupRequest struct {
	Key uint32
	// Ring limits the answer to one ring; "" is every ring that places keys.
	Ring string
	// Tenant and ShardSize apply shuffle sharding; a size of zero or less is no sharding.
	Tenant    string
	ShardSize int
}

// Placement is where a key lives in one ring.
type Placement struct {
	Ring string `json:"ring"`
	// Kind is "ring" or "partition-ring".
	Kind string `json:"kind"`
	Key  uint32 `json:"key"`
	// Partition takes the key; nil in instance rings and when none does.
	Partition *int32 `json:"partition,omitempty"`
	// Replicas hold the key.
	Replicas []Replica `json:"replicas"`
	// WriteOK and ReadOK say whether the key can be written and read now; the errors say why not.
	WriteOK    bool   `json:"writeOK"`
	WriteError string `json:"writeError,omitempty"`
	ReadOK     bool   `json:"readOK"`
	ReadError  string `json:"readError,omitempty"`
}

// Replica is one instance that holds a key.
type Replica struct {
	ID     string `json:"id"`
	Addr   string `json:"addr,omitempty"`
	Zone   string `json:"zone,omitempty"`
	State  string `json:"state,omitempty"`
	Health Health `json:"health"`
	// Write and Read say whether the replica is used for the operation now.
	Write bool `json:"write"`
	Read  bool `json:"read"`
}

// Lookup finds a key in the rings that place keys.
func (s *Snapshot) Lookup(req LookupRequest) ([]Placement, error) {
	var out []Placement
	var names []string
	for i := range s.Rings {
		r := &s.Rings[i]
		if r.Stateless || r.Tokens == 0 {
			continue
		}
		names = append(names, r.Name)
		if req.Ring == "" || req.Ring == r.Name || req.Ring == r.Key {
			out = append(out, s.lookupInstances(r, req))
		}
	}
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		names = append(names, r.Name)
		if req.Ring == "" || req.Ring == r.Name || req.Ring == r.Key {
			out = append(out, s.lookupPartition(r, req))
		}
	}
	if len(out) == 0 && req.Ring != "" {
		return nil, NotFound("ring", req.Ring, names)
	}
	if len(out) == 0 {
		return nil, Fail(CodeNotFound, "lookup", "", "no ring in this view places keys")
	}
	return out, nil
}

func (s *Snapshot) lookupInstances(r *Ring, req LookupRequest) Placement {
	lookup := s.Lookups(r)
	if req.ShardSize > 0 {
		lookup = lookup.ShuffleShard(req.Tenant, req.ShardSize)
	}
	p := Placement{Ring: r.Name, Kind: "ring", Key: req.Key, Replicas: []Replica{}}
	var buf [8]*ring.Instance
	set, err := lookup.Get(req.Key, ring.Write, s.At, buf[:0])
	p.WriteOK, p.WriteError = err == nil, text(err)
	for _, i := range set.Instances {
		p.add(r, i.ID)
	}
	set, err = lookup.Get(req.Key, ring.Read, s.At, buf[:0])
	p.ReadOK, p.ReadError = err == nil, text(err)
	for _, i := range set.Instances {
		p.add(r, i.ID)
	}
	// Those that should hold it, whatever their state and health.
	for _, id := range owners(lookup, req.Key) {
		p.add(r, id)
	}
	slices.SortFunc(p.Replicas, func(a, b Replica) int { return strings.Compare(a.ID, b.ID) })
	return p
}

// owners are the ids of the replicas of a key in a ring in which all are well.
func owners(lookup *ring.Ring, key uint32) []string {
	cfg := lookup.Config()
	cfg.HeartbeatTimeout = 0 // everybody counts
	d := ring.NewDesc()
	for _, i := range lookup.Instances() {
		d.Instances[i.ID] = i
	}
	set, err := ring.New(d, cfg).Get(key, ring.Reporting, time.Time{}, nil)
	if err != nil {
		return nil
	}
	ids := make([]string, len(set.Instances))
	for n, i := range set.Instances {
		ids[n] = i.ID
	}
	return ids
}

func (p *Placement) add(r *Ring, id string) {
	if slices.ContainsFunc(p.Replicas, func(x Replica) bool { return x.ID == id }) {
		return
	}
	i, ok := r.Instance(id)
	if !ok {
		return
	}
	p.Replicas = append(p.Replicas, Replica{ID: id, Addr: i.Addr, Zone: i.Zone, State: i.State, Health: i.Health, Write: i.CountsForWrite, Read: i.CountsForRead})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (s *Snapshot) lookupPartition(r *PartitionRing, req LookupRequest) Placement {
	p := Placement{Ring: r.Name, Kind: "partition-ring", Key: req.Key, Replicas: []Replica{}}
	lookup := partition.New(s.contents.partitions[r.Key])
	if req.ShardSize > 0 {
		lookup = lookup.ShuffleShard(req.Tenant, req.ShardSize)
	}
	id, err := lookup.ActivePartitionForKey(req.Key)
	if err != nil {
		p.WriteError, p.ReadError = err.Error(), err.Error()
		return p
	}
	p.Partition, p.WriteOK = &id, true
	part, _ := r.Partition(id)
	for _, o := range part.Owners {
		p.Replicas = append(p.Replicas, Replica{ID: o.ID, Addr: o.Addr, Zone: o.Zone, State: o.State, Health: o.Health, Write: true, Read: o.Readable()})
	}
	p.ReadOK = part.HealthyOwners > 0
	if !p.ReadOK {
		p.ReadError = fmt.Sprintf("partition %d has no healthy owner", id)
	}
	return p
}
