package model

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// Options say how to judge a view.
type Options struct {
	// Now is the moment of the judgement; the zero value is the time at which the view arrived.
	Now time.Time
	// Mode and Label say how the view was obtained, Note what else should be known about that.
	Mode  Mode
	Label string
	Note  string
	// Product selects the usual settings of a product.
	Product string
	// HeartbeatTimeout overrides the timeout of every ring.
	HeartbeatTimeout time.Duration
	// ReplicationFactor and ZoneAware override those of all rings that keep replicas.
	ReplicationFactor int
	ZoneAware         *bool
	// Profiles override single rings, by key or short name. Fields that are zero keep the usual setting.
	Profiles map[string]Profile
}

// contents are the decoded values behind a snapshot.
type contents struct {
	pairs      []gossip.Pair
	nodes      []gossip.Node
	rings      map[string]*ring.Desc
	partitions map[string]*partition.Desc
	configs    map[string]ring.Config
	options    Options
}

func newContents(v *gossip.View, o Options) *contents {
	return &contents{pairs: v.Pairs, nodes: v.Nodes, options: o, rings: map[string]*ring.Desc{},
		partitions: map[string]*partition.Desc{}, configs: map[string]ring.Config{}}
}

// Build makes a snapshot of what one member answered. It is a pure function: the same view and options give
// the same snapshot. Keys with an unknown codec, or whose value cannot be read, become [Opaque].
func Build(v *gossip.View, o Options) *Snapshot {
	if o.Now.IsZero() {
		o.Now = v.At
	}
	s := &Snapshot{Addr: v.From, From: v.From, At: o.Now, Mode: o.Mode, Label: o.Label, Note: o.Note, Verdict: OK}
	c := newContents(v, o)
	s.contents = c
	for _, n := range v.Nodes {
		if n.Addr == v.From {
			s.From = n.Name
		}
		s.Members = append(s.Members, Member{Name: n.Name, Addr: n.Addr, Zone: n.Meta.Zone, Role: roleName(n.Meta),
			State: n.State.String(), Guest: IsGuest(n.Name)})
	}
	slices.SortFunc(s.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	keys := s.decode(v.Pairs)
	s.Products = productsOf(keys)
	product := o.Product
	if product == "" && len(s.Products) == 1 {
		product = s.Products[0]
	}
	s.ClockSkew = c.clockSkew(o.Now)
	short := names(keys, product)
	for i := range s.Rings {
		r := &s.Rings[i]
		r.Name, r.Product = short[r.Key], productFor(r.Key, product)
		s.fillRing(r, c.rings[r.Key], c.profile(r.Key, r.Name, product))
	}
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		r.Name, r.Product = short[r.Key], productFor(r.Key, product)
		s.fillPartitions(r, c.partitions[r.Key], c.profile(r.Key, r.Name, product))
	}
	s.linkMembers()
	s.judge()
	return s
}

func roleName(m gossip.Meta) string {
	if m.Role == gossip.RoleMember {
		return ""
	}
	return m.Role.String()
}

func productFor(key, product string) string {
	if k, ok := lookupKey(key); ok && len(k.products) == 1 && family(product) != k.products[0] {
		return k.products[0]
	}
	return product
}

