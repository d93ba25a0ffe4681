package compactor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
)

// world is a bucket of blocks without bytes: the dumb twin knows which spans
// (numbers) each block holds, and nothing of Replaces.
type world struct {
	*rand.Rand
	now    time.Time
	stored []catalog.Stored
	spans  map[block.ID][]int
	all    []int // every span ever shipped and not expired
	cfg    Config
}

func (w *world) id() block.ID {
	var u uuid.UUID
	ms := w.now.UnixMilli()
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	for i := 6; i < 16; i++ {
		u[i] = byte(w.IntN(256))
	}
	u[6], u[8] = u[6]&0x0f|0x70, u[8]&0x3f|0x80
	return u.String()
}

func (w *world) ship() {
	n := len(w.all)
	m := &block.Meta{Tenant: "t", ID: w.id(), Created: w.now, Spans: 1, DataBytes: int64(w.IntN(100)), End: w.now.Add(-time.Duration(w.IntN(20)) * time.Minute)}
	m.Start = m.End.Add(-time.Duration(w.IntN(10)) * time.Minute)
	w.stored = append(w.stored, catalog.Stored{Meta: m, Modified: w.now})
	w.spans[m.ID] = []int{n}
	w.all = append(w.all, n)
}

func (w *world) metas() []*block.Meta {
	h := catalog.Holding{Blocks: w.stored}
	return h.Metas()
}

// worker is one that planned with what it saw, and publishes later.
type worker struct {
	job     *Job
	out     *block.Meta
	removes [][]Removal
}

func (w *world) start(k *worker) {
	jobs := Plan(w.now, w.metas(), w.cfg)
	if len(jobs) == 0 {
		return
	}
	j := jobs[w.IntN(len(jobs))]
	m := &block.Meta{Tenant: "t", ID: w.id(), Replaces: j.Replaces}
	var spans []int
	for _, in := range j.Inputs {
		m.Level = max(m.Level, in.Level+1)
		m.DataBytes += in.DataBytes
		if m.Start.IsZero() || in.Start.Before(m.Start) {
			m.Start = in.Start
		}
		if in.End.After(m.End) {
			m.End = in.End
		}
		spans = append(spans, w.spans[in.ID]...)
	}
	slices.Sort(spans)
	spans = slices.Compact(spans)
	m.Spans = int64(len(spans))
	w.spans[m.ID] = spans
	k.job, k.out = &j, m
}

func (w *world) publish(k *worker, careful bool) {
	if careful && !k.job.Current(w.metas()) {
		k.job = nil
		return
	}
	k.out.Created = w.now
	w.stored = append(w.stored, catalog.Stored{Meta: k.out, Modified: w.now})
	k.job = nil
}

func (w *world) remove(id block.ID) {
	w.stored = slices.DeleteFunc(w.stored, func(s catalog.Stored) bool { return s.Meta.ID == id })
}

// step is one thing that happens: to the bucket, or in one of the workers.
func (w *world) step(workers []*worker, careful bool) {
	k := workers[w.IntN(len(workers))]
	switch n := w.IntN(10); {
	case n < 3:
		w.ship()
	case n < 4:
		w.now = w.now.Add(time.Duration(w.IntN(20)) * time.Minute)
	case n < 7 && k.job == nil:
		w.start(k)
	case n < 7:
		w.publish(k, careful)
	case len(k.removes) == 0:
		k.removes = Sweep(w.now, w.stored, w.cfg)
	default:
		list := k.removes[len(k.removes)-1]
		w.remove(list[0].ID)
		if k.removes[len(k.removes)-1] = list[1:]; len(list) == 1 || w.IntN(20) == 0 { // or the worker died
			k.removes = k.removes[:len(k.removes)-1]
		}
	}
}

// read counts how often readers that look now find each span.
func (w *world) read() []int {
	n := make([]int, len(w.all))
	for _, m := range catalog.Visible(w.metas()) {
		for _, s := range w.spans[m.ID] {
			n[s]++
		}
	}
	return n
}

func newWorld(seed uint64) *world {
	return &world{Rand: rand.New(rand.NewPCG(seed, 5)), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), spans: map[block.ID][]int{},
		cfg: Config{MaxInputs: 4, Delay: 30 * time.Minute, Remember: time.Hour, Settle: time.Minute, Active: 3 * time.Hour}}
}

// However workers that look once more before they publish interleave, every span
// is read exactly once after every step.
func TestEverySpanOnce(t *testing.T) {
	merged, removed := 0, 0
	for seed := range uint64(150) {
		w := newWorld(seed)
		workers := []*worker{{}, {}}
		for range 150 {
			before := len(w.stored)
			w.step(workers, true)
			removed += max(0, before-len(w.stored))
			for span, n := range w.read() {
				if n != 1 {
					t.Fatalf("seed %d: span %d is read %d times\n%s", seed, span, n, w.dump())
				}
			}
		}
		for _, s := range w.stored {
			merged += min(1, s.Meta.Level)
		}
	}
	if merged < 100 || removed < 100 {
		t.Fatalf("only %d merged blocks and %d removed ones were seen", merged, removed)
	}
}

