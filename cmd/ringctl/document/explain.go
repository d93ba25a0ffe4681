package document

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
)

// Explanation is a document of kind Explanation.
type Explanation struct {
	Subject string   `json:"subject"`
	Lines   []string `json:"lines"`
}

// ExplainQuorum tells the arithmetic of a ring's quorums.
func ExplainQuorum(r *client.Ring) *Explanation {
	e := &Explanation{Subject: r.Name}
	say := func(format string, args ...any) { e.Lines = append(e.Lines, fmt.Sprintf(format, args...)) }
	say("Ring %s (%s) has %s, %d of them healthy (heartbeat at most %s old).", r.Name, r.Key, client.Plural(len(r.Instances), "member"), r.HealthyCount, Short(time.Duration(r.HeartbeatTimeout)))
	if r.Stateless || r.Write == nil {
		say("It only tells who is there: no key is placed by it, so there is no quorum. It works as long as one member is healthy.")
		return e
	}
	known := "as configured"
	if r.Assumed {
		known = "assumed: nothing in a ring tells it, set it with --rf or in the context"
	}
	n := max(r.ReplicationFactor, 1)
	need := n/2 + 1
	say("Replication factor %d (%s): a key belongs to the first %s clockwise from its hash.", n, known, client.Plural(n, "different member"))
	if r.ZoneAware {
		say("Zones: each of the %d replicas is in another zone (%d zones: %s).", n, len(r.Zones), zoneList(r))
	} else {
		say("Zones are not regarded: any %s may hold a key.", client.Plural(n, "member"))
	}
	say("Write: a member counts when it is ACTIVE and healthy. A majority of %d is needed, that is %d; one that is not ACTIVE makes the set one larger, and the majority with it.", n, need)
	say("  now: %s", quorumWords(r.Write, "another member can fail"))
	if r.ZoneAware {
		say("Read: a query asks the whole ring. A zone with a single unhealthy member counts as lost; min(zones, factor)/2 = %d zones may be lost.", min(len(r.Zones), n)/2)
	} else {
		say("Read: a query asks the whole ring, and factor/2 = %d members of the whole ring may be unhealthy, however large it is. ACTIVE, PENDING and LEAVING count.", n/2)
	}
	say("  now: %s", quorumWords(r.Read, "another can fail"))
	return e
}

func zoneList(r *client.Ring) string {
	var parts []string
	for _, z := range r.Zones {
		parts = append(parts, fmt.Sprintf("%s with %s, %d healthy", z.Name, client.Plural(z.Instances, "member"), z.Healthy))
	}
	return strings.Join(parts, "; ")
}

func quorumWords(q *client.Quorum, more string) string {
	switch {
	case q.Error != "":
		return "it fails: " + q.Error
	case !q.OK:
		return fmt.Sprintf("%.0f%% of keys fail, because of %s", q.Without, strings.Join(q.Blocking, ", "))
	case q.Margin == 0:
		return "it works, and the next failure in the wrong place ends that"
	default:
		return fmt.Sprintf("it works, and %s even in the worst place (margin %d)", more, q.Margin)
	}
}

// ExplainMember tells what an instance counts for, and what its loss would do.
func ExplainMember(s *client.Snapshot, r *client.Ring, i *client.Instance) *Explanation {
	e := &Explanation{Subject: i.ID}
	say := func(format string, args ...any) { e.Lines = append(e.Lines, fmt.Sprintf(format, args...)) }
	say("%s in ring %s: %s, %s.", i.ID, r.Name, i.State, i.Health)
	switch i.Health {
	case client.Future:
		say("Its heartbeat is dated %s ahead. All members take it for healthy until then, and no update of it can win.", client.Age(i.Heartbeat.Sub(s.At)))
	case client.Unhealthy:
		say("Its last heartbeat was %s ago, the timeout is %s: it counts for nothing, but keeps its keys.", ago(s.At, i.Heartbeat), Short(time.Duration(r.HeartbeatTimeout)))
	default:
		say("Its last heartbeat was %s ago, the timeout is %s.", ago(s.At, i.Heartbeat), Short(time.Duration(r.HeartbeatTimeout)))
	}
	say("Writes: it %s. Reads: it %s.", counts(i.CountsForWrite), counts(i.CountsForRead))
	if i.Tokens > 0 {
		say("It owns %.1f%% of the keys of its zone with %d tokens.", i.Ownership, i.Tokens)
	}
	sim, err := s.Simulate(client.WhatIf{Ring: r.Key, Lose: []string{i.ID}})
	switch {
	case err != nil:
		say("What its loss would do cannot be said: %v.", err)
	case i.Health == client.Unhealthy && sim.OK:
		say("It counts as stopped already, and every quorum stands.")
	case sim.OK:
		say("If it stopped now, every quorum would still stand.")
	default:
		say("If it stopped now: %s.", SimulationWords(sim))
	}
	for n := range s.PartitionRings {
		pr := &s.PartitionRings[n]
		if pr.InstanceRing != r.Key {
			continue
		}
		for _, p := range pr.Partitions {
			for _, o := range p.Owners {
				if o.Instance == i.ID {
					say("It owns partition %d (%s) of %s, together with %d others; %d owners are healthy.", p.ID, p.State, pr.Name, len(p.Owners)-1, p.HealthyOwners)
				}
			}
		}
	}
	return e
}

func counts(yes bool) string {
	if yes {
		return "counts"
	}
	return "does not count"
}

// ExplainPartition tells what a partition's state means.
func ExplainPartition(s *client.Snapshot, r *client.PartitionRing, p *client.Partition) *Explanation {
	e := &Explanation{Subject: strconv.Itoa(int(p.ID))}
	say := func(format string, args ...any) { e.Lines = append(e.Lines, fmt.Sprintf(format, args...)) }
	say("Partition %d of %s is %s for %s.", p.ID, r.Name, p.State, ago(s.At, p.Since))
	switch p.State {
	case "ACTIVE":
		say("It takes %.1f%% of new keys. It may become INACTIVE.", p.Traffic)
	case "INACTIVE":
		say("It takes no new keys; its recent data is still read from its owners. It may become ACTIVE again, or be removed once it has no owners.")
	case "PENDING":
		say("It takes no keys yet. It becomes ACTIVE by itself when it has had enough owners for a moment.")
	}
	if p.Locked {
		say("Its state is locked since %s: every change is refused until it is unlocked.", Instant(p.LockedSince))
	}
	if len(p.Owners) == 0 {
		say("It has no owner.")
	}
	for _, o := range p.Owners {
		zone := ""
		if o.Zone != "" {
			zone = " in zone " + o.Zone
		}
		say("Owner %s%s: %s.", o.ID, zone, o.Health)
	}
	switch {
	case p.HealthyOwners == 0:
		say("Reads: nobody can be asked. %s", p.Problem)
	case p.HealthyOwners == 1:
		say("Reads: one owner answers; if it stops, the recent data cannot be read.")
	default:
		say("Reads: one of %d healthy owners is enough.", p.HealthyOwners)
	}
	return e
}