// decode sorts the pairs into rings, partition rings and opaque keys by their codec, and returns all keys.
func (s *Snapshot) decode(pairs []gossip.Pair) []string {
	var keys []string
	for _, p := range pairs {
		keys = append(keys, p.Key)
		s.StateBytes += len(p.Value) + len(p.Key)
		var err error
		switch p.Codec {
		case ring.Codec:
			var d *ring.Desc
			if d, err = ring.DecodeValue(p.Value); err == nil {
				s.contents.rings[p.Key] = d
				s.Rings = append(s.Rings, Ring{Key: p.Key, Deleted: p.Deleted, Bytes: len(p.Value)})
				continue
			}
		case partition.Codec:
			var d *partition.Desc
			if d, err = partition.DecodeValue(p.Value); err == nil {
				s.contents.partitions[p.Key] = d
				s.PartitionRings = append(s.PartitionRings, PartitionRing{Key: p.Key, Deleted: p.Deleted, Bytes: len(p.Value)})
				continue
			}
		}
		o := Opaque{Key: p.Key, Codec: p.Codec, Bytes: len(p.Value), Deleted: p.Deleted}
		if err != nil {
			o.Error = err.Error()
		}
		s.Opaque = append(s.Opaque, o)
	}
	slices.SortFunc(s.Rings, func(a, b Ring) int { return strings.Compare(a.Key, b.Key) })
	slices.SortFunc(s.PartitionRings, func(a, b PartitionRing) int { return strings.Compare(a.Key, b.Key) })
	slices.SortFunc(s.Opaque, func(a, b Opaque) int { return strings.Compare(a.Key, b.Key) })
	return keys
}

// Desc is the decoded value of an instance ring, nil when there is none. The caller must not change it.
func (s *Snapshot) Desc(key string) *ring.Desc { return s.contents.rings[key] }

// PartitionDesc is the decoded value of a partition ring, nil when there is none. The caller must not change it.
func (s *Snapshot) PartitionDesc(key string) *partition.Desc { return s.contents.partitions[key] }

// NewestHeartbeat estimates the cluster's clock from the newest believable heartbeat, in Unix seconds; 0 when there is none.
func (s *Snapshot) NewestHeartbeat() int64 { return s.contents.newestHeartbeat(s.At) }

// profile lays the overrides over what is usual for the key.
func (c *contents) profile(key, name, product string) Profile {
	p := ProfileOf(product, key)
	if !p.Stateless && c.options.ReplicationFactor > 0 {
		p.ReplicationFactor = c.options.ReplicationFactor
	}
	if c.options.ZoneAware != nil {
		p.ZoneAware = c.options.ZoneAware
	}
	for _, k := range []string{name, key} {
		over, ok := c.options.Profiles[k]
		if !ok {
			continue
		}
		if over.HeartbeatTimeout > 0 {
			p.HeartbeatTimeout = over.HeartbeatTimeout
		}
		if over.ReplicationFactor > 0 {
			p.ReplicationFactor, p.Stateless = over.ReplicationFactor, false
		}
		if over.ZoneAware != nil {
			p.ZoneAware = over.ZoneAware
		}
		p.Stateless = p.Stateless || over.Stateless
	}
	if c.options.HeartbeatTimeout > 0 {
		p.HeartbeatTimeout = c.options.HeartbeatTimeout
	}
	return p
}

// clockSkew compares the newest believable heartbeat with now.
func (c *contents) clockSkew(now time.Time) Duration {
	if newest := c.newestHeartbeat(now); newest != 0 {
		return Duration(time.Unix(newest, 0).Sub(now))
	}
	return 0
}

// MaxSkew is how far apart honest clocks may be.
const MaxSkew = 10 * time.Second

// newestHeartbeat estimates the cluster's clock, in Unix seconds; 0 when there is no heartbeat at all. Heartbeats
// ahead of now count only when several agree to within half a minute: a single one is more likely poisoned
// than right.
func (c *contents) newestHeartbeat(now time.Time) int64 {
	var all []int64
	for _, d := range c.rings {
		for _, i := range d.Instances {
			if i.State != ring.Left && i.Timestamp > 0 {
				all = append(all, i.Timestamp)
			}
		}
	}
	slices.SortFunc(all, func(a, b int64) int {
		if a > b {
			return -1
		} else if a < b {
			return 1
		}
		return 0
	})
	limit := now.Add(MaxSkew).Unix()
	for i, t := range all {
		if t <= limit || i+2 < len(all) && t-all[i+2] <= 30 {
			return t
		}
	}
	return 0
}

