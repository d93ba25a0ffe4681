package model

import (
	"bytes"
	"cmp"
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
	// Before is an earlier snapshot of the same cluster. It changes nothing about the result, but what is still as it was
	// is shared with it instead of worked out again. The result does not keep it.
	Before *Snapshot
	// Values stand for the values of pairs, by key, where they are decoded already. They are kept.
	Values map[string]Value
}

// Value is the decoded value of a pair: exactly one of Ring and Partitions is set. Bytes is its encoded size.
type Value struct {
	Ring       *ring.Desc
	Partitions *partition.Desc
	Bytes      int
}

// contents are the decoded values behind a snapshot.
type contents struct {
	pairs      []gossip.Pair // decoded ones without their values
	nodes      []gossip.Node
	rings      map[string]*ring.Desc
	partitions map[string]*partition.Desc
	prints     map[string]Fingerprint // of the values as they were received
	configs    map[string]ring.Config
	options    Options
}

func newContents(v *gossip.View, o Options) *contents {
	o.Before, o.Values = nil, nil
	return &contents{nodes: v.Nodes, options: o, rings: map[string]*ring.Desc{},
		partitions: map[string]*partition.Desc{}, prints: map[string]Fingerprint{}, configs: map[string]ring.Config{}}
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
	reuse := reuse{o.Before}
	keys := s.decode(v.Pairs, o.Values, reuse)
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
		s.fillRing(r, c.rings[r.Key], c.profile(r.Key, r.Name, product), reuse)
	}
	steady := reuse.steady(s)
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		r.Name, r.Product = short[r.Key], productFor(r.Key, product)
		if steady && reuse.partitions(s, r) {
			continue
		}
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
func (s *Snapshot) decode(pairs []gossip.Pair, values map[string]Value, reuse reuse) []string {
	var keys []string
	for _, p := range pairs {
		keys = append(keys, p.Key)
		v, known := values[p.Key]
		if !known {
			v.Bytes = len(p.Value)
		}
		s.StateBytes += v.Bytes + len(p.Key)
		var err error
		if !known {
			s.contents.prints[p.Key] = FingerprintOf(p.Value)
			err = reuse.decode(p, s.contents.prints[p.Key], &v)
		}
		switch {
		case v.Ring != nil:
			s.contents.rings[p.Key] = v.Ring
			s.Rings = append(s.Rings, Ring{Key: p.Key, Deleted: p.Deleted, Bytes: v.Bytes})
			p.Value = nil
		case v.Partitions != nil:
			s.contents.partitions[p.Key] = v.Partitions
			s.PartitionRings = append(s.PartitionRings, PartitionRing{Key: p.Key, Deleted: p.Deleted, Bytes: v.Bytes})
			p.Value = nil
		default:
			o := Opaque{Key: p.Key, Codec: p.Codec, Bytes: len(p.Value), Deleted: p.Deleted}
			if err != nil {
				o.Error = err.Error()
			}
			s.Opaque = append(s.Opaque, o)
			p.Value = bytes.Clone(p.Value) // the view's memory may be used again
		}
		s.contents.pairs = append(s.contents.pairs, p)
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
	limit := now.Add(MaxSkew).Unix()
	var ahead []int64
	var newest [3]int64 // that are not ahead, newest first
	for _, d := range c.rings {
		for _, i := range d.Instances {
			switch t := i.Timestamp; {
			case i.State == ring.Left || t <= 0:
			case t > limit:
				ahead = append(ahead, t)
			case t > newest[2]:
				newest[2] = t
				slices.SortFunc(newest[:], func(a, b int64) int { return cmp.Compare(b, a) })
			}
		}
	}
	slices.SortFunc(ahead, func(a, b int64) int { return cmp.Compare(b, a) })
	all := append(ahead, newest[:]...)
	for i, t := range all[:len(ahead)] {
		if all[i+2] > 0 && t-all[i+2] <= 30 {
			return t
		}
	}
	return newest[0]
}

func (s *Snapshot) fillRing(r *Ring, d *ring.Desc, p Profile, reuse reuse) {
	now := s.At
	r.HeartbeatTimeout = Duration(p.HeartbeatTimeout)
	r.States = map[string]int{}
	old := reuse.ring(s, r, p)
	ids := idsOf(d, old)
	if old != nil && len(old.Instances) > 0 {
		r.Instances = make([]Instance, 0, len(old.Instances))
	}
	for _, id := range ids {
		i := d.Instances[id]
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
	r.settings(p)
	cfg := ring.Config{ReplicationFactor: r.ReplicationFactor, ZoneAwareness: r.ZoneAware, HeartbeatTimeout: p.HeartbeatTimeout}
	s.contents.configs[r.Key] = cfg
	if old != nil && r.sameHealth(old) {
		r.take(old)
		return
	}
	built := ring.New(d, cfg)
	share := make(map[string]float64, len(r.Instances))
	for _, o := range built.Ownership() {
		share[o.ID] = rounded(o.Percent)
	}
	r.own(share)
	if !r.Stateless && r.Tokens > 0 {
		r.Write, r.Read = QuorumOf(built, ring.Write, now), QuorumOf(built, ring.Read, now)
	}
	if old != nil {
		r.Hash, r.DuplicateTokens = old.Hash, old.DuplicateTokens
	} else {
		r.Hash = d.TopologyHash().String()
		for _, dup := range d.DuplicateTokens() {
			r.DuplicateTokens = append(r.DuplicateTokens, DuplicateToken{Token: dup.Token, Instances: dup.Holders})
		}
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
		if len(r.Instances) < 2 { // with two there was probably a third: to believe in one copy only would make light of it
			r.ReplicationFactor = 1
		}
	}
	if p.ZoneAware != nil {
		r.ZoneAware = *p.ZoneAware
	} else {
		r.ZoneAware = everywhere && len(zones) > 1 && len(zones) >= r.ReplicationFactor
	}
}

// rounded is a share without the digits that say nothing: the family counts keys in percent of one less than there are, so
// that all of them would be 100.00000002.
func rounded(p float64) float64 { return math.Round(p*1e6) / 1e6 }

// own fills in who owns how much, and the zones.
func (r *Ring) own(share map[string]float64) {
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
	byName := make(map[string][]string, 2*len(s.Members))
	for i := range s.Members {
		byName[s.Members[i].Name], byName[Stem(s.Members[i].Name)] = nil, nil
	}
	for i := range s.Rings {
		for n := range s.Rings[i].Instances {
			id := s.Rings[i].Instances[n].ID
			if have, asked := byName[id]; asked {
				byName[id] = append(have, s.Rings[i].Key+"/"+id)
			}
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
