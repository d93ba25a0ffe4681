package membership

import (
	"fmt"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// NotReadyError says which rule keeps an instance or partition from being ready.
type NotReadyError struct {
	Ring string
	// Rule is the rule's stable name: "registered", "active", "heartbeat", "same-address", "min-ready",
	// "ring-healthy", "partition-exists", "partition-owned".
	Rule   string
	Detail string
}

// Error names ring, rule and what was found.
func (e *NotReadyError) Error() string {
	return fmt.Sprintf("ring %q: not ready by rule %q: %s", e.Ring, e.Rule, e.Detail)
}

// Ready is nil when the instance may be sent work; otherwise a [NotReadyError].
func (i *Instance) Ready() error {
	m := i.now.Load()
	now := time.Now()
	rule, detail := readiness(*m, i.Ring(), now, i.readyOnce.Load())
	if rule != "" {
		return &NotReadyError{Ring: i.cfg.Key, Rule: rule, Detail: detail}
	}
	i.readyOnce.Store(true)
	return nil
}

// readiness judges m against the ring it sees. The health of the others is asked only until the instance
// was ready once: later it is their business.
func readiness(m machine, r *ring.Ring, now time.Time, readyOnce bool) (rule, detail string) {
	timeout := m.cfg.Lookup.HeartbeatTimeout
	switch {
	case m.phase == unborn:
		return "registered", "the instance is not in the ring yet"
	case m.phase != serving:
		return "active", "the instance is " + m.phase.state().String()
	case timeout > 0 && now.Sub(time.Unix(m.beat, 0)) > timeout:
		return "heartbeat", fmt.Sprintf("the last heartbeat that the store accepted is %s old, the timeout is %s",
			now.Sub(time.Unix(m.beat, 0)).Truncate(time.Second), timeout)
	case now.Sub(m.activeSince) < m.cfg.MinReadyDuration:
		return "min-ready", fmt.Sprintf("active for %s of %s",
			now.Sub(m.activeSince).Truncate(time.Second), m.cfg.MinReadyDuration)
	}
	if mine, ok := r.InstanceByID(m.cfg.ID); !ok {
		return "registered", "the ring that readers see does not list the instance yet"
	} else if mine.Addr != m.cfg.Addr {
		return "same-address", fmt.Sprintf("the ring lists %s at %s, this process is %s: the id is used twice",
			m.cfg.ID, mine.Addr, m.cfg.Addr)
	}
	if m.cfg.ReadinessCheckRing && !readyOnce {
		return othersReady(m, r, now)
	}
	return "", ""
}

// othersReady names the first member, by id, that is not ACTIVE and healthy.
func othersReady(m machine, r *ring.Ring, now time.Time) (rule, detail string) {
	for _, inst := range r.Instances() {
		if inst.State != ring.Active {
			return "ring-healthy", fmt.Sprintf("%s is %s", inst.ID, inst.State)
		}
		if !inst.IsHealthy(ring.Reporting, m.cfg.Lookup.HeartbeatTimeout, now) {
			return "ring-healthy", fmt.Sprintf("the last heartbeat of %s is %s old (ringctl forget %s %s, if it is gone for good)",
				inst.ID, now.Sub(time.Unix(inst.Timestamp, 0)).Truncate(time.Second), m.cfg.name(), inst.ID)
		}
	}
	return "", ""
}
