package partition

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// State is the state of a partition, with the numbers of the wire format.
type State int32

// The states of a partition.
const (
	Unknown  State = 0
	Pending  State = 1
	Active   State = 2
	Inactive State = 3
	Deleted  State = 4 // tombstone
)

var stateNames = [...]string{"PartitionUnknown", "PartitionPending", "PartitionActive", "PartitionInactive", "PartitionDeleted"}

// String gives the name of the wire format, "PartitionActive" and so on, and
// the decimal number for a state this version does not know.
func (s State) String() string {
	if s >= 0 && int(s) < len(stateNames) {
		return stateNames[s]
	}
	return strconv.Itoa(int(s))
}

// ParseState reads what [State.String] gives, and also the short form without
// "Partition" in any case, as people type it.
func ParseState(name string) (State, bool) {
	for n, full := range stateNames {
		if strings.EqualFold(name, full) || strings.EqualFold(name, strings.TrimPrefix(full, "Partition")) {
			return State(n), true
		}
	}
	n, err := strconv.ParseInt(name, 10, 32)
	return State(n), err == nil
}

// OwnerState is the state of an owner, with the numbers of the wire format.
type OwnerState int32

// The states of an owner.
const (
	OwnerUnknown OwnerState = 0
	OwnerActive  OwnerState = 1
	OwnerDeleted OwnerState = 2 // tombstone
)

var ownerStateNames = [...]string{"OwnerUnknown", "OwnerActive", "OwnerDeleted"}

// String gives the name of the wire format, or the number.
func (s OwnerState) String() string {
	if s >= 0 && int(s) < len(ownerStateNames) {
		return ownerStateNames[s]
	}
	return strconv.Itoa(int(s))
}

// ParseOwnerState is the inverse of [OwnerState.String].
func ParseOwnerState(name string) (OwnerState, bool) {
	if n := slices.Index(ownerStateNames[:], name); n >= 0 {
		return OwnerState(n), true
	}
	n, err := strconv.ParseInt(name, 10, 32)
	return OwnerState(n), err == nil
}

// Partition is one part of the key space.
type Partition struct {
	// ID is the number of the partition, normally the key of its entry in
	// [Desc.Partitions].
	ID int32
	// Tokens never change once stored. Never write into the slice.
	Tokens []uint32
	State  State
	// StateTimestamp is when State last changed, in seconds since 1970.
	StateTimestamp    int64
	StateChangeLocked bool
	// StateChangeLockedTimestamp is when the lock last changed.
	StateChangeLockedTimestamp int64
	// Unknown holds protobuf fields this version does not know, as encoded
	// bytes. They are written back unchanged.
	Unknown []byte
}

// Owner says that an instance takes care of a partition. An instance with
// several partitions has one owner entry for each; see [OwnerInstance].
type Owner struct {
	OwnedPartition int32
	State          OwnerState
	// UpdatedTimestamp is when the entry last changed, in seconds since 1970.
	UpdatedTimestamp int64
	// Unknown holds protobuf fields this version does not know.
	Unknown []byte
}

// Desc is the partition ring as nodes exchange it.
type Desc struct {
	Partitions map[int32]Partition
	Owners     map[string]Owner
	// Unknown holds top-level protobuf fields this version does not know.
	Unknown []byte
}

// NewDesc gives an empty partition ring.
func NewDesc() *Desc {
	return &Desc{Partitions: map[int32]Partition{}, Owners: map[string]Owner{}}
}

// Clone copies the partition ring; changing the copy's maps does not change d.
func (d *Desc) Clone() *Desc {
	out := NewDesc()
	maps.Copy(out.Partitions, d.Partitions)
	maps.Copy(out.Owners, d.Owners)
	out.Unknown = slices.Clip(d.Unknown)
	return out
}

// EntryNames lists the entries: partition numbers as text in order of the
// numbers, then owner ids, sorted.
func (d *Desc) EntryNames() []string {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(d.Partitions)) {
		names = append(names, strconv.Itoa(int(id)))
	}
	return append(names, slices.Sorted(maps.Keys(d.Owners))...)
}

// RemoveTombstones deletes Deleted partitions and owners with a timestamp
// before limit, or all of them when limit is the zero time. It returns how many
// tombstones are left and how many were removed.
func (d *Desc) RemoveTombstones(limit time.Time) (total, removed int) {
	old := func(timestamp int64) bool {
		if limit.IsZero() || time.Unix(timestamp, 0).Before(limit) {
			removed++
			return true
		}
		total++
		return false
	}
	maps.DeleteFunc(d.Partitions, func(_ int32, p Partition) bool {
		return p.State == Deleted && old(p.StateTimestamp)
	})
	maps.DeleteFunc(d.Owners, func(_ string, o Owner) bool {
		return o.State == OwnerDeleted && old(o.UpdatedTimestamp)
	})
	return total, removed
}

// OwnerInstance splits an owner id. "instance/7" owns partition 7 on behalf of
// instance; any other id is the id of the instance itself, ok is false, and the
// partition stands only in the entry.
func OwnerInstance(ownerID string) (instance string, partition int32, ok bool) {
	slash := strings.LastIndexByte(ownerID, '/')
	if slash < 0 {
		return ownerID, 0, false
	}
	n, err := strconv.ParseInt(ownerID[slash+1:], 10, 32)
	if err != nil {
		return ownerID, 0, false
	}
	return ownerID[:slash], int32(n), true
}

// OwnerID is the id under which an instance owns one of several partitions.
func OwnerID(instance string, partition int32) string {
	return instance + "/" + strconv.Itoa(int(partition))
}
