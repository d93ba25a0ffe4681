package model

import (
	"fmt"
	"slices"
	"strings"
)

// problem is one thing wrong with a ring.
type problem struct {
	verdict Verdict
	text    string
}

// settle sorts problems worst first and returns the verdict and the texts.
func settle(problems []problem) (Verdict, string, []string) {
	if len(problems) == 0 {
		return OK, "", nil
	}
	slices.SortStableFunc(problems, func(a, b problem) int { return b.verdict.Rank() - a.verdict.Rank() })
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.text
	}
	return problems[0].verdict, texts[0], texts
}

// judge lists what is wrong with an instance ring.
func (r *Ring) judge() {
	var ps []problem
	add := func(v Verdict, format string, args ...any) { ps = append(ps, problem{v, fmt.Sprintf(format, args...)}) }
	if r.Deleted {
		add(Critical, "the key carries a deletion mark and will vanish")
	}
	if len(r.Instances) == 0 {
		add(emptyVerdict(r.Stateless), "the ring is empty")
	}
	var unhealthy, future []string
	for _, i := range r.Instances {
		switch i.Health {
		case Unhealthy:
			unhealthy = append(unhealthy, i.ID)
		case Future:
			future = append(future, i.ID)
		case Healthy, NoInstance:
		}
	}
	switch n := len(unhealthy); {
	case n > 0 && n == len(r.Instances):
		add(Critical, "all %s unhealthy (heartbeat older than %s); is this machine's clock right?", Plural(n, "member"), r.HeartbeatTimeout)
	case n > 0:
		add(Warning, "%d of %s unhealthy: %s", n, Plural(len(r.Instances), "member"), Some(unhealthy))
	}
	if len(future) > 0 {
		add(Warning, "heartbeat from the future: %s", Some(future))
	}
	for _, q := range []*Quorum{r.Write, r.Read} {
		if q == nil || q.OK {
			continue
		}
		if q.Error != "" {
			add(Critical, "no %s quorum: %s", q.Operation, q.Error)
		} else {
			add(Critical, "no %s quorum for %s of keys: %s", q.Operation, percent(q.Without), Some(q.Blocking))
		}
	}
	if n := len(r.DuplicateTokens); n > 0 {
		add(Warning, "%s held by more than one member: %s", Plural(n, "token"), Some(r.DuplicateTokens[0].Instances))
	}
	r.Verdict, r.Problem, r.Problems = settle(ps)
}

func emptyVerdict(stateless bool) Verdict {
	if stateless {
		return Warning
	}
	return Critical
}

// Some joins names, at most four of them.
func Some(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// percent prints a share so that something never looks like nothing, nor almost all like all.
func percent(p float64) string {
	switch {
	case p > 0 && p < 0.1:
		return "<0.1 %"
	case p > 99.9 && p < 100:
		return ">99.9 %"
	case p == float64(int(p)) || p >= 100:
		return fmt.Sprintf("%.0f %%", min(p, 100))
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}
