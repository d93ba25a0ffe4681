package ringapi

import "time"

// Kind says what a key holds.
type Kind string

const (
	// KindRing is an instance ring.
	KindRing Kind = "ring"
	// KindPartitionRing is a partition ring.
	KindPartitionRing Kind = "partition-ring"
)

// RingList is the answer to [PathRings].
type RingList struct {
	// Server is the instance id of the process that answered: it is this process's view.
	Server string    `json:"server"`
	Now    time.Time `json:"now"`
	// Writable is false when this server refuses every change, whoever asks.
	Writable bool          `json:"writable"`
	Rings    []RingSummary `json:"rings"`
}

// RingSummary is one ring in one line.
type RingSummary struct {
	Key  string `json:"key"`
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Page is the path of the page for people on the same server.
	Page string `json:"page"`
	// Members counts instances or partitions, Healthy those of them that can be used.
	Members int `json:"members"`
	Healthy int `json:"healthy"`
	// States counts members by state name.
	States map[string]int `json:"states"`
	Hash   string         `json:"hash"`
	// Problems in words, worst first; empty when nothing needs a hand.
	Problems []string `json:"problems,omitempty"`
	// Error says why this ring could not be read.
	Error string `json:"error,omitempty"`
}

// Ring is one instance ring as one server sees it. Instances are sorted by id, tombstones left out.
type Ring struct {
	Key  string    `json:"key"`
	Name string    `json:"name"`
	Now  time.Time `json:"now"`
	// HeartbeatTimeout is what health was judged with, in seconds.
	HeartbeatTimeout  float64 `json:"heartbeatTimeoutSeconds"`
	ReplicationFactor int     `json:"replicationFactor"`
	ZoneAware         bool    `json:"zoneAware"`
	// Hash names the view (ring.Desc.TopologyHash): members with the same hash place keys in the same way.
	Hash      string         `json:"hash"`
	States    map[string]int `json:"states"`
	Healthy   int            `json:"healthy"`
	Tokens    int            `json:"tokens"`
	Zones     []Zone         `json:"zones"`
	Instances []Instance     `json:"instances"`
	// Write and Read are the quorum reports; nil for rings without tokens.
	Write    *Quorum  `json:"write,omitempty"`
	Read     *Quorum  `json:"read,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// Instance is one member of an instance ring.
type Instance struct {
	ID    string `json:"id"`
	Addr  string `json:"addr"`
	Zone  string `json:"zone"`
	State string `json:"state"`
	// Health is "healthy", "unhealthy" (heartbeat older than the timeout) or "future".
	Health string `json:"health"`
	// Heartbeat and Registered are the zero time when unknown.
	Heartbeat    time.Time `json:"heartbeat"`
	HeartbeatAge float64   `json:"heartbeatAgeSeconds"`
	Registered   time.Time `json:"registered"`
	ReadOnly     bool      `json:"readOnly"`
	// ReadOnlyUpdated is the zero time when it never changed.
	ReadOnlyUpdated time.Time `json:"readOnlyUpdated"`
	NumTokens       int       `json:"numTokens"`
	// Ownership is the share of its zone's key space in percent; zones add up to 100 each.
	Ownership float64           `json:"ownershipPercent"`
	Versions  map[uint64]uint64 `json:"versions,omitempty"`
	// Tokens is filled only on request (?tokens=true).
	Tokens []uint32 `json:"tokens,omitempty"`
}

// Zone sums up the instances of one zone.
type Zone struct {
	Name      string `json:"name"`
	Instances int    `json:"instances"`
	Healthy   int    `json:"healthy"`
	Tokens    int    `json:"tokens"`
}

// Quorum answers whether every key has a quorum and how far the worst one is from losing it.
type Quorum struct {
	OK bool `json:"ok"`
	// Margin is how many more instances may fail in the worst range of keys; negative: how many are missing.
	Margin int `json:"margin"`
	// WholeMargin is the same for operations over the whole ring (searches), in instances, or in zones
	// where the ring is zone aware.
	WholeMargin int `json:"wholeMargin"`
	// Ranges and RangesWithout count ranges of keys with the same replicas.
	Ranges        int `json:"ranges"`
	RangesWithout int `json:"rangesWithoutQuorum"`
	// Without is the share of keys without a quorum in percent.
	Without float64 `json:"keysWithoutQuorumPercent"`
	// Blocking are the unhealthy members because of which ranges have no quorum, sorted.
	Blocking []string `json:"blocking,omitempty"`
	// Error says why operations over the whole ring fail now.
	Error string `json:"error,omitempty"`
}

// PartitionRing is one partition ring as one server sees it. Partitions are sorted by number.
type PartitionRing struct {
	Key  string    `json:"key"`
	Name string    `json:"name"`
	Now  time.Time `json:"now"`
	// InstanceRing is the key of the ring in which owners were looked up.
	InstanceRing string `json:"instanceRing,omitempty"`
	// HeartbeatTimeout is what the owners' health was judged with, in seconds.
	HeartbeatTimeout float64        `json:"heartbeatTimeoutSeconds"`
	Hash             string         `json:"hash"`
	States           map[string]int `json:"states"`
	Partitions       []Partition    `json:"partitions"`
	// Orphans are owners of partitions that do not exist.
	Orphans  []Owner  `json:"orphans,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// Partition is one partition.
type Partition struct {
	ID int32 `json:"id"`
	// State is "PENDING", "ACTIVE", "INACTIVE" or "UNKNOWN".
	State string `json:"state"`
	// Since is when the state last changed.
	Since  time.Time `json:"since"`
	Locked bool      `json:"locked"`
	// LockedSince is the zero time when the lock never changed.
	LockedSince time.Time `json:"lockedSince"`
	NumTokens   int       `json:"numTokens"`
	// Ownership is the share of the key space in percent over all partitions, whatever their state.
	Ownership float64 `json:"ownershipPercent"`
	Owners    []Owner `json:"owners"`
	// HealthyOwners is how many of them can be read from.
	HealthyOwners int      `json:"healthyOwners"`
	Tokens        []uint32 `json:"tokens,omitempty"`
}

// Owner is one owner of a partition.
type Owner struct {
	ID        string    `json:"id"`
	Instance  string    `json:"instance"`
	Partition int32     `json:"partition"`
	Since     time.Time `json:"since"`
	Zone      string    `json:"zone,omitempty"`
	// Health is the instance's, or "missing" when it is not in the instance ring.
	Health string `json:"health"`
}

// DrainStatus says how far the scale-down of one partition is and what is still in the way.
type DrainStatus struct {
	Partition int32     `json:"partition"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Locked    bool      `json:"locked"`
	Owners    []string  `json:"owners"`
	// Prepared is true when this server's instance will leave the rings for good when it stops.
	Prepared bool `json:"prepared"`
	// Unshipped is what this server still holds that no block in the bucket has; -1: not known here.
	Unshipped int64 `json:"unshippedBytes"`
	// ReadableUntil is when queries stop asking the owners of this partition for recent data. It is the
	// zero time while the partition is not INACTIVE.
	ReadableUntil time.Time `json:"readableUntil"`
	// Safe is true when the partition may be removed now; otherwise Blocking says why not.
	Safe     bool     `json:"safeToRemove"`
	Blocking []string `json:"blocking,omitempty"`
	// Next is the next step in words.
	Next string `json:"next"`
}
