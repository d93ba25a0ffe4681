package membership

import (
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// forgetSilent removes the members whose last heartbeat is older than the configured number of timeouts.
// Two guards keep a sick judge from convicting the healthy:
//
//   - doubt: for one timeout after the start, after a late beat of our own, and after our entry vanished,
//     nobody is forgotten, because what others wrote may not have reached us yet;
//   - cap: when more than half of the ring looks dead it is more likely us, so nobody is forgotten and a
//     person has to look.
//
// Tombstones that a store keeps for ever (Consul, etcd) are swept along once they are as old.
func (m *machine) forgetSilent(d *ring.Desc, now time.Time, e *effect) {
	if m.cfg.AutoForget == 0 {
		return
	}
	limit := now.Add(-time.Duration(m.cfg.AutoForget) * m.cfg.Lookup.HeartbeatTimeout).Unix()
	var silent, tombs []string
	members := 0
	for id, inst := range d.Instances {
		if inst.State != ring.Left {
			members++
		}
		switch {
		case id == m.cfg.ID || inst.Timestamp >= limit:
		case inst.State == ring.Left:
			tombs = append(tombs, id)
		default:
			silent = append(silent, id)
		}
	}
	for _, id := range tombs {
		delete(d.Instances, id)
		e.changed = true
	}
	if held, why := m.spare(len(silent), members, now); held {
		if m.held != len(silent) {
			e.note(NoteForgetHeld, m.cfg.ID, "silent", len(silent), "of", members, "because", why)
		}
		m.held = len(silent)
		return
	}
	m.held = 0
	slices.Sort(silent)
	for _, id := range silent {
		age := now.Sub(time.Unix(d.Instances[id].Timestamp, 0)).Truncate(time.Second)
		delete(d.Instances, id)
		e.changed = true
		e.note(NoteForgot, id, "silent", age)
	}
}

// spare says whether the silent members must not be forgotten now, and why.
func (m *machine) spare(silent, members int, now time.Time) (bool, string) {
	switch {
	case silent == 0:
		return false, ""
	case now.Before(m.doubtUntil):
		return true, "this member may have missed their heartbeats"
	case silent > max(1, members/2):
		return true, "more than half of the ring looks dead"
	}
	return false, ""
}
