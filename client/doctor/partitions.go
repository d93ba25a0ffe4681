package doctor

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/client"
)

// eachPartition notes a finding for every partition that bad has something to say about.
func eachPartition(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing, bad func(*client.Partition) (cause, fix string)) {
	for n := range of.Partitions {
		x := &of.Partitions[n]
		cause, fix := bad(x)
		if cause == "" {
			continue
		}
		f := Finding{Ring: of.Name, Subject: strconv.Itoa(int(x.ID)), Cause: cause, Fix: fix,
			Evidence: []string{fmt.Sprintf("%s for %s, %d of %d owners healthy", x.State, client.Age(time.Duration(x.Age)), x.HealthyOwners, len(x.Owners))}}
		for _, o := range x.Owners {
			if o.Health != client.Healthy {
				f.Evidence = append(f.Evidence, fmt.Sprintf("owner %s: %s", o.ID, o.Health))
			}
		}
		p.note(r, v, f)
	}
}

func noActivePartition(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	if of.States["ACTIVE"] > 0 {
		return
	}
	f := Finding{Ring: of.Name, Cause: fmt.Sprintf("of %s none is ACTIVE", client.Plural(len(of.Partitions), "partition")), Fix: "ringctl partitions " + of.Name}
	if n := of.Waiting(); n > 0 {
		f.Severity = client.Warning
		f.Cause += " yet: " + client.Plural(n, "new one") + " still waiting"
		f.Fix = "ringctl wait --for=healthy"
	}
	p.note(r, v, f)
}

func partitionUnowned(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	eachPartition(p, r, v, of, func(x *client.Partition) (string, string) {
		if x.State != "ACTIVE" || x.HealthyOwners > 0 || of.InstanceRing == "" && len(x.Owners) > 0 {
			return "", ""
		}
		return "it takes data and has no healthy owner", fmt.Sprintf("ringctl explain partition %d", x.ID)
	})
}

func inactiveOwnerless(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	if of.Product == "tempod" {
		r.Severity = client.Warning
	}
	eachPartition(p, r, v, of, func(x *client.Partition) (string, string) {
		if x.State != "INACTIVE" || x.HealthyOwners > 0 || of.InstanceRing == "" && len(x.Owners) > 0 {
			return "", ""
		}
		return "it is INACTIVE and no healthy owner is left", fmt.Sprintf("ringctl partition remove %d --dry-run", x.ID)
	})
}

func singleOwner(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	count := map[int]int{}
	usual := 0
	for _, x := range of.Partitions {
		n := len(x.Owners)
		count[n]++
		if count[n] > count[usual] || count[n] == count[usual] && n > usual {
			usual = n
		}
	}
	eachPartition(p, r, v, of, func(x *client.Partition) (string, string) {
		if x.State != "ACTIVE" || len(x.Owners) == 0 || len(x.Owners) >= usual {
			return "", ""
		}
		return fmt.Sprintf("it has %d owners; most partitions have %d", len(x.Owners), usual), "ringctl partitions " + of.Name + " --owners"
	})
}

func orphanOwner(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	note := func(o *client.Owner, cause string) {
		p.note(r, v, Finding{Ring: of.Name, Subject: o.ID, Cause: cause, Fix: "ringctl partition owner remove " + o.ID + " --dry-run",
			Evidence: []string{fmt.Sprintf("owner of partition %d since %s", o.Partition, o.Since.Format(time.RFC3339))}})
	}
	for n := range of.Orphans {
		note(&of.Orphans[n], fmt.Sprintf("partition %d does not exist", of.Orphans[n].Partition))
	}
	if of.InstanceRing == "" {
		return
	}
	for n := range of.Partitions {
		for m := range of.Partitions[n].Owners {
			if o := &of.Partitions[n].Owners[m]; o.Health == client.NoInstance {
				note(o, "its instance "+o.Instance+" is not in the ring "+of.InstanceRing)
			}
		}
	}
}

func pendingPartition(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	eachPartition(p, r, v, of, func(x *client.Partition) (string, string) {
		if x.State != "PENDING" || x.Waiting() {
			return "", ""
		}
		return "it has been PENDING for " + client.Age(time.Duration(x.Age)), fmt.Sprintf("ringctl partition activate %d --dry-run", x.ID)
	})
}

func partitionGap(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	next := int32(0)
	for _, x := range of.Partitions {
		if x.ID > next && x.ID-next < 1000 {
			for ; next < x.ID; next++ {
				p.note(r, v, Finding{Ring: of.Name, Subject: strconv.Itoa(int(next)), Cause: fmt.Sprintf("there is no partition %d, but there is %d", next, x.ID), Fix: "ringctl partitions " + of.Name})
			}
		}
		next = x.ID + 1
	}
}

func lockedLong(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	eachPartition(p, r, v, of, func(x *client.Partition) (string, string) {
		if !x.Locked || v.At.Sub(x.LockedSince) < 24*time.Hour {
			return "", ""
		}
		return "it has been locked for " + client.Age(v.At.Sub(x.LockedSince)), fmt.Sprintf("ringctl partition unlock %d", x.ID)
	})
}

func ownersInOneZone(p *patient, r Rule, v *client.Snapshot, of *client.PartitionRing) {
	if len(of.Zones) < 2 {
		return
	}
	eachPartition(p, r, v, of, func(x *client.Partition) (string, string) {
		zones := map[string]string{}
		for _, o := range x.Owners {
			if o.Health == client.NoInstance {
				continue
			}
			if other, ok := zones[o.Zone]; ok {
				return fmt.Sprintf("%s and %s are both in zone %s", other, o.ID, o.Zone), "ringctl partitions " + of.Name + " --owners"
			}
			zones[o.Zone] = o.ID
		}
		return "", ""
	})
}