func (s *Snapshot) fillRing(r *Ring, d *ring.Desc, p Profile) {
	now := s.At
	r.HeartbeatTimeout = Duration(p.HeartbeatTimeout)
	r.States = map[string]int{}
	r.Hash = d.TopologyHash().String()
	r.Instances = make([]Instance, 0, len(d.Instances))
	for id, i := range d.Instances {
		if i.State == ring.Left {
			r.Tombstones = append(r.Tombstones, Tombstone{ID: id, At: Unix(i.Timestamp), Addr: i.Addr, Zone: i.Zone})
			continue
		}
		inst := instanceOf(id, &i, p.HeartbeatTimeout, now)
		r.States[inst.State]++
		r.Tokens += inst.Tokens
		if inst.Health == Healthy {
			r.HealthyCount++
		}
		r.Instances = append(r.Instances, inst)
	}
	slices.SortFunc(r.Instances, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Tombstones, func(a, b Tombstone) int { return strings.Compare(a.ID, b.ID) })
	r.settings(p)
	cfg := ring.Config{ReplicationFactor: r.ReplicationFactor, ZoneAwareness: r.ZoneAware, HeartbeatTimeout: p.HeartbeatTimeout}
	s.contents.configs[r.Key] = cfg
	built := ring.New(d, cfg)
	r.own(built)
	if !r.Stateless && r.Tokens > 0 {
		r.Write, r.Read = QuorumOf(built, ring.Write, now), QuorumOf(built, ring.Read, now)
	}
	for _, dup := range d.DuplicateTokens() {
		r.DuplicateTokens = append(r.DuplicateTokens, DuplicateToken{Token: dup.Token, Instances: dup.Holders})
	}
	r.judge()
}

func instanceOf(id string, i *ring.Instance, timeout time.Duration, now time.Time) Instance {
	out := Instance{
		ID: id, Addr: i.Addr, Zone: i.Zone, State: i.State.String(), Health: HealthOf(i, now, timeout),
		Heartbeat: Unix(i.Timestamp), Tokens: len(i.Tokens), TokenValues: i.Tokens,
		CountsForWrite: i.IsHealthy(ring.Write, timeout, now), CountsForRead: i.IsHealthy(ring.Read, timeout, now),
		Registered: Unix(i.RegisteredTimestamp), ReadOnly: i.ReadOnly, ReadOnlySince: Unix(i.ReadOnlyUpdatedTimestamp),
		Versions: i.Versions,
	}
	if !out.Heartbeat.IsZero() {
		out.HeartbeatAge = Duration(now.Sub(out.Heartbeat))
	}
	return out
}

// HealthOf judges the heartbeat of an entry.
func HealthOf(i *ring.Instance, now time.Time, timeout time.Duration) Health {
	switch i.HeartbeatState(now, timeout) {
	case ring.Future:
		return Future
	case ring.Stale:
		return Unhealthy
	default:
		return Healthy
	}
}

