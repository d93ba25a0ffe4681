package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
)

func clockSkew(p *patient, r Rule, v *client.Snapshot) {
	if d := time.Duration(v.ClockSkew); d > 10*time.Second {
		p.note(r, v, Finding{Cause: fmt.Sprintf("heartbeats are %s ahead of this machine's clock", client.Age(d))})
	}
}

func foreignKeys(p *patient, r Rule, v *client.Snapshot) {
	if len(v.Products) < 2 {
		return
	}
	f := Finding{Cause: "keys of " + strings.Join(v.Products, " and ") + " are in one state", Fix: "ringctl members --gossip"}
	for i := range v.Rings {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %d members", v.Rings[i].Key, len(v.Rings[i].Instances)))
	}
	for i := range v.PartitionRings {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %d partitions", v.PartitionRings[i].Key, len(v.PartitionRings[i].Partitions)))
	}
	p.note(r, v, f)
}

func unlabelled(p *patient, r Rule, v *client.Snapshot) {
	if v.Label == "" && v.Mode != client.HTTP && v.Mode != client.Recorded {
		p.note(r, v, Finding{Cause: "members answer without a cluster label"})
	}
}

func undecodable(p *patient, r Rule, v *client.Snapshot) {
	for _, o := range v.Opaque {
		if o.Error != "" {
			p.note(r, v, Finding{Ring: o.Key, Cause: "the value cannot be read as " + o.Codec, Evidence: []string{o.Error}, Fix: "ringctl rings"})
		}
	}
}

// largeState is half of what members accept.
const largeState = 10 << 20

func stateBloat(p *patient, r Rule, v *client.Snapshot) {
	if v.StateBytes > largeState {
		f := Finding{Cause: fmt.Sprintf("the state has %.1f MiB; members refuse 20", float64(v.StateBytes)/(1<<20)), Fix: "ringctl rings"}
		for i := range v.Rings {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %d bytes, %d members, %d healthy, %d tokens", v.Rings[i].Name, v.Rings[i].Bytes, len(v.Rings[i].Instances), v.Rings[i].HealthyCount, v.Rings[i].Tokens))
		}
		p.note(r, v, f)
	}
}

func gossipNotAlive(p *patient, r Rule, v *client.Snapshot) {
	running := map[string]bool{}
	for _, m := range v.Members {
		if m.State == "alive" {
			running[client.Stem(m.Name)] = true
		}
	}
	for _, m := range v.Members {
		// One that was killed and runs again has another random part in its name; the old name fades away.
		again := client.Stem(m.Name) != m.Name && running[client.Stem(m.Name)]
		if (m.State == "suspect" || m.State == "dead") && !again {
			p.note(r, v, Finding{Subject: m.Name, Cause: fmt.Sprintf("gossip holds it for %s at %s", m.State, m.Addr), Fix: "ringctl --seeds " + m.Addr + " status"})
		}
	}
}

func islands(p *patient, r Rule) {
	groups := client.Islands(p.views)
	if len(groups) < 2 {
		return
	}
	f := Finding{Cause: fmt.Sprintf("the members form %d groups that do not know each other", len(groups)), Fix: "ringctl views"}
	for _, g := range groups {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%d members: %s", len(g), strings.Join(g[:min(len(g), 8)], ", ")))
	}
	p.note(r, nil, f)
}

func viewsDiffer(p *patient, r Rule) {
	for _, a := range client.Agreements(p.views) {
		if a.Agreed() {
			continue
		}
		f := Finding{Ring: a.Name, Cause: fmt.Sprintf("%d members see %d different versions of it", len(p.views), len(a.Groups)), Fix: "ringctl views"}
		for _, g := range a.Groups {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s", g.Hash, strings.Join(g.Members[:min(len(g.Members), 8)], ", ")))
		}
		if len(a.Missing) > 0 {
			f.Evidence = append(f.Evidence, "without the key: "+strings.Join(a.Missing[:min(len(a.Missing), 8)], ", "))
		}
		if len(a.Groups) > 1 {
			f.Fix = fmt.Sprintf("ringctl diff %s %s", a.Groups[0].Members[0], a.Groups[1].Members[0])
		}
		p.note(r, nil, f)
	}
}

func unreached(p *patient, r Rule) {
	for name, err := range p.options.Unreached {
		p.note(r, nil, Finding{Subject: name, Cause: "it does not answer here", Evidence: []string{err.Error()}, Fix: "ringctl members --gossip"})
	}
}
