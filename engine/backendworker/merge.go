package backendworker

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/compactor"
)

// A job that failed rests for minBackoff, doubled each time up to maxBackoff.
const (
	minBackoff = time.Minute
	maxBackoff = time.Hour
)

// mergeLoop does merges until ctx ends.
func (w *Worker) mergeLoop(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		fresh := w.fresh
		w.mu.Unlock()
		if w.MergeOne(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-fresh:
		}
	}
}

// MergeOne does the next merge that falls to this worker; false when there is
// none, or ctx has ended.
func (w *Worker) MergeOne(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	job, ok := w.next()
	if !ok {
		return false
	}
	start := time.Now()
	m, err := w.merge(ctx, job)
	w.done(ctx, job, m, err, time.Since(start))
	return true
}

// next picks a job, one tenant after the other, and marks it busy.
func (w *Worker) next() (compactor.Job, bool) {
	tenants := w.tenants()
	w.mu.Lock()
	last := w.last
	w.mu.Unlock()
	at, found := slices.BinarySearch(tenants, last)
	if found {
		at++
	}
	now := w.cfg.Now()
	for i := range tenants {
		t := tenants[(at+i)%len(tenants)]
		for _, j := range w.jobs(t, now) {
			if w.reserve(&j, now) {
				return j, true
			}
		}
	}
	return compactor.Job{}, false
}

// jobs are the merges of a tenant that fall to this worker.
func (w *Worker) jobs(tenantID string, now time.Time) []compactor.Job {
	rules, merge := w.rules(tenantID)
	h := w.held(tenantID)
	if !merge || h.Unread != nil {
		return nil
	}
	w.mu.Lock()
	rules.Without = maps.Clone(w.unfit)
	w.mu.Unlock()
	return slices.DeleteFunc(compactor.Plan(now, h.Metas(), rules), func(j compactor.Job) bool { return !w.owner.Owns(j.Hash()) })
}

// outstanding counts the blocks that wait to be merged here.
func (w *Worker) outstanding(tenantID string, now time.Time) float64 {
	n := 0
	for _, j := range w.jobs(tenantID, now) {
		n += len(j.Inputs)
	}
	return float64(n)
}

func (w *Worker) reserve(j *compactor.Job, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := j.Hash()
	if b := w.retry[h]; w.busy[h] || b != nil && now.Before(b.until) {
		return false
	}
	w.busy[h], w.last = true, j.Tenant
	return true
}

// errObsolete says that a job is no longer to be done: somebody else did it, or
// it falls to somebody else now.
var errObsolete = errors.New("the job is no longer to be done here")

// merge does a job. Between the merge, which may take minutes, and the upload it
// looks once more whether the result is still wanted.
func (w *Worker) merge(ctx context.Context, job compactor.Job) (m *block.Meta, err error) {
	dir, err := os.MkdirTemp(w.cfg.Dir, scratchPrefix)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if m, err = compactor.Merge(ctx, w.b, job.Tenant, job, dir); err != nil {
		return nil, err
	}
	if err := w.scan(ctx, job.Tenant); err != nil {
		return nil, err
	}
	if h := w.held(job.Tenant); h.Unread != nil {
		return nil, h.Unread
	} else if !job.Current(h.Metas()) || !w.owner.Owns(job.Hash()) {
		return nil, errObsolete
	}
	if err := compactor.Publish(ctx, w.b, filepath.Join(dir, job.Tenant, m.ID), m, w.cfg.Now()); err != nil {
		return nil, err
	}
	return m, w.scan(ctx, job.Tenant)
}

// done counts a job and decides what becomes of it.
func (w *Worker) done(ctx context.Context, job compactor.Job, m *block.Meta, err error, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hash := job.Hash()
	delete(w.busy, hash)
	log := w.log.With("tenant", job.Tenant, "job", job.String())
	if m != nil {
		w.m.merged(&job, m)
		log.Info("merged blocks", "block", m.ID, "spans", m.Spans, "duplicates", job.Spans()-m.Spans, "bytes", m.Bytes(), "took", took.Round(time.Millisecond))
	}
	switch {
	case err == nil:
		delete(w.retry, hash)
		return
	case errors.Is(err, errObsolete):
		w.m.jobs.WithLabelValues("obsolete").Inc()
		log.Info("merge was not needed any more", "took", took.Round(time.Millisecond))
		return
	case ctx.Err() != nil:
		return
	}
	w.m.jobs.WithLabelValues("failed").Inc()
	w.m.errors.Inc()
	var damage *block.CorruptError
	if errors.As(err, &damage) {
		w.unfit[damage.Block] = true
		log.Error("a block is damaged and will not be merged", "block", damage.Block, "err", err)
		return
	}
	b := w.retry[hash]
	if b == nil {
		b = new(backoff)
		w.retry[hash] = b
	}
	wait := min(minBackoff<<min(b.times, 10), maxBackoff)
	b.times++
	b.until = w.cfg.Now().Add(wait)
	if errors.Is(err, bucket.ErrNotFound) {
		log.Info("an input of the merge is gone", "err", err)
		return
	}
	log.Warn("merge failed, will be tried again", "err", err, "in", wait)
}
