package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
)

func writeQuorum(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	quorum(p, r, v, of, of.Write)
}

func readQuorum(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	quorum(p, r, v, of, of.Read)
}

func quorum(p *patient, r Rule, v *client.Snapshot, of *client.Ring, q *client.Quorum) {
	if q == nil || q.OK {
		return
	}
	f := Finding{Ring: of.Name, Cause: fmt.Sprintf("%.0f%% of keys have no %s quorum (replication factor %d)", q.Without, q.Operation, of.ReplicationFactor),
		Fix: "ringctl explain quorum " + of.Name}
	if q.Error != "" {
		f.Cause = "there is no " + q.Operation + " quorum: " + q.Error
	}
	for _, id := range q.Blocking {
		if i, ok := of.Instance(id); ok {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s is %s, %s, last heartbeat %s", id, i.State, i.Health, age(i, v)))
		}
	}
	p.note(r, v, f)
}

func age(i *client.Instance, v *client.Snapshot) string {
	if i.Heartbeat.IsZero() {
		return "never"
	}
	return client.Age(v.At.Sub(i.Heartbeat)) + " ago"
}

// each notes a finding for every instance that bad has something to say about.
func each(p *patient, r Rule, v *client.Snapshot, of *client.Ring, bad func(*client.Instance) (cause, fix string)) {
	for n := range of.Instances {
		i := &of.Instances[n]
		if cause, fix := bad(i); cause != "" {
			p.note(r, v, Finding{Ring: of.Name, Subject: i.ID, Cause: cause, Fix: fix,
				Evidence: []string{fmt.Sprintf("%s, %s, heartbeat %s, timeout %s, %d tokens", i.State, i.Health, age(i, v), of.HeartbeatTimeout, i.Tokens)}})
		}
	}
}

func forget(of *client.Ring, i *client.Instance) string {
	return fmt.Sprintf("ringctl forget %s %s --dry-run", of.Name, i.ID)
}

func unhealthy(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	each(p, r, v, of, func(i *client.Instance) (string, string) {
		if i.Health != client.Unhealthy || i.Heartbeat.IsZero() || i.State == "LEAVING" {
			return "", ""
		}
		return "the last heartbeat is " + age(i, v), forget(of, i)
	})
}

func allUnhealthy(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	if of.HealthyCount == 0 && len(of.Instances) > 1 {
		p.note(r, v, Finding{Ring: of.Name, Cause: fmt.Sprintf("none of %d members has a fresh heartbeat", len(of.Instances)), Fix: "ringctl views",
			Evidence: []string{"newest heartbeat of any ring compared with this clock: " + v.ClockSkew.String()}})
	}
}

func emptyRing(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	if len(of.Instances) > 0 || of.Deleted {
		return
	}
	f := Finding{Ring: of.Name, Cause: "the ring is empty", Fix: "ringctl members " + of.Name, Severity: of.Verdict}
	for _, t := range of.Tombstones {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s left %s ago", t.ID, client.Age(v.At.Sub(t.At))))
	}
	p.note(r, v, f)
}

func futureHeartbeat(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	each(p, r, v, of, func(i *client.Instance) (string, string) {
		if i.Health != client.Future {
			return "", ""
		}
		return fmt.Sprintf("the heartbeat is dated %s ahead, %s", client.Age(i.Heartbeat.Sub(v.At)), i.Heartbeat.Format(time.RFC3339)), forget(of, i)
	})
}

func zeroHeartbeat(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	each(p, r, v, of, func(i *client.Instance) (string, string) {
		if !i.Heartbeat.IsZero() {
			return "", ""
		}
		return "there was never a heartbeat", forget(of, i)
	})
}

func stuckLeaving(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	each(p, r, v, of, func(i *client.Instance) (string, string) {
		if i.State != "LEAVING" || i.Health != client.Unhealthy {
			return "", ""
		}
		return "it was LEAVING when its heartbeats ended, " + age(i, v), forget(of, i)
	})
}

func stuckJoining(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	each(p, r, v, of, func(i *client.Instance) (string, string) {
		waiting := v.At.Sub(i.Registered)
		if i.State != "JOINING" && i.State != "PENDING" || i.Health != client.Healthy || i.Registered.IsZero() || waiting < 15*time.Minute {
			return "", ""
		}
		return fmt.Sprintf("it is %s, and registered %s ago", i.State, client.Age(waiting)), "ringctl members " + of.Name + " --state unhealthy"
	})
}

// usualTokens is the most common number of tokens of a ring, and how many instances have it.
func usualTokens(of *client.Ring) (tokens, instances int) {
	count := map[int]int{}
	for _, i := range of.Instances {
		count[i.Tokens]++
	}
	for t, n := range count {
		if n > instances || n == instances && t > tokens {
			tokens, instances = t, n
		}
	}
	return tokens, instances
}

func noTokens(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	usual, _ := usualTokens(of)
	each(p, r, v, of, func(i *client.Instance) (string, string) {
		if usual == 0 || i.Tokens > 0 || i.State != "ACTIVE" {
			return "", ""
		}
		return fmt.Sprintf("it is ACTIVE without tokens; others have %d", usual), "ringctl tokens " + of.Name
	})
}

func tokenCount(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	usual, n := usualTokens(of)
	each(p, r, v, of, func(i *client.Instance) (string, string) {
		if i.Tokens == usual || i.Tokens == 0 || 2*n <= len(of.Instances) {
			return "", ""
		}
		return fmt.Sprintf("it has %d tokens; most members have %d", i.Tokens, usual), "ringctl tokens " + of.Name
	})
}