// Unix turns seconds into a time; 0 is the zero time.
func Unix(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// settings decides replication factor and zone awareness: given ones, else what fits what is there.
func (r *Ring) settings(p Profile) {
	zones := map[string]bool{}
	everywhere := len(r.Instances) > 0
	for _, i := range r.Instances {
		zones[i.Zone] = true
		everywhere = everywhere && i.Zone != ""
	}
	r.Stateless = p.Stateless
	r.ReplicationFactor = p.ReplicationFactor
	if r.ReplicationFactor == 0 {
		r.ReplicationFactor, r.Assumed = defaultReplicationFactor, true
		if len(r.Instances) < defaultReplicationFactor {
			r.ReplicationFactor = 1
		}
	}
	if p.ZoneAware != nil {
		r.ZoneAware = *p.ZoneAware
	} else {
		r.ZoneAware = everywhere && len(zones) > 1 && len(zones) >= r.ReplicationFactor
	}
}

// own fills in who owns how much, and the zones.
func (r *Ring) own(built *ring.Ring) {
	share := make(map[string]float64, len(r.Instances))
	for _, o := range built.Ownership() {
		share[o.ID] = o.Percent
	}
	byZone := map[string]*Zone{}
	shares := map[string][]float64{}
	var all []float64
	for n := range r.Instances {
		i := &r.Instances[n]
		i.Ownership = share[i.ID]
		z := byZone[i.Zone]
		if z == nil {
			z = &Zone{Name: i.Zone}
			byZone[i.Zone] = z
		}
		z.Instances++
		z.Tokens += i.Tokens
		if i.Health == Healthy {
			z.Healthy++
		}
		if i.Tokens > 0 {
			shares[i.Zone] = append(shares[i.Zone], i.Ownership)
			all = append(all, i.Ownership)
		}
	}
	r.Zones = make([]Zone, 0, len(byZone))
	for name, z := range byZone {
		z.Spread = spreadOf(shares[name])
		r.Zones = append(r.Zones, *z)
	}
	slices.SortFunc(r.Zones, func(a, b Zone) int { return strings.Compare(a.Name, b.Name) })
	r.Spread = spreadOf(all)
	// Zones may have different numbers of members; the busiest member relative to its own zone's mean counts.
	for _, z := range r.Zones {
		if z.Tokens > 0 && len(r.Zones) > 1 {
			r.Spread.MaxOverMean = 0
		}
	}
	for _, z := range r.Zones {
		r.Spread.MaxOverMean = max(r.Spread.MaxOverMean, z.Spread.MaxOverMean)
	}
}

func spreadOf(shares []float64) Spread {
	if len(shares) == 0 {
		return Spread{}
	}
	s := Spread{Min: math.Inf(1)}
	sum := 0.0
	for _, v := range shares {
		s.Min, s.Max = min(s.Min, v), max(s.Max, v)
		sum += v
	}
	s.Mean = sum / float64(len(shares))
	for _, v := range shares {
		s.StdDev += (v - s.Mean) * (v - s.Mean)
	}
	s.StdDev = math.Sqrt(s.StdDev / float64(len(shares)))
	if s.Mean > 0 {
		s.MaxOverMean = s.Max / s.Mean
	}
	return s
}

// linkMembers finds the ring entries of gossip members: the gossip name is usually the host name, to which a
// random part is added, and the instance id is the host name.
func (s *Snapshot) linkMembers() {
	byName := map[string][]string{}
	for i := range s.Rings {
		for _, inst := range s.Rings[i].Instances {
			byName[inst.ID] = append(byName[inst.ID], s.Rings[i].Key+"/"+inst.ID)
		}
	}
	for i := range s.Members {
		m := &s.Members[i]
		m.Instances = byName[m.Name]
		if m.Instances == nil {
			m.Instances = byName[Stem(m.Name)]
		}
	}
}

// judge sets the snapshot's verdict to the worst of all rings.
func (s *Snapshot) judge() {
	take := func(v Verdict, name, problem string) {
		if v.Rank() > s.Verdict.Rank() {
			s.Verdict, s.Problem = v, name+": "+problem
		}
	}
	if len(s.Rings) == 0 && len(s.PartitionRings) == 0 {
		s.Verdict, s.Problem = Unknown, "this member's state holds no ring"
	}
	for i := range s.Rings {
		take(s.Rings[i].Verdict, s.Rings[i].Name, s.Rings[i].Problem)
	}
	for i := range s.PartitionRings {
		take(s.PartitionRings[i].Verdict, s.PartitionRings[i].Name, s.PartitionRings[i].Problem)
	}
	if len(s.Products) > 1 {
		take(Warning, "cluster", "keys of several products are in one state: "+strings.Join(s.Products, ", "))
	}
	if skew := time.Duration(s.ClockSkew); skew > MaxSkew {
		take(Warning, "clock", "heartbeats are ahead of this machine's clock by "+skew.Round(time.Second).String())
	}
}
