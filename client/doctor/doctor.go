// Package doctor applies named rules to the views of a cluster's members. Each finding says what is wrong, what it rests
// on, and which command cures it. Rules are a table, see [Rules]; their ids are stable.
//
// Start with [Diagnose]. It is a pure function of views: what cannot be seen in them (logs, disks, queries) is not its
// business.
package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
)

// Finding is one thing that is wrong.
type Finding struct {
	// Rule is the rule's id, see [Rules].
	Rule     string         `json:"rule"`
	Severity client.Verdict `json:"severity"`
	// Ring is the ring's short name, Subject the member, partition or owner; both may be empty.
	Ring    string `json:"ring,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Cause is the diagnosis in one sentence, Evidence what it rests on.
	Cause    string   `json:"cause"`
	Evidence []string `json:"evidence,omitempty"`
	// Fix is the command that cures it, or looks closer where a cure is a decision; it may be empty.
	Fix string `json:"fix,omitempty"`
	// Doc is the page that explains the rule.
	Doc string `json:"doc"`
}

// Options are what is known beside the views.
type Options struct {
	// Unreached are the members that gave no view, with the reason.
	Unreached map[string]error
}

// Rule is one line of the table of rules.
type Rule struct {
	// ID is stable; other programs may filter by it.
	ID       string         `json:"id"`
	Severity client.Verdict `json:"severity"`
	// Title is the rule in a few words, Why what it means for the cluster, Cure what to do.
	Title string `json:"title"`
	Why   string `json:"why"`
	Cure  string `json:"cure"`

	// Exactly one of them is set: rules on all views, on one view, on one ring, on one partition ring.
	views      func(*patient, Rule)
	view       func(*patient, Rule, *client.Snapshot)
	ring       func(*patient, Rule, *client.Snapshot, *client.Ring)
	partitions func(*patient, Rule, *client.Snapshot, *client.PartitionRing)
}

// patient gathers the findings of one diagnosis.
type patient struct {
	views   []*client.Snapshot
	options Options
	found   []*noted
	// explained are findings that a restart explains: they are not noted.
	explained map[explained]bool
}

// explained is a finding of one view, by rule, ring and subject.
type explained struct{ view, rule, ring, subject string }

// noted is a finding and the views that show it.
type noted struct {
	Finding
	seen []string
}

// Diagnose applies all rules to all views and returns the findings, the most severe first, then by rule, ring and subject.
// The same finding in several views is one finding.
func Diagnose(views []*client.Snapshot, o Options) []Finding {
	p := &patient{views: views, options: o, explained: map[explained]bool{}}
	for _, r := range table() {
		if r.views != nil {
			r.views(p, r)
			continue
		}
		for _, v := range views {
			p.examine(r, v)
		}
	}
	return p.results()
}

func (p *patient) examine(r Rule, v *client.Snapshot) {
	if r.view != nil {
		r.view(p, r, v)
	}
	if r.ring != nil {
		for i := range v.Rings {
			r.ring(p, r, v, &v.Rings[i])
		}
	}
	if r.partitions != nil {
		for i := range v.PartitionRings {
			r.partitions(p, r, v, &v.PartitionRings[i])
		}
	}
}

// note adds a finding of a view; nil stands for all views together.
func (p *patient) note(r Rule, v *client.Snapshot, f Finding) {
	f.Rule, f.Doc = r.ID, Page(r.ID)
	if p.isExplained(v, &f) {
		return
	}
	if f.Severity == "" {
		f.Severity = r.Severity
	}
	for _, n := range p.found {
		if n.Rule == f.Rule && n.Ring == f.Ring && n.Subject == f.Subject {
			if v != nil {
				n.seen = append(n.seen, v.From)
			}
			if f.Severity.Rank() > n.Severity.Rank() {
				n.Severity = f.Severity
			}
			return
		}
	}
	n := &noted{Finding: f}
	if v != nil {
		n.seen = []string{v.From}
	}
	p.found = append(p.found, n)
}

// isExplained tells whether a finding follows from a restart in the view that shows it; in all views together, in any of them.
func (p *patient) isExplained(v *client.Snapshot, f *Finding) bool {
	if v != nil {
		return p.explained[explained{v.From, f.Rule, f.Ring, f.Subject}]
	}
	return slices.ContainsFunc(p.views, func(v *client.Snapshot) bool {
		return p.explained[explained{v.From, f.Rule, f.Ring, f.Subject}]
	})
}

func (p *patient) results() []Finding {
	out := make([]Finding, 0, len(p.found))
	for _, n := range p.found {
		if n.seen != nil && len(n.seen) < len(p.views) {
			n.Evidence = append(n.Evidence, fmt.Sprintf("seen in %d of %d views: %s", len(n.seen), len(p.views), strings.Join(n.seen, ", ")))
		}
		out = append(out, n.Finding)
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		if d := b.Severity.Rank() - a.Severity.Rank(); d != 0 {
			return d
		}
		return strings.Compare(a.Rule+"\x00"+a.Ring+"\x00"+a.Subject, b.Rule+"\x00"+b.Ring+"\x00"+b.Subject)
	})
	return out
}

// Rules are all rules, sorted by id.
func Rules() []Rule {
	all := table()
	slices.SortFunc(all, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Page is the path of the page about a rule, inside the repository.
func Page(id string) string { return "docs/doctor/" + id + ".md" }
