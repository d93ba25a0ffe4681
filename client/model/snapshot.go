package model

import (
	"encoding/json"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
)

// Mode says how a snapshot was obtained.
type Mode string

const (
	// Observe is one push/pull exchange on the gossip port without becoming a member.
	Observe Mode = "observe"
	// Join is a guest membership: every change arrives as it spreads.
	Join Mode = "join"
	// HTTP is the memberlist and ring pages of one member.
	HTTP Mode = "http"
	// Recorded is a snapshot read back from a history file.
	Recorded Mode = "recorded"
)

// Verdict is the one-word answer about a ring, from best to worst.
type Verdict string

const (
	// OK means nothing needs a hand.
	OK Verdict = "OK"
	// Warning means it works, but something is wrong or one failure away from an outage.
	Warning Verdict = "WARNING"
	// Critical means Some reads or writes Fail now.
	Critical Verdict = "CRITICAL"
	// Unknown means there is not enough information for an answer; it is not a kind of OK.
	Unknown Verdict = "UNKNOWN"
)

// Rank orders verdicts by how much attention they need: OK 0, WARNING 1, UNKNOWN 2, CRITICAL 3.
func (v Verdict) Rank() int {
	switch v {
	case OK:
		return 0
	case Warning:
		return 1
	case Critical:
		return 3
	default:
		return 2
	}
}

// Worse returns the verdict that needs more attention.
func (v Verdict) Worse(other Verdict) Verdict {
	if other.Rank() > v.Rank() {
		return other
	}
	return v
}

// Health is the judgement of one heartbeat against the clock and the timeout in force.
type Health string

const (
	// Healthy is a heartbeat younger than the timeout.
	Healthy Health = "healthy"
	// Unhealthy is a heartbeat older than the timeout.
	Unhealthy Health = "unhealthy"
	// Future is a heartbeat further ahead of the cluster's clock than any honest skew.
	// Every reader takes it for healthy, and it beats every later update.
	Future Health = "future"
	// NoInstance is used for owners of partitions whose instance is in no ring.
	NoInstance Health = "missing"
)

// Duration is a time.Duration that is a number of seconds in JSON.
type Duration time.Duration

// MarshalJSON writes seconds, with a fraction where there is one.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).Seconds())
}

// UnmarshalJSON reads seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s float64
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*d = Duration(s * float64(time.Second))
	return nil
}

// String is the text of the time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// Snapshot is everything one member of a cluster knows at one moment, with health, ownership and
// quorum worked out. It is built once and never changes; share it freely.
//
// All slices are sorted: members by name, rings by key, instances by id, partitions by number.
type Snapshot struct {
	// From is the gossip name of the member whose view this is (its address where the name is unknown).
	From string `json:"from"`
	// Addr is the address that was asked.
	Addr string `json:"addr"`
	// At is the local time at which the answer arrived.
	At time.Time `json:"at"`
	// Mode says how the view was obtained.
	Mode Mode `json:"mode"`
	// Label is the cluster label that was used; empty for clusters without one.
	Label string `json:"label,omitempty"`
	// ClockSkew is the newest believable heartbeat minus At: slightly negative in a live cluster,
	// positive when the local clock is behind the cluster's.
	ClockSkew Duration `json:"clockSkewSeconds"`
	// Members are the gossip members as this member sees them. Empty in HTTP mode when the page is off.
	Members []Member `json:"members"`
	// Rings are the instance rings found in the state.
	Rings []Ring `json:"rings"`
	// PartitionRings are the partition rings found in the state.
	PartitionRings []PartitionRing `json:"partitionRings"`
	// Opaque are the keys whose codec is not understood. They are shown and never touched.
	Opaque []Opaque `json:"opaque,omitempty"`
	// Verdict is the worst verdict of all rings.
	Verdict Verdict `json:"verdict"`
	// Problem is the worst problem in words; empty when the verdict is OK.
	Problem string `json:"problem,omitempty"`
	// Products are the products whose keys were recognised ("tempo", "mimir", …).
	// More than one usually means that two clusters gossip with each other.
	Products []string `json:"products,omitempty"`
	// StateBytes is the size of the whole key-value state on the wire.
	StateBytes int `json:"stateBytes"`
	// Note is what should be known about how the view was obtained ("observing: …").
	Note string `json:"note,omitempty"`

	contents *contents
}