func duplicateTokens(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	pairs := map[string]int{}
	for _, d := range of.DuplicateTokens {
		pairs[strings.Join(d.Instances, " and ")]++
	}
	for holders, n := range pairs {
		p.note(r, v, Finding{Ring: of.Name, Subject: holders, Cause: fmt.Sprintf("%d tokens are held by both", n), Fix: "ringctl tokens " + of.Name + " --raw -o json"})
	}
}

func duplicateAddress(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	byAddr := map[string][]*client.Instance{}
	for n := range of.Instances {
		i := &of.Instances[n]
		if i.Addr != "" {
			byAddr[i.Addr] = append(byAddr[i.Addr], i)
		}
	}
	for addr, is := range byAddr {
		if len(is) < 2 {
			continue
		}
		slices.SortFunc(is, func(a, b *client.Instance) int { return a.Heartbeat.Compare(b.Heartbeat) })
		f := Finding{Ring: of.Name, Subject: addr, Cause: fmt.Sprintf("%d members have the address %s", len(is), addr), Fix: forget(of, is[0])}
		for _, i := range is {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s: heartbeat %s", i.ID, age(i, v)))
		}
		p.note(r, v, f)
	}
}

func mixedZones(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	if len(of.Zones) < 2 || of.Zones[0].Name != "" {
		return
	}
	var without []string
	for _, i := range of.Instances {
		if i.Zone == "" {
			without = append(without, i.ID)
		}
	}
	p.note(r, v, Finding{Ring: of.Name, Cause: fmt.Sprintf("%d of %d members have no zone", len(without), len(of.Instances)),
		Evidence: without[:min(len(without), 5)], Fix: "ringctl members " + of.Name})
}

func zoneImbalance(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	if !of.ZoneAware || len(of.Zones) < 2 {
		return
	}
	least, most := of.Zones[0], of.Zones[0]
	var all []string
	for _, z := range of.Zones {
		if z.Instances < least.Instances {
			least = z
		}
		if z.Instances > most.Instances {
			most = z
		}
		all = append(all, fmt.Sprintf("%s: %d members", z.Name, z.Instances))
	}
	if most.Instances-least.Instances > max(1, most.Instances/5) {
		p.note(r, v, Finding{Ring: of.Name, Cause: fmt.Sprintf("zone %s has %d members, zone %s has %d", least.Name, least.Instances, most.Name, most.Instances),
			Evidence: all, Fix: "ringctl tokens " + of.Name})
	}
}

func tooFewZones(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	if of.ZoneAware && !of.Stateless && len(of.Zones) < of.ReplicationFactor {
		p.note(r, v, Finding{Ring: of.Name, Cause: fmt.Sprintf("%d zones for replication factor %d", len(of.Zones), of.ReplicationFactor), Fix: "ringctl explain quorum " + of.Name})
	}
}

func tooFewMembers(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	if !of.Stateless && !of.Assumed && of.Tokens > 0 && len(of.Instances) < of.ReplicationFactor {
		p.note(r, v, Finding{Ring: of.Name, Cause: fmt.Sprintf("%s for replication factor %d", client.Plural(len(of.Instances), "member"), of.ReplicationFactor), Fix: "ringctl explain quorum " + of.Name})
	}
}

func unevenOwnership(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	if of.Stateless || of.Spread.MaxOverMean <= 1.5 {
		return
	}
	busiest := &of.Instances[0]
	for n := range of.Instances {
		if of.Instances[n].Ownership > busiest.Ownership {
			busiest = &of.Instances[n]
		}
	}
	p.note(r, v, Finding{Ring: of.Name, Cause: fmt.Sprintf("the busiest member owns %.2f times the mean of its zone", of.Spread.MaxOverMean),
		Evidence: []string{fmt.Sprintf("%s owns %.1f%%, the mean is %.1f%%", busiest.ID, busiest.Ownership, of.Spread.Mean)}, Fix: "ringctl tokens " + of.Name})
}

// tombstoneLife is how long members keep removals, with room for one more push/pull.
const tombstoneLife = 10 * time.Minute

func oldTombstone(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	for _, t := range of.Tombstones {
		if d := v.At.Sub(t.At); d > tombstoneLife && v.Mode != client.HTTP {
			p.note(r, v, Finding{Ring: of.Name, Subject: t.ID, Cause: fmt.Sprintf("it was removed %s ago, and the removal still circulates", client.Age(d)), Fix: "ringctl views"})
		}
	}
}

func ringDeleted(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	if of.Deleted {
		p.note(r, v, Finding{Ring: of.Name, Cause: "the key " + of.Key + " carries a deletion mark", Fix: "ringctl wait --for=healthy --ring " + of.Name})
	}
}

func notInGossip(p *patient, r Rule, v *client.Snapshot, of *client.Ring) {
	linked := map[string]bool{}
	for _, m := range v.Members {
		for _, i := range m.Instances {
			linked[i] = true
		}
	}
	n := 0
	for _, i := range of.Instances {
		if linked[of.Key+"/"+i.ID] {
			n++
		}
	}
	each(p, r, v, of, func(i *client.Instance) (string, string) {
		if 2*n <= len(of.Instances) || linked[of.Key+"/"+i.ID] || i.Health != client.Healthy {
			return "", ""
		}
		return "its heartbeat is fresh, but no gossip member has its name", "ringctl members --gossip"
	})
}
