package ring

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of lookups, to be tested with errors.Is.
var (
	// ErrEmptyRing: the ring has no instances or no tokens.
	ErrEmptyRing = errors.New("empty ring")
	// ErrNotEnoughReplicas: too few healthy instances own the key.
	ErrNotEnoughReplicas = errors.New("not enough live replicas")
	// ErrTooManyUnhealthy: too many instances of the whole ring are unhealthy.
	ErrTooManyUnhealthy = errors.New("too many unhealthy instances in the ring")
	// ErrExpandedReplication: the strategy cannot work with more replicas than
	// the ring's replication factor.
	ErrExpandedReplication = errors.New("replication factor above the ring's is not supported by this strategy")
)

// NotEnoughError is an [ErrNotEnoughReplicas] with its arithmetic.
type NotEnoughError struct {
	Key  uint32
	Need int // healthy replicas needed
	Live int // healthy replicas found
	// Unhealthy are the ids of the others, in order of the ring walk.
	Unhealthy []string
}

func (e *NotEnoughError) Error() string {
	return fmt.Sprintf("key %d: at least %d live replicas required, found %d; unhealthy: %s",
		e.Key, e.Need, e.Live, list(e.Unhealthy))
}

// Unwrap makes errors.Is find [ErrNotEnoughReplicas].
func (e *NotEnoughError) Unwrap() error { return ErrNotEnoughReplicas }

// UnhealthyError is an [ErrTooManyUnhealthy] with its arithmetic.
type UnhealthyError struct {
	// Need and Live count instances, or zones when Zones is not empty.
	Need, Live int
	// Unhealthy are the ids of the unhealthy instances, sorted.
	Unhealthy []string
	// Zones are the zones that hold them, sorted; only with zone awareness.
	Zones []string
}

func (e *UnhealthyError) Error() string {
	what, where := "instances", ""
	if len(e.Zones) > 0 {
		what, where = "zones", " in "+list(e.Zones)
	}
	return fmt.Sprintf("at least %d healthy %s required, found %d; unhealthy: %s%s",
		e.Need, what, e.Live, list(e.Unhealthy), where)
}

// Unwrap makes errors.Is find [ErrTooManyUnhealthy].
func (e *UnhealthyError) Unwrap() error { return ErrTooManyUnhealthy }

// list joins names for a person, cutting off long lists.
func list(names []string) string {
	const most = 5
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