// Member is one gossip member.
type Member struct {
	Name string `json:"name"`
	// Addr is the advertised gossip address, host:port.
	Addr string `json:"addr"`
	// Zone and Role come from the zone-aware routing meta; mostly empty.
	Zone string `json:"zone,omitempty"`
	Role string `json:"role,omitempty"`
	// State is "alive", "suspect", "dead" or "left".
	State string `json:"state"`
	// Instances are the ring entries that look like this member: "key/id".
	Instances []string `json:"instances,omitempty"`
	// Guest is true for observers that joined for a while (ringctl itself).
	Guest bool `json:"guest,omitempty"`
}

// Ring is one instance ring.
type Ring struct {
	// Key is the key in the key-value store, for example "collectors/ring".
	Key string `json:"key"`
	// Name is the short, unambiguous name used on the command line, for example "ingester".
	Name string `json:"name"`
	// Product is the product whose key this is, or "" if it is not a known key.
	Product string `json:"product,omitempty"`
	// HeartbeatTimeout is the timeout health was judged with.
	HeartbeatTimeout Duration `json:"heartbeatTimeoutSeconds"`
	// ReplicationFactor and ZoneAware are what quorums were computed with. They are not in the
	// ring itself: they come from the profile, the context or a flag.
	ReplicationFactor int  `json:"replicationFactor"`
	ZoneAware         bool `json:"zoneAware"`
	// Assumed is true when nobody said what the replication factor is.
	Assumed bool `json:"replicationFactorAssumed,omitempty"`
	// Stateless rings only tell who is there: no key is lost when members go, so there are no quorums.
	Stateless bool `json:"stateless,omitempty"`
	// Instances are the members of the ring without tombstones, sorted by id.
	Instances []Instance `json:"instances"`
	// Tombstones are the LEFT entries still circulating.
	Tombstones []Tombstone `json:"tombstones,omitempty"`
	// Zones summarises per zone, sorted by name. The empty zone has the name "".
	Zones []Zone `json:"zones"`
	// States counts instances by state name ("ACTIVE": 3).
	States map[string]int `json:"states"`
	// HealthyCount is the number of healthy instances.
	HealthyCount int `json:"healthy"`
	// Tokens is the number of tokens of all instances.
	Tokens int `json:"tokens"`
	// Spread describes how evenly keys are owned.
	Spread Spread `json:"ownership"`
	// Write and Read are the quorum reports. Nil for rings without tokens.
	Write *Quorum `json:"write,omitempty"`
	Read  *Quorum `json:"read,omitempty"`
	// DuplicateTokens lists tokens held by more than one instance.
	DuplicateTokens []DuplicateToken `json:"duplicateTokens,omitempty"`
	// Hash identifies what placement depends on: ids, addresses, states, zones, tokens, read-only.
	// Two members with the same hash route the same way. Heartbeats are not in it.
	Hash string `json:"hash"`
	// Deleted is true when the whole key carries the deletion mark.
	Deleted bool `json:"deleted,omitempty"`
	// Bytes is the encoded size of the value.
	Bytes int `json:"bytes"`
	// Verdict, Problem (the worst) and Problems (all, worst first).
	Verdict  Verdict  `json:"verdict"`
	Problem  string   `json:"problem,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// Instance is one member of an instance ring.
type Instance struct {
	ID    string `json:"id"`
	Addr  string `json:"addr"`
	Zone  string `json:"zone,omitempty"`
	State string `json:"state"`
	// Health is the judgement of the heartbeat alone; see also CountsForWrite and CountsForRead.
	Health Health `json:"health"`
	// Heartbeat is the time of the last heartbeat; the zero time when there never was one.
	Heartbeat time.Time `json:"heartbeat"`
	// HeartbeatAge is the snapshot's time minus Heartbeat; negative for the future.
	HeartbeatAge Duration `json:"heartbeatAgeSeconds"`
	// CountsForWrite and CountsForRead say whether the instance counts for the operation's quorum.
	CountsForWrite bool `json:"countsForWrite"`
	CountsForRead  bool `json:"countsForRead"`
	// Tokens is the number of tokens; TokenValues has them, sorted, and is left out of JSON.
	Tokens      int      `json:"tokens"`
	TokenValues []uint32 `json:"-"`
	// Ownership is the share of its zone's key space in percent (all zones add up to 100 each).
	Ownership float64 `json:"ownershipPercent"`
	// Registered is when it joined; the zero time when unknown.
	Registered time.Time `json:"registered"`
	ReadOnly   bool      `json:"readOnly,omitempty"`
	// ReadOnlySince is the time of the last change of ReadOnly; the zero time when never.
	ReadOnlySince time.Time         `json:"readOnlySince,omitzero"`
	Versions      map[uint64]uint64 `json:"versions,omitempty"`
}

// Tombstone is a LEFT entry.
type Tombstone struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	Addr string    `json:"addr,omitempty"`
	Zone string    `json:"zone,omitempty"`
}

// Zone summarises the instances of one zone of a ring.
type Zone struct {
	Name      string `json:"name"`
	Instances int    `json:"instances"`
	Healthy   int    `json:"healthy"`
	Tokens    int    `json:"tokens"`
	Spread    Spread `json:"ownership"`
}

// Spread describes how evenly something is shared, in percent of the zone's key space.
type Spread struct {
	Min  float64 `json:"minPercent"`
	Max  float64 `json:"maxPercent"`
	Mean float64 `json:"meanPercent"`
	// MaxOverMean is the load of the busiest owner relative to the mean; 1 is perfect, 0 means no owners.
	MaxOverMean float64 `json:"maxOverMean"`
	// StdDev is the standard deviation in percent points.
	StdDev float64 `json:"stdDevPercent"`
}

// Quorum answers "does every key have a quorum, and how far is the worst one from losing it". Writes ask the
// replicas of one key; reads are judged as queries do them, over the whole ring.
type Quorum struct {
	// Operation is "write" or "read".
	Operation string `json:"operation"`
	// OK is true when every range of keys has a quorum.
	OK bool `json:"ok"`
	// Margin is how many more instances may Fail before Some key loses its quorum, in the worst
	// case. Zero: the next failure may hurt. Negative: how many are missing now.
	Margin int `json:"margin"`
	// ZoneMargin is the same counted in whole zones; -1 when the ring is not zone aware.
	ZoneMargin int `json:"zoneMargin"`
	// Ranges and RangesWithout count the ranges of keys with the same replicas.
	Ranges        int `json:"ranges"`
	RangesWithout int `json:"rangesWithoutQuorum"`
	// Without is the share of keys without a quorum in percent.
	Without float64 `json:"keysWithoutQuorumPercent"`
	// Blocking are the instances that keep keys from a quorum, sorted by id.
	Blocking []string `json:"blocking,omitempty"`
	// Error is the reason where no answer exists ("no tokens").
	Error string `json:"error,omitempty"`
}

// DuplicateToken is a token with several holders.
type DuplicateToken struct {
	Token     uint32   `json:"token"`
	Instances []string `json:"instances"`
}

// PartitionRing is one partition ring.
type PartitionRing struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Product string `json:"product,omitempty"`
	// InstanceRing is the key of the ring in which owners were looked up; "" if none was found.
	InstanceRing     string   `json:"instanceRing,omitempty"`
	HeartbeatTimeout Duration `json:"heartbeatTimeoutSeconds"`
	// Partitions without tombstones, by number.
	Partitions []Partition `json:"partitions"`
	// Orphans are owners of partitions that do not exist.
	Orphans []Owner `json:"orphans,omitempty"`
	// Zones are the zones of all owners, sorted; the columns of a partitions × zones grid.
	Zones []string `json:"zones"`
	// States counts partitions by state ("ACTIVE", "INACTIVE", "PENDING").
	States map[string]int `json:"states"`
	// Owners is the number of owners without tombstones.
	Owners int `json:"owners"`
	// Tombstones counts deleted partitions and owners still circulating.
	Tombstones int `json:"tombstones,omitempty"`
	// Spread is over the ACTIVE partitions.
	Spread   Spread   `json:"ownership"`
	Hash     string   `json:"hash"`
	Deleted  bool     `json:"deleted,omitempty"`
	Bytes    int      `json:"bytes"`
	Verdict  Verdict  `json:"verdict"`
	Problem  string   `json:"problem,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// Partition is one partition of a partition ring.
type Partition struct {
	ID int32 `json:"id"`
	// State is "PENDING", "ACTIVE", "INACTIVE" or "UNKNOWN".
	State string `json:"state"`
	// Since is the time of the last state change.
	Since time.Time `json:"since"`
	// Age is the snapshot's time minus Since.
	Age Duration `json:"ageSeconds"`
	// Locked partitions refuse every state change; LockedSince is when the lock last changed.
	Locked      bool      `json:"locked"`
	LockedSince time.Time `json:"lockedSince,omitzero"`
	// Tokens is the number of tokens.
	Tokens int `json:"tokens"`
	// Ownership is the share of the key space in percent, over all partitions whatever their state.
	Ownership float64 `json:"ownershipPercent"`
	// Traffic is the share of keys written to it now: keys of partitions that are not ACTIVE fall to the next.
	Traffic float64 `json:"trafficPercent"`
	// Owners, sorted by zone, then id.
	Owners []Owner `json:"owners"`
	// HealthyOwners is the number of owners that can be read from.
	HealthyOwners int     `json:"healthyOwners"`
	Verdict       Verdict `json:"verdict"`
	Problem       string  `json:"problem,omitempty"`
}

// Owner is one owner of a partition.
type Owner struct {
	// ID is the owner's key: an instance id, or instance/partition.
	ID string `json:"id"`
	// Instance is the instance id in the instance ring.
	Instance  string    `json:"instance"`
	Partition int32     `json:"partition"`
	Since     time.Time `json:"since"`
	// Zone, Addr, State and Health are the instance's; Health is "missing" when it is in no ring.
	Zone   string `json:"zone,omitempty"`
	Addr   string `json:"addr,omitempty"`
	State  string `json:"state,omitempty"`
	Health Health `json:"health"`
}

// Opaque is a key that is not understood, passed on untouched.
type Opaque struct {
	Key     string `json:"key"`
	Codec   string `json:"codec"`
	Bytes   int    `json:"bytes"`
	Deleted bool   `json:"deleted,omitempty"`
	// Error says why a value with a known codec could not be read.
	Error string `json:"error,omitempty"`
}

// Ring returns the instance ring with that key, name or unambiguous last part of the key.
func (s *Snapshot) Ring(name string) (*Ring, bool) {
	for i := range s.Rings {
		if s.Rings[i].Key == name || s.Rings[i].Name == name {
			return &s.Rings[i], true
		}
	}
	return nil, false
}

// PartitionRing returns the partition ring with that key or name.
func (s *Snapshot) PartitionRing(name string) (*PartitionRing, bool) {
	for i := range s.PartitionRings {
		if s.PartitionRings[i].Key == name || s.PartitionRings[i].Name == name {
			return &s.PartitionRings[i], true
		}
	}
	return nil, false
}

// Instance returns the instance with that id.
func (r *Ring) Instance(id string) (*Instance, bool) {
	for i := range r.Instances {
		if r.Instances[i].ID == id {
			return &r.Instances[i], true
		}
	}
	return nil, false
}

// Partition returns the partition with that number.
func (r *PartitionRing) Partition(id int32) (*Partition, bool) {
	for i := range r.Partitions {
		if r.Partitions[i].ID == id {
			return &r.Partitions[i], true
		}
	}
	return nil, false
}

// Age is how old the snapshot is at the given moment.
func (s *Snapshot) Age(now time.Time) time.Duration { return now.Sub(s.At) }

// View is what the snapshot was built from: the members and the pairs, their values encoded anew. It is empty for a
// snapshot that was not made by [Build]. The caller must not change it.
func (s *Snapshot) View() *gossip.View {
	v := &gossip.View{From: s.Addr, At: s.At}
	if s.contents == nil {
		return v
	}
	v.Nodes = s.contents.nodes
	for _, p := range s.contents.pairs {
		v.Pairs = append(v.Pairs, s.contents.pair(p))
	}
	return v
}
