package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
)

const (
	// restartTime is how long a member may take to come in before it is no restart any more.
	restartTime = 15 * time.Minute
	// silentTimeouts and silentTime bound how long one may be silent: so many heartbeat timeouts, and so long after the first.
	silentTimeouts = 10
	silentTime     = 5 * time.Minute
)

// patience is how long members of a ring may be silent or gone before their absence is no restart any more.
func patience(r *client.Ring) time.Duration {
	timeout := time.Duration(r.HeartbeatTimeout)
	return min(silentTimeouts*timeout, timeout+silentTime)
}

// away is what one view tells about members that are on their way out or in, by ring and id.
type away struct {
	zones map[string]bool
	// why says for each member ("ring id") what is seen of it.
	why map[string]string
	// left are members ("ring id") that left lately, by the instance ring's key.
	left map[string]string
}

// restarting tells whether all that is amiss in a view is in one zone, and how.
func restarting(v *client.Snapshot) (zone string, a away, ok bool) {
	a = away{zones: map[string]bool{}, why: map[string]string{}, left: map[string]string{}}
	for i := range v.Rings {
		r := &v.Rings[i]
		if !a.ring(v, r) {
			return "", a, false
		}
	}
	for i := range v.PartitionRings {
		a.owners(&v.PartitionRings[i])
	}
	if len(a.zones) != 1 || a.zones[""] || len(a.why) == 0 {
		return "", a, false
	}
	for z := range a.zones {
		zone = z
	}
	return zone, a, othersStand(v, zone)
}

// ring gathers the members of one ring; false when one of them has been away for too long.
func (a *away) ring(v *client.Snapshot, r *client.Ring) bool {
	for n := range r.Instances {
		i := &r.Instances[n]
		silent, limit := v.At.Sub(i.Heartbeat), patience(r)
		switch {
		case i.Health == client.Future || i.Heartbeat.IsZero():
			return false
		case i.Health == client.Unhealthy:
			a.why[r.Name+" "+i.ID] = fmt.Sprintf("%s, silent for %s", i.State, client.Age(silent))
		case i.State == "LEAVING":
			a.why[r.Name+" "+i.ID] = "LEAVING"
		case i.State == "PENDING" || i.State == "JOINING":
			silent, limit = v.At.Sub(i.Registered), restartTime
			a.why[r.Name+" "+i.ID] = i.State
		default:
			continue
		}
		a.zones[i.Zone] = true
		if silent > limit {
			return false
		}
	}
	for _, t := range r.Tombstones {
		if v.At.Sub(t.At) < patience(r) {
			a.left[r.Key+" "+t.ID] = t.Zone
		}
	}
	return true
}

// owners gathers the owners of partitions whose instance left lately.
func (a *away) owners(r *client.PartitionRing) {
	for n := range r.Partitions {
		for m := range r.Partitions[n].Owners {
			o := &r.Partitions[n].Owners[m]
			zone, left := a.left[r.InstanceRing+" "+o.Instance]
			if o.Health == client.NoInstance && left {
				a.zones[zone] = true
				a.why[r.Name+" "+o.ID] = "its instance left, its entry waits for it"
			}
		}
	}
}

// othersStand tells whether every ring works without the zone, and other zones are there at all.
func othersStand(v *client.Snapshot, zone string) bool {
	others := false
	for i := range v.Rings {
		r := &v.Rings[i]
		if r.Write != nil && !r.Write.OK || r.Read != nil && !r.Read.OK {
			return false
		}
		for _, z := range r.Zones {
			others = others || z.Name != zone && z.Healthy > 0
		}
	}
	for i := range v.PartitionRings {
		for n := range v.PartitionRings[i].Partitions {
			if p := &v.PartitionRings[i].Partitions[n]; p.State == "ACTIVE" && p.HealthyOwners == 0 {
				return false
			}
		}
	}
	return others
}

// zoneRestart is one finding for everything that a restart of a zone makes visible; what it explains is not said again.
func zoneRestart(p *patient, r Rule, v *client.Snapshot) {
	zone, a, ok := restarting(v)
	if !ok {
		return
	}
	f := Finding{Subject: "zone " + zone, Cause: a.cause(),
		Fix: "ringctl wait --for=healthy --max 15m"}
	for _, who := range slices.Sorted(maps.Keys(a.why)) {
		f.Evidence = append(f.Evidence, strings.Replace(who, " ", "/", 1)+": "+a.why[who])
	}
	p.note(r, v, f)
	p.explain(v, zone, &a)
}

// explain remembers which findings of a view follow from a restart.
func (p *patient) explain(v *client.Snapshot, zone string, a *away) {
	mark := func(rule, ring, subject string) { p.explained[explained{v.From, rule, ring, subject}] = true }
	for who := range a.why {
		ring, id, _ := strings.Cut(who, " ")
		for _, rule := range []string{"unhealthy-member", "stuck-leaving", "stuck-joining", "partition-owner-orphan", "no-tokens", "token-count"} {
			mark(rule, ring, id)
		}
	}
	gone := map[string]bool{}
	for i := range v.Rings {
		r := &v.Rings[i]
		lost := slices.ContainsFunc(r.Instances, func(i client.Instance) bool { return a.why[r.Name+" "+i.ID] != "" })
		for who, z := range a.left {
			key, id, _ := strings.Cut(who, " ")
			if key == r.Key && z == zone {
				lost = true
				gone[id] = true
			}
		}
		for n := range r.Instances {
			if i := &r.Instances[n]; a.why[r.Name+" "+i.ID] != "" {
				gone[i.ID] = true
			}
		}
		if lost {
			for _, rule := range []string{"too-few-zones", "too-few-members", "zone-imbalance", "uneven-ownership", "empty-ring"} {
				mark(rule, r.Name, "")
			}
		}
	}
	for _, m := range v.Members {
		if m.Zone == zone || slices.ContainsFunc(m.Instances, func(i string) bool { _, id, _ := strings.Cut(i, "/"); return gone[id] }) || gone[client.Stem(m.Name)] {
			mark("gossip-not-alive", "", m.Name)
			mark("unreached-member", "", m.Name)
		}
	}
}

// cause counts members: one may be away from several rings.
func (a *away) cause() string {
	ids := map[string]bool{}
	for who := range a.why {
		_, id, _ := strings.Cut(who, " ")
		ids[id] = true
	}
	if len(ids) == 1 {
		return "one member is stopping, away or starting; every other zone stands"
	}
	return fmt.Sprintf("%d members are stopping, away or starting; every other zone stands", len(ids))
}
