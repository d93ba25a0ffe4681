package ringapi

import "time"

// RingPage is the JSON of an instance ring page. The fields without a remark are the ones that every
// member of the dskit family answers, with the same names and the same oddities: a null list when it is
// empty, the year 1 for "never", UNHEALTHY as if it were a state.
type RingPage struct {
	Shards []Shard   `json:"shards"`
	Now    time.Time `json:"now"`

	// Below: additions.

	Key               string  `json:"key,omitempty"`
	HeartbeatTimeout  float64 `json:"heartbeat_timeout_seconds,omitempty"`
	ReplicationFactor int     `json:"replication_factor,omitempty"`
	ViewHash          string  `json:"view_hash,omitempty"`
	// WriteMargin and ReadMargin are how many more instances may fail before some key loses its quorum.
	WriteMargin *int     `json:"write_quorum_margin,omitempty"`
	ReadMargin  *int     `json:"read_quorum_margin,omitempty"`
	Problems    []string `json:"problems,omitempty"`
}

// Shard is one instance on the [RingPage].
type Shard struct {
	ID                       string            `json:"id"`
	State                    string            `json:"state"`
	Address                  string            `json:"address"`
	Timestamp                time.Time         `json:"timestamp"`
	RegisteredTimestamp      time.Time         `json:"registered_timestamp"`
	ReadOnly                 bool              `json:"read_only"`
	ReadOnlyUpdatedTimestamp time.Time         `json:"read_only_updated_timestamp"`
	Zone                     string            `json:"zone"`
	Tokens                   []uint32          `json:"tokens"`
	Versions                 map[uint64]uint64 `json:"versions,omitempty"`

	// Below: additions. StoredState is the state in the ring, whatever the heartbeat.

	StoredState string  `json:"stored_state,omitempty"`
	Health      string  `json:"health,omitempty"`
	NumTokens   int     `json:"num_tokens"`
	Ownership   float64 `json:"ownership_percent"`
}

// PartitionPage is the JSON of a partition ring page, in the same way.
type PartitionPage struct {
	Partitions []PagePartition `json:"partitions"`

	// Below: additions.

	Key      string    `json:"key,omitempty"`
	Now      time.Time `json:"now,omitzero"`
	ViewHash string    `json:"view_hash,omitempty"`
	Problems []string  `json:"problems,omitempty"`
}

// PagePartition is one partition on the [PartitionPage]. Owners of a partition that does not exist
// appear as a corrupted one.
type PagePartition struct {
	ID                int32     `json:"id"`
	Corrupted         bool      `json:"corrupted"`
	State             int32     `json:"state"`
	StateTimestamp    time.Time `json:"state_timestamp"`
	StateChangeLocked bool      `json:"state_change_locked"`
	OwnerIDs          []string  `json:"owner_ids"`
	Tokens            []uint32  `json:"tokens"`

	// Below: additions.

	StateName     string  `json:"state_name,omitempty"`
	NumTokens     int     `json:"num_tokens"`
	Ownership     float64 `json:"ownership_percent"`
	HealthyOwners int     `json:"healthy_owners"`
}
