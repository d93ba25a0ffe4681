// Package compactor decides which blocks should become one, or go, and does it.
//
// [Plan] is a pure function of the blocks' metadata and the time; [Execute] does
// one job. Whoever calls them – one owner for each tenant – brings the loop.
//
// A merge uploads its result and deletes nothing. The result names the blocks it
// replaces, readers leave those out from then on (see package catalog), and a
// later plan deletes them when no reader can still hold an old list. The id of
// the result follows from its inputs, so a job that runs twice makes one block.
package compactor

import (
	"cmp"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
)

// Config of the plan. Zero values mean the defaults.
type Config struct {
	// Window is the span of time whose blocks become one, by the end of their
	// spans. Default 1h.
	Window time.Duration
	// Active is how long blocks of a window are merged with others of their level
	// only; later all of the window's. Default 24h.
	Active time.Duration
	// MaxInputs is the most blocks of one job. Default 16.
	MaxInputs int
	// Settle is how long blocks straight from heads wait for company, unless there
	// are MaxInputs of them. Default 2m.
	Settle time.Duration
	// MinInputs is the least number of blocks that were merged before. Default 4.
	MinInputs int
	// MaxSpans and MaxBytes bound the result. Defaults 16 M and 4 GiB.
	MaxSpans, MaxBytes int64
	// Retention is how long blocks live after the end of their spans; 0 is for
	// ever.
	Retention time.Duration
	// Keep is how long replaced blocks stay for readers with an old list.
	// Default 10m.
	Keep time.Duration
}

func (c *Config) setDefaults() {
	dur := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	num := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	dur(&c.Window, time.Hour)
	dur(&c.Active, 24*time.Hour)
	dur(&c.Settle, 2*time.Minute)
	dur(&c.Keep, 10*time.Minute)
	num(&c.MaxInputs, 16)
	num(&c.MinInputs, 4)
	if c.MaxSpans <= 0 {
		c.MaxSpans = 16 << 20
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 4 << 30
	}
}

// Kind is what a job does.
type Kind uint8

// The kinds of jobs.
const (
	Merge  Kind = iota // make one block of Inputs
	Delete             // remove Inputs from the bucket
)

// String is a lower-case name.
func (k Kind) String() string {
	if k == Delete {
		return "delete"
	}
	return "merge"
}

// Job is one thing to do for one tenant. It is plain data and may travel.
type Job struct {
	Kind   Kind       `json:"kind"`
	Tenant string     `json:"tenant"`
	Inputs []block.ID `json:"inputs"`
	Bytes  int64      `json:"bytes"` // of the inputs
	Reason string     `json:"reason"`
}

// group is the blocks that may be merged with each other.
type group struct {
	window int64 // number of the window
	level  int   // -1: any
}

// Plan lists what to do with the blocks of one tenant, deletions first, then
// merges, newest window first. metas must include the replaced blocks
// (catalog.All). Jobs of one plan never share a block.
func Plan(metas []*block.Meta, cfg Config, now time.Time) []Job {
	cfg.setDefaults()
	jobs, live := deletions(metas, cfg, now)
	groups := map[group][]*block.Meta{}
	for _, m := range live {
		if m.Spans*2 > cfg.MaxSpans || m.Bytes()*2 > cfg.MaxBytes {
			continue // large enough
		}
		g := group{window: m.End.UnixNano() / int64(cfg.Window), level: m.Level}
		if old := time.Unix(0, (g.window+1)*int64(cfg.Window)); now.Sub(old) > cfg.Active {
			g.level = -1
		}
		groups[g] = append(groups[g], m)
	}
	order := make([]group, 0, len(groups))
	for g := range groups {
		order = append(order, g)
	}
	slices.SortFunc(order, func(a, b group) int { return cmp.Or(cmp.Compare(b.window, a.window), cmp.Compare(a.level, b.level)) })
	for _, g := range order {
		jobs = append(jobs, merges(g, groups[g], cfg, now)...)
	}
	return jobs
}

// deletions plans what to remove and returns the blocks that are to stay and are
// not replaced.
func deletions(metas []*block.Meta, cfg Config, now time.Time) (jobs []Job, live []*block.Meta) {
	byID := map[block.ID]*block.Meta{}
	for _, m := range metas {
		byID[m.ID] = m
	}
	replaced := catalog.Replaced(metas)
	for _, m := range metas {
		by, gone := replaced[m.ID]
		switch {
		case gone && now.Sub(byID[by].Created) > cfg.Keep && !hides(m, byID):
			jobs = append(jobs, Job{Delete, m.Tenant, []block.ID{m.ID}, m.Bytes(), "replaced by " + by})
		case gone:
		case cfg.Retention > 0 && now.Sub(m.End) > cfg.Retention && !hides(m, byID):
			jobs = append(jobs, Job{Delete, m.Tenant, []block.ID{m.ID}, m.Bytes(), "older than the retention"})
		case cfg.Retention == 0 || now.Sub(m.End) <= cfg.Retention:
			live = append(live, m)
		}
	}
	return jobs, live
}

// hides tells whether a block that m replaced still exists: it would come back to
// light without m.
func hides(m *block.Meta, byID map[block.ID]*block.Meta) bool {
	return slices.ContainsFunc(m.Replaces, func(id block.ID) bool { return byID[id] != nil })
}

// merges plans the merges of one group: the smallest blocks first, as many as fit.
func merges(g group, metas []*block.Meta, cfg Config, now time.Time) (jobs []Job) {
	slices.SortFunc(metas, func(a, b *block.Meta) int { return cmp.Or(cmp.Compare(a.Spans, b.Spans), cmp.Compare(a.ID, b.ID)) })
	for len(metas) > 1 {
		var j Job
		var spans int64
		var newest time.Time
		for _, m := range metas {
			if len(j.Inputs) == cfg.MaxInputs || len(j.Inputs) > 0 && (spans+m.Spans > cfg.MaxSpans || j.Bytes+m.Bytes() > cfg.MaxBytes) {
				break
			}
			j.Inputs = append(j.Inputs, m.ID)
			j.Bytes += m.Bytes()
			spans += m.Spans
			if m.Created.After(newest) {
				newest = m.Created
			}
		}
		n := len(j.Inputs)
		full := n == cfg.MaxInputs || n < len(metas)
		switch {
		case n < 2:
			return jobs
		case g.level == 0 && !full && now.Sub(newest) < cfg.Settle:
			return jobs
		case g.level > 0 && !full && n < cfg.MinInputs:
			return jobs
		}
		j.Kind, j.Tenant = Merge, metas[0].Tenant
		j.Reason = "small blocks of one window"
		slices.Sort(j.Inputs)
		jobs = append(jobs, j)
		metas = metas[n:]
	}
	return jobs
}
