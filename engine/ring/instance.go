package ring

import (
	"math"
	"strconv"
	"time"
)

// State is the lifecycle state of an instance, with the numbers of the wire
// format. Unknown numbers are kept as they are.
type State int32

// The states of an instance. Left marks a tombstone: the instance is gone and
// the entry only lives on until every node has heard so.
const (
	Active  State = 0
	Leaving State = 1
	Pending State = 2
	Joining State = 3
	Left    State = 4
)

var stateNames = [...]string{"ACTIVE", "LEAVING", "PENDING", "JOINING", "LEFT"}

// String gives the name used on the wire's JSON forms, "ACTIVE" and so on, and
// the decimal number for a state this version does not know.
func (s State) String() string {
	if s >= 0 && int(s) < len(stateNames) {
		return stateNames[s]
	}
	return strconv.Itoa(int(s))
}

// ParseState is the inverse of [State.String].
func ParseState(name string) (State, bool) {
	for i, n := range stateNames {
		if n == name {
			return State(i), true
		}
	}
	n, err := strconv.ParseInt(name, 10, 32)
	return State(n), err == nil
}

// Instance is one member of a ring.
type Instance struct {
	// ID names the instance. It usually equals the key of the entry in
	// [Desc.Instances]; old writers leave it empty. In a [Ring] it always is
	// that key.
	ID string
	// Addr is host:port of the instance.
	Addr string
	// Timestamp is the last heartbeat in seconds since 1970. It also orders
	// two versions of an entry in [Merge].
	Timestamp int64
	State     State
	// Tokens are the points the instance owns. Never write into the slice.
	Tokens []uint32
	Zone   string
	// RegisteredTimestamp is when the instance first joined, in seconds since
	// 1970, 0 if unknown.
	RegisteredTimestamp int64
	// ReadOnlyUpdatedTimestamp is when ReadOnly last changed, in seconds since
	// 1970, 0 if never.
	ReadOnlyUpdatedTimestamp int64
	ReadOnly                 bool
	Versions                 map[uint64]uint64
	// Unknown holds protobuf fields this version does not know, as encoded
	// bytes. They are written back unchanged.
	Unknown []byte
}

// IsHealthy tells whether the instance takes part in op at now: its state is
// one the operation accepts and its heartbeat is at most timeout old. A timeout
// of zero ignores the heartbeat. A heartbeat from the future counts as healthy,
// as on every node of the family; see [Instance.HeartbeatState] for a judgement.
func (i *Instance) IsHealthy(op Operation, timeout time.Duration, now time.Time) bool {
	return op.Accepts(i.State) && i.Timestamp >= oldestHealthy(timeout, now)
}

// neverHealthy is a heartbeat older than any timeout, see [Ring.Down].
const neverHealthy = math.MinInt64

// oldestHealthy is the smallest heartbeat timestamp, in seconds, that is not
// older than timeout at now. Working in whole seconds keeps far-future and
// negative timestamps from overflowing.
func oldestHealthy(timeout time.Duration, now time.Time) int64 {
	if timeout == 0 {
		return neverHealthy + 1
	}
	t := now.Add(-timeout)
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return s
}

// Heartbeat is a judgement about the age of a heartbeat.
type Heartbeat int8

// The judgements of [Instance.HeartbeatState].
const (
	// Fresh: at most the timeout old, and not further ahead than the timeout.
	Fresh Heartbeat = iota
	// Stale: older than the timeout.
	Stale
	// Future: ahead of now by more than the timeout. No clock skew explains
	// that; the entry beats every later one until time catches up.
	Future
)

// String is "fresh", "stale" or "future".
func (h Heartbeat) String() string {
	switch h {
	case Stale:
		return "stale"
	case Future:
		return "future"
	default:
		return "fresh"
	}
}

// HeartbeatState judges the heartbeat alone, without the state of the instance.
// The tolerance for clocks that run ahead is timeout, or one minute if timeout
// is zero; with a zero timeout no heartbeat is Stale.
func (i *Instance) HeartbeatState(now time.Time, timeout time.Duration) Heartbeat {
	ahead := timeout
	if ahead == 0 {
		ahead = time.Minute
	}
	switch {
	case i.Timestamp > now.Add(ahead).Unix():
		return Future
	case i.Timestamp < oldestHealthy(timeout, now):
		return Stale
	}
	return Fresh
}
