package ring

import (
	"slices"
	"time"
)

// AllHealthy gives every instance that is healthy for op at now, sorted by id.
// None may fail. The error is [ErrEmptyRing] when there are no instances.
func (r *Ring) AllHealthy(op Operation, now time.Time) (ReplicationSet, error) {
	if len(r.instances) == 0 {
		return ReplicationSet{}, ErrEmptyRing
	}
	healthy, _ := r.split(op, now)
	return ReplicationSet{Instances: healthy}, nil
}

// ReplicationSetForOperation gives the instances to ask when the answer needs
// the whole ring, such as a query over all keys, sorted by id.
//
// With zone awareness the zones with an unhealthy instance are left out, and as
// many zones may fail as replicas may be missing. Without it all but RF/2
// instances of the ring must be healthy. The error is [ErrEmptyRing] or an
// [UnhealthyError].
func (r *Ring) ReplicationSetForOperation(op Operation, now time.Time) (ReplicationSet, error) {
	if r.topo.index.Len() == 0 {
		return ReplicationSet{}, ErrEmptyRing
	}
	healthy, unhealthy := r.split(op, now)
	if r.cfg.ZoneAwareness {
		return r.zoneSet(healthy, unhealthy)
	}
	need := max(len(r.instances), r.cfg.ReplicationFactor) - r.cfg.ReplicationFactor/2
	if len(healthy) < need {
		return ReplicationSet{}, &UnhealthyError{Need: need, Live: len(healthy), Unhealthy: ids(unhealthy)}
	}
	return ReplicationSet{Instances: healthy, MaxErrors: len(healthy) - need}, nil
}

func (r *Ring) zoneSet(healthy, unhealthy []*Instance) (ReplicationSet, error) {
	var failed []string
	for _, i := range unhealthy {
		if !slices.Contains(failed, i.Zone) {
			failed = append(failed, i.Zone)
		}
	}
	zones := len(r.topo.zones)
	allowed := min(zones, r.cfg.ReplicationFactor) / 2
	if len(failed) > allowed {
		slices.Sort(failed)
		return ReplicationSet{}, &UnhealthyError{
			Need: zones - allowed, Live: zones - len(failed), Unhealthy: ids(unhealthy), Zones: failed,
		}
	}
	whole := slices.DeleteFunc(healthy, func(i *Instance) bool { return slices.Contains(failed, i.Zone) })
	return ReplicationSet{Instances: whole, MaxUnavailableZones: allowed - len(failed), ZoneAware: true}, nil
}

func (r *Ring) split(op Operation, now time.Time) (healthy, unhealthy []*Instance) {
	oldest := oldestHealthy(r.cfg.HeartbeatTimeout, now)
	healthy = make([]*Instance, 0, len(r.instances))
	for n := range r.vitals {
		if v := &r.vitals[n]; v.state&op != 0 && v.timestamp >= oldest {
			healthy = append(healthy, &r.instances[n])
		} else {
			unhealthy = append(unhealthy, &r.instances[n])
		}
	}
	return healthy, unhealthy
}

func ids(instances []*Instance) []string {
	out := make([]string, len(instances))
	for n, i := range instances {
		out[n] = i.ID
	}
	return out
}
