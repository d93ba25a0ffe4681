package compactor

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
)

// Config of planning, for one tenant. Zero values mean the defaults, except
// Retention.
type Config struct {
	// Window is the length of the stretches of time that are merged within.
	// Default 1h.
	Window time.Duration
	// Active is how long blocks are only merged with others of their level, so
	// that each span is rewritten few times. Default 24h.
	Active time.Duration
	// MinInputs and MaxInputs bound the blocks of one job. Defaults 2 and 16: most
	// spans are then rewritten once or twice.
	MinInputs, MaxInputs int
	// MinMerged is MinInputs for merged blocks of the active time. Default 4.
	MinMerged int
	// MaxSpans and MaxBytes bound the sum of what the inputs hold. Defaults
	// 20 million and 100 GiB.
	MaxSpans, MaxBytes int64
	// Settle is how long a job of fewer than MaxInputs blocks waits for more after
	// the newest of them was written. Default 5m.
	Settle time.Duration
	// MaxJobs is the most jobs of one plan. Default 256.
	MaxJobs int
	// Retention is how long spans are kept; 0 is for ever.
	Retention time.Duration
	// Delay is how long a block stays after it was replaced or its time was over,
	// so that readers that do not know yet still find it. Default 1h.
	Delay time.Duration
	// Remember is how long merged blocks list blocks that are gone from the
	// bucket, for those who have their own copy. Default 24h.
	Remember time.Duration
	// Abandon is the age at which an upload without an end is taken for dead.
	// Default 24h.
	Abandon time.Duration
	// Without names blocks to leave alone: those that a merge could not read.
	Without map[block.ID]bool
}

// WithDefaults returns the config with its zero values replaced.
func (c Config) WithDefaults() Config {
	c.Window = cmp.Or(max(c.Window, 0), time.Hour)
	c.Active = cmp.Or(max(c.Active, 0), 24*time.Hour)
	c.MinInputs = max(cmp.Or(c.MinInputs, 2), 2)
	c.MaxInputs = max(cmp.Or(c.MaxInputs, 16), c.MinInputs)
	c.MinMerged = min(max(cmp.Or(c.MinMerged, 4), c.MinInputs), c.MaxInputs)
	c.MaxSpans = cmp.Or(max(c.MaxSpans, 0), 20_000_000)
	c.MaxBytes = cmp.Or(max(c.MaxBytes, 0), 100<<30)
	c.Settle = cmp.Or(max(c.Settle, 0), 5*time.Minute)
	c.MaxJobs = cmp.Or(max(c.MaxJobs, 0), 256)
	c.Delay = cmp.Or(max(c.Delay, 0), time.Hour)
	c.Remember = cmp.Or(max(c.Remember, 0), 24*time.Hour)
	c.Abandon = cmp.Or(max(c.Abandon, 0), 24*time.Hour)
	return c
}

// Job is one merge that is due.
type Job struct {
	Tenant string
	// Window is the start of the stretch of time in which the inputs end; Level is
	// theirs, -1 when they are of several.
	Window time.Time
	Level  int
	// Inputs are the blocks to merge, by start.
	Inputs []*block.Meta
	// Replaces is what the output lists: the inputs, and what they replaced.
	Replaces []block.ID
}

// Hash is the place of the job in the ring of workers, FNV-1a. Jobs of the same
// tenant, window and level have the same, so that one worker has them all and
// two workers that know different blocks do not take the same block into
// different jobs.
func (j *Job) Hash() uint32 {
	return Hash(fmt.Sprintf("compact-%s-%d-%d", j.Tenant, j.Window.Unix(), j.Level))
}

// Hash is the place of a job with that name in the ring of workers.
func Hash(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return h.Sum32()
}

// String names the job in logs.
func (j *Job) String() string {
	level := fmt.Sprintf("level %d", j.Level)
	if j.Level < 0 {
		level = "any level"
	}
	return fmt.Sprintf("%d blocks of %s, %s", len(j.Inputs), level, j.Window.UTC().Format("2006-01-02 15:04"))
}

// Spans and Bytes are what the inputs hold together.
func (j *Job) Spans() (n int64) {
	for _, m := range j.Inputs {
		n += m.Spans
	}
	return n
}

// Bytes is the stored size of the inputs.
func (j *Job) Bytes() (n int64) {
	for _, m := range j.Inputs {
		n += m.Bytes()
	}
	return n
}

// group is the blocks that may be merged with each other.
type group struct {
	window int64
	level  int // -1: any
}

