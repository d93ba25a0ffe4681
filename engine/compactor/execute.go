package compactor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/bucket/local"
)

// outputLevel is the zstd level of merged blocks: they stay.
const outputLevel = 3

// inputCache is the cache of a merge: it reads nothing twice on purpose.
const inputCache = 8 << 20

// Execute does a job of a tenant and returns the meta of the block that is now
// in the bucket. The inputs stay. tmpdir is for copies of the inputs and for the
// output; nothing is left in it. It may be repeated, by anybody, at any time;
// outputs of the same inputs hide each other (see [catalog.Visible]).
func Execute(ctx context.Context, b bucket.Bucket, tenantID string, job Job, tmpdir string) (*block.Meta, error) {
	dir, err := os.MkdirTemp(tmpdir, "merge-")
	if err != nil {
		return nil, fmt.Errorf("merge blocks of tenant %s: %w", tenantID, err)
	}
	m, err := Merge(ctx, b, tenantID, job, dir)
	if err == nil {
		err = Publish(ctx, b, filepath.Join(dir, tenantID, m.ID), m, time.Now())
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return nil, err
	}
	return m, nil
}

// Merge is the first half of [Execute]: it makes the output in the folder
// dir/<tenant>/<id>, and uploads nothing. Copies of the inputs are gone when it
// returns.
func Merge(ctx context.Context, b bucket.Bucket, tenantID string, job Job, dir string) (m *block.Meta, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("merge blocks of tenant %s: %w", tenantID, err)
		}
	}()
	copies, err := local.Open(filepath.Join(dir, "inputs"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(copies.Root())) }()
	cache := block.NewCache(inputCache)
	inputs := make([]*block.Block, len(job.Inputs))
	for i, in := range job.Inputs {
		if err := block.Download(ctx, b, tenantID, in.ID, filepath.Join(copies.Root(), tenantID, in.ID)); err != nil {
			return nil, err
		}
		if inputs[i], err = block.Open(ctx, copies, tenantID, in.ID, block.OpenOptions{Cache: cache}); err != nil {
			return nil, err
		}
	}
	id, err := block.NewID()
	if err != nil {
		return nil, err
	}
	w, err := block.NewWriter(block.WriterOptions{Level: outputLevel, Blooms: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	m, err = w.Merge(ctx, filepath.Join(dir, tenantID, id), inputs, block.MergeOptions{Tenant: tenantID, ID: id})
	if err != nil {
		return nil, err
	}
	m.Replaces = job.Replaces
	return m, nil
}

// Publish is the second half of [Execute]: it uploads the output from its
// folder. When it fails, what was uploaded is removed again if that is possible.
func Publish(ctx context.Context, b bucket.Bucket, dir string, m *block.Meta, now time.Time) error {
	m.Created = now.UTC()
	raw, err := m.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, block.MetaName), raw, 0o644); err != nil {
		return fmt.Errorf("publish block %s: %w", m.ID, err)
	}
	if err := block.Upload(ctx, b, dir, m); err != nil {
		return settle(ctx, b, m, err)
	}
	return nil
}

// settleTimeout bounds the look at a failed upload.
const settleTimeout = 10 * time.Second

// settle finds out what a failed upload left: all of the block, because only the
// answer was lost, or a part of it, which is removed. If neither can be told, it
// stays: complete, or to be found abandoned later.
func settle(ctx context.Context, b bucket.Bucket, m *block.Meta, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	_, err := b.Stat(ctx, block.Path(m.Tenant, m.ID)+block.MetaName)
	if err == nil {
		return nil
	}
	if errors.Is(err, bucket.ErrNotFound) {
		return errors.Join(failed, block.Delete(ctx, b, m.Tenant, m.ID))
	}
	return failed
}