// Workers that publish without looking, as after a pause at the worst moment:
// no span is ever lost.
func TestNoSpanLost(t *testing.T) {
	twice := 0
	for seed := range uint64(150) {
		w := newWorld(seed)
		workers := []*worker{{}, {}, {}}
		for range 150 {
			w.step(workers, false)
			for span, n := range w.read() {
				if n == 0 {
					t.Fatalf("seed %d: span %d is lost\n%s", seed, span, w.dump())
				} else if n > 1 {
					twice++
				}
			}
		}
	}
	t.Logf("spans read twice for a while: %d", twice)
}

func (w *world) dump() (out string) {
	visible := catalog.Visible(w.metas())
	for _, s := range w.stored {
		out += fmt.Sprintf("%s level %d created %s visible %v spans %v replaces %v\n", s.Meta.ID, s.Meta.Level, s.Meta.Created.Format("15:04"),
			slices.Contains(visible, s.Meta), w.spans[s.Meta.ID], s.Meta.Replaces)
	}
	return out
}

// A plan depends on the set of blocks only; no block is in two jobs, and every
// job keeps to the rules.
func TestPlanRules(t *testing.T) {
	jobs := 0
	for seed := range uint64(200) {
		w := newWorld(seed)
		w.cfg = Config{MaxInputs: 2 + w.IntN(6), MaxSpans: int64(20 + w.IntN(100)), Retention: time.Duration(w.IntN(2)) * 20 * time.Hour, Active: 5 * time.Hour}
		for range 60 {
			w.ship()
			w.now = w.now.Add(time.Duration(w.IntN(20)) * time.Minute)
		}
		all := w.metas()
		for _, m := range all {
			m.Spans, m.Level = int64(1+w.IntN(30)), w.IntN(3)
		}
		plan := Plan(w.now, all, w.cfg)
		w.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		again := Plan(w.now, all, w.cfg)
		if fmt.Sprint(names(plan)) != fmt.Sprint(names(again)) {
			t.Fatalf("seed %d: the order of the blocks changes the plan:\n%v\n%v", seed, names(plan), names(again))
		}
		used := map[block.ID]bool{}
		for _, j := range plan {
			jobs++
			checkJob(t, w, &j, used)
		}
	}
	if jobs < 100 {
		t.Fatalf("only %d jobs", jobs)
	}
}

func checkJob(t *testing.T, w *world, j *Job, used map[block.ID]bool) {
	t.Helper()
	cfg := w.cfg.WithDefaults()
	if len(j.Inputs) < 2 || len(j.Inputs) > cfg.MaxInputs || j.Spans() > cfg.MaxSpans {
		t.Fatalf("%s: %d spans", j, j.Spans())
	}
	for _, m := range j.Inputs {
		old := m.End.Before(w.now.Add(-cfg.Active))
		switch {
		case used[m.ID]:
			t.Fatalf("%s: block %s is in two jobs", j, m.ID)
		case m.End.Truncate(cfg.Window) != j.Window || !slices.Contains(j.Replaces, m.ID):
			t.Fatalf("%s: block of %s", j, m.End)
		case (j.Level < 0) != old || !old && m.Level != j.Level:
			t.Fatalf("%s: block of level %d", j, m.Level)
		case cfg.Retention > 0 && m.End.Before(w.now.Add(-cfg.Retention)):
			t.Fatalf("%s: block over the retention", j)
		}
		used[m.ID] = true
	}
}

func names(jobs []Job) (out [][]block.ID) {
	for _, j := range jobs {
		ids := []block.ID{}
		for _, m := range j.Inputs {
			ids = append(ids, m.ID)
		}
		out = append(out, ids)
	}
	return out
}

// The hash of a job is the same for all jobs that might compete for a block.
func TestHashIsOfTheGroup(t *testing.T) {
	a := Job{Tenant: "t", Window: storyNow, Level: 1, Inputs: []*block.Meta{{ID: "a"}}}
	b := Job{Tenant: "t", Window: storyNow, Level: 1, Inputs: []*block.Meta{{ID: "b"}}}
	c := Job{Tenant: "t", Window: storyNow, Level: 2, Inputs: []*block.Meta{{ID: "a"}}}
	if a.Hash() != b.Hash() || a.Hash() == c.Hash() {
		t.Fatal(a.Hash(), b.Hash(), c.Hash())
	}
	if got := Hash("foobar"); got != 0xbf9cf968 { // the test vector of FNV-1a
		t.Fatalf("%#x", got)
	}
}