// Plan lists the merges that are due, given all blocks of a tenant in any order.
// A block is in at most one job; jobs of low levels and recent windows come
// first.
func Plan(now time.Time, all []*block.Meta, cfg Config) []Job {
	cfg = cfg.WithDefaults()
	groups := map[group][]*block.Meta{}
	for _, m := range catalog.Visible(all) {
		if g, ok := groupOf(now, m, &cfg); ok && !cfg.Without[m.ID] && !expired(now, m, &cfg) {
			groups[g] = append(groups[g], m)
		}
	}
	order := make([]group, 0, len(groups))
	for g := range groups {
		order = append(order, g)
	}
	slices.SortFunc(order, func(a, b group) int {
		return cmp.Or(cmp.Compare(uint(a.level), uint(b.level)), cmp.Compare(b.window, a.window))
	})
	mentioned := mentions(all)
	var jobs []Job
	for _, g := range order {
		for _, inputs := range pick(now, g, groups[g], &cfg) {
			if len(jobs) == cfg.MaxJobs {
				return jobs
			}
			j := Job{Tenant: inputs[0].Tenant, Window: time.Unix(0, g.window*int64(cfg.Window)).UTC(), Level: g.level, Inputs: inputs}
			j.Replaces = replaced(now.Add(-cfg.Remember), inputs, mentioned)
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// groupOf tells with which blocks a block may be merged. The window that is
// leaving the active time is left alone, so that no two workers see it in
// different groups.
func groupOf(now time.Time, m *block.Meta, cfg *Config) (group, bool) {
	w, edge := windowOf(m.End, cfg), windowOf(now.Add(-cfg.Active), cfg)
	switch {
	case w == edge:
		return group{}, false
	case w < edge:
		return group{w, -1}, true
	}
	return group{w, m.Level}, true
}

func windowOf(t time.Time, cfg *Config) int64 {
	n, w := t.UnixNano(), int64(cfg.Window)
	if n < 0 {
		n -= w - 1
	}
	return n / w
}

func expired(now time.Time, m *block.Meta, cfg *Config) bool {
	return cfg.Retention > 0 && m.End.Before(now.Add(-cfg.Retention))
}

// pick deals the blocks of a group into jobs: the smallest block, the blocks
// that share most of their time with it, then the next smallest ones. Blocks of
// more than half the largest size stay as they are.
func pick(now time.Time, g group, blocks []*block.Meta, cfg *Config) (out [][]*block.Meta) {
	left := slices.Clone(blocks)
	slices.SortFunc(left, func(a, b *block.Meta) int {
		return cmp.Or(cmp.Compare(a.Bytes(), b.Bytes()), a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
	})
	left = slices.DeleteFunc(left, func(m *block.Meta) bool { return 2*m.Spans > cfg.MaxSpans || 2*m.Bytes() > cfg.MaxBytes })
	for len(left) >= cfg.MinInputs && len(out) < cfg.MaxJobs {
		job := Job{Inputs: fill(left, cfg)}
		left = slices.DeleteFunc(left, func(m *block.Meta) bool { return slices.Contains(job.Inputs, m) })
		if ready(now, g, job.Inputs, cfg) {
			slices.SortFunc(job.Inputs, func(a, b *block.Meta) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) })
			out = append(out, job.Inputs)
		}
	}
	return out
}

// fill makes a job of the first block and others, which are in order of size.
func fill(left []*block.Meta, cfg *Config) []*block.Meta {
	seed := left[0]
	rest := slices.Clone(left[1:])
	slices.SortStableFunc(rest, func(a, b *block.Meta) int { return cmp.Compare(overlap(seed, b), overlap(seed, a)) })
	inputs := []*block.Meta{seed}
	spans, bytes := seed.Spans, seed.Bytes()
	for _, m := range rest {
		if len(inputs) == cfg.MaxInputs {
			break
		}
		if spans+m.Spans <= cfg.MaxSpans && bytes+m.Bytes() <= cfg.MaxBytes {
			inputs = append(inputs, m)
			spans, bytes = spans+m.Spans, bytes+m.Bytes()
		}
	}
	return inputs
}

// overlap is the share of the shorter block's time that both cover, in tenths;
// 0 when they do not touch.
func overlap(a, b *block.Meta) int64 {
	both := min(a.End.UnixNano(), b.End.UnixNano()) - max(a.Start.UnixNano(), b.Start.UnixNano())
	if both < 0 {
		return 0
	}
	shorter := min(a.End.Sub(a.Start), b.End.Sub(b.Start))
	return 1 + int64(9*float64(both)/float64(max(shorter, 1)))
}

// ready tells whether the inputs are enough, and need not wait for more.
func ready(now time.Time, g group, inputs []*block.Meta, cfg *Config) bool {
	least := cfg.MinInputs
	if g.level > 0 {
		least = cfg.MinMerged
	}
	if len(inputs) < least || len(inputs) == cfg.MaxInputs {
		return len(inputs) >= least
	}
	return !slices.ContainsFunc(inputs, func(m *block.Meta) bool { return now.Sub(m.Created) < cfg.Settle })
}

// mentions counts in how many blocks' Replaces, or as a block, an id occurs.
func mentions(all []*block.Meta) map[block.ID]int {
	n := map[block.ID]int{}
	for _, m := range all {
		n[m.ID]++
		for _, id := range m.Replaces {
			n[id]++
		}
	}
	return n
}

// Current tells whether a job still makes sense: all its inputs are visible.
func (j *Job) Current(all []*block.Meta) bool {
	seen := map[block.ID]bool{}
	for _, m := range catalog.Visible(all) {
		seen[m.ID] = true
	}
	return !slices.ContainsFunc(j.Inputs, func(m *block.Meta) bool { return !seen[m.ID] })
}

// replaced lists the inputs and what they replaced, less what is gone, older
// than a time, and known to nobody else.
func replaced(since time.Time, inputs []*block.Meta, mentioned map[block.ID]int) []block.ID {
	var out []block.ID
	for _, m := range inputs {
		out = append(out, m.ID)
	}
	own := mentions(inputs)
	seen := map[block.ID]bool{}
	for _, m := range inputs {
		for _, id := range m.Replaces {
			if !seen[id] && !slices.Contains(out[:len(inputs)], id) && (mentioned[id] > own[id] || !born(id).Before(since)) {
				out = append(out, id)
			}
			seen[id] = true
		}
	}
	return out
}

// born is when a block id was made; ids of other versions are always old.
func born(id block.ID) time.Time {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return time.Time{}
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec)
}
